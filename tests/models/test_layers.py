"""Our layers are flax's, gradients included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.models import layers


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (layers.Dense(7, jnp.float32), nn.Dense(7)),
        (layers.LayerNorm(jnp.float32), nn.LayerNorm()),
    ],
    ids=["dense", "norm"],
)
def test_outputs_and_gradients_are_those_of_flax(ours, theirs):
    x, pull = jax.random.normal(jax.random.key(0), (4, 3, 5)), jax.random.normal(jax.random.key(1), (4, 3, 7))
    variables = theirs.init(jax.random.key(2), x)
    variables = jax.tree.map(lambda v: v + jax.random.normal(jax.random.key(3), v.shape), variables)
    assert jax.tree.structure(ours.init(jax.random.key(2), x)) == jax.tree.structure(variables)

    def value(module, variables, x):
        y = module.apply(variables, x)
        return jnp.sum(y * pull[..., : y.shape[-1]])

    for argument in (0, 1):
        expected = jax.grad(lambda *a: value(theirs, *a), argument)(variables, x)
        found = jax.grad(lambda *a: value(ours, *a), argument)(variables, x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found, expected)
    np.testing.assert_allclose(ours.apply(variables, x), theirs.apply(variables, x), atol=1e-5)


def test_half_precision_sums_in_single_precision():
    ones = jnp.ones((4096, 2), jnp.bfloat16)
    np.testing.assert_array_equal(layers.column_sum(ones), [4096, 4096])
