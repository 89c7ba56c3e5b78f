"""Dense layers and layer normalisation in terms of plain matrix products, gradients included.

The gradient of a bias is a sum over all positions of a batch. XLA on CPU reduces leading axes on one core and without
vector instructions; as a product with a row of ones the same sum is many times faster, and on a GPU it costs nothing.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.fast_random import uniforms

_NORM_EPSILON = 1e-6


def column_sum(x: jax.Array) -> jax.Array:
    """Sum of `[..., features]` over all but the last axis, `[features]` float32."""
    rows = x.reshape(-1, x.shape[-1])
    return jnp.matmul(jnp.ones((1, len(rows)), x.dtype), rows, preferred_element_type=jnp.float32)[0]


@jax.custom_vjp
def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
    """`x` `[..., features]` plus `bias` `[features]`."""
    return x + bias


add_bias.defvjp(
    lambda x, bias: (x + bias, bias),
    lambda bias, gradient: (gradient, column_sum(gradient).astype(bias.dtype)),
)


@jax.custom_vjp
def multiply_scale(x: jax.Array, scale: jax.Array) -> jax.Array:
    """`x` `[..., features]` times `scale` `[features]`."""
    return x * scale


multiply_scale.defvjp(
    lambda x, scale: (x * scale, (x, scale)),
    lambda kept, gradient: (gradient * kept[1], column_sum(gradient * kept[0]).astype(kept[1].dtype)),
)


class Dense(nn.Module):
    """`flax.linen.Dense` with a bias gradient that is fast on CPU."""

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        # As a product of two matrices: contracting several axes at once takes a slow path on CPU.
        rows = x.astype(self.dtype).reshape(-1, x.shape[-1]) @ kernel.astype(self.dtype)
        return add_bias(rows, bias.astype(self.dtype)).reshape(*x.shape[:-1], self.features)


class LayerNorm(nn.Module):
    """`flax.linen.LayerNorm` with scale and bias gradients that are fast on CPU."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
        normal = centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + _NORM_EPSILON)
        return add_bias(multiply_scale(normal, scale), bias).astype(self.dtype)


class Dropout(nn.Module):
    """`flax.linen.Dropout` whose masks cost a quarter of the time on CPU."""

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, is_training: bool) -> jax.Array:
        if not is_training or not self.rate:
            return x
        is_kept = uniforms(self.make_rng("dropout"), x.shape) >= self.rate
        return jnp.where(is_kept, x / (1 - self.rate), 0)


class NormGelu(nn.Module):
    """`flax.linen.gelu` of a `LayerNorm`, in float32 and in few passes over the memory, gradients included."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        rows = x.astype(jnp.float32).reshape(-1, x.shape[-1])
        return norm_gelu(rows, scale, bias).astype(self.dtype).reshape(x.shape)


@jax.custom_vjp
def norm_gelu(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Rows `[row, features]` normalised, times `scale` plus `bias` `[features]`, and through gelu (tanh)."""
    return _norm_gelu(x, scale, bias)[0]


def _norm_gelu(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    mean = row_mean(x)
    shrink = jax.lax.rsqrt(row_mean((x - mean) ** 2) + _NORM_EPSILON)
    return nn.gelu((x - mean) * shrink * scale + bias), (x, mean, shrink, scale, bias)


def _norm_gelu_gradient(kept: tuple[jax.Array, ...], gradient: jax.Array) -> tuple[jax.Array, ...]:
    x, mean, shrink, scale, bias = kept
    normal = (x - mean) * shrink
    before_gelu = gradient * _gelu_slope(normal * scale + bias)
    # The arrays whose sums follow are written once; XLA would work them out anew for every sum.
    before_gelu, times_normal = jax.lax.optimization_barrier((before_gelu, before_gelu * normal))
    shared = row_mean(before_gelu, scale) + normal * row_mean(times_normal, scale)
    return shrink * (before_gelu * scale - shared), column_sum(times_normal), column_sum(before_gelu)


norm_gelu.defvjp(_norm_gelu, _norm_gelu_gradient)


def row_mean(x: jax.Array, weight: jax.Array | float = 1.0) -> jax.Array:
    """`[row, features]` -> `[row, 1]`, the features weighed by `weight` `[features]`."""
    column = jnp.broadcast_to(weight, x.shape[-1:])[:, None] / x.shape[-1]
    # A GPU would otherwise round what it multiplies to ten bits.
    return jnp.matmul(x, column, precision=jax.lax.Precision.HIGHEST)


def _gelu_slope(x: jax.Array) -> jax.Array:
    """Derivative of `flax.linen.gelu`."""
    steepness, cubic = math.sqrt(2 / math.pi), 0.044715
    tanh = jnp.tanh(steepness * (x + cubic * x**3))
    return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh**2) * steepness * (1 + 3 * cubic * x**2)
