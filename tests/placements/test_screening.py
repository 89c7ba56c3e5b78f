"""Windows of long records, and that likely hypotheses alone decide only what all of them would."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ecgjax import leads
from ecgjax.bundled import BUNDLED
from ecgjax.placements import hypotheses, prior
from ecgjax.placements.evidence import Evidence, load_evidence
from ecgjax.placements.screening import DOUBTFUL_AT_ONCE, MARGIN_S, MOST_EXCERPTS, RECORDS_AT_ONCE, excerpts, posteriors
from ecgjax.preprocess import Preprocess
from ecgjax.recordings.load import load

FS_HZ, SECONDS = 50.0, 2.0
PLAIN = Preprocess(fs_hz=FS_HZ, filter="none", low_hz=0.5, high_hz=20.0, normalise="none")
LOG_PRIOR = prior.clinical_prior(0.02).log_prior()
LIKELY = prior.likely_hypotheses()


@pytest.mark.parametrize(("seconds", "count"), [(0.5, 1), (2, 1), (8, 1), (8.1, 4), (11, 5), (40, 6), (3600, 6)])
def test_windows_are_spread_over_a_long_record(seconds, count):
    signal_mv = np.arange(seconds * FS_HZ)[:, None] * np.ones(12)
    parts = excerpts(signal_mv, FS_HZ, SECONDS)
    assert len(parts) == count <= MOST_EXCERPTS
    assert all(np.shares_memory(part, signal_mv) for part in parts)
    assert parts[0][0, 0] == 0
    assert parts[-1][-1, 0] == len(signal_mv) - 1
    if count > 1:
        assert {len(part) for part in parts} == {round((SECONDS + 2 * MARGIN_S) * FS_HZ)}
        assert np.diff([part[0, 0] for part in parts]).min() > 0


def test_single_exchanges_are_among_the_likely_ones():
    assert LIKELY[0] == hypotheses.CORRECT
    assert len(set(LIKELY.tolist())) == len(LIKELY) == prior.NUM_LIKELY
    assert {hypotheses.index_of(swap) for swap in hypotheses.SINGLE_SWAPS} <= set(LIKELY.tolist())


class Tables:
    """Evidence that reads the number of its row of log-likelihoods from a record, and counts what it is asked."""

    def __init__(self, rows):
        self.rows, self.shapes, self.screened = np.asarray(rows), [], []

    def log_likelihood(self, signal_mv):
        self.shapes.append(len(signal_mv))
        return self.rows[np.asarray(signal_mv[:, 0, 0], int)]

    def of_likely(self, signal_mv):
        self.screened.append(len(signal_mv))
        return self.rows[np.asarray(signal_mv[:, 0, 0], int)][:, LIKELY]

    def evidence(self, screens=1):
        return Evidence(PLAIN, SECONDS, self.log_likelihood, (self.of_likely,) * screens)


def record(*rows):
    """Excerpts, each of a row."""
    return [np.full((100, 12), float(row)) for row in rows], FS_HZ


def exact(rows):
    joint = np.asarray(rows, float) + LOG_PRIOR
    shares = np.exp(joint - joint.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def rows_of(*heights):
    """Log-likelihoods of 0, and of a height at a hypothesis each."""
    rows = np.zeros((len(heights), hypotheses.NUM_HYPOTHESES))
    for row, (hypothesis, height) in zip(rows, heights, strict=True):
        row[hypothesis] = height
    return rows


UNLIKELY = hypotheses.index_of(hypotheses.placement(700))
SURE, WRONG, ODD, BLIND = (hypotheses.CORRECT, 8.0), (LIKELY[4], 12.0), (UNLIKELY, 30.0), (0, 0.0)


@pytest.mark.parametrize("screens", [1, 2])
def test_what_is_right_beyond_doubt_needs_no_other_hypotheses(screens):
    tables = Tables(rows_of(SURE, WRONG, ODD, BLIND))
    assert UNLIKELY not in LIKELY
    found = posteriors([record(row) for row in (0, 1, 2, 3, 0)], tables.evidence(screens), LOG_PRIOR)
    assert tables.screened == [RECORDS_AT_ONCE, DOUBTFUL_AT_ONCE][:screens]
    assert tables.shapes == [1, 1, 1]
    np.testing.assert_allclose(found[1:4], exact(tables.rows)[1:], atol=1e-12)
    np.testing.assert_allclose(found[0], exact(tables.rows)[0], atol=2e-3)
    np.testing.assert_array_equal(found[0], found[4])
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_one_record_is_weighed_under_all_hypotheses():
    tables = Tables(rows_of(SURE))
    found = posteriors([record(0)], tables.evidence(), LOG_PRIOR)
    assert (tables.screened, tables.shapes) == ([], [1])
    np.testing.assert_allclose(found, exact(tables.rows), atol=1e-12)


def test_a_record_counts_once_however_many_windows_it_has():
    tables = Tables(rows_of(WRONG, BLIND, SURE))
    found = posteriors([record(0, 1, 0), record(2), record(1)], tables.evidence(), LOG_PRIOR)
    means = [(2 * tables.rows[0] + tables.rows[1]) / 3, tables.rows[1]]
    np.testing.assert_allclose(found[[0, 2]], exact(means), atol=1e-12)
    many = posteriors([record(*[0] * 6), record(0)], tables.evidence(), LOG_PRIOR)
    np.testing.assert_allclose(many[0], many[1])


@pytest.mark.slow
def test_real_records_are_decided_as_by_the_whole_posterior(sample_data):
    """Three of PTB-XL's fold 9, right and with exchanges of two cables, by the networks that come along."""
    with (sample_data / "ptb-xl" / "ptbxl_database.csv").open() as file:
        paths = [row["filename_lr"] for row in csv.DictReader(file) if row["strat_fold"] == "9"][:3]
    recordings = [load(sample_data / "ptb-xl" / f"{path}.hea") for path in paths]
    wirings = (leads.CORRECT, *hypotheses.SINGLE_SWAPS[::5])
    given = [([wrong.apply(one.signal_mv)], one.fs_hz) for one in recordings for wrong in wirings]
    evidence = load_evidence(Path(BUNDLED))
    screened = posteriors(given, evidence, LOG_PRIOR)
    exactly = posteriors(given, dataclasses.replace(evidence, of_likely=()), LOG_PRIOR)
    np.testing.assert_array_equal(screened.argmax(axis=1), exactly.argmax(axis=1))
    np.testing.assert_allclose(screened.max(axis=1), exactly.max(axis=1), atol=0.01)
    is_settled = (screened > 0).sum(axis=1) <= prior.NUM_LIKELY
    assert is_settled[:: len(wirings)].mean() > 0.5
