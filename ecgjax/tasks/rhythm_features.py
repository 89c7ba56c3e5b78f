"""What cardiologists and the entries of 2017 measured of a recording: its intervals, beats, atria and noise."""

import functools
from typing import Any

import numpy as np
import scipy.signal
import scipy.stats

from ecgjax.data.split import Split
from ecgjax.r_peaks import bandpassed, find_r

BEFORE_S, AFTER_S = 0.28, 0.42
"""Reach of a beat around R."""

P_S = (-0.24, -0.06)
QRS_AROUND_S = (-0.06, 0.08)
T_S = (0.12, 0.40)
ATRIAL_HZ = (4.0, 9.0)
FEWEST_BEATS = 4
"""Fewer have no rhythm; what they would tell is unknown."""

TINY = 1e-9

MOST = 1e6
"""Bound of measures, which may be ratios to nearly nothing."""


def measured(split: Split) -> np.ndarray:
    """`[record, feature]` of the first lead, in the order of `feature_names`; NaN where there is no such feature."""
    names = feature_names()
    rows = [
        features(ecg[:count, 0] / split.gain, split.fs_hz)
        for ecg, count in zip(split.ecg, split.labels["num_samples"], strict=True)
    ]
    return np.array([[row.get(name, np.nan) for name in names] for row in rows])


def bounded(measures: Any, library: Any) -> Any:
    """Measures as a network is shown them: 0, which nothing is that can be measured, where there is none.

    `library` is NumPy, or JAX's.
    """
    return library.clip(library.nan_to_num(measures), -MOST, MOST).astype(np.float32)


@functools.cache
def feature_names() -> tuple[str, ...]:
    """Names of all features, sorted: those of a recording that has them all."""
    spikes = np.zeros(2000)
    spikes[100::100] = 1.0
    return tuple(sorted(features(spikes, 100.0)))


def features(signal_mv: np.ndarray, fs_hz: float) -> dict[str, float]:
    """Of one recording `[time]`, without what pads it; NaN where there are too few beats.

    About 50 numbers: `rr_` of intervals between beats, `beat_` of their shapes, `p_`, `t_` and `atrial_` of what lies
    between QRS complexes, `noise_` of the signal as such.
    """
    clean = bandpassed(signal_mv, fs_hz, 0.5, 40.0)
    peaks = find_r(signal_mv, fs_hz)
    found = _noise(signal_mv, clean, fs_hz)
    found["noise_beats_per_s"] = len(peaks) * fs_hz / len(signal_mv)
    before, after = round(BEFORE_S * fs_hz), round(AFTER_S * fs_hz)
    whole = peaks[(peaks >= before) & (peaks < len(clean) - after)]
    if len(whole) >= FEWEST_BEATS:
        beats = clean[whole[:, None] + np.arange(-before, after)]
        found |= intervals(np.diff(peaks + _beyond(clean, peaks)) / fs_hz)
        found |= _shapes(beats, fs_hz)
        found |= _atria(clean, beats, whole, before, fs_hz)
    return found


def _beyond(signal_mv: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """`[beat]`: by how much of a sample the top of a parabola through each peak lies after it."""
    left, middle, right = (signal_mv[np.clip(peaks + k, 0, len(signal_mv) - 1)] for k in (-1, 0, 1))
    curvature = 2 * middle - left - right
    shift = np.divide(right - left, 2 * curvature, out=np.zeros(len(peaks)), where=np.abs(curvature) > TINY)
    return np.clip(shift, -0.5, 0.5)


def intervals(rr_s: np.ndarray) -> dict[str, float]:
    """Of intervals between beats `[beat]` in seconds: three or more."""
    median = np.median(rr_s)
    share = rr_s / median
    change = np.diff(rr_s)
    relative = np.diff(share)
    sd1, sd2 = np.std(relative) / np.sqrt(2), np.std(share[1:] + share[:-1]) / np.sqrt(2)
    is_early = share < 0.85
    is_late = share > 1.15
    return {
        "rr_median_s": float(median),
        "rr_shortest": share.min(),
        "rr_longest": share.max(),
        "rr_cv": np.std(rr_s) / np.mean(rr_s),
        "rr_spread": scipy.stats.median_abs_deviation(share),
        "rr_quartiles": float(np.ptp(np.percentile(share, (25, 75)))),
        "rr_skewness": _standard_moment(share, 3),
        "rr_rmssd": np.sqrt(np.mean(relative**2)),
        "rr_change": float(np.median(np.abs(relative))),
        "rr_pnn50": np.mean(np.abs(change) > 0.05),
        "rr_pnn20": np.mean(np.abs(change) > 0.02),
        "rr_sd1": sd1,
        "rr_sd1_over_sd2": sd1 / (sd2 + TINY),
        "rr_regular": np.mean(np.abs(share - 1) < 0.05),
        "rr_early": np.mean(is_early),
        "rr_late": np.mean(is_late),
        "rr_late_after_early": np.mean(is_early[:-1] & (share[1:] > 1.05)),
        "rr_alternating": _correlation(share, 2) - _correlation(share, 1),
        "rr_memory": _correlation(share, 1),
        "rr_change_memory": _correlation(relative, 1),
        "rr_turning": np.mean(relative[1:] * relative[:-1] < 0) if len(relative) > 1 else 0.0,
        "rr_entropy": sample_entropy(rr_s, 0.03),
        "rr_spread_of_bins": _entropy_of_bins(relative),
    }


def sample_entropy(rr_s: np.ndarray, tolerance_s: float) -> float:
    """Of single intervals `[beat]`, about the logarithm of how many others follow alike ones.

    The coefficient of Lake and Moorman (Am J Physiol 2011, 300:H319-325), which allows for rate and tolerance.
    """
    alike = np.abs(rr_s[:, None] - rr_s) < tolerance_s
    np.fill_diagonal(alike, False)
    ones = alike[:-1, :-1].sum()
    pairs = (alike[:-1, :-1] & alike[1:, 1:]).sum()
    return float(-np.log((pairs + 1) / (ones + 1)) + np.log(2 * tolerance_s) - np.log(np.mean(rr_s)))


def _entropy_of_bins(values: np.ndarray) -> float:
    """Of changes `[beat]` in bins of a twentieth of the usual interval."""
    _, count = np.unique(np.rint(20 * values), return_counts=True)
    share = count / count.sum()
    return float(-(share * np.log(share)).sum())


def _correlation(values: np.ndarray, lag: int) -> float:
    """Of a series with itself, `lag` later."""
    if len(values) <= lag + 1:
        return 0.0
    centred = values - values.mean()
    return float(np.mean(centred[lag:] * centred[:-lag]) / (np.mean(centred**2) + TINY))


def _standard_moment(values: np.ndarray, order: int) -> float:
    centred = values - values.mean()
    return float(np.mean(centred**order) / (np.mean(centred**2) ** (order / 2) + TINY))


def _shapes(beats: np.ndarray, fs_hz: float) -> dict[str, float]:
    """How alike beats `[beat, time]` are, how wide, and how large their waves."""
    parts = [slice(*(round((BEFORE_S + edge) * fs_hz) for edge in part)) for part in (QRS_AROUND_S, P_S, T_S)]
    qrs, p, t = (beats[:, part] for part in parts)
    typical = np.median(beats, axis=0)
    typical_qrs = typical[parts[0]]
    likeness = _likeness(beats, typical)
    size = np.ptp(qrs, axis=1)
    height = np.median(size) + TINY
    p_likeness = _likeness(p, np.median(p, axis=0))
    centred_p = p - p.mean(axis=1, keepdims=True)
    width = np.array([_width(beat, fs_hz) for beat in beats - np.median(beats, axis=1, keepdims=True)])
    return {
        "beat_likeness": float(np.median(likeness)),
        "beat_least_likeness": float(np.percentile(likeness, 10)),
        "beat_unlike": np.mean(likeness < 0.8),
        "beat_qrs_likeness": float(np.percentile(_likeness(qrs, typical_qrs), 10)),
        "beat_size_mv": float(height),
        "beat_size_spread": np.std(size) / height,
        "beat_polarity": float(typical_qrs.max() + typical_qrs.min()) / height,
        "beat_width_s": _width(typical - np.median(typical), fs_hz),
        "beat_widest": np.percentile(width, 95) / (np.median(width) + TINY),
        "p_size": np.ptp(np.median(p, axis=0)) / height,
        "p_likeness": float(np.median(p_likeness)),
        "p_coherence": np.mean(centred_p.mean(axis=0) ** 2) / (np.mean(centred_p**2) + TINY),
        "p_place": float(np.argmax(np.abs(np.median(centred_p, axis=0)))) / fs_hz,
        "t_size": np.ptp(np.median(t, axis=0)) / height,
        "t_likeness": float(np.median(_likeness(t, np.median(t, axis=0)))),
    }


def _likeness(beats: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """`[beat]`: the correlation of each with `typical`."""
    beats, typical = beats - beats.mean(axis=1, keepdims=True), typical - typical.mean()
    return beats @ typical / (np.linalg.norm(beats, axis=1) * np.linalg.norm(typical) + TINY)


def _width(beat: np.ndarray, fs_hz: float) -> float:
    """Deviation in seconds of the energy about R."""
    place = np.arange(len(beat)) / fs_hz - BEFORE_S
    is_near = np.abs(place) < 0.12
    energy = np.where(is_near, beat**2, 0.0)
    middle = (energy * place).sum() / (energy.sum() + TINY)
    return float(np.sqrt((energy * (place - middle) ** 2).sum() / (energy.sum() + TINY)))


def _atria(clean: np.ndarray, beats: np.ndarray, peaks: np.ndarray, before: int, fs_hz: float) -> dict[str, float]:
    """Of what is left when every beat's QRS and T are taken off, as its typical beat has them."""
    typical = np.median(beats, axis=0)
    fade = scipy.signal.windows.tukey(beats.shape[1], 0.3)
    # A P wave is to stay, and fibrillation is not in step with the beats.
    fade[: round((BEFORE_S + P_S[1]) * fs_hz)] = 0
    rest = clean.copy()
    for peak, beat in zip(peaks, beats, strict=True):
        scale = beat @ typical / (typical @ typical + TINY)
        rest[peak - before : peak - before + len(typical)] -= scale * fade * typical
    length = min(len(rest), round(4 * fs_hz))
    hz, power = scipy.signal.welch(rest, fs_hz, nperseg=length)
    is_atrial = (hz >= ATRIAL_HZ[0]) & (hz <= ATRIAL_HZ[1])
    atrial = power[is_atrial]
    return {
        "atrial_size": np.sqrt(atrial.sum() * (hz[1] - hz[0])) / (np.median(np.ptp(beats, axis=1)) + TINY),
        "atrial_share": atrial.sum() / (power[(hz > 0.8) & (hz < 30)].sum() + TINY),
        "atrial_peak": atrial.max() / (atrial.mean() + TINY),
        "atrial_hz": float(hz[is_atrial][np.argmax(atrial)]),
    }


def _noise(signal_mv: np.ndarray, clean: np.ndarray, fs_hz: float) -> dict[str, float]:
    hz, power = scipy.signal.welch(signal_mv, fs_hz, nperseg=min(len(signal_mv), round(4 * fs_hz)))
    total = power[hz > 0.2].sum() + TINY
    second = len(clean) // round(fs_hz) * round(fs_hz)
    by_second = clean[:second].reshape(-1, round(fs_hz)).std(axis=1)
    return {
        "noise_seconds": len(signal_mv) / fs_hz,
        "noise_deviation_mv": float(np.std(clean)),
        "noise_largest_mv": float(np.abs(clean).max()),
        "noise_slow": power[(hz > 0.2) & (hz < 1)].sum() / total,
        "noise_middle": power[(hz > 10) & (hz < 25)].sum() / total,
        "noise_fast": power[hz > 40].sum() / total,
        "noise_kurtosis": _standard_moment(clean, 4),
        "noise_skewness": _standard_moment(clean, 3),
        "noise_unsteady": float(by_second.max() / (np.median(by_second) + TINY)),
        "noise_still": float(by_second.min() / (np.median(by_second) + TINY)),
    }
