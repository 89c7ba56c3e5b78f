"""A 2-D convolutional network that reads one heartbeat as an image, its Gramian angular summation field.

Wang and Oates 2015, arXiv:1506.00327. A sample, scaled to -1..1, is the cosine of an angle; a pixel is the cosine of
the sum of two samples' angles.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.beat_cnn import DenseHead, halving_max_pool
from ecgjax.models.layers import add_bias
from ecgjax.models.signal_layers import adaptive_mean


def gramian_field(signal: jax.Array) -> jax.Array:
    """`[batch, time, channel]` in any unit -> `[batch, time, time, channel]` of cos(phi_i + phi_j).

    Each channel is scaled by its own extremes; one that is constant in time has the same field whatever its value.
    """
    low, high = jnp.min(signal, axis=1, keepdims=True), jnp.max(signal, axis=1, keepdims=True)
    span = jnp.where(high > low, high - low, 1)
    above, below = (jnp.where(high > low, part / span, 0.5) for part in (signal - low, high - signal))
    # Bounded, since the root's slope at 0 is infinite.
    cosine, sine = above - below, 2 * jnp.sqrt(jnp.maximum(above * below, 1e-12))
    return cosine[:, :, None] * cosine[:, None] - sine[:, :, None] * sine[:, None]


class GafNet(nn.Module):
    """The field of the resampled beat, three 3x3 convolutions, a maximum, an adaptive mean and the dense head.

    The published networks flatten 112 x 112 pixels of 16 or 32 channels into the first dense layer, which then has 103
    or 206 million weights; after an adaptive mean it has `pooled_size**2` pixels to read, whatever the image's size.

    Attributes:
      num_outputs: width of the output.
      image_size: samples to which a beat is resampled; 224 as published.
      features: channels of each convolution.
      pooled_size: rows and columns that the adaptive mean leaves.
      hidden: width of each dense layer before the output.
      negative_slope: of the leaky rectifiers.
      dropout_rate: before the dense layers.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    image_size: int
    features: tuple[int, ...]
    pooled_size: int
    hidden: tuple[int, ...]
    negative_slope: float
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`, for signals of any length."""
        batch, _, channels = signal_mv.shape
        resampled = jax.image.resize(signal_mv, (batch, self.image_size, channels), "linear")
        x = gramian_field(resampled).astype(self.dtype)
        for i, features in enumerate(self.features):
            x = nn.Conv(features, (3, 3), use_bias=False, dtype=self.dtype)(x)
            x = add_bias(x, self.param(f"bias_{i}", nn.initializers.zeros, (features,)).astype(self.dtype))
            x = nn.leaky_relu(x, self.negative_slope)
        x = _in_both_directions(halving_max_pool, x)
        x = _in_both_directions(lambda y: adaptive_mean(y, self.pooled_size), x)
        x = nn.Dropout(self.dropout_rate, deterministic=not is_training)(x.reshape(batch, -1, x.shape[-1]))
        return DenseHead(self.num_outputs, self.hidden, self.negative_slope, self.dtype, name="head")(x)


def _in_both_directions(pool: Callable[[jax.Array], jax.Array], image: jax.Array) -> jax.Array:
    """A pooling of `[batch, time, channel]` along the rows and columns of `[batch, row, column, channel]`."""
    batch, _, width, channels = image.shape
    by_row = pool(image.reshape(batch, -1, width * channels))
    by_column = pool(by_row.reshape(-1, width, channels))
    return by_column.reshape(batch, -1, *by_column.shape[1:])
