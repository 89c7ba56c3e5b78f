"""The xresnet in one dimension, as in the benchmark of PTB-XL: residual blocks of the same width in every stage.

Strodthoff et al. 2020, arXiv:2004.13701 (xresnet1d101); He et al. 2018, arXiv:1812.01187, for what sets it apart from
a plain residual network: three convolutions as the stem, means on shortcuts, and blocks that start as their shortcut.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.errors import InputError
from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.sequence_layers import Linear

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Depth -> blocks of each stage: two convolutions each at depths 18 and 34, bottlenecks at 50 and 101."""

_STEM = (32, 32, 64)
_WIDTH = 64
_EXPANSION = 4  # of a bottleneck's ends over its middle
_KERNEL_SIZE = 5
_HEAD = 128


class XResNet1D(nn.Module):
    """Stem, four stages of residual blocks, and a head on maximum and mean over time.

    The stem leaves every fourth sample, each stage but the first half of them. Convolutions over fewer samples than
    their kernel are slow on CPU; in the last stage that is so below 160 samples.

    Attributes:
      num_outputs: width of the output.
      depth: one of DEPTHS.
      dropout_rate: before the output, and half of it before the hidden layer of the head.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    depth: int
    dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`."""
        if self.depth not in DEPTHS:
            raise InputError(f"unknown depth {self.depth} of xresnet1d", f"use one of {', '.join(map(str, DEPTHS))}")
        x = signal_mv.astype(self.dtype)
        for i, features in enumerate(_STEM):
            layer = ConvNorm(features, _KERNEL_SIZE, 2 if i == 0 else 1, self.dtype, self.axis_name, name=f"stem_{i}")
            x = nn.relu(layer(x, is_training))
        x = nn.max_pool(x, (3,), (2,), ((1, 1),))
        for stage, num_blocks in enumerate(DEPTHS[self.depth]):
            for i in range(num_blocks):
                stride = 2 if stage > 0 and i == 0 else 1
                block = Residual(self.depth >= 50, stride, self.dtype, self.axis_name, name=f"stage_{stage}_block_{i}")
                x = block(x, is_training)
        return self._head(x.astype(jnp.float32), is_training)

    def _head(self, x: jax.Array, is_training: bool) -> jax.Array:
        x = jnp.concatenate([jnp.max(x, axis=1), jnp.mean(x, axis=1)], axis=-1)
        x = BatchNorm(is_training, jnp.float32, self.axis_name, name="pooled_norm")(x)
        x = nn.Dropout(self.dropout_rate / 2, deterministic=not is_training)(x)
        x = nn.relu(nn.Dense(_HEAD, kernel_init=nn.initializers.he_normal(), name="hidden")(x))
        x = BatchNorm(is_training, jnp.float32, self.axis_name, name="hidden_norm")(x)
        x = nn.Dropout(self.dropout_rate, deterministic=not is_training)(x)
        return nn.Dense(self.num_outputs, name="out")(x)


class Residual(nn.Module):
    """Convolutions beside a shortcut, which at first is all that counts: the last normalisation starts at zero.

    Attributes:
      is_bottleneck: kernels 1, 5, 1 with the ends four times as wide as the middle, instead of two kernels of 5.
      stride: of the first kernel of 5; the shortcut takes means over as many samples.
      dtype: of the computation; parameters and statistics are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    is_bottleneck: bool
    stride: int
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, ceil(time / stride), channel]`."""
        features = _WIDTH * _EXPANSION if self.is_bottleneck else _WIDTH
        kernel_sizes = (1, _KERNEL_SIZE, 1) if self.is_bottleneck else (_KERNEL_SIZE, _KERNEL_SIZE)
        y, stride = x, self.stride
        for i, kernel_size in enumerate(kernel_sizes[:-1]):
            own = stride if kernel_size > 1 else 1
            layer = ConvNorm(_WIDTH, kernel_size, own, self.dtype, self.axis_name, name=f"conv_{i}")
            y = nn.relu(layer(y, is_training))
        last = ConvNorm(
            features, kernel_sizes[-1], 1, self.dtype, self.axis_name, starts_at_zero=True, name="conv_last"
        )
        y = last(y, is_training)
        if self.stride > 1:
            # Where the last mean is short of samples it is one over those there are.
            missing = -x.shape[1] % self.stride
            x = nn.avg_pool(x, (self.stride,), (self.stride,), ((0, missing),), count_include_pad=False)
        if x.shape[-1] != features:
            x = ConvNorm(features, 1, 1, self.dtype, self.axis_name, name="shortcut")(x, is_training)
        return nn.relu(x + y)


class ConvNorm(nn.Module):
    """A convolution over time without bias and its batch normalisation; `[batch, time, channel]`."""

    features: int
    kernel_size: int
    stride: int
    dtype: jnp.dtype
    axis_name: str | None
    starts_at_zero: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, is_training: bool) -> jax.Array:
        start = nn.initializers.he_normal()
        if self.kernel_size == 1:
            x = Linear(self.features, self.dtype, use_bias=False, kernel_init=start, name="kernel")(x)
        else:
            ends = self.kernel_size // 2
            x = nn.Conv(
                self.features,
                (self.kernel_size,),
                self.stride,
                padding=((ends, ends),),
                use_bias=False,
                dtype=self.dtype,
                kernel_init=start,
                name="kernel",
            )(x)
        scale = nn.initializers.zeros if self.starts_at_zero else nn.initializers.ones
        return BatchNorm(is_training, self.dtype, self.axis_name, scale_init=scale, name="norm")(x)
