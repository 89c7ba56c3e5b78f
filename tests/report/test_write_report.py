"""The report is one file that needs nothing else, for whatever a workdir holds."""

import base64
import html.parser
import json
import re

import numpy as np
import pytest
from made_run import NUM_RECORDS, entry, headings, write_results

from ecgjax import metrics
from ecgjax.errors import InputError
from ecgjax.leads import PLACEMENTS
from ecgjax.report.classes import detection
from ecgjax.report.files import read_run
from ecgjax.report.write import write_report

NAMES = tuple(p.name for p in PLACEMENTS)


def write_reversal_run(workdir):
    """What a reversal run leaves, with a log that was cut in its last line."""
    rng = np.random.default_rng(0)
    targets = np.tile(np.arange(19), NUM_RECORDS)
    scores = rng.dirichlet(np.ones(19), size=len(targets)) + 1.5 * metrics.one_hot(targets, 19)
    ids = np.repeat([f"<{k}&>" for k in range(NUM_RECORDS)], 19)
    predictions = {"record_ids": ids, "patient_ids": ids, "view": targets, "targets": targets, "class_names": NAMES}
    np.savez(workdir / "predictions_test.npz", scores=scores / scores.sum(1, keepdims=True), **predictions)
    figures = {
        "accuracy": entry(0.9712),
        "ppv_at_2pct": entry(0.4),
        "auroc": entry(float("nan"), None),
        "ece_at_2pct": entry(0.1),
    }
    figures |= {f"recall/{name}": entry(0.5) for name in NAMES} | {f"detected/{name}": entry(0.9) for name in NAMES[1:]}
    write_results(workdir, figures, baselines={"random_forest": {"accuracy": entry(0.7)}})
    log = [{"step": s, "split": "train", "loss": 1 / s} for s in (1, 2, 3)]
    (workdir / "metrics.jsonl").write_text("\n".join(map(json.dumps, log)) + '\n{"step": 4, "spl')
    (workdir / "config.json").write_text('{"note": "</script><b>"}')
    np.savez(
        workdir / "examples_test.npz",
        signal_mv=rng.normal(size=(2, 1000, 12)).astype(np.float32),
        fs_hz=100.0,
        record_ids=["r1", "r2"],
        truth=["V1-V2", "none"],
        prediction=["none", "none"],
        probability=[0.81, 0.99],
    )


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A workdir with its report."""
    workdir = tmp_path_factory.mktemp("reversal")
    write_reversal_run(workdir)
    assert write_report(workdir) == workdir / "report.html"
    return workdir


def pictures(page):
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)]


def test_reversal_report_has_every_section(reported):
    page = (reported / "report.html").read_text()
    assert headings(page) == [
        "Learning curves",
        "What is taken for what",
        "Class by class",
        "What a warning is worth",
        "Can its probabilities be believed?",
        "Examples",
        "How it was made",
    ]
    assert [b"<svg" in svg for svg in pictures(page)] == [True] * 5
    assert page.count('<div class="ecg">') == 2
    assert len(page) < 3e6
    pngs = {png.name for png in (reported / "figures").iterdir()}
    assert pngs == {
        *("learning_curves.png", "confusion.png", "recall_by_class.png", "ppv.png", "calibration.png"),
        *("example_1.png", "example_2.png"),
    }
    for text in (
        "97.1 %",
        "10.0 – 90.0",
        "PPV at 2 %",
        "calibration error at 2 %",
        "Random forest",
        "Record r1: truth V1-V2, prediction none",
    ):
        assert text in page


def test_report_is_one_valid_file_without_links(reported):
    page = (reported / "report.html").read_text()
    assert not re.search(r"<script src|@import|url\(|https?://", page)
    assert "default-src 'none'" in html.unescape(page)
    assert "&lt;/script&gt;&lt;b&gt;" in page
    open_tags = []

    class Balanced(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert not {"src", "href"} & {k for k, v in attrs if not (v or "").startswith("data:")}
            if tag not in ("meta", "img", "link"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Balanced().feed(page)
    assert not open_tags


@pytest.mark.parametrize(("width", "is_dark"), [(1200, False), (360, True)])
def test_a_browser_clicks_through_it_without_an_error(chromium, reported, width, is_dark):
    page = reported / "report.html"
    chromium.open(page.as_uri(), width=width, is_dark=is_dark)
    assert chromium.evaluate("document.documentElement.dataset.ready") == "2"
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    first = chromium.evaluate("document.querySelector('canvas').toDataURL()")
    clicked = chromium.evaluate(
        "(() => { const all = [...document.querySelectorAll('button, summary')];"
        "const some = all.filter((button) => button.textContent !== 'Reset'); some.forEach((button) => button.click());"
        "return some.map((button) => button.textContent); })()"
    )
    assert clicked.count("12 × 1") == 2
    assert "Configuration" in clicked
    assert chromium.evaluate("document.querySelector('canvas').toDataURL()") != first
    seen = chromium.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 100)")
    assert seen
    page_is_dark = chromium.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    # The theme was switched once, from that of the system to light.
    assert not page_is_dark
    assert chromium.errors == []
    assert chromium.requests == [f"GET {page.as_uri()}"]


def test_the_same_files_give_the_same_page(reported):
    first = (reported / "report.html").read_bytes()
    assert write_report(reported).read_bytes() == first
    assert not list(reported.glob("*.part"))


def test_a_head_for_any_reversal_is_what_warns(tmp_path):
    write_reversal_run(tmp_path)
    (tmp_path / "examples_test.npz").unlink()
    predictions = dict(np.load(tmp_path / "predictions_test.npz"))
    perfect = (predictions["targets"] > 0).astype(float)
    np.savez(tmp_path / "predictions_test.npz", any_reversal=perfect, **predictions)
    figure = detection(read_run(tmp_path))
    np.testing.assert_array_equal(figure[1], perfect)


def test_results_alone_make_a_report(tmp_path):
    write_results(tmp_path, {"mae_ms": entry(1.7, None)}, task="activation", n_patients=None)
    page = write_report(tmp_path).read_text()
    assert headings(page) == ["How it was made"]
    assert re.search(r"MAE \(ms\).*1\.700", page)
    assert "patients" not in page.split("</main>")[0].split("Under each value")[0]


def test_regression_gets_a_scatter(tmp_path):
    write_results(tmp_path, {"mae_years": entry(8.0, (7.0, 9.0))}, task="age")
    age_years = np.linspace(20, 80, 30)
    names = np.array(["age_years"])
    np.savez(tmp_path / "predictions_test.npz", targets=age_years, scores=age_years[:, None] + 2, class_names=names)
    page = write_report(tmp_path).read_text()
    assert headings(page) == ["Prediction against truth", "Where it errs", "How it was made"]
    assert "7.00 – 9.00" in page


def test_classes_without_none_get_no_prevalence_curve(tmp_path):
    write_results(tmp_path, {"f1/N": entry(0.9), "f1/A": entry(0.8)}, task="rhythm")
    targets = np.array([0, 1, 1, 0])
    np.savez(tmp_path / "predictions_test.npz", targets=targets, scores=np.eye(2)[targets], class_names=["N", "A"])
    page = write_report(tmp_path).read_text()
    assert headings(page)[:-1] == ["What is taken for what", "Class by class", "Can its probabilities be believed?"]
    assert "No example is misclassified." in page


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "results.json").unlink(), "expected a results.json"),
        (lambda d: (d / "results.json").write_text("{"), "is not JSON"),
        (lambda d: (d / "results.json").write_text('{"task": "reversal"}'), "lacks dataset"),
        (lambda d: (d / "predictions_test.npz").write_bytes(b"PK\x03\x04 cut"), "cannot be read"),
        (lambda d: (d / "metrics.jsonl").write_text('{"st\n{"step": 1}\n'), "is not JSON lines"),
    ],
)
def test_spoilt_files_are_named_and_nothing_is_written(tmp_path, spoil, message):
    write_reversal_run(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()
    assert not (tmp_path / "figures").exists()
