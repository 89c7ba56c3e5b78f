"""A twelve-lead record of the whole duration from a page that shows most leads for a part of it only.

Where two limb leads are drawn, Einthoven's and Goldberger's laws give the others. Beyond, a lead continues with its
typical beat at every R peak that the rhythm lead shows, or without one the leads of each column. Of these estimates
only what the drawn leads leave open is taken, so that limb leads obey the laws at every instant, as they do on any
record, however its electrodes were placed.
"""

import dataclasses
import functools

import jax
import numpy as np
from scipy.ndimage import distance_transform_edt, label

from ecgjax.beats import REFRACTORY_S, BeatWindow, find_beats
from ecgjax.errors import InputError
from ecgjax.lead_completion import IS_INDEPENDENT, completion_matrices
from ecgjax.leads import LEADS

RHYTHM_SHARE = 0.8
"""A lead that is drawn over this share of the record shows its rhythm."""

BEFORE_S, BEFORE_SHARE = 0.3, 0.35
"""Where a beat begins, before its R peak: so long, or this share of the usual time between beats if that is less."""

AFTER_S = 0.3
"""Until then after the R peak beats are compared."""

PQ_S = (0.09, 0.06)
"""The level between P wave and QRS complex is looked for so long before the R peak."""

JOINT_S = 0.08
"""Over which a beat that is cut short goes over into the next, or one that is drawn in part comes in."""

FADE_S = 0.04
LEVEL_S = 0.4
"""What is made takes over the last sample drawn and fades from it; its level is that of the last stretch drawn."""

SHORTEST_RUN_S = 0.1
"""Less than that drawn in one piece is no guide to the level."""

LEAST_WEIGHT = 1e-3
"""Of a beat unlike the others."""

CONTINUED = "most leads stand on paper for a part of the time; their typical beats continue them"
"""Said wherever a record is more than what was drawn."""

_LONGEST_S = 0.25
"""Beats are no more frequent than one in this time."""


@dataclasses.dataclass(frozen=True)
class WholeRecord:
    """All leads over the whole time.

    Attributes:
      signal_mv: float32 [time, 12]; NaN where a lead is neither drawn nor can be made.
      is_drawn: bool [time, 12]: samples of the page, unchanged.
      is_known: bool [time, 12]: drawn, or following from other leads that are drawn at the same instant. Everything
        else is made of typical beats.
      fs_hz: the rate.
      r_samples: int [beat]: the R peaks.
    """

    signal_mv: np.ndarray
    is_drawn: np.ndarray
    is_known: np.ndarray
    fs_hz: float
    r_samples: np.ndarray

    @property
    def missing(self) -> tuple[str, ...]:
        """Leads that lack samples still."""
        return tuple(name for name, column in zip(LEADS, self.signal_mv.T, strict=True) if np.isnan(column).any())

    @property
    def heart_rate_per_min(self) -> float:
        """The mean over the record; NaN where fewer than two beats are seen."""
        if len(self.r_samples) < 2:
            return float("nan")
        return float(60 * self.fs_hz * (len(self.r_samples) - 1) / (self.r_samples[-1] - self.r_samples[0]))


@dataclasses.dataclass(frozen=True)
class _Beats:
    """R peaks [beat] and how much each beat is like the others, 0..1."""

    r_samples: np.ndarray
    weight: np.ndarray

    @property
    def interval(self) -> int:
        """The usual number of samples from beat to beat."""
        return int(np.median(np.diff(self.r_samples)))


def whole_record(signal_mv: np.ndarray, fs_hz: float) -> WholeRecord:
    """Completes `[time, 12]`, NaN where a lead is not drawn.

    Raises:
      InputError: it is not of twelve leads, or nothing is drawn.
    """
    if signal_mv.ndim != 2 or signal_mv.shape[1] != len(LEADS):
        raise InputError(f"expected [time, {len(LEADS)}] samples, the shape is {signal_mv.shape}", "give twelve leads")
    is_drawn = np.isfinite(signal_mv)
    if not is_drawn.any():
        raise InputError("no lead is drawn", "give a page with an ECG")
    drawn = np.where(is_drawn, signal_mv, 0.0)
    known = _completed(drawn, is_drawn, np.full((len(drawn), int(IS_INDEPENDENT.sum())), np.nan))
    beats = _find_beats(signal_mv, is_drawn, fs_hz)
    independent = known[:, IS_INDEPENDENT]
    estimate = np.full_like(independent, np.nan)
    if len(beats.r_samples) > 1:
        for lead in np.flatnonzero(np.isfinite(independent).any(0)):
            estimate[:, lead] = _continued(independent[:, lead], beats, fs_hz)
    whole = np.where(is_drawn, signal_mv, _completed(drawn, is_drawn, estimate))
    return WholeRecord(whole.astype(np.float32), is_drawn, np.isfinite(known), fs_hz, beats.r_samples)


def _completed(drawn_mv: np.ndarray, is_drawn: np.ndarray, estimate_mv: np.ndarray) -> np.ndarray:
    """`[time, 12]` from what is drawn (zero elsewhere) and an estimate of I, II, V1..V6; NaN where that is missing."""
    whole = np.empty(drawn_mv.shape)
    bits = is_drawn @ (1 << np.arange(len(LEADS)))
    is_estimated = np.isfinite(estimate_mv)
    for mask in np.unique(bits):
        rows = bits == mask
        from_given, from_estimate = completion_matrices([name for k, name in enumerate(LEADS) if mask >> k & 1])
        lacks = ~is_estimated[rows] @ (from_estimate != 0).T
        made = drawn_mv[rows] @ from_given.T + np.nan_to_num(estimate_mv[rows]) @ from_estimate.T
        whole[rows] = np.where(lacks, np.nan, made)
    return whole


def _find_beats(signal_mv: np.ndarray, is_drawn: np.ndarray, fs_hz: float) -> _Beats:
    """The beats of the rhythm leads, or else of each column of the page."""
    peaks, weights, margins = [], [], []
    for start, stop, columns in _blocks(is_drawn, fs_hz):
        block = np.stack([_bridged(signal_mv[start:stop, lead]) for lead in columns], axis=1)
        found, is_beat = map(np.asarray, _peaks(block.astype(np.float32), fs_hz))
        found = found[is_beat]
        peaks.append(found + start)
        weights.append(_likeness(block, found, fs_hz))
        margins.append(np.minimum(found, stop - start - found))
    r_samples, weight, margin = (np.concatenate(values) for values in (peaks, weights, margins))
    order = np.argsort(r_samples, kind="stable")
    kept: list[int] = []
    for beat in order:
        if kept and r_samples[beat] - r_samples[kept[-1]] < REFRACTORY_S * fs_hz:
            # One beat on the border of two columns: the column that shows more of it knows better.
            if margin[beat] > margin[kept[-1]]:
                kept[-1] = beat
        else:
            kept.append(beat)
    return _Beats(r_samples[kept], weight[kept])


def _blocks(is_drawn: np.ndarray, fs_hz: float) -> list[tuple[int, int, list[int]]]:
    """First and last sample, and leads, of the stretches that tell the rhythm."""
    rhythm = np.flatnonzero(is_drawn.mean(axis=0) >= RHYTHM_SHARE)
    if len(rhythm):
        return [(0, len(is_drawn), rhythm.tolist())]
    blocks: list[tuple[int, int, list[int]]] = []
    spans = []
    for lead in np.flatnonzero(is_drawn.any(axis=0)).tolist():
        rows = np.flatnonzero(is_drawn[:, lead])
        spans.append((int(rows[0]), int(rows[-1]) + 1, lead))
    for start, stop, lead in sorted(spans):
        if blocks and start + stop < 2 * blocks[-1][1]:
            blocks[-1][2].append(lead)
        elif stop - start > _LONGEST_S * fs_hz:
            blocks.append((start, stop, [lead]))
    return blocks


@functools.partial(jax.jit, static_argnums=1)
def _peaks(signal_mv: jax.Array, fs_hz: float) -> tuple[jax.Array, jax.Array]:
    time, num_leads = signal_mv.shape
    window = BeatWindow(fs_hz, before_s=0.0, after_s=0.0, max_beats=min(time, int(time / (_LONGEST_S * fs_hz)) + 1))
    return find_beats(signal_mv, window, np.eye(num_leads, dtype=np.float32), jax.numpy.ones(time, bool))


def _bridged(lead_mv: np.ndarray) -> np.ndarray:
    """`[time]` with straight lines over what is missing."""
    there = np.flatnonzero(np.isfinite(lead_mv))
    return np.interp(np.arange(len(lead_mv)), there, lead_mv[there]) if len(there) else np.zeros(len(lead_mv))


def _likeness(block_mv: np.ndarray, r_samples: np.ndarray, fs_hz: float) -> np.ndarray:
    """[beat]: as in `beats.average_beat`, a beat that differs from the mean by half of the mean's energy has 1/e."""
    if not len(r_samples):
        return np.zeros(0)
    offsets = np.arange(-round(AFTER_S * fs_hz / 2), round(AFTER_S * fs_hz))
    cut = block_mv[np.clip(r_samples[:, None] + offsets, 0, len(block_mv) - 1)]
    cut = cut - np.median(cut, axis=1, keepdims=True)
    mean = cut.mean(axis=0)
    difference = np.sum((cut - mean) ** 2, axis=(1, 2)) / (np.sum(mean**2) + 1e-6)
    return np.maximum(np.exp(-2 * difference), LEAST_WEIGHT)


def _continued(lead_mv: np.ndarray, beats: _Beats, fs_hz: float) -> np.ndarray:
    """`[time]` of a lead with NaN -> an estimate of all of it that agrees in level with what is drawn."""
    peaks = _with_outer_beats(beats, len(lead_mv), fs_hz)
    before = round(min(BEFORE_S * fs_hz, BEFORE_SHARE * beats.interval))
    train = _train(_typical_beat(lead_mv, beats, peaks, before, fs_hz), peaks, before, len(lead_mv), fs_hz)
    rest = lead_mv - train
    runs, count = label(np.isfinite(lead_mv))
    times: list[int] = []
    levels: list[float] = []
    for run in range(1, count + 1):
        rows = np.flatnonzero(runs == run)
        if len(rows) >= min(SHORTEST_RUN_S * fs_hz, np.isfinite(lead_mv).sum()):
            reach = round(LEVEL_S * fs_hz)
            times += [rows[0], rows[-1]]
            levels += [float(np.median(rest[rows[:reach]])), float(np.median(rest[rows[-reach:]]))]
    time = np.arange(len(lead_mv))
    if not times:
        times, levels = [0], [float(np.nanmedian(rest))]
    estimate = train + np.interp(time, times, levels)
    return estimate + _faded(lead_mv - estimate, fs_hz)


def _faded(rest_mv: np.ndarray, fs_hz: float) -> np.ndarray:
    """`[time]`: what is left at the edges of what is known, NaN elsewhere, goes to zero beyond them."""
    there = np.flatnonzero(np.isfinite(rest_mv))
    time = np.arange(len(rest_mv))
    faded = np.zeros(len(rest_mv))
    num_before = np.searchsorted(there, time)
    for is_one, edge in (
        (num_before > 0, there[num_before - 1]),
        (num_before < len(there), there[np.minimum(num_before, len(there) - 1)]),
    ):
        share = np.where(is_one, np.clip(1 - np.abs(time - edge) / (FADE_S * fs_hz), 0, 1), 0)
        faded += share**2 * (3 - 2 * share) * rest_mv[edge]
    return faded


def _with_outer_beats(beats: _Beats, num_samples: int, fs_hz: float) -> np.ndarray:
    """R peaks with one more on each side, where none was seen and so not within the record."""
    outside = round(JOINT_S * fs_hz)
    first = min(int(beats.r_samples[0]) - beats.interval, -outside)
    last = max(int(beats.r_samples[-1]) + beats.interval, num_samples + outside)
    return np.concatenate([[first], beats.r_samples, [last]])


def _typical_beat(lead_mv: np.ndarray, beats: _Beats, peaks: np.ndarray, before: int, fs_hz: float) -> np.ndarray:
    """`[offset]` from `before` samples before the R peak on, as long as the longest beat, about its PQ level."""
    flat = lead_mv - _level(lead_mv, beats.r_samples, fs_hz)
    # A beat that is drawn in part comes in gradually, as its level is not quite that of the others.
    inwards = distance_transform_edt(np.pad(np.isfinite(lead_mv), 1))[1:-1]
    trust = np.minimum(inwards / (JOINT_S * fs_hz), 1)
    length = int(np.diff(peaks).max())
    total, weight = np.zeros(length), np.zeros(length)
    for beat, importance in enumerate(beats.weight):
        start, stop = peaks[beat + 1] - before, peaks[beat + 2] - before
        inside = np.arange(max(start, 0), min(stop, len(lead_mv)))
        inside = inside[np.isfinite(flat[inside])]
        total[inside - start] += importance * trust[inside] * flat[inside]
        weight[inside - start] += importance * trust[inside]
    there = np.flatnonzero(weight)
    if not len(there):
        return np.zeros(length)
    # A beat comes back to where the next begins.
    first = total[there[0]] / weight[there[0]]
    return np.interp(np.arange(length), [*there, length], [*(total[there] / weight[there]), first])


def _level(lead_mv: np.ndarray, r_samples: np.ndarray, fs_hz: float) -> np.ndarray:
    """`[time]`: the level before the QRS complexes, from each to the next along a line; the median if none is drawn."""
    first, last = (round(s * fs_hz) for s in PQ_S)
    knots = []
    for r in r_samples:
        part = lead_mv[max(r - first, 0) : max(r - last, 0)]
        if len(part) and np.isfinite(part).all():
            knots.append((r, float(np.median(part))))
    if not knots:
        return np.full(len(lead_mv), np.nanmedian(lead_mv))
    at, level = zip(*knots, strict=True)
    return np.interp(np.arange(len(lead_mv)), at, level)


def _train(typical_mv: np.ndarray, peaks: np.ndarray, before: int, num_samples: int, fs_hz: float) -> np.ndarray:
    """`[time]`: a typical beat at every R peak, each as long as there is time to the next."""
    start, length = peaks[:-1] - before, np.diff(peaks)
    train = np.zeros(num_samples)
    joint = max(round(JOINT_S * fs_hz), 1)
    for first, count in zip(start, length, strict=True):
        beat = typical_mv[:count].copy()
        ramp = np.clip(1 - np.arange(count, 0, -1) / joint, 0, 1)
        beat += ramp * (typical_mv[0] - beat[-1])
        inside = np.arange(max(first, 0), min(first + count, num_samples))
        train[inside] = beat[inside - first]
    # The last peak lies beyond the end, and its beat may begin before it.
    tail = start[-1] + length[-1]
    train[max(tail, 0) :] = typical_mv[: max(num_samples - max(tail, 0), 0)]
    return train
