"""Our layers are flax's, gradients included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn

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
