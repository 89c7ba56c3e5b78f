"""ecgjax.check and ecgjax.repair: verdicts, reasons, and what an exchange of cables explains."""

import dataclasses
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.api import check as checking
from ecgjax.api.check import CANNOT_TELL, RIGHT, WRONG, check, check_all
from ecgjax.api.repair import repair
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.placements import hypotheses, prior
from ecgjax.placements.evidence import Evidence
from ecgjax.preprocess import Preprocess
from ecgjax.quality.findings import Finding
from ecgjax.quality.judge import judge
from ecgjax.recordings.recording import Recording

FS_HZ, PERIOD_S = 100.0, 0.8
PLAIN = Preprocess(fs_hz=FS_HZ, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")


def heart_mv(seconds=4.0):
    """[time, 12]: a regular rhythm, with other waves on every electrode."""
    rng = np.random.default_rng(3)
    phase_s = (np.arange(round(seconds * FS_HZ))[:, None] / FS_HZ + 0.4) % PERIOD_S - 0.4
    spike, wave = np.exp(-((phase_s / 0.02) ** 2)), np.exp(-(((phase_s - 0.2) / 0.05) ** 2))
    potentials = np.linspace(-1, 1, 9) * spike + 0.5 * rng.permutation(np.linspace(-1, 1, 9)) * wave
    return (potentials @ leads.LEADS_FROM_ELECTRODES.T).astype(np.float32)


HEART_MV = heart_mv()


def recording(signal_mv=HEART_MV, names=LEADS):
    return Recording.from_array(signal_mv, FS_HZ, names, name="heart")


@pytest.fixture(autouse=True)
def oracle(monkeypatch):
    """A network that knows how the leads of this heart vary with each other over a beat."""
    moments = HEART_MV.T @ HEART_MV / len(HEART_MV)
    expected = hypotheses.matrices() @ moments @ hypotheses.matrices().transpose(0, 2, 1)

    def log_likelihood(signal_mv):
        found = jnp.einsum("btl,btm->blm", signal_mv, signal_mv) / signal_mv.shape[1]
        return -1e5 * jnp.sum((found[:, None] - expected) ** 2, axis=(2, 3))

    def of_likely(signal_mv):
        return log_likelihood(signal_mv)[:, prior.likely_hypotheses()]

    evidence = Evidence(PLAIN, PERIOD_S, log_likelihood, (of_likely,))
    monkeypatch.setattr(checking, "evidence_of", lambda workdir: evidence)
    monkeypatch.setattr(checking, "workdir_of", lambda workdir, task: workdir)
    monkeypatch.setattr(checking, "judge", lambda recording: ())


@pytest.fixture
def judged(monkeypatch):
    """`judged(function)`: what the signal is said to be, in place of `judge`."""
    return lambda function: monkeypatch.setattr(checking, "judge", function)


def test_a_right_record_is_left_alone():
    given = recording()
    checked = check(given)
    assert (checked.verdict, checked.recording) == (RIGHT, given)
    assert checked.sentence.startswith("placed correctly (")
    assert checked.probability > 0.99
    assert repair(given) is given


@pytest.mark.parametrize("wrong", [leads.swap(("RA", "LA")), leads.swap(("V2", "V5")), leads.LIMB_CYCLES[0]])
def test_an_exchange_is_found_named_and_undone(wrong):
    given = recording(wrong.apply(HEART_MV).astype(np.float32))
    checked = check(given)
    assert checked.verdict == WRONG
    assert checked.findings[0].kind == "placement"
    assert checked.findings[0].is_fault
    assert checked.sentence.startswith(checked.findings[0].sentence)
    assert wrong.description in checked.sentence
    assert checked.repair.placement.reads == wrong.reads
    restored = repair(given)
    np.testing.assert_allclose(restored.signal_mv, HEART_MV, atol=1e-5)
    assert restored.assumptions[-1] == f"repaired: {checked.repair.sentence}"


def test_other_channels_stay_and_absent_limb_leads_follow():
    wrong = leads.swap(("V1", "V3")).apply(HEART_MV)
    names = (*[name for name in LEADS if name not in ("III", "aVR")], "X")
    given = recording(np.column_stack([wrong[:, [LEADS.index(n) for n in names[:-1]]], HEART_MV[:, 3]]), names)
    restored = repair(given)
    assert restored.lead_names == (*LEADS, "X")
    np.testing.assert_allclose(restored.signal_mv[:, :12], HEART_MV, atol=1e-4)
    np.testing.assert_array_equal(restored.signal_mv[:, 12], given.signal_mv[:, -1])


def without(*names):
    kept = [name for name in LEADS if name not in names]
    return recording(HEART_MV[:, [LEADS.index(name) for name in kept]], kept)


def changed(change):
    signal_mv = HEART_MV.copy()
    change(signal_mv)
    return recording(signal_mv)


def gap(signal_mv):
    signal_mv[100:110, LEADS.index("V2")] = np.nan


def flat(signal_mv):
    signal_mv[:, LEADS.index("V3")] = 0.2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (without("V3", "V5"), "cannot tell: leads V3 and V5 are missing; record again"),
        (without("V1"), "cannot tell: lead V1 is missing; record again"),
        (without("I", "III", "aVR", "aVL", "aVF"), "leads I, III, aVR, aVL and aVF are missing"),
        (recording(HEART_MV[:150]), "cannot tell: it lasts 1.5 s; record again"),
        (changed(gap), "10 of 400 samples of lead V2 are missing"),
        (changed(flat), "lead V3 is flat"),
    ],
)
def test_what_cannot_be_judged_is_said(given, reason):
    checked = check(given)
    assert checked.verdict == CANNOT_TELL
    assert reason in checked.sentence
    assert np.isnan(checked.probability)
    assert checked.repair.placement is None
    assert repair(given) is given


@pytest.fixture
def blind(oracle, monkeypatch):
    """A network that can tell nothing."""
    evidence = dataclasses.replace(
        checking.evidence_of(None),
        log_likelihood=lambda signal_mv: jnp.zeros((len(signal_mv), hypotheses.NUM_HYPOTHESES)),
    )
    monkeypatch.setattr(checking, "evidence_of", lambda workdir: evidence)


def test_doubt_is_no_verdict(blind):
    checked = check(recording(), prevalence=0.6)
    assert checked.verdict == CANNOT_TELL
    assert checked.sentence.startswith("cannot tell: placed correctly (40.0 %)")
    assert checked.probability == pytest.approx(0.4, abs=1e-5)


NOISY = Finding("noisy", ("V6",), "V6 is a little noisy", 0.6, False)
DEAD = Finding("flat", ("V4",), "V4 is flat: mend its cable", None, True)


def upside_down(*names):
    """As quality would: says of these leads that they are upside down, where they are."""

    def judge(recording):
        places = [LEADS.index(name) for name in names]
        turned = [k for k in places if recording.signal_mv[:, k] @ HEART_MV[:, k] < 0]
        return (DEAD, *(Finding("polarity", (LEADS[k],), f"{LEADS[k]} is turned", 0.65, True) for k in turned), NOISY)

    return judge


def test_what_the_exchange_explains_is_not_said_twice(judged):
    judged(upside_down("I"))
    right = check(recording())
    assert (right.verdict, right.sentence, right.findings) == (WRONG, DEAD.sentence, (DEAD, NOISY))
    exchanged = check(recording(leads.swap(("RA", "LA")).apply(HEART_MV)), threshold=0.7)
    assert [finding.kind for finding in exchanged.findings] == ["placement", "flat", "noisy"]
    assert exchanged.sentence == f"{exchanged.repair.sentence}; {DEAD.sentence}"


@pytest.mark.parametrize("wrong", [leads.CORRECT, leads.swap(("V1", "V5")), leads.swap(("RA", "LA"))])
def test_leads_that_are_surely_upside_down_are_turned_before(judged, wrong):
    judged(upside_down("V3"))
    written = wrong.apply(HEART_MV).astype(np.float32)
    written[:, LEADS.index("V3")] *= -1
    checked = check(recording(written), threshold=0.6)
    kinds = [finding.kind for finding in checked.findings]
    assert checked.repair.placement.reads == wrong.reads
    assert kinds == [*["placement"] * (wrong is not leads.CORRECT), "flat", "polarity", "noisy"]
    assert checked.repair.verdict == "repaired"
    np.testing.assert_allclose(repair(recording(written), threshold=0.6).signal_mv, HEART_MV, atol=1e-5)


def test_many_at_once_are_judged_as_one_by_one():
    wrongs = [leads.CORRECT, leads.swap(("LA", "LL")), leads.swap(("LA", "V1")), leads.NEUTRAL_SWAPS[0], leads.CORRECT]
    given = [recording(wrong.apply(HEART_MV)) for wrong in wrongs] + [without("V6"), recording(heart_mv(60.0))]
    together = list(check_all(iter(given)))
    assert [checked.recording for checked in together] == given
    for record, checked in zip(given, together, strict=True):
        alone = check(record)
        assert (checked.verdict, checked.repair.hypothesis) == (alone.verdict, alone.repair.hypothesis)
        assert checked.probability == pytest.approx(alone.probability, abs=0.01, nan_ok=True)
    assert [checked.verdict for checked in together] == [RIGHT, *[WRONG] * 3, RIGHT, CANNOT_TELL, RIGHT]
    assert list(check_all([])) == []


def test_a_gap_in_a_long_record_is_passed_over():
    long_mv = leads.swap(("V5", "V6")).apply(heart_mv(40.0)).astype(np.float32)
    long_mv[:500, LEADS.index("V1")] = np.nan
    checked = check(recording(long_mv))
    assert (checked.verdict, checked.repair.placement.name) == (WRONG, "V5-V6")
    np.testing.assert_array_equal(checked.repair.signal[:, 10], long_mv[:, 11])


def test_options_out_of_range():
    with pytest.raises(InputError, match="the threshold is 1.5; give a probability"):
        check(recording(), threshold=1.5)
    with pytest.raises(InputError, match="the prevalence of mistakes is 0; give a share"):
        check(recording(), prevalence=0)


def test_a_real_record_at_500_hz(sample_data, blind, monkeypatch):
    monkeypatch.setattr(checking, "judge", judge)
    checked = check(min((sample_data / "ptb-xl" / "records500").rglob("*.hea")))
    assert (checked.verdict, checked.recording.fs_hz) == (RIGHT, 500.0)
    assert checked.probability == pytest.approx(1 - checking.PREVALENCE, abs=1e-3)


def test_what_training_needs_is_not_imported():
    heavy = ("tensorflow_datasets", "orbax", "grain", "sklearn", "pandas", "wfdb", "matplotlib", "pywt", "skimage")
    code = f"import sys, ecgjax.api.check; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
