"""How faithful a digitised recording is to the one that was drawn."""

import dataclasses

import numpy as np
from scipy.signal import fftconvolve

LONGEST_SHIFT_S = 0.5


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """What became of a recording.

    Attributes:
      snr_db: signal-to-noise ratio over the samples that are there.
      covered: share of the reference samples that are there.
      shift_s: by which the digitised recording was late.
      gain: slope of the digitised over the reference samples, 1 where heights are right.
    """

    snr_db: float
    covered: float
    shift_s: float
    gain: float


def snr_db(signal_mv: np.ndarray, reference_mv: np.ndarray, fs_hz: float) -> Fidelity:
    """Signal-to-noise ratio as of the PhysioNet Challenge 2024: 10 log10(mean square / mean square error).

    Both recordings [time, lead] in mV are aligned first: in time by at most half a second, together, and each lead in
    height. Leads are pooled. Samples that either lacks (NaN) do not count, but for `covered`.

    Args:
      signal_mv: what was digitised.
      reference_mv: what was drawn, as long or shorter or longer.
      fs_hz: the rate of both.
    """
    length = max(len(signal_mv), len(reference_mv))
    signal, reference = (_padded(np.asarray(s, float), length) for s in (signal_mv, reference_mv))
    shift = _shift(signal, reference, int(LONGEST_SHIFT_S * fs_hz))
    signal = _moved(signal, -shift)
    both = np.isfinite(signal) & np.isfinite(reference)
    covered = both.sum() / max(np.isfinite(reference).sum(), 1)
    if not both.any():
        return Fidelity(-np.inf, 0.0, shift / fs_hz, np.nan)
    signal, reference = (_centred(s, both) for s in (signal, reference))
    power, noise = np.sum(reference[both] ** 2), np.sum((signal - reference)[both] ** 2)
    with np.errstate(divide="ignore"):
        ratio = 10 * np.log10(power / noise)
    gain = np.sum((signal * reference)[both]) / power if power else np.nan
    return Fidelity(float(ratio), float(covered), shift / fs_hz, float(gain))


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    return np.pad(values, ((0, length - len(values)), (0, 0)), constant_values=np.nan)


def _centred(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Each lead less its mean over the samples of `where`."""
    count = np.maximum(where.sum(0), 1)
    return values - np.where(where, values, 0).sum(0) / count


def _moved(values: np.ndarray, steps: int) -> np.ndarray:
    """Later by `steps` samples."""
    moved = np.full_like(values, np.nan)
    if steps >= 0:
        moved[steps:] = values[: len(values) - steps]
    else:
        moved[:steps] = values[-steps:]
    return moved


def _shift(signal: np.ndarray, reference: np.ndarray, longest: int) -> int:
    """By how many samples the signal is later than the reference, at the highest correlation."""
    longest = min(longest, len(signal) - 1)
    first, second = (np.nan_to_num(_centred(s, np.isfinite(s))) for s in (signal, reference))
    correlation = fftconvolve(first, second[::-1], axes=0).sum(1)
    middle = len(signal) - 1
    return int(correlation[middle - longest : middle + longest + 1].argmax()) - longest
