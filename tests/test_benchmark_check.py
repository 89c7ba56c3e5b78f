"""The benchmark of `ecgjax check`: what counts as found, put right and left alone."""

import numpy as np
import oracle
import pytest
import wfdb

from ecgjax import leads
from ecgjax.placements import repair
from ecgjax.placements.hypotheses import NUM_HYPOTHESES, index_of
from ecgjax.placements.trials import Trial, fixed_trials
from scripts import benchmark_check

TRIALS = fixed_trials()


class Judged:
    """Of a check, what the benchmark looks at."""

    def __init__(self, decided):
        self.repair = decided


def judged(signal_mv, placement, probability=0.99):
    posterior = np.full(NUM_HYPOTHESES, (1 - probability) / (NUM_HYPOTHESES - 1))
    posterior[index_of(placement)] = probability
    return Judged(repair.decide(signal_mv, posterior, 0.7))


@pytest.fixture(scope="module")
def signal_mv():
    return leads.CORRECT.apply(oracle.heart_mv()).astype(np.float32)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.placement.name)
def test_what_is_named_is_put_right_and_what_is_doubted_is_not(signal_mv, trial):
    written = benchmark_check.written_as(signal_mv, trial, "00001")
    is_wrong = trial.placement is not leads.CORRECT
    named = benchmark_check.outcome(signal_mv, trial, judged(written, trial.placement))
    assert named == (is_wrong, True, False)
    doubted = benchmark_check.outcome(signal_mv, trial, judged(written, trial.placement, 0.6))
    assert doubted == (False, False, True)


def test_another_exchange_is_found_but_not_put_right(signal_mv):
    trial = Trial("", leads.swap(("V1", "V2")))
    written = benchmark_check.written_as(signal_mv, trial, "00001")
    found = benchmark_check.outcome(signal_mv, trial, judged(written, leads.swap(("V2", "V3"))))
    assert found == (True, False, False)


def test_every_exchange_has_a_weight():
    for share in benchmark_check.weights().values():
        assert share.shape == (len(TRIALS),)
        assert share[0] == 0
        assert (share[1:] > 0).all()
        assert share.sum() == pytest.approx(1)


def test_correct_records_are_drawn_once_each():
    is_correct = np.arange(50) % 5 > 0
    share = benchmark_check.weights()["clinical"]
    chosen, trial = benchmark_check.drawn(30, is_correct, share, seed=3)
    assert len(set(chosen)) == 30
    assert is_correct[chosen].all()
    assert trial.min() > 0
    again = benchmark_check.drawn(30, is_correct, share, seed=3)
    np.testing.assert_array_equal(trial, again[1])
    assert len(benchmark_check.drawn(90, is_correct, share, seed=3)[0]) == 40


def test_figures_count_shares_of_records():
    rng = np.random.default_rng(0)
    found, cannot_tell = rng.random((2, 8, len(TRIALS))) < 0.5
    put_right = found & (rng.random(found.shape) < 0.5)
    is_correct = np.arange(8) != 3
    outcomes = benchmark_check.Outcomes(found, put_right, cannot_tell)
    by_group = benchmark_check.figures(outcomes, np.arange(8).astype(str), is_correct)
    assert by_group["uniform"]["put_right"].value == pytest.approx(put_right[is_correct][:, 1:].mean())
    assert by_group["RA-LA"]["found"].value == pytest.approx(found[is_correct, 1].mean())
    assert by_group["correct"]["left_alone"].value == pytest.approx(1 - found[is_correct, 0].mean())
    assert by_group["correct"]["left_alone"].n == 7


@pytest.mark.parametrize(
    ("report", "says_so"),
    [
        ("suspect v1/v2 lead interchange - only lead v2 shows qs", True),
        ("verdacht auf vertauschte elektroden", True),
        ("sinus rhythm. reverse r progression. normal ecg.", False),
        ("t wave changes. lateral leads", False),
    ],
)
def test_reports_that_name_an_exchange(report, says_so):
    assert bool(benchmark_check.SAYS_EXCHANGED.search(report)) == says_so


def test_files_hold_what_was_written(signal_mv, tmp_path, monkeypatch):
    """A checker that gives back what it reads: only the correct wiring is then right."""
    paths = []

    def check(path, **options):
        record = wfdb.rdrecord(str(path.with_suffix("")))
        paths.append((path.name, options))
        return judged(record.p_signal.astype(np.float32), leads.CORRECT)

    monkeypatch.setattr(benchmark_check, "check", check)
    records = oracle.split_of(signal_mv[None], "one")
    right = list(benchmark_check.through_files(records, [(0, 0), (0, 1)], {"threshold": 0.7}))
    assert right == [True, False]
    (name, options), _ = paths
    assert name.endswith(".hea")
    assert options == {"threshold": 0.7}
