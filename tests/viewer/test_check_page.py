"""The page of a check, clicked through in a browser: no error, no request, and drawn to scale."""

import dataclasses
import json
import re

import made_checks
import numpy as np
import pytest

from ecgjax.api.check import CANNOT_TELL, Checked
from ecgjax.placements import repair
from ecgjax.viewer import pages
from ecgjax.viewer import viewer as viewer_module
from ecgjax.viewer.document import document
from ecgjax.viewer.pages import Entry, page_of, write_check_page, write_index
from ecgjax.viewer.viewer import viewer

MARGIN = 34


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    checked = made_checks.checked()
    path = tmp_path_factory.mktemp("page") / "check.html"
    path.write_text(page_of(checked, made_checks.attribution(checked)), encoding="utf-8")
    return path


@pytest.fixture
def opened(chromium, page):
    """The page in a window of a desk, left without errors and requests."""
    chromium.open(page.as_uri())
    yield chromium
    assert chromium.errors == []
    assert chromium.requests == [f"GET {page.as_uri()}"]


def show(chromium, tmp_path, body, **window):
    path = tmp_path / "one.html"
    path.write_text(document("one", body, of="test"), encoding="utf-8")
    chromium.open(path.as_uri(), **window)


def button(tab, text):
    tab.evaluate(f"[...document.querySelectorAll('button')].find((b) => b.textContent === {json.dumps(text)}).click()")


def pressed(tab):
    return tab.evaluate("[...document.querySelectorAll('[aria-pressed=true]')].map((b) => b.textContent)")


def drawing(tab):
    return tab.evaluate("document.querySelector('canvas').toDataURL()")


def status(tab):
    return tab.evaluate("document.querySelector('.ecg-foot').textContent")


def pixels(tab, x, y, width, height):
    """`[y, x, channel]` of a part of the canvas."""
    flat = tab.evaluate(
        "(() => { const shown = document.querySelector('canvas'), copy = document.createElement('canvas');"
        "copy.width = shown.width; copy.height = shown.height;"
        "const context = copy.getContext('2d', {willReadFrequently: true}); context.drawImage(shown, 0, 0);"
        f"return [...context.getImageData({x}, {y}, {width}, {height}).data]; }})()"
    )
    return np.array(flat).reshape(height, width, 4)[..., :3]


def dark_rows(tab, x):
    """Rows of the canvas that are of the trace's colour in the column `x`."""
    height = tab.evaluate("document.querySelector('canvas').height")
    return np.flatnonzero(pixels(tab, x, 0, 1, height).sum(axis=-1)[:, 0] < 380)


def is_light(tab):
    return pixels(tab, 1, 1, 1, 1).mean() > 128


def test_every_button_does_what_it_says(opened):
    assert pressed(opened) == ["Put right", "3 × 4", "25", "10"]
    seen = [drawing(opened)]
    for text, now in (
        ("As recorded", ["As recorded", "3 × 4", "25", "10"]),
        ("Both", ["Both", "3 × 4", "25", "10"]),
        ("What decided", ["Both", "What decided", "3 × 4", "25", "10"]),
        ("6 × 2", ["Both", "What decided", "6 × 2", "25", "10"]),
        ("12 × 1", ["Both", "What decided", "12 × 1", "25", "10"]),
        ("50", ["Both", "What decided", "12 × 1", "50", "10"]),
        ("20", ["Both", "What decided", "12 × 1", "50", "20"]),
        ("+", ["Both", "What decided", "12 × 1", "20"]),
    ):
        button(opened, text)
        assert pressed(opened) == now
        seen.append(drawing(opened))
    assert len(set(seen)) == len(seen)
    assert "63 mm/s · 20 mm/mV" in status(opened)
    button(opened, "−")
    button(opened, "Reset")
    for text in ("Put right", "What decided"):
        button(opened, text)
    assert drawing(opened) == seen[0]


def test_themes_take_turns_and_print_is_light(opened):
    seen = []
    for _ in range(3):
        button(opened, opened.evaluate("document.querySelector('[data-switch=theme]').textContent"))
        seen.append(is_light(opened))
    assert seen == [True, False, True]
    opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    opened.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert not is_light(opened)
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert is_light(opened)
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not is_light(opened)


def test_keys_mouse_and_fingers_move_and_zoom(opened):
    box = opened.box("canvas")
    middle = (box["x"] + 0.6 * box["width"], box["y"] + 40)
    assert "0.0–10.0 s of 12.0 s" in status(opened)
    opened.drag(middle, (middle[0] - 104, middle[1]))
    assert re.search(r"1\.0–11\.0 s", status(opened))
    opened.evaluate("document.querySelector('canvas').focus()")
    for key, text in (
        ("End", "2.0–12.0 s"), ("Home", "0.0–10.0 s"), ("+", "31 mm/s"), ("ArrowRight", "2.0–10.0 s"), ("-", "25 mm/s"),
        ("ArrowUp", "20 mm/mV"), ("ArrowDown", "10 mm/mV"), ("0", "0.0–10.0 s of 12.0 s"),
    ):  # fmt: skip
        opened.key(key)
        assert text in status(opened), key
    opened.mouse("mouseWheel", *middle, deltaX=0, deltaY=-60)
    assert "31 mm/s" in status(opened)
    opened.evaluate("document.activeElement.blur()")
    opened.mouse("mouseWheel", *middle, deltaX=150, deltaY=0)
    assert "0.0–" not in status(opened)
    opened.key("0")
    button(opened, "Reset")
    fingers = [{"x": middle[0] - 40, "y": middle[1], "id": 1}, {"x": middle[0] + 40, "y": middle[1], "id": 2}]
    opened.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=fingers)
    apart = [fingers[0] | {"x": middle[0] - 80}, fingers[1] | {"x": middle[0] + 80}]
    opened.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=apart)
    opened.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert "50 mm/s" in status(opened)
    opened.evaluate("(() => { const s = document.querySelector('input[type=range]'); s.value = 3;"
                    "s.dispatchEvent(new Event('input')); })()")  # fmt: skip
    assert "3.0–8.0 s" in status(opened)


def test_callipers_measure_to_scale(opened):
    button(opened, "Measure")
    box = opened.box("canvas")
    px_per_mm = (box["width"] - MARGIN) / 250
    start = (box["x"] + 200, box["y"] + 20)
    opened.drag(start, (start[0] + 20 * px_per_mm, start[1] + 5 * px_per_mm))
    assert re.search(r"800 ms \(75/min\) · 0\.50 mV", status(opened))
    opened.evaluate("document.querySelector('canvas').focus()")
    opened.key("Escape")
    assert "ms (" not in status(opened)
    opened.key("m")
    assert "Measure" not in pressed(opened)


def test_a_millivolt_is_ten_millimetres_and_gaps_are_empty(chromium, tmp_path):
    signal_mv = np.zeros((2500, 1), np.float32)
    signal_mv[500:600], signal_mv[1500:2000] = 1.0, np.nan
    show(chromium, tmp_path, viewer(signal_mv, 250.0, ("MLII",), label="x"))
    width = chromium.box("canvas")["width"]
    px_per_mm = (width - MARGIN) / 250
    at = {time_s: round(MARGIN + 25 * time_s * px_per_mm) for time_s in (1.0, 2.2, 5.0, 7.0)}
    rest, high = (np.mean(dark_rows(chromium, at[time_s])) for time_s in (1.0, 2.2))
    assert rest - high == pytest.approx(10 * px_per_mm, abs=1)
    assert not dark_rows(chromium, at[7.0]).size
    assert dark_rows(chromium, at[5.0]).size
    assert pressed(chromium) == ["25", "10"]
    assert chromium.errors == []


def test_one_sample_of_a_long_record_is_seen_when_zoomed_out(chromium, tmp_path, monkeypatch):
    monkeypatch.setattr(viewer_module, "MOST_VALUES", 100_000)
    signal_mv = np.zeros((600 * 250, 1), np.float32)
    signal_mv[75_000:75_002] = 2.0
    show(chromium, tmp_path, viewer(signal_mv, 250.0, ("II",), label="x"))
    assert "Drawn at 125 Hz, means of 2 samples." in chromium.evaluate("document.body.textContent")
    assert "of 600.0 s" in status(chromium)
    for _ in range(25):
        button(chromium, "−")
    assert "0.0–600.0 s" in status(chromium)
    width = chromium.box("canvas")["width"]
    x = MARGIN + (width - MARGIN) / 2
    assert max(len(dark_rows(chromium, round(x) + aside)) for aside in (-1, 0, 1)) > 40
    assert chromium.errors == []


@pytest.mark.parametrize("is_dark", [False, True])
def test_a_phone_shows_it_without_scrolling_aside(chromium, page, is_dark):
    chromium.open(page.as_uri(), width=360, height=740, is_dark=is_dark, scale=2)
    assert chromium.evaluate("document.documentElement.scrollWidth") == 360
    assert "12 × 1" in pressed(chromium)
    dark = chromium.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == is_dark
    assert (
        chromium.evaluate("document.querySelector('canvas').width / document.querySelector('canvas').clientWidth") == 2
    )
    assert chromium.errors == []


def test_the_browser_itself_forbids_other_scripts_and_requests(opened):
    opened.evaluate("fetch('https://example.org/').catch(() => {})")
    opened.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.org/a.png\">')")
    opened.wait_until("true")
    assert len(opened.errors) >= 2
    assert all("Content Security Policy" in text or "violates" in text for text in opened.errors)
    opened.errors.clear()
    opened.requests[1:] = []


def test_everything_operable_has_a_name(opened):
    nameless = opened.evaluate(
        "[...document.querySelectorAll('button, input, canvas, [role=group]')]"
        ".filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim())).length"
    )
    assert nameless == 0
    assert opened.evaluate("document.querySelectorAll('h1').length") == 1


def test_what_the_page_says():
    checked = made_checks.checked()
    text = re.sub(r"<script.*?</script>", "", page_of(checked, made_checks.attribution(checked)), flags=re.S)
    for said in (
        *("made &lt;1&gt;", "12.0 s", "250 Hz", "12 leads", "2024-03-01 10:22:00", "woman, 63 years"),
        *("Not recorded right", "RA and LA exchanged", "The arms are exchanged.", "V2 is noisy (12 dB)."),
        *("Units not stated", "V2: clipped.", "mostly leads I (83\u00a0%) and V1"),
        *("the QRS part of the beat (100\u00a0%)", "no medical device"),
    ):
        assert said in text, said
    plain = page_of(checked, None)
    assert "<h2>What decided</h2>" not in plain
    assert "<h2>Findings</h2>" in plain


def test_right_unjudged_and_partly_lost_records_have_pages(chromium, tmp_path):
    made = [made_checks.checked(made_checks.leads.CORRECT), made_checks.checked(made_checks.NEUTRAL)]
    for k, checked in enumerate(made):
        path = tmp_path / f"{k}.html"
        path.write_text(page_of(checked, made_checks.attribution(checked)), encoding="utf-8")
        chromium.open(path.as_uri())
        assert chromium.errors == []
    assert "As recorded" in pressed(chromium)
    button(chromium, "Put right")
    assert "lost" in made[1].repair.sentence
    few = made_checks.recording(1200)
    few = dataclasses.replace(few, signal_mv=few.signal_mv[:, :2], lead_names=("V1", "MLII"))
    unjudged = repair.unjudged(few.twelve()[0], "leads are missing")
    path.write_text(page_of(Checked(few, CANNOT_TELL, unjudged.sentence, float("nan"), (), unjudged), None))
    chromium.open(path.as_uri())
    assert "0.0–10.0 s of 1200.0 s" in status(chromium)
    assert pressed(chromium) == ["25", "10"]
    assert path.stat().st_size < 2e6
    assert chromium.errors == []


def test_a_page_is_written_with_what_the_network_of_the_check_found(monkeypatch, tmp_path):
    checked, asked = made_checks.checked(), []
    monkeypatch.setattr(pages, "workdir_of", lambda workdir, task: (workdir, task))
    monkeypatch.setattr(pages, "evidence_of", asked.append)
    monkeypatch.setattr(pages, "attribute", lambda *_: made_checks.attribution(checked))
    write_check_page(checked, tmp_path / "a.html", "run")
    assert asked == [("run", "reversal")]
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page_of(checked, made_checks.attribution(checked))
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_an_index_lists_the_worst_first(tmp_path, chromium):
    made = {"a": made_checks.checked(made_checks.leads.CORRECT), "b/c #1?": made_checks.checked()}
    entries = [Entry(name, c.verdict, c.sentence, c.probability, f"{name}.html") for name, c in made.items()]
    write_index(entries, tmp_path / "index.html", ["c.edf is empty"])
    chromium.open((tmp_path / "index.html").as_uri())
    links = chromium.evaluate("[...document.querySelectorAll('td a')].map((a) => decodeURIComponent(a.pathname))")
    assert links == [f"{tmp_path}/b/c #1?.html", f"{tmp_path}/a.html"]
    assert "c.edf is empty" in chromium.evaluate("document.body.textContent")
    assert chromium.errors == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html"]
