"""The residual network of 34 layers that Andreotti et al. trained on rhythms (Computing in Cardiology 2017, 44).

After Rajpurkar et al. 2017, arXiv:1707.01836: sixteen units of two convolutions, every other of which halves the rate.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.errors import InputError
from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.layers import Dense
from ecgjax.models.ribeiro_net import dropout
from ecgjax.models.signal_layers import Conv, flat_rows, max_pool

HEADS = ("flatten", "mean")

NUM_UNITS = 16
UNITS_OF_A_WIDTH = 4
"""The second to fifth unit have as many channels as the first; every four from there on have once more as many."""

HALVING = 2 ** (NUM_UNITS // 2)
"""By which the signal is shortened in all."""


class Residual34(nn.Module):
    """A convolution, sixteen residual units, and a head on what is left of the first channel.

    9,000 samples end as 35 of four times `features` channels: 13,306,500 parameters with 64 features and four outputs,
    841,380 with 16, as in the published weights.

    Attributes:
      num_outputs: width of the output.
      features: channels of the first convolution and unit.
      kernel_size: samples that convolutions span.
      head: flatten, as published, which ties it to one length, or mean over time, whatever pads the signal included.
      hidden: width of each dense layer before the output; none as published, (512, 512) where it was fine-tuned.
      dropout_rate: within the units, and after dense layers.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    features: int
    kernel_size: int
    head: str
    hidden: tuple[int, ...]
    dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`.

        Raises:
          InputError: the head is unknown, or the signal too short to be halved so often.
        """
        if self.head not in HEADS:
            raise InputError(f"unknown head {self.head!r} of residual34", f"use one of {', '.join(HEADS)}")
        if signal_mv.shape[1] < HALVING:
            raise InputError(
                f"residual34 was shown {signal_mv.shape[1]} samples", f"show it at least {HALVING}: raise data.crop_s"
            )
        # Keras's constants, with which the published network was trained.
        norm = functools.partial(BatchNorm, is_training, self.dtype, self.axis_name, momentum=0.99, epsilon=1e-3)
        drop = dropout(is_training, self.dropout_rate)

        def convolution(x: jax.Array, features: int, kernel_size: int) -> jax.Array:
            return Conv(features, kernel_size, 1, True, self.dtype)(x)

        x = nn.relu(norm()(convolution(signal_mv[..., :1], self.features, self.kernel_size)))
        for unit in range(NUM_UNITS):
            features = self.features * (1 + max(unit - 1, 0) // UNITS_OF_A_WIDTH)
            shortcut = x if x.shape[-1] == features else convolution(x, features, 1)
            # What the first unit reads has just been normalised.
            y = x if unit == 0 else drop()(nn.relu(norm()(x)))
            y = drop()(nn.relu(norm()(convolution(y, features, self.kernel_size))))
            y = convolution(y, features, self.kernel_size)
            x = shortcut + y if unit % 2 else _halved(shortcut) + _halved(y)
        x = nn.relu(norm()(x))
        return Head(self.num_outputs, self.head, self.hidden, drop, self.dtype, name="head")(x)


class Head(nn.Module):
    """Dense layers that read every sample of every channel, or their means over time; options of `Residual34`."""

    num_outputs: int
    pooling: str
    hidden: tuple[int, ...]
    drop: Callable[[], nn.Module]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`."""
        if self.pooling == "mean":
            rows = jnp.mean(x, axis=1)
        else:
            rows = flat_rows(self, x, "hidden_0" if self.hidden else "out")
        for i, width in enumerate(self.hidden):
            rows = self.drop()(nn.relu(Dense(width, self.dtype, name=f"hidden_{i}")(rows)))
        return nn.Dense(self.num_outputs, name="out")(rows.astype(jnp.float32))


def _halved(x: jax.Array) -> jax.Array:
    """The larger of every two samples `[batch, time, channel]`; an odd one at the end is left out."""
    return max_pool(x[:, : x.shape[1] // 2 * 2], 2, 2)
