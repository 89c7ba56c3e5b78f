"""Where P, QRS, ST and T lie in an average beat, from all of its leads together.

Boundaries are found in the length of the vector of all leads, which no order of the leads changes. QRS begins and ends
where the vector moves at less than a tenth of its highest speed; P and T end where the steepest tangent of their flank
meets the resting level (Lepeschkin and Surawicz, Circulation 1952, 6:378-388). A beat without a P wave, or one too
noisy for any of this, takes usual intervals instead, so that every record has every window.
"""

import numpy as np

from ecgjax.beats import BeatWindow

WAVES = ("P", "PQ", "QRS", "ST", "T", "rest")
"""The parts of a beat in order; `PQ` is what lies between P and QRS, `rest` all before P and after T."""

REST = WAVES.index("rest")

# In seconds, of QRS from the R peak, of P from the onset of QRS and of T from its end: usual intervals, to which the
# boundaries fall back, and where they are looked for.
USUAL_QRS_S = (-0.045, 0.045)
USUAL_P_S = (-0.16, -0.05)
USUAL_T_S = (0.10, 0.29)
LONGEST_HALF_QRS_S = 0.11
P_SEARCH_S = (-0.27, -0.04)
T_SEARCH_S = (0.06, 0.42)

SLOW = 0.10
"""Share of the highest speed below which QRS has not begun, or is over."""

LEAST_WAVE = 0.02
"""Share of the longest vector of the beat that the vector of a P or T wave reaches at least."""


def boundaries(beat_mv: np.ndarray, window: BeatWindow) -> np.ndarray:
    """Ends `[6]` of an average beat `[time, lead]` in samples: P, QRS and T, the first sample of each and one past it.

    They are in order and inside the window.
    """
    qrs = _qrs(beat_mv, window)
    fs_hz = window.fs_hz
    p = _wave(beat_mv, qrs[0], P_SEARCH_S, fs_hz) or _samples(qrs[0], USUAL_P_S, fs_hz)
    t = _wave(beat_mv, qrs[1], T_SEARCH_S, fs_hz) or _samples(qrs[1], USUAL_T_S, fs_hz)
    ordered = [*np.minimum(p, qrs[0]), *qrs, *np.maximum(t, qrs[1])]
    return np.clip(ordered, 0, len(beat_mv))


def wave_of_sample(beats_mv: np.ndarray, window: BeatWindow) -> np.ndarray:
    """Index into `WAVES` of every sample `[record, time]` of average beats `[record, time, lead]`, NaN for no beat."""
    sample = np.arange(beats_mv.shape[1])
    ends = np.stack([boundaries(beat, window) for beat in np.nan_to_num(beats_mv)])
    passed = np.sum(sample >= ends[:, :, None], axis=1)
    return np.array([REST, *range(REST), REST])[passed]


def _samples(anchor: int, limits_s: tuple[float, float], fs_hz: float) -> tuple[int, int]:
    onset, end = (anchor + round(limit * fs_hz) for limit in limits_s)
    return onset, end


def _qrs(beat_mv: np.ndarray, window: BeatWindow) -> tuple[int, int]:
    centre, fs_hz = window.num_before, window.fs_hz
    reach = round(LONGEST_HALF_QRS_S * fs_hz)
    first, last = max(centre - reach, 0), min(centre + reach, len(beat_mv) - 1)
    speed = np.linalg.norm(np.gradient(beat_mv, axis=0), axis=1)
    around = speed[first : last + 1]
    is_slow = around < SLOW * around.max()
    fastest = int(np.argmax(around))
    before, after = np.flatnonzero(is_slow[:fastest]), np.flatnonzero(is_slow[fastest:])
    onset, end = _samples(centre, USUAL_QRS_S, fs_hz)
    onset = first + before[-1] + 1 if before.size else onset
    end = first + fastest + after[0] if after.size else end
    return int(onset), int(end)


def _wave(beat_mv: np.ndarray, anchor: int, search_s: tuple[float, float], fs_hz: float) -> tuple[int, int] | None:
    """First sample and one past the last of the wave in a search window about the end `anchor` of QRS, if any."""
    first, last = np.clip([anchor + round(limit * fs_hz) for limit in search_s], 0, len(beat_mv) - 1)
    part = beat_mv[first : last + 1]
    if len(part) < 5:
        return None
    # The level at rest is the line between the ends: T stands on what QRS left, and baselines wander.
    share = np.linspace(0, 1, len(part))[:, None]
    length = np.linalg.norm(part - (1 - share) * part[0] - share * part[-1], axis=1)
    peak = int(np.argmax(length))
    if length[peak] <= LEAST_WAVE * np.linalg.norm(beat_mv, axis=1).max():
        return None
    slope = np.gradient(length)
    rise, fall = int(np.argmax(slope[: peak + 1])), peak + int(np.argmin(slope[peak:]))
    if slope[rise] <= 0 or slope[fall] >= 0:
        return None
    onset = max(rise - length[rise] / slope[rise], 0)
    end = min(fall - length[fall] / slope[fall], len(part) - 1)
    return int(first + np.ceil(onset)), int(first + np.ceil(end)) + 1
