"""Twelve small residual networks, one for each lead, whose outputs are added: ML-ResNet.

A published reduction of leads dropped one after another from a trained network of this kind; see `LeadBranches` for
what makes that sound.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.errors import InputError
from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.layers import add_bias
from ecgjax.models.sequence_layers import uniform
from ecgjax.models.signal_layers import FlatHead, convolve

CHANNELS = (2, 4, 8)
"""Of each residual block of a branch."""

_KERNELS = (17, 11, 5)
_POOL = 5


class LeadConv(nn.Module):
    """A convolution for each lead by itself, with weights of its own.

    One convolution whose kernel is zero between leads: that multiplies far more numbers than one in groups, and is yet
    several times faster on CPU, where both gradients of a grouped convolution are slow.

    Attributes:
      num_leads: into which the channels are divided.
      features: channels of each lead in the output.
      kernel_size: samples that it spans.
      dtype: of the computation; parameters are float32.
    """

    num_leads: int
    features: int
    kernel_size: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[batch, time, lead * channel]` -> `[batch, time, lead * features]`."""
        channels = x.shape[-1] // self.num_leads
        start = uniform(self.kernel_size * channels)
        kernel = self.param("kernel", start, (self.num_leads, self.kernel_size, channels, self.features))
        bias = self.param("bias", start, (self.num_leads * self.features,))
        apart = jnp.eye(self.num_leads, dtype=self.dtype)
        whole = jnp.einsum("ltio,lm->tlimo", kernel.astype(self.dtype), apart)
        whole = whole.reshape(self.kernel_size, x.shape[-1], self.num_leads * self.features)
        return add_bias(convolve(x.astype(self.dtype), whole), bias.astype(self.dtype))


class LeadBranches(nn.Module):
    """A branch for each lead, always the same one: three residual blocks, each ended by the mean of every five samples.

    A block is three convolutions beside a 1x1 one; a branch has 2,268 parameters. Batch normalisation has statistics
    for each channel of each branch, so nothing that a lead shows reaches the branch of another.

    Attributes:
      dtype: of the computation; parameters and statistics are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, time // 125, lead, 4]`.

        Raises:
          InputError: fewer than 125 samples.
        """
        batch, num_samples, num_leads = signal_mv.shape
        shortest = _POOL ** len(CHANNELS)
        if num_samples < shortest:
            raise InputError(f"ML-ResNet was shown {num_samples} samples", f"show it at least {shortest}: data.crop_s")

        def convolution(x: jax.Array, features: int, kernel_size: int) -> jax.Array:
            norm = BatchNorm(is_training, self.dtype, self.axis_name)
            return norm(LeadConv(num_leads, features, kernel_size, self.dtype)(x))

        x = signal_mv
        for features in CHANNELS:
            y = x
            for kernel_size in _KERNELS[:-1]:
                y = nn.relu(convolution(y, features, kernel_size))
            y = convolution(y, features, _KERNELS[-1])
            x = nn.relu(y + convolution(x, features, 1))
            num_samples //= _POOL
            x = jnp.mean(x[:, : num_samples * _POOL].reshape(batch, num_samples, _POOL, -1), axis=2)
        return jnp.mean(x.reshape(batch, num_samples, num_leads, CHANNELS[-1] // 2, 2), axis=-1)


class MLResNet(nn.Module):
    """The sum of all branches, flattened, into a dense layer and the output.

    For 5,000 samples 29,226 parameters with `hidden` 12 and six outputs, as published for diagnosis; 43,417 with 100
    and one, for age.

    Attributes:
      num_outputs: width of the output.
      hidden: width of the dense layer before it.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    hidden: int
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`, for signals of the length of training."""
        by_lead = LeadBranches(self.dtype, self.axis_name, name="branches")(signal_mv, is_training)
        return FlatHead(self.num_outputs, self.hidden, self.dtype, name="head")(jnp.sum(by_lead, axis=2))
