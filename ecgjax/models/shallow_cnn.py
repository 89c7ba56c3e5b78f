"""Shallow 1-D convolutional networks with wide kernels, ended by global average pooling."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.batch_norm import BatchNorm


class ShallowCNN(nn.Module):
    """Convolution, batch normalisation, rectifier and dropout a layer; then the mean over time and one dense layer.

    Attributes:
      num_outputs: width of the output.
      features: channels of each layer.
      kernel_size: samples that each convolution spans.
      negative_slope: of the leaky rectifier; 0 is a plain one.
      dropout_rate: before every next layer or the pooling.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    features: tuple[int, ...]
    kernel_size: int
    negative_slope: float
    dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`."""
        x = signal_mv
        for features in self.features:
            x = nn.Conv(features, (self.kernel_size,), dtype=self.dtype, kernel_init=nn.initializers.he_normal())(x)
            x = BatchNorm(is_training, self.dtype, self.axis_name, momentum=0.99, epsilon=1e-3)(x)
            x = nn.leaky_relu(x, self.negative_slope)
            x = nn.Dropout(self.dropout_rate, deterministic=not is_training)(x)
        return nn.Dense(self.num_outputs)(jnp.mean(x, axis=1, dtype=jnp.float32))
