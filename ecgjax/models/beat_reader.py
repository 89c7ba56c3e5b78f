"""A network that reads one heartbeat beside the typical beat of its recording and the intervals around it."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.layers import Dense, Dropout, NormGelu

COARSE = 4
"""Samples of which the whole beat is shown as one mean: P, ST and T need no finer."""


class BeatReader(nn.Module):
    """Dense layers on the beat in coarse steps, on its QRS sample by sample, and on its rhythm.

    The typical beat is shown as what the beat differs from, so that the network learns what an ectopic beat changes and
    not what a patient looks like.

    Attributes:
      num_outputs: width of the output.
      fine_samples: first sample of the part that is shown sample by sample, and the one after its last.
      hidden: width of the layers.
      dropout_rate: after the hidden layers.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    fine_samples: tuple[int, int]
    hidden: int
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`.

        The first channel is the beat, the second, where there is one, the typical beat; others are constant in time.
        """
        beat, typical, rhythm = signal_mv[..., :1], signal_mv[..., 1:2], signal_mv[:, 0, 2:]
        shape = jnp.concatenate([beat, beat - typical], axis=-1) if typical.shape[-1] else beat
        parts = [_rows(_means(shape)), _rows(shape[:, slice(*self.fine_samples)])]
        if rhythm.shape[-1]:
            parts.append(rhythm)
        x = jnp.concatenate([Dense(self.hidden, self.dtype)(part) for part in parts], axis=-1)
        dropout = Dropout(self.dropout_rate)
        x = dropout(NormGelu(self.dtype, name="LayerNorm_0")(x), is_training)
        x = dropout(nn.gelu(Dense(self.hidden, self.dtype)(x)), is_training)
        return Dense(self.num_outputs, jnp.float32)(x)


def _means(x: jax.Array) -> jax.Array:
    """Means of `COARSE` samples each, `[batch, time, channel]` -> `[batch, ceil(time / COARSE), channel]`."""
    padded = jnp.pad(x, ((0, 0), (0, -x.shape[1] % COARSE), (0, 0)), mode="edge")
    return jnp.mean(padded.reshape(len(x), -1, COARSE, x.shape[-1]), axis=2)


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(len(x), -1)
