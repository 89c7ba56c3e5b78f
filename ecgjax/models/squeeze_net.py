"""SqueezeNet 1.1 over time, from an electrocardiogram to the sites of a heart.

Iandola et al. 2016, arXiv:1602.07360; for activation times and transmembrane potentials at 75 sites Landajuela et al.,
Computing in Cardiology 2022.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.errors import InputError
from ecgjax.models.layers import Dense, add_bias
from ecgjax.models.signal_layers import Conv, adaptive_mean, max_pool

VERSIONS = ("pooled", "same")

_FIRE = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
"""Channels of each fire module, squeezed and of each half expanded; every group follows a maximum."""


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then a 1x1 convolution beside a wider one to many.

    Attributes:
      squeezed: channels between.
      expanded: channels of each half of the output.
      kernel_size: samples that the wider convolution spans.
      dtype: of the computation; parameters are float32.
    """

    squeezed: int
    expanded: int
    kernel_size: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, time, 2 * expanded]`."""
        squeezed = nn.relu(Dense(self.squeezed, self.dtype, name="squeeze")(x))
        narrow = Dense(self.expanded, self.dtype, name="narrow")(squeezed)
        wide = Conv(self.expanded, self.kernel_size, 1, True, self.dtype, name="wide")(squeezed)
        return nn.relu(jnp.concatenate([narrow, wide], axis=-1))


class ShorteningConv(nn.Module):
    """A convolution that gives one sample for every two, without zeros beyond the ends.

    Attributes:
      features: channels of the output.
      kernel_size: samples that it spans.
      dtype: of the computation; parameters are float32.
    """

    features: int
    kernel_size: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, (time - kernel_size) // 2 + 1, features]`."""
        if x.shape[1] < self.kernel_size:
            raise InputError(
                f"a convolution over {self.kernel_size} samples was shown {x.shape[1]}",
                "show SqueezeNet a longer signal, or lower model.squeeze_net.kernel_size",
            )
        x = nn.Conv(self.features, (self.kernel_size,), 2, "VALID", use_bias=False, dtype=self.dtype, name="conv")(x)
        return add_bias(x, self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype))


class SqueezeNet(nn.Module):
    """A convolution and eight fire modules, with three maxima of three samples between them, and a head.

    With kernels of three samples, twelve leads and 75 outputs, the version `pooled`, which shortens the signal and ends
    in one number for each output, has 486,657 parameters. The version `same` keeps every sample: 392,907 parameters,
    and an output sees 25 samples; with kernels of k it sees 9 k - 2.

    Attributes:
      num_outputs: numbers of the version `pooled`, channels of `same`.
      version: one of VERSIONS.
      kernel_size: samples that convolutions other than 1x1 span.
      dropout_rate: before the head.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    version: str
    kernel_size: int
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]` (pooled) or `[batch, time, num_outputs]` (same).

        Raises:
          InputError: unknown version, or a signal too short for `pooled`.
        """
        if self.version not in VERSIONS:
            raise InputError(f"unknown version {self.version!r} of SqueezeNet", f"use one of {', '.join(VERSIONS)}")
        shortens = self.version == "pooled"
        if shortens:
            x = ShorteningConv(64, self.kernel_size, self.dtype, name="stem")(signal_mv)
        else:
            x = Conv(64, self.kernel_size, 1, True, self.dtype, name="stem")(signal_mv)
        x = nn.relu(x)
        for group in _FIRE:
            x = _shortening_max_pool(x) if shortens else max_pool(x, 3, 1)
            for squeezed, expanded in group:
                x = Fire(squeezed, expanded, self.kernel_size, self.dtype)(x)
        x = nn.Dropout(self.dropout_rate, deterministic=not is_training)(x)
        out = Dense(self.num_outputs, jnp.dtype("float32"), name="out")
        if not shortens:
            return out(x)
        x = nn.relu(ShorteningConv(self.num_outputs, self.kernel_size, self.dtype, name="head")(x))
        # The last convolution fits once: it is a dense layer.
        return out(adaptive_mean(x, self.kernel_size).reshape(len(x), -1))


def _shortening_max_pool(x: jax.Array) -> jax.Array:
    """The largest of three samples every two, the last of as many as there are: `[batch, time, channel]`."""
    num_windows = max(x.shape[1] - 2, 0) // 2 + 1
    beyond = max(2 * num_windows + 1 - x.shape[1], 0)
    padded = jnp.pad(x, ((0, 0), (0, beyond), (0, 0)), constant_values=-jnp.inf)
    return functools.reduce(jnp.maximum, (padded[:, i : i + 2 * num_windows - 1 : 2] for i in range(3)))
