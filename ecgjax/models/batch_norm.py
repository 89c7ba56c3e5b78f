"""Batch normalisation in few passes over the memory, gradients included."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

Statistics = tuple[jax.Array, jax.Array]


class BatchNorm(nn.Module):
    """`flax.linen.BatchNorm` of the last axis.

    Attributes:
      is_training: whether the statistics are those of the batch, and the running ones move towards them.
      dtype: of the output; parameters and statistics are float32.
      axis_name: device axis over which batch statistics are averaged.
      momentum: of the running statistics; as in PyTorch (which says 0.1) unless told otherwise, 0.99 in Keras.
      epsilon: added to the variance; as in PyTorch unless told otherwise, 1e-3 in Keras.
      scale_init: where the scale starts.
    """

    is_training: bool
    dtype: jnp.dtype
    axis_name: str | None
    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: Callable[..., jax.Array] = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1:]
        scale = self.param("scale", self.scale_init, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels)
        if not self.is_training:
            mean, var = running_mean.value, running_var.value
            return _scaled(x.astype(self.dtype), mean, scale * jax.lax.rsqrt(var + self.epsilon), bias)
        axis_name = None if self.is_initializing() else self.axis_name
        y, (mean, var) = normalize(x.astype(self.dtype), scale, bias, self.epsilon, axis_name)
        if not self.is_initializing():
            running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
            running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
        return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalize(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None
) -> tuple[jax.Array, Statistics]:
    """`[..., channel]` of mean `bias` and deviation `scale`, and the mean and variance it had, `[channel]` float32.

    No gradient flows through the statistics that are returned. Ioffe and Szegedy 2015, arXiv:1502.03167.
    """
    return _normalize(x, scale, bias, epsilon, axis_name)[0]


def _normalize(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None
) -> tuple[tuple[jax.Array, Statistics], tuple[jax.Array, ...]]:
    mean, square = _over_devices(_means(x, x.astype(jnp.float32) ** 2), axis_name)
    var = jnp.maximum(square - mean**2, 0)
    shrink = jax.lax.rsqrt(var + epsilon)
    return (_scaled(x, mean, scale * shrink, bias), (mean, var)), (x, mean, shrink, scale)


def _normalize_backward(
    epsilon: float, axis_name: str | None, kept: tuple[jax.Array, ...], gradients: tuple[jax.Array, Statistics]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, mean, shrink, scale = kept
    gradient, num_rows = gradients[0], x.size // x.shape[-1]
    of_bias, with_x = _means(gradient, gradient.astype(jnp.float32) * x)
    of_scale = (with_x - mean * of_bias) * shrink
    shared_bias, shared_scale = _over_devices(jnp.stack([of_bias, of_scale]), axis_name)
    # The gradient in x, less its mean and less the normalised x times the mean of both.
    slope = -shared_scale * shrink
    of_x = (gradient + x * slope - (shared_bias + slope * mean)) * (scale * shrink)
    return of_x.astype(x.dtype), of_scale * num_rows, of_bias * num_rows


normalize.defvjp(_normalize, _normalize_backward)


def _scaled(x: jax.Array, mean: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    return ((x - mean) * scale + bias).astype(x.dtype)


def _means(*values: jax.Array) -> jax.Array:
    """Of each `[..., channel]` the mean over all but the last axis, `[value, channel]` float32."""
    return jnp.stack([jnp.mean(each, axis=tuple(range(each.ndim - 1)), dtype=jnp.float32) for each in values])


def _over_devices(means: jax.Array, axis_name: str | None) -> jax.Array:
    return means if axis_name is None else jax.lax.pmean(means, axis_name)
