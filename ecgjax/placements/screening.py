"""The posterior of records, of many at once: likely hypotheses first, and all of them where these leave doubt.

Nearly all records of a clinic are wired rightly, and most of these beyond doubt: 128 hypotheses show that at a
thirtieth of the cost of all. Whatever is not found right so surely is weighed under every hypothesis.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from ecgjax.placements.evidence import Evidence, LogLikelihood
from ecgjax.placements.hypotheses import CORRECT, NUM_HYPOTHESES
from ecgjax.placements.prior import likely_hypotheses

SURE, STANDS_OUT = 0.9, 0.02
"""Probability of the correct hypothesis among the likely ones, by the prior and if all were equally likely before, from
which no other is looked at. On PTB-XL's fold 9 that holds for 96 % of the records, and all of them are right by the
posterior over all hypotheses, too; so is every exchange of two cables for which it holds, and of 2,904 random wirings
all but 5."""

RECORDS_AT_ONCE, DOUBTFUL_AT_ONCE = 64, 8
"""Windows that one compiled step scores under the likely hypotheses, by one network and by all of them."""

MOST_EXCERPTS = 6
"""Windows of a long record that are looked at."""

MARGIN_S = 3.0
"""Of the record that is filtered with a window, on either side."""


def excerpts(signal_mv: np.ndarray, fs_hz: float, seconds: float) -> list[np.ndarray]:
    """Views of `[time, lead]` that hold a window of `seconds` each: all of a short record, parts of a long one.

    The parts are spread evenly, and do not overlap by more than their margins.
    """
    length = round((seconds + 2 * MARGIN_S) * fs_hz)
    if len(signal_mv) <= length:
        return [signal_mv]
    count = min(MOST_EXCERPTS, int(len(signal_mv) / (seconds * fs_hz)))
    starts = np.rint(np.linspace(0, len(signal_mv) - length, count)).astype(int)
    return [signal_mv[start : start + length] for start in starts]


def posteriors(
    records: Sequence[tuple[list[np.ndarray], float]], evidence: Evidence, log_prior: np.ndarray
) -> np.ndarray:
    """`[record, hypothesis]`: probabilities, from the excerpts `[time, lead]` of each record and its rate.

    The log-likelihood of a record is the mean over its excerpts: one heart and one way to wire it are seen again in
    each, so that they are no independent evidence, and noise alone is averaged.
    """
    of_record = np.repeat(np.arange(len(records)), [len(parts) for parts, _ in records])
    windows = _prepared([(part, fs_hz) for parts, fs_hz in records for part in parts], evidence)
    posterior, left = np.zeros((len(records), NUM_HYPOTHESES)), np.ones(len(records), bool)
    likely = likely_hypotheses()
    for screen, size in zip(evidence.of_likely, (RECORDS_AT_ONCE, DOUBTFUL_AT_ONCE), strict=False):
        if not left.any() or len(records) == 1:
            break
        scores = _means(_in_batches(screen, windows[left[of_record]], size), _renumbered(of_record, left))
        among_likely, at_even_odds = _posterior(scores, log_prior[likely]), _posterior(scores, np.zeros(len(likely)))
        is_right = (among_likely[:, CORRECT] >= SURE) & (at_even_odds[:, CORRECT] >= STANDS_OUT)
        settled = np.flatnonzero(left)[is_right]
        posterior[np.ix_(settled, likely)] = among_likely[is_right]
        left[settled] = False
    if left.any():
        scores = _in_batches(evidence.log_likelihood, windows[left[of_record]], 1)
        posterior[left] = _posterior(_means(scores, _renumbered(of_record, left)), log_prior)
    return posterior


def _prepared(parts: list[tuple[np.ndarray, float]], evidence: Evidence) -> np.ndarray:
    """`[window, time, lead]`; those of one rate and length are filtered together."""
    alike: dict[tuple[float, int], list[int]] = {}
    for place, (part, fs_hz) in enumerate(parts):
        alike.setdefault((fs_hz, len(part)), []).append(place)
    windows: list[np.ndarray] = [np.empty(0)] * len(parts)
    for (fs_hz, _), places in alike.items():
        together = evidence.prepare(np.stack([parts[place][0] for place in places]), fs_hz)
        for place, window in zip(places, together, strict=True):
            windows[place] = window
    return np.stack(windows)


def _in_batches(score: LogLikelihood, windows: np.ndarray, size: int) -> np.ndarray:
    """`score` of `[window, time, lead]`, always `size` at once, so that one program serves all."""
    batches = []
    for start in range(0, len(windows), size):
        batch = windows[start : start + size]
        filled = np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)])
        batches.append(score(jnp.asarray(filled))[: len(batch)])
    return np.concatenate([np.asarray(batch, np.float64) for batch in batches])


def _means(of_window: np.ndarray, of_record: np.ndarray) -> np.ndarray:
    """`[window, hypothesis]` -> `[record, hypothesis]`; `of_record` rises from 0."""
    first = np.searchsorted(of_record, np.arange(of_record[-1] + 1))
    return np.add.reduceat(of_window, first) / np.bincount(of_record)[:, None]


def _renumbered(of_record: np.ndarray, left: np.ndarray) -> np.ndarray:
    """`of_record` of the windows of the records that are left, as if there were no others."""
    return np.unique(of_record[left[of_record]], return_inverse=True)[1]


def _posterior(log_likelihood: np.ndarray, log_prior: np.ndarray) -> np.ndarray:
    """Bayes' rule, as `posterior.log_posterior` has it, on the host."""
    joint = log_likelihood + log_prior
    shares = np.exp(joint - joint.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
