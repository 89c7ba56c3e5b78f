"""From a page to its findings, with runs whose answers are known."""

import dataclasses

import numpy as np
import page_runs
import pytest

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.images.digitize import FIND_ALL, digitize
from ecgjax.images.page import CLINICAL, FORMATS
from ecgjax.images.render import render
from ecgjax.images.whole_record import CONTINUED
from ecgjax.leads import LEADS
from ecgjax.paper import findings as page_findings
from ecgjax.paper.findings import Readers, read_page
from ecgjax.placements import repair
from ecgjax.placements.prior import clinical_prior
from ecgjax.record_reader import load_reader

FS_HZ = 500.0
TRUE = page_runs.beats(FS_HZ)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """Tiny runs of both tasks, loaded."""
    folder, loaded = tmp_path_factory.mktemp("readers"), {}
    for task in ("diagnosis", "lead_id"):
        page_runs.saved_run(folder / task, task)
        with page_runs.installed(task):
            loaded[task] = load_reader(folder / task, task)
    return Readers(page_runs.evidence(), clinical_prior(0.02).log_prior(), repair.THRESHOLD, **loaded)


@pytest.fixture(scope="module")
def drawn():
    """The digitised page of the true record."""
    return digitize(render(TRUE, FS_HZ, LEADS, FORMATS["3x4+1"], CLINICAL).rgb, FIND_ALL)


@pytest.fixture
def page_of(drawn, monkeypatch):
    """Lets `read_page` find the true record, exchanged and changed, on whatever picture."""

    def prepare(placement=leads.CORRECT, **changed):
        exact = placement.apply(TRUE)[: len(drawn.signal_mv)].astype(np.float32)
        is_there = np.isfinite(drawn.signal_mv)
        given = {"signal_mv": np.where(is_there, exact, np.nan), "confidence": is_there.astype(np.float32)}
        digitised = dataclasses.replace(drawn, **{**given, **changed})
        monkeypatch.setattr(page_findings, "digitize", lambda rgb, options: digitised)
        return digitised

    return prepare


PICTURE = np.zeros((5, 5, 3), np.uint8)


def test_a_drawn_page_is_read_the_whole_way(readers):
    exchanged = leads.LIMB_SWAPS[0].apply(TRUE)
    findings = read_page(render(exchanged, FS_HZ, LEADS, FORMATS["3x4+1"], CLINICAL).rgb, readers, FIND_ALL)
    assert findings.repair.verdict == repair.REPAIRED
    assert findings.repair.sentence.startswith("RA and LA exchanged")
    assert findings.whole.heart_rate_per_min == pytest.approx(75, abs=1)
    assert min(findings.legibility.values()) > 0.8
    error_mv = findings.repair.signal - TRUE[: len(findings.repair.signal)]
    assert np.sqrt(np.mean((error_mv - error_mv.mean(0)) ** 2)) < 0.05


def test_a_correct_page_stays_as_it_is(readers, page_of):
    digitised = page_of()
    findings = read_page(PICTURE, readers, FIND_ALL)
    assert findings.repair.verdict == repair.RIGHT
    np.testing.assert_array_equal(findings.repair.signal, findings.whole.signal_mv)
    np.testing.assert_array_equal(findings.is_drawn, np.isfinite(digitised.signal_mv))
    assert findings.as_named == findings.as_should_be
    assert CONTINUED in findings.notes


def test_a_repair_takes_samples_of_the_page_along(readers, page_of):
    page_of()
    true = read_page(PICTURE, readers, FIND_ALL)
    digitised = page_of(leads.LIMB_SWAPS[0])
    findings = read_page(PICTURE, readers, FIND_ALL)
    assert findings.repair.verdict == repair.REPAIRED
    is_drawn = np.isfinite(digitised.signal_mv)
    for lead, source in (("II", "III"), ("III", "II"), ("aVR", "aVL"), ("aVF", "aVF"), ("I", "I")):
        np.testing.assert_array_equal(findings.is_drawn[:, LEADS.index(lead)], is_drawn[:, LEADS.index(source)])
    on_paper = findings.is_drawn
    np.testing.assert_allclose(findings.repair.signal[on_paper], TRUE[: len(on_paper)][on_paper], atol=1e-5)
    right, wrong = (list(one.probabilities.values()) for one in (findings.as_should_be, findings.as_named))
    np.testing.assert_allclose(right, list(true.as_named.probabilities.values()), atol=0.02)
    assert np.abs(np.subtract(right, wrong)).max() > 0.02


def test_names_are_checked_by_shape(readers, page_of):
    page_of(leads.PRECORDIAL_SWAPS[1])
    findings = read_page(PICTURE, readers, FIND_ALL)
    assert findings.names_by_shape["V2"].name == "V3"
    assert any(warning.startswith("V2 looks like V3 (") for warning in findings.warnings)
    assert not any(warning.startswith("V6 looks") for warning in findings.warnings)
    unchecked = read_page(PICTURE, dataclasses.replace(readers, lead_id=None), FIND_ALL)
    assert unchecked.names_by_shape is None


def test_a_page_that_is_hard_to_read_gets_no_verdict(readers, page_of, drawn):
    hazy = np.isfinite(drawn.signal_mv).astype(np.float32)
    hazy[:, LEADS.index("V4")] *= 0.5
    page_of(leads.LIMB_SWAPS[0], confidence=hazy)
    findings = read_page(PICTURE, readers, FIND_ALL)
    assert findings.repair.verdict == repair.CANNOT_TELL
    assert findings.repair.sentence == (
        "cannot tell: lead V4 is read with a confidence of 0.50 only; as read, RA and LA exchanged (over 99.9 %)"
    )
    np.testing.assert_array_equal(findings.repair.signal, findings.whole.signal_mv)
    assert findings.as_named == findings.as_should_be
    doubt = "the diagnosis is of what was read, but lead V4 is read with a confidence of 0.50 only"
    assert doubt in findings.warnings


def test_names_that_break_the_laws_among_limb_leads_get_no_verdict(readers, page_of, drawn):
    # Labels of a page in the usual order, read as if it were in that of Cabrera.
    usual, cabrera = (FORMATS[name].rows for name in ("3x4+1", "3x4+1 cabrera"))
    signal_mv = np.full_like(drawn.signal_mv, np.nan)
    signal_mv[:, 6:], signal_mv[:, 1] = drawn.signal_mv[:, 6:], drawn.signal_mv[:, 1]
    width = len(signal_mv) // 4
    for right, wrong in zip(usual, cabrera, strict=True):
        for column in (0, 1):
            name, sign = wrong[column].removeprefix("-"), -1 if wrong[column].startswith("-") else 1
            rows = slice(column * width, (column + 1) * width)
            if name != "II":
                signal_mv[rows, LEADS.index(name)] = sign * TRUE[rows, LEADS.index(right[column])]
    page_of(signal_mv=signal_mv)
    findings = read_page(PICTURE, readers, FIND_ALL)
    assert findings.contradiction > 0.35
    assert findings.repair.verdict == repair.CANNOT_TELL
    assert "the limb leads contradict each other" in findings.repair.sentence


def test_leads_that_cannot_be_had_leave_no_verdict_and_no_diagnosis(readers, page_of, drawn):
    signal_mv = drawn.signal_mv.copy()
    signal_mv[:, LEADS.index("V5")] = np.nan
    page_of(signal_mv=signal_mv)
    findings = read_page(PICTURE, readers, FIND_ALL)
    assert findings.repair.verdict == repair.CANNOT_TELL
    assert "samples of lead V5 are missing" in findings.repair.sentence
    assert findings.as_named is findings.as_should_be is None
    assert "no diagnosis: V5 cannot be had from this page" in findings.notes


def test_one_lead_is_no_page(readers):
    strip = render(TRUE[:, :1], FS_HZ, ["I"], FORMATS["strip"], dataclasses.replace(CLINICAL, page_mm=None))
    with pytest.raises(InputError, match="the page shows I alone; give a page of twelve leads"):
        read_page(strip.rgb, readers, FIND_ALL)
