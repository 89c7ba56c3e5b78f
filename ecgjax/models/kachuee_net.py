"""The residual convolutional network of Kachuee et al. 2018 for one heartbeat, arXiv:1805.00794."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.errors import InputError
from ecgjax.models.layers import Dense
from ecgjax.models.signal_layers import Conv, flat_rows

KERNEL_SIZE = 5
"""Samples that every convolution and every maximum spans."""


class KachueeNet(nn.Module):
    """A convolution, residual blocks that each halve the rate, two dense layers and the output.

    A block is a convolution, a rectifier and a convolution beside a shortcut, then a rectifier and the maximum of five
    samples, every two. With five blocks of 32 channels 187 samples become two: 55,013 parameters for one channel and
    five outputs.

    Attributes:
      num_outputs: width of the output.
      features: channels of all convolutions, and width of both dense layers.
      num_blocks: residual blocks.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    features: int
    num_blocks: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`, for signals of the length of training.

        Raises:
          InputError: the signal is too short for so many blocks.
        """
        shortest = functools.reduce(lambda length, _: 2 * length + KERNEL_SIZE - 2, range(self.num_blocks), 1)
        if signal_mv.shape[1] < shortest:
            raise InputError(
                f"{self.num_blocks} residual blocks were shown {signal_mv.shape[1]} samples",
                f"show them at least {shortest}, or lower model.kachuee_net.num_blocks",
            )

        def convolution(x: jax.Array) -> jax.Array:
            return Conv(self.features, KERNEL_SIZE, 1, True, self.dtype)(x)

        x = convolution(signal_mv)
        for _ in range(self.num_blocks):
            x = _max_pool(nn.relu(x + convolution(nn.relu(convolution(x)))))
        rows = flat_rows(self, x, "hidden_0")
        for i in range(2):
            rows = nn.relu(Dense(self.features, self.dtype, name=f"hidden_{i}")(rows))
        return nn.Dense(self.num_outputs, name="out")(rows.astype(jnp.float32))


def _max_pool(x: jax.Array) -> jax.Array:
    """The largest of five samples every two, as often as they fit: `[batch, time, channel]`."""
    reach = x.shape[1] - KERNEL_SIZE + 1
    return functools.reduce(jnp.maximum, (x[:, i : i + reach : 2] for i in range(KERNEL_SIZE)))
