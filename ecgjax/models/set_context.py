"""What the leads of a record learn from each other: `[batch, lead, features]` in any order, and any number of them."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.errors import InputError
from ecgjax.models.sequence_layers import Linear, uniform

CONTEXTS = ("sab", "isab", "deepsets", "none")

_NORM_EPSILON = 1e-5


class SetContext(nn.Module):
    """Set attention blocks, the same by way of learned vectors, a sum over the leads, or nothing.

    Set attention: Lee et al. 2019, arXiv:1810.00825. Sum: Zaheer et al. 2017, arXiv:1703.06114.

    Attributes:
      context: one of CONTEXTS.
      num_blocks: of attention.
      num_heads: of attention.
      num_inducing: learned vectors of an isab block.
      dtype: of the computation; parameters are float32.
    """

    context: str
    num_blocks: int
    num_heads: int
    num_inducing: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[batch, lead, features]` -> the same, or `[batch, lead, 2 * features]` for deepsets."""
        if self.context not in CONTEXTS:
            raise InputError(f"unknown context {self.context!r}", f"use one of {', '.join(CONTEXTS)}")
        if self.context == "deepsets":
            return self._with_sum(x)
        for i in range(self.num_blocks):
            if self.context == "sab":
                x = SetAttention(self.num_heads, self.dtype, name=f"block_{i}")(x, x)
            elif self.context == "isab":
                x = InducedSetAttention(self.num_heads, self.num_inducing, self.dtype, name=f"block_{i}")(x)
        return x

    def _with_sum(self, x: jax.Array) -> jax.Array:
        each = x
        for i in range(3):
            each = nn.relu(Linear(x.shape[-1], self.dtype, name=f"phi_{i}")(each))
        whole = nn.relu(Linear(x.shape[-1], self.dtype, name="rho")(jnp.sum(each, axis=1, keepdims=True)))
        return jnp.concatenate([x, jnp.broadcast_to(whole, x.shape)], axis=-1)


class SetAttention(nn.Module):
    """Attention and a feed-forward part, each added to its input and the sum normalised."""

    num_heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, queries: jax.Array, keys: jax.Array) -> jax.Array:
        """`[batch, query, features]` and `[batch, key, features]` -> `[batch, query, features]`."""
        features = queries.shape[-1]
        attended = MultiHeadAttention(self.num_heads, self.dtype, name="attention")(queries, keys)
        x = nn.LayerNorm(_NORM_EPSILON, self.dtype, name="attention_norm")(queries + attended)
        hidden = nn.gelu(Linear(4 * features, self.dtype, name="widen")(x), approximate=False)
        x = x + Linear(features, self.dtype, name="narrow")(hidden)
        return nn.LayerNorm(_NORM_EPSILON, self.dtype, name="norm")(x)


class InducedSetAttention(nn.Module):
    """Attention of learned vectors to the leads, and of the leads to what these found."""

    num_heads: int
    num_inducing: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inducing = self.param("inducing", nn.initializers.xavier_uniform(), (self.num_inducing, x.shape[-1]))
        asked = jnp.broadcast_to(inducing.astype(self.dtype), (len(x), *inducing.shape))
        found = SetAttention(self.num_heads, self.dtype, name="gather")(asked, x)
        return SetAttention(self.num_heads, self.dtype, name="spread")(x, found)


class MultiHeadAttention(nn.Module):
    """Scaled dot products; Vaswani et al. 2017, arXiv:1706.03762. Weights start as they do in PyTorch."""

    num_heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, queries: jax.Array, keys: jax.Array) -> jax.Array:
        features = queries.shape[-1]
        if features % self.num_heads:
            raise InputError(
                f"{features} features do not divide among {self.num_heads} heads",
                "change features or num_heads of model.lead_set_net",
            )
        query, key, value = (
            self._project(name, x).reshape(*x.shape[:2], self.num_heads, -1)
            for name, x in (("query", queries), ("key", keys), ("value", keys))
        )
        logits = jnp.einsum("bqhd,bkhd->bhqk", query, key) * (features // self.num_heads) ** -0.5
        weight = jax.nn.softmax(logits.astype(jnp.float32)).astype(self.dtype)
        joined = jnp.einsum("bhqk,bkhd->bqhd", weight, value).reshape(queries.shape)
        return self._project("out", joined)

    def _project(self, name: str, x: jax.Array) -> jax.Array:
        features = x.shape[-1]
        # The three inputs start as one Glorot matrix with that many outputs.
        start = uniform(features if name == "out" else features / 1.5)
        return Linear(features, self.dtype, kernel_init=start, bias_init=nn.initializers.zeros, name=name)(x)
