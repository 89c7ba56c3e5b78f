"""R peaks of one lead, as Pan and Tompkins find them (IEEE Trans Biomed Eng 1985, 32:230-236): a band-pass, the square
of the slope, and its mean over the length of a QRS complex."""

import functools

import numpy as np
import scipy.signal

QRS_HZ = (5.0, 20.0)
QRS_S = 0.12
REFRACTORY_S = 0.25
STRETCH_S = 2.0
"""The threshold is a share of the median of the highest peaks of stretches so long."""

THRESHOLD = 0.3


def find_r(signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
    """R peaks of `[time]`: sample indices in order of time."""
    band = bandpassed(signal_mv, fs_hz, *QRS_HZ)
    energy = _smoothed(np.gradient(band) ** 2, round(QRS_S * fs_hz))
    peaks, _ = scipy.signal.find_peaks(energy, distance=max(round(REFRACTORY_S * fs_hz), 1))
    stretch = min(round(STRETCH_S * fs_hz), len(energy))
    highest = energy[: len(energy) // stretch * stretch].reshape(-1, stretch).max(axis=1)
    peaks = peaks[energy[peaks] > THRESHOLD * np.median(highest)]
    if not len(peaks):
        return peaks
    reach = round(QRS_S / 2 * fs_hz)
    around = np.clip(peaks[:, None] + np.arange(-reach, reach + 1), 0, len(band) - 1)
    # Which way R points is the same for all beats of a recording.
    polarity = 1 if np.median(band[around].max(axis=1)) >= np.median(-band[around].min(axis=1)) else -1
    return np.unique(around[np.arange(len(peaks)), np.argmax(polarity * band[around], axis=1)])


def bandpassed(signal_mv: np.ndarray, fs_hz: float, low_hz: float, high_hz: float) -> np.ndarray:
    """Second-order Butterworth, forwards and backwards, over `[time]`."""
    sections = _sections(fs_hz, low_hz, min(high_hz, 0.45 * fs_hz))
    return scipy.signal.sosfiltfilt(sections, signal_mv, padlen=min(round(fs_hz), len(signal_mv) - 1))


@functools.lru_cache
def _sections(fs_hz: float, low_hz: float, high_hz: float) -> np.ndarray:
    return scipy.signal.butter(2, (low_hz, high_hz), "bandpass", fs=fs_hz, output="sos")


def _smoothed(values: np.ndarray, num_samples: int) -> np.ndarray:
    return np.convolve(values, np.ones(num_samples) / num_samples, mode="same")
