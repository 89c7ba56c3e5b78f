"""A residual network that reads diagnoses from ten seconds of twelve leads, and its copy at the full rate.

Ribeiro et al. 2020, Nature Communications 11:1760. Two streams run through the units: the sum of all that units and
shortcuts gave, and the same normalised, rectified and dropped out, which the next unit's convolutions read (He et al.
2016, arXiv:1603.05027).
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.errors import InputError
from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.signal_layers import Conv, FlatHead, max_pool

POOLINGS = ("flatten", "mean")

STEM_FEATURES = 64
STEM_KERNEL = 16


class ResidualUnit(nn.Module):
    """Two convolutions beside a shortcut of a maximum and, where channels change in number, a 1x1 convolution.

    Attributes:
      features: channels of both outputs.
      inner_features: channels between the convolutions.
      kernel_size: samples that the convolutions span.
      stride: by which both outputs have fewer samples.
      pool_size: samples of the maximum on the shortcut.
      use_bias: whether convolutions add a constant.
      norm: makes a batch normalisation.
      drop: makes a dropout.
      dtype: of the computation.
    """

    features: int
    inner_features: int
    kernel_size: int
    stride: int
    pool_size: int
    use_bias: bool
    norm: Callable[[], nn.Module]
    drop: Callable[[], nn.Module]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, total: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The normalised stream and the sum, both `[batch, time, channel]`."""
        y = Conv(self.inner_features, self.kernel_size, 1, self.use_bias, self.dtype)(x)
        y = self.drop()(nn.relu(self.norm()(y)))
        y = Conv(self.features, self.kernel_size, self.stride, self.use_bias, self.dtype)(y)
        shortcut = max_pool(total, self.pool_size, self.stride)
        if shortcut.shape[-1] != self.features:
            shortcut = Conv(self.features, 1, 1, self.use_bias, self.dtype)(shortcut)
        total = y + shortcut
        return self.drop()(nn.relu(self.norm()(total))), total


class RibeiroNet(nn.Module):
    """The published network: every unit shortens the signal, the dense head reads what is left.

    4,096 samples at 400 Hz, shortened by 4 in each of the units of 128, 196, 256 and 320 channels, leave 16 before the
    head: 6,421,910 parameters with six outputs. So do 4,000 samples; 250 shortened by 2 leave as many.

    Attributes:
      num_outputs: width of the output.
      channels: of each unit.
      factors: by which each unit shortens the signal.
      kernel_size: samples that the units' convolutions span.
      pooling: before the head: flatten, as published, which ties it to one length, or mean over time.
      dropout_rate: after every rectifier of the units.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    channels: tuple[int, ...]
    factors: tuple[int, ...]
    kernel_size: int
    pooling: str
    dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`."""
        if self.pooling not in POOLINGS:
            raise InputError(f"unknown pooling {self.pooling!r}", f"use one of {', '.join(POOLINGS)}")
        if len(self.factors) != len(self.channels) or min(self.factors) < 1:
            raise InputError(
                f"{len(self.channels)} residual units cannot shorten the signal by {self.factors}",
                "give model.ribeiro_net.factors and channels as many numbers, each at least 1",
            )
        # Keras's constants, with which the published network was trained.
        norm = functools.partial(BatchNorm, is_training, self.dtype, self.axis_name, momentum=0.99, epsilon=1e-3)
        drop = dropout(is_training, self.dropout_rate)
        x = total = stem(signal_mv, self.kernel_size, False, norm, self.dtype)
        for features, factor in zip(self.channels, self.factors, strict=True):
            unit = ResidualUnit(features, features, self.kernel_size, factor, factor, False, norm, drop, self.dtype)
            x, total = unit(x, total)
        if self.pooling == "mean":
            return nn.Dense(self.num_outputs, name="head")(jnp.mean(x, axis=1, dtype=jnp.float32))
        return FlatHead(self.num_outputs, 0, self.dtype, name="head")(x)


class RibeiroFullRateNet(nn.Module):
    """A later copy of it in which no unit shortens the signal, so that nearly all parameters are the dense head's.

    Before the head 309,776 parameters; with it and six outputs 32.3 million for 1,000 samples, 160.3 for 5,000.

    Attributes:
      num_outputs: width of the output.
      channels: of each unit.
      hidden: width of the dense layer before the output.
      dropout_rate: after every rectifier of the units.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    channels: tuple[int, ...]
    hidden: int
    dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`, for signals of the length of training."""
        norm = functools.partial(BatchNorm, is_training, self.dtype, self.axis_name)
        drop = dropout(is_training, self.dropout_rate)
        x = stem(signal_mv, STEM_KERNEL, True, norm, self.dtype)
        x, _ = full_rate_units(x, self.channels, norm, drop, self.dtype)[-1]
        return FlatHead(self.num_outputs, self.hidden, self.dtype, name="head")(x)


def dropout(is_training: bool, rate: float) -> Callable[[], nn.Module]:
    """Makes dropouts."""
    return functools.partial(nn.Dropout, rate, deterministic=not is_training)


def stem(
    signal_mv: jax.Array, kernel_size: int, use_bias: bool, norm: Callable[[], nn.Module], dtype: jnp.dtype
) -> jax.Array:
    """`[batch, time, lead]` -> `[batch, time, STEM_FEATURES]`; called within a compact module."""
    return nn.relu(norm()(Conv(STEM_FEATURES, kernel_size, 1, use_bias, dtype)(signal_mv)))


def full_rate_units(
    x: jax.Array,
    channels: tuple[int, ...],
    norm: Callable[[], nn.Module],
    drop: Callable[[], nn.Module],
    dtype: jnp.dtype,
) -> list[tuple[jax.Array, jax.Array]]:
    """Both streams after each unit; called within a compact module.

    Where the published network halves the rate twice, these take the maximum of three neighbours and keep the rate; at
    100 Hz the first has nothing to shorten and takes none.
    """
    total, outputs = x, []
    for i, features in enumerate(channels):
        unit = ResidualUnit(features, STEM_FEATURES, 3, 1, 1 if i == 0 else 3, True, norm, drop, dtype)
        x, total = unit(x, total)
        outputs.append((x, total))
    return outputs
