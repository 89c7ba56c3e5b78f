"""Native convolutions against sums in double precision, and where XLA's take their place."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.models.signal_layers import convolve as convolve_in_network
from ecgjax.native import convolution, library


@pytest.fixture(autouse=True)
def loaded():
    library.load()
    if not library.is_loaded:
        pytest.skip("no C++ compiler")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def refuse(*_):
    raise AssertionError("left to XLA")


@pytest.mark.parametrize("padding", [(0, 0), (2, 1), (4, 4)])
@pytest.mark.parametrize("taps", [1, 4, 9])
@pytest.mark.parametrize(
    ("batch", "time", "channels", "features"),
    [(3, 9, 1, 1), (2, 130, 8, 16), (1, 300, 13, 49), (3, 257, 24, 24), (2, 64, 3, 88), (2, 10, 7, 5)],
)
def test_sums_are_complete(batch, time, channels, features, taps, padding):
    x, kernel = normal(batch, time, channels), normal(taps, channels, features, seed=1)
    padded = np.pad(x.astype(float), ((0, 0), padding, (0, 0)))
    num_outputs = padded.shape[1] - taps + 1
    gradient = normal(batch, num_outputs, features, seed=2)
    windows = np.stack([padded[:, tap : tap + num_outputs] for tap in range(taps)])

    output = convolution.convolve(x, kernel, padding, refuse)
    np.testing.assert_allclose(output, np.einsum("kbtc,kcf->btf", windows, kernel), rtol=1e-5, atol=1e-4)
    of_kernel = convolution.kernel_gradient(x, gradient, padding, refuse)
    np.testing.assert_allclose(of_kernel, np.einsum("kbtc,btf->kcf", windows, gradient), rtol=1e-5, atol=2e-4)


def test_wide_kernels_over_few_samples_are_left_to_xla():
    kernel, gradient = normal(5, 32, 64), normal(2, 10, 64)
    assert convolution.convolve(normal(2, 10, 32), kernel, (2, 2), lambda *_: "by XLA") == "by XLA"
    assert convolution.kernel_gradient(normal(2, 10, 32), gradient, (2, 2), lambda *_: "by XLA") == "by XLA"
    assert convolution.convolve(normal(3, 10, 32), kernel, (2, 2), refuse).shape == (3, 10, 64)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_other_types_are_left_to_xla(dtype):
    x, kernel = normal(2, 50, 8).astype(dtype), normal(3, 8, 8).astype(dtype)
    assert convolution.convolve(x, kernel, (1, 1), lambda *_: "by XLA") == "by XLA"


@pytest.mark.parametrize("which", [(0, 0), (0, None), (None, 0)])
def test_several_at_once_are_each_as_alone(which):
    """Under `vmap`, as when several runs share a step."""
    x = normal(3, 4, 140, 8) if which[0] == 0 else normal(4, 140, 8)
    kernel = normal(3, 5, 8, 16, seed=1) if which[1] == 0 else normal(5, 8, 16, seed=1)
    gradient = normal(3, 4, 140, 16, seed=2)

    def both(x, kernel, gradient):
        of_kernel = convolution.kernel_gradient(x, gradient, (2, 2), refuse)
        return convolution.convolve(x, kernel, (2, 2), refuse), of_kernel

    together = jax.vmap(both, in_axes=(*which, 0))(x, kernel, gradient)
    for i in range(3):
        alone = both(x[i] if which[0] == 0 else x, kernel[i] if which[1] == 0 else kernel, gradient[i])
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one[i], other, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(("channels", "taps", "stride"), [(1, 15, 2), (8, 5, 1), (24, 7, 2)])
def test_training_gets_what_xla_gives(channels, taps, stride, monkeypatch):
    x, kernel = normal(6, 301, channels), normal(taps, channels, 24, seed=1)

    def gradients():
        def total(x, kernel):
            output = convolve_in_network(x, kernel, stride)
            return jnp.sum(output * jnp.cos(jnp.arange(output.size)).reshape(output.shape))

        return jax.jit(jax.value_and_grad(total, argnums=(0, 1))), (x, kernel)

    function, arguments = gradients()
    assert "ecgjax_kernel_gradient" in function.lower(*arguments).as_text()
    native = function(*arguments)
    monkeypatch.setattr(library, "is_loaded", False)
    function, arguments = gradients()
    assert "ecgjax_" not in function.lower(*arguments).as_text()
    for one, other in zip(jax.tree.leaves(native), jax.tree.leaves(function(*arguments)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-3)


def test_what_only_reads_holds_no_native_code():
    """So that networks can be handed over."""
    text = jax.jit(functools.partial(convolve_in_network, stride=1)).lower(normal(2, 50, 8), normal(3, 8, 8)).as_text()
    assert "ecgjax_" not in text
