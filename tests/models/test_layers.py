"""Our layers are flax's, gradients included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn

from ecgjax.models import layers
from ecgjax.models.layers import NormGelu


class NormThenGelu(nn.Module):
    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return nn.gelu(nn.LayerNorm(use_scale=False, use_bias=False)(x) * scale + bias)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (layers.Dense(7, jnp.float32), nn.Dense(7)),
        (layers.LayerNorm(jnp.float32), nn.LayerNorm()),
        (NormGelu(jnp.float32), NormThenGelu()),
    ],
    ids=["dense", "norm", "norm_gelu"],
)
def test_outputs_and_gradients_are_those_of_flax(ours, theirs):
    x, pull = jax.random.normal(jax.random.key(0), (4, 3, 5)), jax.random.normal(jax.random.key(1), (4, 3, 7))
    variables = drawn(theirs, x)
    assert jax.tree.structure(drawn(ours, x)) == jax.tree.structure(variables)

    def output_and_slopes(module):
        def value(variables, x):
            y = module.apply(variables, x)
            return jnp.sum(y * pull[..., : y.shape[-1]]), y

        slopes, output = jax.jit(jax.grad(value, (0, 1), has_aux=True))(variables, x)
        return output, slopes

    (found, slopes), (expected, expected_slopes) = (output_and_slopes(module) for module in (ours, theirs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), slopes, expected_slopes)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_half_precision_sums_in_single_precision():
    ones = jnp.ones((4096, 2), jnp.bfloat16)
    np.testing.assert_array_equal(layers.column_sum(ones), [4096, 4096])


def test_dropout_keeps_its_share_and_the_mean():
    dropped = layers.Dropout(0.3)
    ones = jnp.ones((200, 500))
    first, second = (dropped.apply({}, ones, True, rngs={"dropout": jax.random.key(seed)}) for seed in range(2))
    np.testing.assert_array_equal(np.unique(first), np.float32([0, 1 / 0.7]))
    assert abs(np.mean(first) - 1) < 0.01
    assert abs(np.mean((first > 0) & (second > 0)) - 0.49) < 0.01
    np.testing.assert_array_equal(dropped.apply({}, ones, False), ones)


def test_half_precision_is_normalised_in_single_precision():
    x = jax.random.normal(jax.random.key(0), (8, 64)).astype(jnp.bfloat16)
    module = NormGelu(jnp.bfloat16)
    found = module.apply(module.init(jax.random.key(0), x), x)
    assert found.dtype == jnp.bfloat16
    expected = nn.gelu(nn.LayerNorm(use_scale=False, use_bias=False).apply({}, x.astype(jnp.float32)))
    np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=2**-8, atol=1e-6)
