"""A residual network with connections across, from the leads given to leads to be rebuilt, sample by sample: UResNet.

In a U-Net (Ronneberger et al. 2015, arXiv:1505.04597) these connections bring back the detail that shortening the
signal cost; this network never shortens it, as published.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.ribeiro_net import STEM_FEATURES, STEM_KERNEL, dropout, full_rate_units, stem
from ecgjax.models.signal_layers import Conv, max_pool


class DecoderUnit(nn.Module):
    """Two convolutions of the decoder's stream beside a shortcut that also reads a sum of the encoder.

    Attributes:
      features: channels of the output.
      pool_size: samples of the maximum on the shortcut, which keeps the rate.
      norm: makes a batch normalisation.
      drop: makes a dropout.
      dtype: of the computation.
    """

    features: int
    pool_size: int
    norm: Callable[[], nn.Module]
    drop: Callable[[], nn.Module]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, encoded: jax.Array) -> jax.Array:
        """`[batch, time, channel]`, both -> `[batch, time, features]`."""
        y = self.drop()(nn.relu(self.norm()(Conv(STEM_FEATURES, 1, 1, True, self.dtype)(x))))
        y = Conv(self.features, 3, 1, True, self.dtype)(y)
        shortcut = max_pool(jnp.concatenate([encoded, x], axis=-1), self.pool_size, 1)
        for _ in range(2):
            shortcut = Conv(self.features, 1, 1, True, self.dtype)(shortcut)
        return Conv(self.features, 1, 1, True, self.dtype)(y + shortcut)


class UResNet(nn.Module):
    """Encoder of four units, bottleneck, decoder of two units, output.

    With 128, 196, 256 and 320 channels, three leads and twelve outputs 843,148 parameters.

    Attributes:
      num_outputs: rebuilt leads.
      lead_indices: of the leads that it is fed, in `ecgjax.leads.LEADS`; it is blind to the others.
      channels: of the encoder's four units; the decoder's have those of the second, then 64.
      dropout_rate: after every rectifier of the units.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    lead_indices: tuple[int, ...]
    channels: tuple[int, int, int, int]
    dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, 12]`, zero where a lead is missing -> `[batch, time, num_outputs]` in mV."""
        norm = functools.partial(BatchNorm, is_training, self.dtype, self.axis_name)
        drop = dropout(is_training, self.dropout_rate)
        x = stem(signal_mv[..., jnp.array(self.lead_indices)], STEM_KERNEL, True, norm, self.dtype)
        encoder = full_rate_units(x, self.channels, norm, drop, self.dtype)
        (_, second), (_, third), (x, _) = encoder[1:]
        x = Conv(self.channels[2], 1, 1, True, self.dtype, name="bottleneck")(x)
        x = DecoderUnit(self.channels[1], 3, norm, drop, self.dtype)(x, third)
        x = DecoderUnit(STEM_FEATURES, 1, norm, drop, self.dtype)(x, second)
        return nn.Dense(self.num_outputs, name="out")(x.astype(jnp.float32))
