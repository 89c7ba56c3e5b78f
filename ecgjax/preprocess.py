"""Preprocessing by name, one set of functions for training, evaluation and prediction.

Filters run once, when a split is loaded. All of them act on each lead alone, and the linear ones therefore
commute with every electrode exchange; normalisation does not, and runs inside the step, after it.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal
from ml_collections import ConfigDict

from ecgjax.errors import InputError
from ecgjax.options import fitting_options

FILTERS = ("none", "bandpass", "wavelet_bandpass")
NORMALISATIONS = ("none", "zscore")


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """What happens to a record before it is trained on.

    Attributes:
      fs_hz: the rate to which every record is resampled.
      filter: `none`; `bandpass`, a zero-phase second-order Butterworth; `wavelet_bandpass`, db4 wavelet denoising
        and then the band-pass.
      low_hz, high_hz: the pass band.
      normalise: `none` keeps mV; `zscore` gives each lead of each record mean 0 and deviation 1.
    """

    fs_hz: float
    filter: str
    low_hz: float
    high_hz: float
    normalise: str

    def __post_init__(self):
        if self.filter not in FILTERS:
            raise InputError(f"unknown preprocess.filter {self.filter!r}", f"use one of {', '.join(FILTERS)}")
        if self.normalise not in NORMALISATIONS:
            raise InputError(
                f"unknown preprocess.normalise {self.normalise!r}", f"use one of {', '.join(NORMALISATIONS)}"
            )
        if not 0 < self.low_hz < self.high_hz < self.fs_hz / 2:
            raise InputError(
                f"the pass band {self.low_hz}-{self.high_hz} Hz does not lie between 0 and half of {self.fs_hz} Hz",
                "set preprocess.low_hz and preprocess.high_hz inside it",
            )

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Preprocess":
        """The one that `config.preprocess` describes."""
        with fitting_options():
            return cls(**config.preprocess.to_dict())

    def apply(self, signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
        """Resamples and filters `[..., time, lead]` recorded at `fs_hz`; float32 at `self.fs_hz`."""
        signal_mv = resample(signal_mv, fs_hz, self.fs_hz)
        if self.filter == "wavelet_bandpass":
            signal_mv = wavelet_denoise(signal_mv)
        if self.filter != "none":
            signal_mv = bandpass(signal_mv, self.fs_hz, self.low_hz, self.high_hz)
        return signal_mv.astype(np.float32)

    def num_samples(self, recorded: int, fs_hz: float) -> int:
        """Length of what `apply` makes of so many samples recorded at `fs_hz`."""
        up, down = rate_ratio(fs_hz, self.fs_hz)
        return -(-recorded * up // down)

    def normalised(self, signal_mv: jax.Array) -> jax.Array:
        """`[..., time, lead]` as the network sees it; part of the compiled step."""
        if self.normalise == "none":
            return signal_mv
        centred = signal_mv - jnp.mean(signal_mv, axis=-2, keepdims=True)
        deviation = jnp.sqrt(jnp.mean(centred**2, axis=-2, keepdims=True))
        return centred / jnp.where(deviation > 0, deviation, 1.0)


def resample(signal_mv: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """`[..., time, lead]` at another rate, by a polyphase filter with the mean level kept at the edges."""
    if from_hz == to_hz:
        return signal_mv
    return scipy.signal.resample_poly(signal_mv, *rate_ratio(from_hz, to_hz), axis=-2, padtype="line")


def rate_ratio(from_hz: float, to_hz: float) -> tuple[int, int]:
    """Of `to_hz` to `from_hz`, in lowest terms."""
    # Rates are read to a thousandth of a hertz: 257 Hz tapes exist, and 99.99 Hz is a rounded 100.
    up, down = round(to_hz * 1000), round(from_hz * 1000)
    common = math.gcd(up, down)
    return up // common, down // common


def bandpass(signal_mv: np.ndarray, fs_hz: float, low_hz: float, high_hz: float) -> np.ndarray:
    """Second-order Butterworth, forwards and backwards, over `[..., time, lead]`."""
    sections, pad = bandpass_sections(fs_hz, low_hz, high_hz), bandpass_padding(signal_mv.shape[-2], fs_hz, low_hz)
    return scipy.signal.sosfiltfilt(sections, signal_mv, axis=-2, padlen=pad)


def bandpass_sections(fs_hz: float, low_hz: float, high_hz: float) -> np.ndarray:
    """The filter's second-order sections `[section, 6]`."""
    return scipy.signal.butter(2, (low_hz, high_hz), "bandpass", fs=fs_hz, output="sos")


def bandpass_padding(num_samples: int, fs_hz: float, low_hz: float) -> int:
    """Samples by which a record is continued at both ends while it is filtered."""
    return min(int(fs_hz / low_hz), num_samples - 1)


def wavelet_denoise(signal_mv: np.ndarray) -> np.ndarray:
    """Hard-thresholds the db4 details of `[..., time, lead]` at sigma * sqrt(2 ln N) and drops the approximation.

    Donoho and Johnstone, Biometrika 1994, 81(3):425-455, with sigma the mean absolute deviation of the finest
    details over 0.6745.
    """
    import pywt  # noqa: PLC0415 - wavelets, which few preprocess with

    time = signal_mv.shape[-2]
    approximation, *details = pywt.wavedec(signal_mv, "db4", "periodic", level=pywt.dwt_max_level(time, "db4"), axis=-2)
    finest = details[-1]
    sigma = np.mean(np.abs(finest - finest.mean(axis=-2, keepdims=True)), axis=-2, keepdims=True) / 0.6745
    threshold = sigma * np.sqrt(2 * np.log(time))
    kept = [np.where(np.abs(d) > threshold, d, 0.0) for d in details]
    return pywt.waverec([np.zeros_like(approximation), *kept], "db4", "periodic", axis=-2)[..., :time, :]
