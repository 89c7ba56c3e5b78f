"""A small convolutional network that reads one heartbeat, and the dense head that it shares with others."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.layers import Dense
from ecgjax.models.signal_layers import flat_rows
from ecgjax.models.three_tap_conv import ThreeTapConv


def halving_max_pool(x: jax.Array) -> jax.Array:
    """The largest of every other sample and both about it: `[batch, time, channel]`, half as long or one longer.

    As comparisons of whole blocks; the gradient of XLA's own pooling is slow on CPU.
    """
    even, odd = x[:, ::2], x[:, 1::2]
    missing = even.shape[1] - odd.shape[1]
    before = jnp.pad(odd, ((0, 0), (1, 0), (0, 0)), constant_values=-jnp.inf)[:, : even.shape[1]]
    after = jnp.pad(odd, ((0, 0), (0, missing), (0, 0)), constant_values=-jnp.inf)
    return jnp.maximum(even, jnp.maximum(before, after))


class DenseHead(nn.Module):
    """Every sample of every channel into dense layers with leaky rectifiers, then the output.

    Attributes:
      num_outputs: width of the output.
      hidden: width of each layer before it.
      negative_slope: of the rectifiers.
      dtype: of these layers; parameters and output are float32.
    """

    num_outputs: int
    hidden: tuple[int, ...]
    negative_slope: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`, for signals of the length of training."""
        rows = flat_rows(self, x, "hidden_0")
        for i, features in enumerate(self.hidden):
            rows = nn.leaky_relu(Dense(features, self.dtype, name=f"hidden_{i}")(rows), self.negative_slope)
        return nn.Dense(self.num_outputs, name="out")(rows.astype(jnp.float32))


class BeatCNN(nn.Module):
    """Three convolutions over three samples, one maximum, and the dense head.

    With 128, 64 and 32 channels, layers of 512 and 216 and 187 samples of one channel, as published for the beats that
    Kaggle distributes, 1,682,961 parameters with one output and 1,683,829 with five.

    Attributes:
      num_outputs: width of the output.
      features: channels of each convolution.
      hidden: width of each dense layer before the output.
      negative_slope: of the leaky rectifiers.
      dropout_rate: before the dense layers.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    features: tuple[int, ...]
    hidden: tuple[int, ...]
    negative_slope: float
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`, for signals of the length of training."""
        x = signal_mv
        for i, features in enumerate(self.features):
            x = nn.leaky_relu(ThreeTapConv(features, self.dtype, name=f"conv_{i}")(x), self.negative_slope)
        x = nn.Dropout(self.dropout_rate, deterministic=not is_training)(halving_max_pool(x))
        return DenseHead(self.num_outputs, self.hidden, self.negative_slope, self.dtype, name="head")(x)
