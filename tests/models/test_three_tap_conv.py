"""Convolutions over three samples against the general one, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.models.signal_layers import convolve
from ecgjax.models.three_tap_conv import ThreeTapConv, convolve_by_fours


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def with_slopes(function, *arguments):
    """Output, and the gradients of a sum that weighs every value differently."""

    def total(*given):
        output = function(*given)
        return jnp.sum(output * jnp.cos(jnp.arange(output.size)).reshape(output.shape)), output

    (_, output), slopes = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(*arguments)
    return output, *slopes


@pytest.mark.parametrize("time", [1, 7, 8, 187])
def test_by_fours_is_the_plain_convolution(time):
    x, kernel = normal(2, time, 40), normal(3, 40, 33, seed=1)
    for ours, plain in zip(with_slopes(convolve_by_fours, x, kernel), with_slopes(convolve, x, kernel), strict=True):
        np.testing.assert_allclose(ours, plain, atol=2e-5 * np.abs(plain).max())


@pytest.mark.parametrize(
    ("channels", "features", "dtype", "tolerance"),
    [(1, 6, "float32", 1e-5), (5, 6, "float32", 1e-5), (32, 32, "float32", 1e-5), (32, 32, "bfloat16", 0.02)],
)
def test_layer_in_every_width(channels, features, dtype, tolerance):
    x, layer = normal(2, 30, channels), ThreeTapConv(features, jnp.dtype(dtype))
    params = {"kernel": normal(3, channels, features, seed=1), "bias": normal(features, seed=2)}
    expected = np.asarray(jax.jit(convolve)(x, params["kernel"])) + params["bias"]
    found = jax.jit(layer.apply)({"params": params}, x)
    assert found.dtype == dtype
    np.testing.assert_allclose(np.asarray(found, np.float32), expected, atol=tolerance * np.abs(expected).max())
