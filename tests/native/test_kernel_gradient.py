"""Native gradients of kernels against sums in double precision, and where XLA's take their place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.models.signal_layers import convolve
from ecgjax.native import library
from ecgjax.native.kernel_gradient import kernel_gradient


@pytest.fixture(autouse=True)
def wanted(monkeypatch):
    if not library.load():
        pytest.skip("no C++ compiler")
    monkeypatch.setattr(library, "is_wanted", True)


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
    x = normal(batch, time, channels)
    padded = np.pad(x.astype(float), ((0, 0), padding, (0, 0)))
    num_outputs = padded.shape[1] - taps + 1
    gradient = normal(batch, num_outputs, features, seed=2)
    windows = np.stack([padded[:, tap : tap + num_outputs] for tap in range(taps)])
    found = kernel_gradient(x, gradient, padding[0], taps, refuse)
    np.testing.assert_allclose(found, np.einsum("kbtc,btf->kcf", windows, gradient), rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize(("batch", "dtype"), [(2, jnp.float32), (8, jnp.bfloat16)])
def test_large_kernels_and_other_types_are_left_to_xla(batch, dtype):
    x, gradient = normal(batch, 10, 32).astype(dtype), normal(batch, 10, 64, seed=1).astype(dtype)
    assert kernel_gradient(x, gradient, 2, 5, lambda *_: "by XLA") == "by XLA"
    assert kernel_gradient(normal(8, 10, 32), normal(8, 10, 64), 2, 5, refuse).shape == (5, 32, 64)


@pytest.mark.parametrize("which", [(0, 0), (0, None), (None, 0)])
def test_several_at_once_are_each_as_alone(which):
    """Under `vmap`, as when several runs share a step."""
    x = normal(3, 4, 140, 8) if which[0] == 0 else normal(4, 140, 8)
    gradient = normal(3, 4, 140, 16, seed=2) if which[1] == 0 else normal(4, 140, 16, seed=2)
    together = jax.vmap(lambda x, gradient: kernel_gradient(x, gradient, 2, 5, refuse), in_axes=which)(x, gradient)
    for i in range(3):
        one = x[i] if which[0] == 0 else x, gradient[i] if which[1] == 0 else gradient
        np.testing.assert_allclose(together[i], kernel_gradient(*one, 2, 5, refuse), rtol=1e-6, atol=1e-5)


def lowered(function, *arguments):
    return jax.jit(function).lower(*arguments).as_text()


@pytest.mark.parametrize(("channels", "taps", "stride"), [(1, 15, 2), (8, 5, 1), (24, 7, 2)])
def test_training_gets_what_xla_gives(channels, taps, stride, monkeypatch):
    x, kernel = normal(6, 301, channels), normal(taps, channels, 24, seed=1)

    def gradients():
        def total(x, kernel):
            output = convolve(x, kernel, stride)
            return jnp.sum(output * jnp.cos(jnp.arange(output.size)).reshape(output.shape))

        return jax.grad(total, argnums=(0, 1))

    assert library.KERNEL_GRADIENT in lowered(gradients(), x, kernel)
    native = jax.jit(gradients())(x, kernel)
    monkeypatch.setattr(library, "is_wanted", False)
    assert library.KERNEL_GRADIENT not in lowered(gradients(), x, kernel)
    for one, other in zip(native, jax.jit(gradients())(x, kernel), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-3)


def test_what_only_reads_holds_no_native_code():
    """So that networks can be handed over."""
    assert "ecgjax" not in lowered(lambda x, kernel: convolve(x, kernel, 1), normal(2, 50, 8), normal(3, 8, 8))
