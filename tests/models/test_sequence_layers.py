"""Layers over [time, sequence, channel] against PyTorch's, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.models.sequence_layers import GRU, Conv, convolve, max_of_neighbours, max_pool

torch = pytest.importorskip("torch")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def as_torch(x):
    """`[time, sequence, channel]` -> `[sequence, channel, time]`, wanting a gradient."""
    return torch.tensor(np.asarray(x).transpose(1, 2, 0), requires_grad=True)


def as_ours(x):
    return x.detach().numpy().transpose(2, 0, 1)


def gradients(function, *arguments):
    """Of a sum that weighs every output differently."""
    weigh = jnp.asarray(normal(*function(*arguments).shape, seed=9))
    each = tuple(range(len(arguments)))
    return jax.jit(jax.grad(lambda *given: jnp.sum(weigh * function(*given)), argnums=each))(*arguments)


def pull_back(output):
    """Backward through PyTorch with the same weights; `output` is `[sequence, channel, time]`."""
    shape = (output.shape[2], output.shape[0], output.shape[1])
    output.backward(torch.from_numpy(normal(*shape, seed=9).transpose(1, 2, 0).copy()))


@pytest.mark.parametrize(("taps", "channels", "features"), [(11, 6, 4), (5, 1, 4), (3, 4, 4), (1, 2, 3)])
def test_convolution(taps, channels, features):
    x, kernel = normal(20, 3, channels), normal(taps, channels, features, seed=1)
    theirs, weight = as_torch(x), torch.tensor(kernel.transpose(2, 1, 0), requires_grad=True)
    output = torch.nn.functional.conv1d(theirs, weight, padding=taps // 2)
    np.testing.assert_allclose(convolve(x, kernel), as_ours(output), atol=1e-5)
    of_x, of_kernel = gradients(convolve, x, kernel)
    pull_back(output)
    np.testing.assert_allclose(of_x, as_ours(theirs.grad), atol=2e-5)
    np.testing.assert_allclose(of_kernel, weight.grad.numpy().transpose(2, 1, 0), atol=2e-5)


def test_convolution_sees_no_further_than_its_ends():
    layer = Conv(features=2, kernel_size=5, dtype=jnp.float32)
    x = normal(3, 1, 1)
    variables = layer.init(jax.random.key(0), x)
    output = np.asarray(layer.apply(variables, x))
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
    expected = [np.sum([x[s, 0, 0] * kernel[s - t + 2, 0] for s in range(3)], axis=0) + bias for t in range(3)]
    np.testing.assert_allclose(output[:, 0], expected, rtol=1e-5)


def test_pools():
    x = normal(9, 2, 3)
    for ours, theirs in (
        (max_pool, lambda y: torch.nn.functional.max_pool1d(y, 2)),
        (max_of_neighbours, lambda y: torch.nn.functional.max_pool1d(y, 3, stride=1, padding=1)),
    ):
        given = as_torch(x)
        output = theirs(given)
        np.testing.assert_array_equal(ours(x), as_ours(output))
        pull_back(output)
        np.testing.assert_allclose(gradients(ours, x)[0], as_ours(given.grad), atol=1e-6)


def test_gru():
    x, layer = normal(12, 3, 5), GRU(features=4, dtype=jnp.float32)
    params = layer.init(jax.random.key(0), x)["params"]
    theirs, given = torch.nn.GRU(5, 4), torch.tensor(x, requires_grad=True)
    for name, source in (("ih", "input"), ("hh", "recurrent")):
        getattr(theirs, f"weight_{name}_l0").data = torch.tensor(np.array(params[f"{source}_kernel"].T))
        getattr(theirs, f"bias_{name}_l0").data = torch.tensor(np.array(params[f"{source}_bias"]))
    output, _ = theirs(given)

    def function(x, params):
        return layer.apply({"params": params}, x)

    np.testing.assert_allclose(np.asarray(function(x, params)), output.detach(), atol=1e-6)
    of_x, of_params = gradients(function, x, params)
    output.backward(torch.from_numpy(normal(*output.shape, seed=9)))
    np.testing.assert_allclose(of_x, given.grad, atol=1e-5)
    for name, source in (("ih", "input"), ("hh", "recurrent")):
        np.testing.assert_allclose(
            of_params[f"{source}_kernel"].T, getattr(theirs, f"weight_{name}_l0").grad, atol=1e-5
        )
        np.testing.assert_allclose(of_params[f"{source}_bias"], getattr(theirs, f"bias_{name}_l0").grad, atol=1e-5)
