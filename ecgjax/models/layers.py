"""Dense layers and layer normalisation in terms of plain matrix products, gradients included.

The gradient of a bias is a sum over all positions of a batch. XLA on CPU reduces leading axes on one core and without
vector instructions; as a product with a row of ones the same sum is many times faster, and on a GPU it costs nothing.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


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
        normal = centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-6)
        return add_bias(multiply_scale(normal, scale), bias).astype(self.dtype)
