"""What the networks are shown of one twelve-lead record, in NumPy, as the `Dataset` of a project prepares it."""

import numpy as np
import scipy.ndimage
from ml_collections import ConfigDict

from ecgjax import leads
from ecgjax.augment import DOWER, SLOW_SAMPLES
from ecgjax.beats import REFRACTORY_S, SMOOTHING_S, STRETCH_S, THRESHOLD, BeatWindow

_DIPOLE = np.linalg.pinv(DOWER)
_FROM_INDEPENDENT = leads.LEADS_FROM_INDEPENDENT.astype(np.float32)
_PICK_INDEPENDENT = np.eye(12, dtype=np.float32)[leads.INDEPENDENT_COLUMNS]
_TO_LEADS = leads.LEADS_FROM_ELECTRODES.astype(np.float32)
_TO_ELECTRODES = leads.ELECTRODES_FROM_LEADS.astype(np.float32)


def random_crop(ecg: np.ndarray, gain: float, num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """`num_samples` of `ecg` int16 `[time, lead]` in mV."""
    start = rng.integers(len(ecg) - num_samples + 1)
    return ecg[start : start + num_samples].astype(np.float32) / np.float32(gain)


def average_beat(signal_mv: np.ndarray, window: BeatWindow, metric: np.ndarray | None) -> tuple[np.ndarray, float]:
    """`ecgjax.beats.average_beat`; the power of a sample is its square without a `metric`."""
    peaks = find_beats(signal_mv, window, metric)
    if not len(peaks):
        return np.zeros((window.num_samples, signal_mv.shape[1]), np.float32), 0.0
    start = np.clip(peaks - window.num_before, 0, len(signal_mv) - window.num_samples)
    beats = signal_mv[start[:, None] + np.arange(window.num_samples)]
    mean = beats.mean(0)
    difference = _power(beats - mean, metric).sum(1)
    weight = np.exp(-2 * difference / (_power(mean, metric).sum() + 1e-6))
    num_beats = weight.sum() ** 2 / (np.square(weight).sum() + 1e-6)
    return np.tensordot(weight / (weight.sum() + 1e-6), beats, 1).astype(np.float32), float(num_beats)


def find_beats(signal_mv: np.ndarray, window: BeatWindow, metric: np.ndarray | None) -> np.ndarray:
    """Samples of R peaks `[beat]`, at most `window.max_beats` of them."""
    num_samples = len(signal_mv)
    kernel = np.hanning(2 * round(SMOOTHING_S * window.fs_hz / 2) + 3)
    energy = np.convolve(_power(np.gradient(signal_mv, axis=0), metric), np.float32(kernel / kernel.sum()), "same")
    highest = scipy.ndimage.maximum_filter1d(energy, 2 * round(REFRACTORY_S * window.fs_hz) + 1)
    stretch = min(round(STRETCH_S * window.fs_hz), num_samples)
    stretches = energy[: num_samples // stretch * stretch].reshape(-1, stretch)
    threshold = THRESHOLD * np.median(stretches.max(1))
    (peaks,) = np.nonzero((energy >= highest) & (energy > threshold))
    after = window.num_samples - window.num_before
    return peaks[(peaks >= window.num_before) & (peaks <= num_samples - after)][: window.max_beats]


def _power(signal_mv: np.ndarray, metric: np.ndarray | None) -> np.ndarray:
    if metric is None:
        return np.square(signal_mv).sum(-1)
    return ((signal_mv @ metric) * signal_mv).sum(-1)


def vary_body(options: ConfigDict, rng: np.random.Generator) -> np.ndarray:
    """`[12, 12]` on leads: `ecgjax.augment.vary_body`."""
    shift = np.clip(rng.standard_normal() + rng.standard_normal(6), -2, 2)
    place = np.clip(np.arange(6) + options.displacement * 0.5**0.5 * shift, 0, 5)
    chest = np.eye(9, dtype=np.float32)
    chest[3:, 3:] = np.clip(1 - np.abs(place[:, None] - np.arange(6)), 0, None)
    turn = _turn(options.rotation_rad * rng.standard_normal(3), options.elongation * rng.standard_normal(3))
    gain = np.float32(np.exp(options.gain * rng.standard_normal()))
    return gain * (_TO_LEADS @ chest @ _TO_ELECTRODES @ turn)


def _turn(rotation_rad: np.ndarray, elongation: np.ndarray) -> np.ndarray:
    """`[12, 12]`: the dipole of the heart turned and stretched."""
    x, y, z = rotation_rad
    generator = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.linalg.norm(rotation_rad) + 1e-6
    turn = np.eye(3) + np.sinc(angle / np.pi) * generator
    turn += 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * generator @ generator
    change = turn * np.exp(elongation) - np.eye(3)
    on_independent = np.eye(len(DOWER)) + DOWER @ change @ _DIPOLE
    return _FROM_INDEPENDENT @ on_independent.astype(np.float32) @ _PICK_INDEPENDENT


def electrode_noise(num_samples: int, sd_mv: float, rng: np.random.Generator) -> np.ndarray:
    """`[time, lead]`, `ecgjax.augment.electrode_noise`."""
    white = rng.standard_normal((num_samples, 9), np.float32)
    knots = rng.standard_normal((num_samples // SLOW_SAMPLES + 2, 9), np.float32)
    place = np.arange(num_samples, dtype=np.float32) / SLOW_SAMPLES
    before = place.astype(int)
    after = (place % 1)[:, None]
    slow = np.float32(1.5**0.5) * ((1 - after) * knots[before] + after * knots[before + 1])
    share = rng.random(9, np.float32)
    level = sd_mv * np.abs(rng.standard_normal(9, np.float32))
    return (level * (np.sqrt(share) * slow + np.sqrt(1 - share) * white)) @ _TO_LEADS.T


def stretch_time(signal_mv: np.ndarray, centre: int, sd: float, rng: np.random.Generator) -> np.ndarray:
    """`ecgjax.augment.stretch_time`."""
    last = len(signal_mv) - 1
    place = np.clip(centre + (np.arange(last + 1) - centre) * np.exp(sd * rng.standard_normal()), 0, last)
    before = np.clip(place.astype(int), 0, last - 1)
    after = (place - before).astype(np.float32)[:, None]
    return (1 - after) * signal_mv[before] + after * signal_mv[before + 1]
