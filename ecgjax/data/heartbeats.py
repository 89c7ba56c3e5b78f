"""Heartbeats: what the datasets of single beats share, from the AAMI classes to the intervals between beats.

A window holds one beat at 125 Hz with its R peak at `BEFORE_SAMPLES` and the `CUT_SAMPLES` from there on, of which the
Kaggle files distribute the first `cut_samples` (Kachuee et al., IEEE ICHI 2018, 443-444). Times are seconds from the
start of the recording.
"""

import numpy as np

FS_HZ = 125.0
BEFORE_SAMPLES = 63
CUT_SAMPLES = 187
WINDOW_SAMPLES = BEFORE_SAMPLES + CUT_SAMPLES

LEAD_NAMES = ("II", "second", "typical II", "typical second")
"""Of a window: the beat in lead II (MLII of a Holter) and in another lead, and the recording's typical beat in both."""

CLASSES = ("N", "S", "V", "F", "Q")
"""Beats of the sinus node or a bundle branch block, supraventricular and ventricular ectopic ones, fusions of N and V,
and those of a pacemaker or of no class."""

CLASS_OF_SYMBOL = {
    **dict.fromkeys(("N", "L", "R", "e", "j"), "N"),
    **dict.fromkeys(("A", "a", "J", "S"), "S"),
    **dict.fromkeys(("V", "E"), "V"),
    "F": "F",
    **dict.fromkeys(("/", "f", "Q"), "Q"),
}
"""Annotation of the MIT-BIH database -> class of ANSI/AAMI EC57 (de Chazal et al., IEEE Trans Biomed Eng 2004,
51:1196-1206, Table I). What is not here is no beat: ventricular flutter waves, blocked P waves, artefacts, remarks."""

RR_FIGURES = (
    *("rr_second_before_s", "rr_before_s", "rr_after_s", "rr_second_after_s"),
    *("rr_local_s", "rr_mean_s", "rr_irregularity"),
)

NUM_LOCAL = 31
"""Intervals around a beat, that before it in the middle, of which `rr_local_s` and `rr_irregularity` are medians: the
rhythm of the moment, whichever beats of it come early."""

STRETCH_S = 10.0
"""A recording is cut in stretches so long, each with its own usual interval (Kachuee et al.)."""

CUT_INTERVALS = 1.2
"""Length of the Kaggle cut, in usual intervals (Kachuee et al.)."""


def rr_figures(r_s: np.ndarray) -> dict[str, np.ndarray]:
    """Intervals of beats at `r_s` [beat], ascending: `RR_FIGURES`, [beat] each in seconds but for the last.

    The two intervals before the beat and the two after it; the median of those around it, the mean of the recording;
    and the median of how much, as a logarithm, an interval around it differs from the one before. NaN where unknown.
    """
    rr_s = np.diff(r_s)
    unknown = [np.nan, np.nan]
    four = np.lib.stride_tricks.sliding_window_view(np.concatenate([unknown, rr_s, unknown]), 4)
    before_s = four[:, 1]
    change = np.abs(np.diff(np.log(before_s), prepend=np.nan))
    return {
        **dict(zip(RR_FIGURES[:4], four.T, strict=True)),
        "rr_local_s": _local_median(before_s),
        "rr_mean_s": np.full(len(r_s), rr_s.mean() if len(rr_s) else np.nan),
        "rr_irregularity": _local_median(change),
    }


def _local_median(values: np.ndarray) -> np.ndarray:
    """The median of the `NUM_LOCAL` values around each, NaN left out: [beat] -> [beat]."""
    padded = np.pad(values, NUM_LOCAL // 2, constant_values=np.nan)
    around = np.sort(np.lib.stride_tricks.sliding_window_view(padded, NUM_LOCAL), axis=1)  # NaN comes last
    count = np.count_nonzero(~np.isnan(around), axis=1)
    rows = np.arange(len(values))
    return (around[rows, np.maximum(count - 1, 0) // 2] + around[rows, count // 2]) / 2


def cut_samples(r_s: np.ndarray) -> np.ndarray:
    """Samples from R on that the Kaggle cut of each beat keeps: int [beat], at most `CUT_SAMPLES`.

    1.2 times the median interval within the beat's stretch of 10 s; that of the recording where a stretch has no two
    beats, and `CUT_SAMPLES` where the recording has none.
    """
    rr_s = np.diff(r_s)
    stretch = np.floor(r_s / STRETCH_S).astype(int)
    usual_s = np.full(len(r_s), np.median(rr_s) if len(rr_s) else np.inf)
    is_within = stretch[1:] == stretch[:-1]
    for index in np.unique(stretch[1:][is_within]):
        usual_s[stretch == index] = np.median(rr_s[is_within & (stretch[1:] == index)])
    return np.minimum(np.rint(CUT_INTERVALS * usual_s * FS_HZ), CUT_SAMPLES).astype(int)


def windows(signal_mv: np.ndarray, r_samples: np.ndarray) -> np.ndarray:
    """The window of each beat: `[time, ...]` at `FS_HZ` and R peaks [beat] -> [beat, WINDOW_SAMPLES, ...].

    What lies outside the recording has the value at its edge.
    """
    samples = np.asarray(r_samples)[:, None] + np.arange(-BEFORE_SAMPLES, CUT_SAMPLES)
    return signal_mv[np.clip(samples, 0, len(signal_mv) - 1)]


def typical_beat(windows_mv: np.ndarray) -> np.ndarray:
    """The median of the windows of a recording, [beat, ...] -> [...]: its usual beat, found without labels."""
    return np.median(windows_mv, axis=0)
