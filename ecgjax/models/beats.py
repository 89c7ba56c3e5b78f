"""The average beat of a record, found in a way that electrode exchanges cannot disturb.

Beats are found on the slope energy summed over all leads. Permuting limb electrodes permutes and negates the limb
leads, and permuting chest electrodes permutes V1..V6, so the energy and with it the beats stay the same; and
averaging is linear. So the average beat of a rewired record is the rewired average beat.
"""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class BeatWindow:
    """What is cut around each R peak.

    Attributes:
      fs_hz: rate of the signal.
      before_s, after_s: reach of the window around the peak.
      max_beats: beats that are looked at; later ones are left out.
    """

    fs_hz: float
    before_s: float
    after_s: float
    max_beats: int

    @property
    def num_before(self) -> int:
        return round(self.before_s * self.fs_hz)

    @property
    def num_samples(self) -> int:
        return self.num_before + round(self.after_s * self.fs_hz)


# A beat of the ventricles takes at least this long; a second peak within it is the same beat.
_REFRACTORY_S = 0.25
_SMOOTHING_S = 0.1
# A peak counts when it reaches this share of the median over stretches of _STRETCH_S of their highest.
_THRESHOLD = 0.25
_STRETCH_S = 1.5


def find_beats(signal_mv: jax.Array, window: BeatWindow) -> tuple[jax.Array, jax.Array]:
    """R peaks of `[time, lead]`: sample indices `[max_beats]` in order of time, and which of them are beats."""
    num_samples = signal_mv.shape[0]
    slope = jnp.diff(signal_mv, axis=0, prepend=signal_mv[:1])
    kernel = jnp.hanning(2 * round(_SMOOTHING_S * window.fs_hz / 2) + 3)
    energy = jnp.convolve(jnp.sum(slope**2, axis=1), kernel / jnp.sum(kernel), mode="same")

    reach = round(_REFRACTORY_S * window.fs_hz)
    highest = jax.lax.reduce_window(energy, -jnp.inf, jax.lax.max, (2 * reach + 1,), (1,), "SAME")
    stretch = min(round(_STRETCH_S * window.fs_hz), num_samples)
    stretches = energy[: num_samples // stretch * stretch].reshape(-1, stretch)
    threshold = _THRESHOLD * jnp.median(jnp.max(stretches, axis=1))

    sample = jnp.arange(num_samples)
    fits = (sample >= window.num_before) & (sample <= num_samples - (window.num_samples - window.num_before))
    is_peak = fits & (energy >= highest) & (energy > threshold)
    earliest, peaks = jax.lax.top_k(jnp.where(is_peak, num_samples - sample, 0), window.max_beats)
    return peaks, earliest > 0


def average_beat(signal_mv: jax.Array, window: BeatWindow) -> jax.Array:
    """`[time, lead]` -> `[num_samples, lead]`, the mean of the beats with those unlike the others weighed down.

    A beat that differs from the plain mean by half of the mean's energy keeps a weight of 1/e: ectopic beats and
    artefacts fade. A record without a beat gives zeros.
    """
    peaks, is_beat = find_beats(signal_mv, window)
    start = jnp.clip(peaks - window.num_before, 0, signal_mv.shape[0] - window.num_samples)
    beats = signal_mv[start[:, None] + jnp.arange(window.num_samples)]
    mean = _weighted_mean(beats, is_beat.astype(jnp.float32))
    difference = jnp.sum((beats - mean) ** 2, axis=(1, 2))
    typicality = jnp.exp(-2 * difference / (jnp.sum(mean**2) + 1e-6))
    return _weighted_mean(beats, is_beat * typicality)


def _weighted_mean(beats: jax.Array, weight: jax.Array) -> jax.Array:
    return jnp.tensordot(weight / (jnp.sum(weight) + 1e-6), beats, axes=1)
