"""A convolutional network from an electrocardiogram to one number for each site of a heart."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.beat_cnn import DenseHead
from ecgjax.models.signal_layers import max_pool
from ecgjax.models.three_tap_conv import ThreeTapConv


class ActivationCNN(nn.Module):
    """Three convolutions over three samples, each normalised; one maximum of four samples, and a dense head.

    With 128, 128 and 64 channels, a layer of 128 and 500 samples of twelve leads, as published for the activation times
    of 75 sites, 1,113,099 parameters.

    Attributes:
      num_outputs: width of the output.
      features: channels of each convolution.
      hidden: width of the dense layer before the output.
      negative_slope: of the leaky rectifiers.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    features: tuple[int, ...]
    hidden: int
    negative_slope: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`, for signals of the length of training."""
        x = signal_mv
        for i, features in enumerate(self.features):
            x = ThreeTapConv(features, self.dtype, name=f"conv_{i}")(x)
            x = BatchNorm(is_training, self.dtype, self.axis_name, name=f"norm_{i}")(x)
            x = nn.leaky_relu(x, self.negative_slope)
        x = max_pool(x[:, : x.shape[1] // 4 * 4], 4, 4)
        return DenseHead(self.num_outputs, (self.hidden,), self.negative_slope, self.dtype, name="head")(x)
