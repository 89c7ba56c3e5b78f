"""Strided convolutions and their mean over time."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp


class StridedCNN(nn.Module):
    """A few convolutions that shorten the signal, then one dense layer.

    Attributes:
      num_outputs: width of the output.
      features: channels of each convolution.
      kernel_size: samples that each spans.
      stride: by which each shortens the signal.
      dtype: what it computes in; parameters stay float32.
    """

    num_outputs: int
    features: Sequence[int]
    kernel_size: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`."""
        del is_training  # nothing here differs: no dropout, no statistics of the batch
        x = signal_mv
        for channels in self.features:
            x = nn.gelu(nn.Conv(channels, (self.kernel_size,), self.stride, dtype=self.dtype)(x))
        return nn.Dense(self.num_outputs)(jnp.mean(x, axis=1, dtype=jnp.float32))
