"""Batch normalisation against Flax's, gradients included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.models.batch_norm import BatchNorm


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ours(is_training, dtype=jnp.float32, axis_name=None):
    return BatchNorm(is_training, dtype, axis_name, momentum=0.8, epsilon=1e-3)


def theirs(is_training, dtype=jnp.float32, axis_name=None):
    return nn.BatchNorm(not is_training, momentum=0.8, epsilon=1e-3, dtype=dtype, axis_name=axis_name)


def variables(channels):
    return {
        "params": {"scale": normal(channels, seed=1), "bias": normal(channels, seed=2)},
        "batch_stats": {"mean": normal(channels, seed=3), "var": normal(channels, seed=4) ** 2},
    }


def trained(layer, given, x):
    """Output, statistics, and gradients in parameters and `x` of a sum that weighs every value differently."""

    def total(params, x):
        output, state = layer.apply({**given, "params": params}, x, mutable=["batch_stats"])
        return jnp.sum(output * jnp.cos(jnp.arange(output.size)).reshape(output.shape)), (output, state)

    (_, outputs), gradients = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(given["params"], x)
    return *outputs, gradients


def assert_same(got, expected, tolerance):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            np.asarray(one, np.float32), np.asarray(other, np.float32), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-4), (jnp.bfloat16, 0.1)])
@pytest.mark.parametrize("shape", [(40, 5), (7, 30, 5)])
def test_training_is_that_of_flax(shape, dtype, tolerance):
    x, given = 2 * normal(*shape) + 1, variables(5)
    got = jax.jit(lambda x: trained(ours(True, dtype), given, x))(x)
    assert_same(got, trained(theirs(True, dtype), given, x), tolerance)


def test_after_training_running_statistics_count():
    x, given = normal(4, 6, 5), variables(5)
    np.testing.assert_allclose(ours(False).apply(given, x), theirs(False).apply(given, x), atol=1e-5)


def test_batches_on_several_devices_are_one():
    x, given = np.stack([normal(7, 30, 5), 3 * normal(7, 30, 5, seed=5) + 2]), variables(5)

    def on_devices(layer):
        return jax.vmap(lambda x: trained(layer, given, x), axis_name="batch")(x)

    output, state, gradients = on_devices(ours(True, axis_name="batch"))
    assert_same((output, state, gradients), on_devices(theirs(True, axis_name="batch")), 1e-4)
    together, _ = ours(True).apply(given, x.reshape(-1, 30, 5), mutable=["batch_stats"])
    np.testing.assert_allclose(output.reshape(together.shape), together, atol=1e-5)


def test_it_starts_as_flax_does():
    x = normal(4, 6, 5)
    assert_same(ours(True, axis_name="batch").init(jax.random.key(0), x), theirs(True).init(jax.random.key(0), x), 0)
