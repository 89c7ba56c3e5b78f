"""What a record's average beat and rhythm tell, as one vector: the trunk of networks that learn from few records.

Averaging the beats of a record keeps the shape of the waves and drops most of the noise; what the average loses, how
the beats follow each other, comes in as a handful of figures. Both are cheap, so that a network trains in seconds.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.beats import BeatWindow, average_beat, find_beats
from ecgjax.errors import InputError
from ecgjax.models.layers import Dense, Dropout, NormGelu

SHORT_RR_S = 0.6  # 100 beats a minute
LONG_RR_S = 1.0  # 60 beats a minute

_POWER_METRIC = np.eye(len(leads.LEADS), dtype=np.float32)
"""Beats are found in the sum of all leads' powers, so that any one of them suffices."""


def rhythm_figures(signal_mv: jax.Array, window: BeatWindow) -> jax.Array:
    """`[time, lead]` -> `[8]`: mean interval between beats, its logarithm, how it varies, and which side of normal."""
    peaks, is_beat = find_beats(signal_mv, window, _POWER_METRIC)
    rr_s = jnp.diff(peaks) / window.fs_hz
    is_interval = is_beat[1:] & is_beat[:-1]
    mean_s = _mean(rr_s, is_interval)
    deviation_s = _root_mean(rr_s - mean_s, is_interval)
    successive_s = _root_mean(jnp.diff(rr_s), is_interval[1:] & is_interval[:-1])
    return jnp.stack(
        [
            mean_s,
            jnp.log(mean_s + 0.1),
            deviation_s / (mean_s + 0.1),
            successive_s / (mean_s + 0.1),
            jnp.log(deviation_s + 0.005),
            jnp.log(successive_s + 0.005),
            (mean_s < SHORT_RR_S).astype(jnp.float32),
            (mean_s > LONG_RR_S).astype(jnp.float32),
        ]
    )


def _mean(values: jax.Array, counts: jax.Array) -> jax.Array:
    return jnp.sum(values * counts) / jnp.maximum(jnp.sum(counts), 1)


def _root_mean(values: jax.Array, counts: jax.Array) -> jax.Array:
    # The gradient of a root at zero is infinite, and explanations differentiate with respect to the signal.
    return jnp.sqrt(_mean(values**2, counts) + 1e-10)


class BeatEncoder(nn.Module):
    """Embeds pieces of the average beat, joins them with the rhythm and thinks about the whole.

    Attributes:
      window: what is cut around each beat; its samples are a multiple of `patch`.
      patch: samples of the pieces.
      features: width of a piece's embedding.
      hidden: width of the result.
      num_blocks: residual blocks.
      fine_gain: small deflections, the P wave above all, are shown a second time as soft_sign(fine_gain * signal).
      dropout_rate: before each block and of the result, while training.
      dtype: of the computation.
    """

    window: BeatWindow
    patch: int
    features: int
    hidden: int
    num_blocks: int
    fine_gain: float
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, hidden]`; leads that are not known are zero."""
        window = self.window
        if window.num_samples % self.patch:
            raise InputError(
                f"an average beat of {window.num_samples} samples does not divide into pieces of {self.patch}",
                "change the patch of the model, or before_s and after_s of beat",
            )
        if signal_mv.shape[1] < window.num_samples:
            raise InputError(
                f"{signal_mv.shape[1]} samples do not hold a beat of {window.num_samples}", "give longer data.crop_s"
            )
        beat = jax.vmap(lambda one: average_beat(one, window, _POWER_METRIC)[0])(signal_mv)
        rhythm = jax.vmap(lambda one: rhythm_figures(one, window))(signal_mv)
        batch, time, num_leads = beat.shape

        shown = jnp.concatenate([2 * beat, nn.soft_sign(self.fine_gain * beat)], axis=-1).astype(self.dtype)
        x = shown.reshape(batch * (time // self.patch), self.patch * 2 * num_leads)
        x = NormGelu(self.dtype, name="LayerNorm_0")(Dense(self.features, self.dtype)(x)).reshape(batch, -1)
        paced = nn.gelu(Dense(32, self.dtype)(rhythm.astype(self.dtype)))
        x = Dense(self.hidden, self.dtype)(jnp.concatenate([x, paced], axis=1))
        dropout = Dropout(self.dropout_rate)
        for i in range(1, 1 + self.num_blocks):
            y = NormGelu(self.dtype, name=f"LayerNorm_{i}")(x)
            x = x + Dense(self.hidden, self.dtype)(dropout(y, is_training))
        x = NormGelu(self.dtype, name=f"LayerNorm_{1 + self.num_blocks}")(x)
        return dropout(x, is_training)
