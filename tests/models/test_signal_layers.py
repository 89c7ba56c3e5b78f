"""Layers over [batch, time, channel] against XLA's and PyTorch's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.models.signal_layers import Conv, FlatHead, convolve, max_pool


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def weighed(function, *arguments):
    """Output, and the gradients of a sum that weighs every value differently."""

    def total(*given):
        output = function(*given)
        return jnp.sum(output * jnp.cos(jnp.arange(output.size)).reshape(output.shape)), output

    each = tuple(range(len(arguments)))
    gradients, output = jax.jit(jax.grad(total, argnums=each, has_aux=True))(*arguments)
    return output, gradients


@pytest.mark.parametrize("channels", [1, 3, 9])
@pytest.mark.parametrize(
    ("time", "taps", "stride"),
    [(40, 5, 1), (40, 16, 1), (10, 17, 1), (3, 16, 1), (41, 6, 4), (23, 16, 4), (2, 16, 4), (29, 7, 2), (31, 1, 2)],
)
def test_convolution_is_that_of_xla_with_same_padding(time, taps, stride, channels):
    x, kernel = normal(2, time, channels), normal(taps, channels, 4, seed=1)

    def reference(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (stride,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))

    ours, of_ours = weighed(lambda x, kernel: convolve(x, kernel, stride), x, kernel)
    theirs, of_theirs = weighed(reference, x, kernel)
    assert ours.shape == (2, -(-time // stride), 4)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    for gradient, expected in zip(of_ours, of_theirs, strict=True):
        np.testing.assert_allclose(gradient, expected, atol=5e-5)


@pytest.mark.parametrize(("time", "size", "stride"), [(20, 4, 4), (22, 4, 4), (9, 3, 1), (9, 1, 1)])
def test_maximum_is_that_of_flax(time, size, stride):
    x = normal(2, time, 3)
    ours, of_ours = weighed(lambda x: max_pool(x, size, stride), x)
    theirs, of_theirs = weighed(lambda x: nn.max_pool(x, (size,), (stride,), "SAME"), x)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(of_ours[0], of_theirs[0], atol=1e-6)


def test_convolution_as_in_pytorch():
    torch = pytest.importorskip("torch")
    x, layer = normal(2, 30, 3), Conv(4, 5, 1, True, jnp.float32)
    params = layer.init(jax.random.key(0), x)["params"] | {"bias": normal(4, seed=1)}
    weight = torch.tensor(np.array(params["kernel"]).transpose(2, 1, 0))
    theirs = torch.nn.functional.conv1d(
        torch.tensor(x.transpose(0, 2, 1)), weight, torch.tensor(params["bias"]), padding="same"
    )
    np.testing.assert_allclose(layer.apply({"params": params}, x), theirs.numpy().transpose(0, 2, 1), atol=1e-5)


@pytest.mark.parametrize("hidden", [0, 7])
def test_flat_head_reads_signals_of_one_length(hidden):
    head = FlatHead(2, hidden, jnp.float32)
    variables = head.init(jax.random.key(0), normal(1, 6, 3))
    assert head.apply(variables, normal(4, 6, 3)).shape == (4, 2)
    with pytest.raises(InputError, match=r"ends in 15 values where .* reads 18, .*evaluation.window_stride_s"):
        jax.jit(head.apply)(variables, normal(4, 5, 3))
