"""A network that judges a record by its average beat and its rhythm."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.beat_encoder import BeatEncoder
from ecgjax.models.layers import Dense


class BeatNet(nn.Module):
    """One dense layer on a `BeatEncoder`.

    Attributes:
      num_outputs: width of the output.
      encoder: the trunk, see there.
    """

    num_outputs: int
    encoder: BeatEncoder

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, 12]` -> `[batch, num_outputs]`."""
        return Dense(self.num_outputs, jnp.float32)(self.encoder(signal_mv, is_training))
