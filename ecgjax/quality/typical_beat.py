"""The typical beat of a stretch of a record, and how every beat differs from it; NumPy alone.

All leads vote on where the beats are with equal weight, whatever their gain: a lead that is a thousand times too large,
noisy or dead must not hide the beats of the others. The signal is brought to between 100 and 200 Hz first, so that
measures mean the same at every rate, and cost the same.
"""

import dataclasses

import numpy as np

SLOWEST_HZ = 50.0
"""At lower rates no beats are looked for."""

LOWEST_HZ = 100.0
"""Neighbouring samples are averaged as long as the rate stays at or above this."""

BEFORE_S, AFTER_S = 0.26, 0.42
"""Reach of a beat about the steepest part of its QRS complex."""

P_S, PR_S, QRS_S, T_S = (-0.24, -0.09), (-0.09, -0.06), (-0.08, 0.10), (0.14, 0.38)
"""Usual places of the waves in a beat; `PR_S` is the level from which they are measured."""

SMOOTHING_S, REFRACTORY_S, STRETCH_S = 0.1, 0.25, 1.5
THRESHOLD = 0.35
"""A peak of the slope's energy counts when it reaches this share of the usual highest of stretches of `STRETCH_S`."""

TINY_MV = 1e-6


@dataclasses.dataclass(frozen=True)
class Beats:
    """A stretch of a record at the reduced rate, and its beats.

    Attributes:
      signal_mv: [time, lead] at `fs_hz`, NaN where nothing was recorded.
      fs_hz: between 100 and 200 Hz, or the record's own rate where that is lower.
      peaks: [beat] samples at which the beats have their QRS complex.
      window_s: [beat time] seconds from there.
      typical_mv: [beat time, lead] the median beat, zero between P and QRS; NaN where a lead has no beat.
      noise_mv: [beat, lead] root mean square difference of each beat from the median one outside the QRS complex, its
        own level and slope taken off; no rows for fewer than three beats.
    """

    signal_mv: np.ndarray
    fs_hz: float
    peaks: np.ndarray
    window_s: np.ndarray
    typical_mv: np.ndarray
    noise_mv: np.ndarray

    def within(self, span_s: tuple[float, float]) -> np.ndarray:
        """bool [beat time]: what lies in a span of seconds about the QRS complex."""
        return (self.window_s >= span_s[0]) & (self.window_s < span_s[1])

    def heights_mv(self, beat_mv: np.ndarray) -> np.ndarray:
        """[lead]: from the lowest to the highest point of the QRS complex of a beat `[beat time, lead]`."""
        return np.ptp(beat_mv[self.within(QRS_S)], axis=0)


def typical_beat(signal_mv: np.ndarray, fs_hz: float) -> Beats:
    """Of `[time, lead]`, NaN where nothing was recorded."""
    signal_mv, fs_hz = at_reduced_rate(signal_mv, fs_hz)
    peaks = find_beats(signal_mv, fs_hz)
    offsets = np.arange(-round(BEFORE_S * fs_hz), round(AFTER_S * fs_hz))
    is_whole = (peaks + offsets[0] >= 0) & (peaks + offsets[-1] < len(signal_mv))
    # A short record has no whole beat, but its QRS complexes tell the gain.
    used = peaks[is_whole] if is_whole.sum() >= 3 else peaks
    beats = signal_mv[np.clip(used[:, None] + offsets, 0, len(signal_mv) - 1)]
    window_s = offsets / fs_hz
    is_level = (window_s >= PR_S[0]) & (window_s < PR_S[1])
    if not len(used):
        unknown, nothing = np.full(beats.shape[1:], np.nan, np.float32), np.zeros((0, signal_mv.shape[1]))
        return Beats(signal_mv, fs_hz, peaks, window_s, unknown, nothing)
    beats = beats - beats[:, is_level].mean(axis=1, keepdims=True)
    typical_mv = median_known(beats)
    noise_mv = _noise(beats - typical_mv, window_s) if len(used) >= 3 else np.zeros((0, beats.shape[2]))
    return Beats(signal_mv, fs_hz, peaks, window_s, typical_mv, noise_mv)


def at_reduced_rate(signal_mv: np.ndarray, fs_hz: float) -> tuple[np.ndarray, float]:
    """`[time, lead]` at the lowest rate at or above `LOWEST_HZ` that averages whole numbers of samples, and that."""
    width = int(fs_hz / LOWEST_HZ)
    if width < 2 or len(signal_mv) < width:
        return signal_mv, fs_hz
    num = len(signal_mv) // width
    reduced = signal_mv[: num * width].reshape(num, width, -1)
    # Adding slices is several times faster than a mean over a short axis.
    total = reduced[:, 0].copy()
    for k in range(1, width):
        total += reduced[:, k]
    total /= width
    return total, fs_hz / width


def find_beats(signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
    """Samples of `[time, lead]` at which QRS complexes lie: where half of the leads are at their steepest."""
    if len(signal_mv) < 3 or fs_hz < SLOWEST_HZ:
        return np.zeros(0, int)
    slope = np.nan_to_num(signal_mv[2:] - signal_mv[:-2])
    slope = np.concatenate([slope[:1], slope, slope[-1:]])
    energy = _boxcar(_boxcar(slope * slope, round(SMOOTHING_S * fs_hz / 2)), round(SMOOTHING_S * fs_hz / 2))
    stretch = min(round(STRETCH_S * fs_hz), len(energy))
    highest = energy[: len(energy) // stretch * stretch].reshape(-1, stretch, energy.shape[1]).max(axis=1)
    usual = np.median(highest, axis=0)
    is_alive = usual > TINY_MV**2
    if not is_alive.any():
        return np.zeros(0, int)
    votes = np.median(energy[:, is_alive] / usual[is_alive], axis=1)
    reach = round(REFRACTORY_S * fs_hz)
    padded = np.pad(votes, reach, constant_values=-1.0)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    stretches = votes[: len(votes) // stretch * stretch].reshape(-1, stretch).max(axis=1)
    return np.flatnonzero((votes >= around) & (votes > THRESHOLD * np.median(stretches)))


def _boxcar(values: np.ndarray, width: int) -> np.ndarray:
    """`[time, lead]` averaged over `width` samples about each, fewer at the ends."""
    width = max(width | 1, 3)
    half = width // 2
    total = np.cumsum(np.pad(values, ((half + 1, half), (0, 0))), axis=0, dtype=np.float64)
    return (total[width:] - total[:-width]) / width


def median_known(values: np.ndarray) -> np.ndarray:
    """The median over the first axis of what is not NaN; NaN where nothing is."""
    if len(values) == 1:
        return values[0]
    if not np.isnan(values).any():
        return np.median(values, axis=0)
    # What is NaN is sorted behind all else.
    ordered = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(values) - 1)
    middle = np.take_along_axis(ordered, np.stack([low, np.where(count > 0, high, 0)]), axis=0).mean(axis=0)
    return np.where(count > 0, middle, np.nan)


def _noise(rest: np.ndarray, window_s: np.ndarray) -> np.ndarray:
    """`[beat, lead]`: of differences `[beat, beat time, lead]`, without what lies under QRS, level and slope."""
    # Where a beat is steep, a hundredth of a second by which it is cut too early looks like noise.
    is_outside = (window_s < QRS_S[0]) | (window_s >= QRS_S[1])
    rest, time_s = rest[:, is_outside], window_s[is_outside]
    ramp = (time_s - time_s.mean()) / np.linalg.norm(time_s - time_s.mean())
    square = np.einsum("btl,btl->bl", rest, rest)
    level = rest.sum(axis=1)
    slope = np.einsum("t,btl->bl", ramp, rest)
    return np.sqrt(np.maximum(square - level**2 / len(time_s) - slope**2, 0) / len(time_s))
