"""Encoders of one lead by itself, the same for every lead of a record.

Those of a published comparison, with its sizes; 128 channels wide inside.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.errors import InputError
from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.sequence_layers import GRU, Conv, Linear, max_of_neighbours, max_pool

ENCODERS = ("cnn", "inception", "gru", "cnn_gru", "inception_gru")

_CHANNELS = 128
_BRANCH = _CHANNELS // 4
_BOTTLENECKS = (1, 64)  # of the two inception blocks
_CNN_CHANNELS = (32, 64, 128, 256)
_KERNELS = {"cnn": (17, 11, 7, 5), "cnn_gru": (17, 11, 7, 3)}
_GRU_LAYERS = {"gru": 2, "cnn_gru": 1, "inception_gru": 2}
_ATTENTION = {"gru": 128, "cnn_gru": 64, "inception_gru": 128}  # width of the network that weighs the samples


class LeadEncoder(nn.Module):
    """Convolutions, recurrent layers or both, then a mean over time, weighted where there are recurrent layers.

    Attributes:
      encoder: one of ENCODERS.
      features: width of the output.
      dropout_rate: of the output, while training.
      dtype: of the computation; parameters and statistics are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    encoder: str
    features: int
    dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, lead, features]`."""
        if self.encoder not in ENCODERS:
            raise InputError(f"unknown encoder {self.encoder!r}", f"use one of {', '.join(ENCODERS)}")
        batch, time, num_leads = signal_mv.shape
        x = signal_mv.astype(self.dtype).transpose(1, 0, 2).reshape(time, batch * num_leads, 1)
        if self.encoder in _KERNELS:
            x = self._convolutions(x, is_training)
        elif self.encoder.startswith("inception"):
            for i, bottleneck in enumerate(_BOTTLENECKS):
                block = Inception(bottleneck, self.dtype, self.axis_name, name=f"inception_{i}")
                x = max_pool(block(x, is_training))
        if self.encoder in _GRU_LAYERS:
            for i in range(_GRU_LAYERS[self.encoder]):
                x = GRU(_CHANNELS, self.dtype, name=f"gru_{i}")(x)
            x = AttentionPool(_ATTENTION[self.encoder], self.dtype, name="pool")(x)
        else:
            x = jnp.mean(x, axis=0)
        x = nn.relu(Linear(self.features, self.dtype, name="out")(x))
        x = nn.Dropout(self.dropout_rate, deterministic=not is_training)(x)
        return x.reshape(batch, num_leads, self.features)

    def _convolutions(self, x: jax.Array, is_training: bool) -> jax.Array:
        for i, (channels, kernel_size) in enumerate(zip(_CNN_CHANNELS, _KERNELS[self.encoder], strict=True)):
            x = Conv(channels, kernel_size, self.dtype, name=f"conv_{i}")(x)
            x = max_pool(nn.relu(BatchNorm(is_training, self.dtype, self.axis_name, name=f"norm_{i}")(x)))
        return x


class Inception(nn.Module):
    """Branches 1x1; 1x1 and 5; 1x1 and 11; maximum of 3 and 1x1; each convolution normalised and rectified.

    Szegedy et al. 2014, arXiv:1409.4842. What acts by channel is done for several branches at once.

    Attributes:
      bottleneck: channels between the two convolutions of a branch.
      dtype: of the computation; parameters and statistics are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    bottleneck: int
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, is_training: bool) -> jax.Array:
        """`[time, sequence, channel]` -> `[time, sequence, 128]`."""
        direct = Linear(_BRANCH, self.dtype, name="direct")(x)
        narrow = Linear(2 * self.bottleneck, self.dtype, name="narrow")(x)
        narrow = nn.relu(BatchNorm(is_training, self.dtype, self.axis_name, name="narrow_norm")(narrow))
        short, long = jnp.split(narrow, 2, axis=-1)
        short = Conv(_BRANCH, 5, self.dtype, name="short")(short)
        long = Conv(_BRANCH, 11, self.dtype, name="long")(long)
        pooled = Linear(_BRANCH, self.dtype, name="pooled")(max_of_neighbours(x))
        together = jnp.concatenate([direct, short, long, pooled], axis=-1)
        return nn.relu(BatchNorm(is_training, self.dtype, self.axis_name, name="norm")(together))


class AttentionPool(nn.Module):
    """Mean over time by weights that a small network gives each sample; Bahdanau et al. 2014, arXiv:1409.0473."""

    hidden: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[time, sequence, channel]` -> `[sequence, channel]`."""
        hidden = jnp.tanh(Linear(self.hidden, self.dtype, use_bias=False, name="hidden")(x))
        score = Linear(1, self.dtype, use_bias=False, name="score")(hidden)
        weight = jax.nn.softmax(score.astype(jnp.float32), axis=0).astype(self.dtype)
        return jnp.sum(weight * x, axis=0)
