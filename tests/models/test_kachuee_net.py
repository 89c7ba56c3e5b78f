"""The residual network of one beat: its layers by number, and the same in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn, product_types, size

from configs.heartbeat import get_config
from ecgjax import models
from ecgjax.errors import InputError


def build(dtype="float32", **options):
    model = get_config("model=kachuee_net").model
    model.kachuee_net.update(options)
    return models.build(model, 5, jnp.dtype(dtype), None)


def beats(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_parameters_and_layers():
    convolutions, dense = (5 * 32 + 32) + 10 * (5 * 32 * 32 + 32), (2 * 32 + 1) * 32 + 33 * 32 + 33 * 5
    assert size(build(), (1, 187, 1)) == convolutions + dense == 55_013
    shapes = jax.eval_shape(lambda: build().init(jax.random.key(0), jnp.zeros((1, 187, 1)), False))
    # The paper counts thirteen layers with weights before the softmax.
    assert sum(name.startswith(("Conv", "hidden")) for name in shapes["params"]) == 13


@pytest.mark.parametrize(("time", "channels"), [(187, 1), (250, 6)])
def test_outputs_are_those_of_pytorch(time, channels):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    module, x = build(), beats(2, time, channels)
    variables = drawn(module, x, False)
    params = jax.tree.map(lambda value: torch.tensor(np.asarray(value)), variables["params"])
    layers = iter(range(11))

    def convolution(y):
        own = params[f"Conv_{next(layers)}"]
        return functional.conv1d(y, own["kernel"].permute(2, 1, 0), own["bias"], padding=2)

    y = convolution(torch.from_numpy(x).transpose(1, 2))
    for _ in range(5):
        y = functional.max_pool1d(torch.relu(y + convolution(torch.relu(convolution(y)))), 5, 2)
    y = y.transpose(1, 2).flatten(1)
    for name in ("hidden_0", "hidden_1"):
        y = torch.relu(y @ params[name]["kernel"] + params[name]["bias"])
    expected = y @ params["out"]["kernel"] + params["out"]["bias"]
    found = jax.jit(lambda x: module.apply(variables, x, False))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_half_precision_inside():
    assert product_types(build("bfloat16"), (2, 187, 1)) == (["bfloat16"] * 13 + ["float32"], "float32")


def test_shortest_signal():
    assert size(build(), (1, 125, 1)) == 55_013 - 32 * 32
    with pytest.raises(InputError, match="5 residual blocks were shown 124 samples; show them at least 125"):
        size(build(), (1, 124, 1))
