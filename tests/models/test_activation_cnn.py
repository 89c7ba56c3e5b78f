"""The convolutional network of activation times: size as published, PyTorch, statistics over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn, product_types, size

from configs.activation_map import get_config
from ecgjax import models


def build(dtype="float32", axis_name=None, **options):
    model = get_config("model=activation_cnn").model
    model.activation_cnn.update(options)
    return models.build(model, 75, jnp.dtype(dtype), axis_name)


def signal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_parameters_as_published():
    assert size(build(), (1, 500, 12)) == 1_113_099


@pytest.mark.parametrize("time", [500, 63])
def test_outputs_are_those_of_pytorch(time):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    module, x = build(), signal(2, time, 12)
    variables = drawn(module, x, False)
    params, statistics = (
        jax.tree.map(lambda value: torch.tensor(np.asarray(value)), variables[group])
        for group in ("params", "batch_stats")
    )
    y = torch.from_numpy(x).transpose(1, 2)
    for i in range(3):
        own, norm, running = params[f"conv_{i}"], params[f"norm_{i}"], statistics[f"norm_{i}"]
        y = functional.conv1d(y, own["kernel"].permute(2, 1, 0), own["bias"], padding=1)
        y = functional.batch_norm(y, running["mean"], running["var"], norm["scale"], norm["bias"])
        y = functional.leaky_relu(y, 0.01)
    y, head = functional.max_pool1d(y, 4).transpose(1, 2).flatten(1), params["head"]
    y = functional.leaky_relu(y @ head["hidden_0"]["kernel"] + head["hidden_0"]["bias"], 0.01)
    expected = y @ head["out"]["kernel"] + head["out"]["bias"]
    found = jax.jit(lambda x: module.apply(variables, x, False))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_devices_share_the_statistics_of_a_batch():
    options = {"features": (4, 4, 4), "hidden": 8}
    x, one = signal(4, 24, 12), build(**options)
    variables = drawn(one, x, False)
    of_two = build(axis_name="batch", **options)

    def trained(module, x):
        return module.apply(variables, x, True, mutable=["batch_stats"])

    outputs, changed = jax.jit(lambda x: trained(one, x))(x)
    on_two = jax.jit(jax.vmap(lambda x: trained(of_two, x), axis_name="batch"))
    parts, shared = on_two(x.reshape(2, 2, 24, 12))
    np.testing.assert_allclose(parts.reshape(4, 75), outputs, atol=1e-4)
    for ours, whole in zip(jax.tree.leaves(shared), jax.tree.leaves(changed), strict=True):
        np.testing.assert_allclose(ours, np.stack([whole, whole]), atol=1e-5)


def test_half_precision_inside():
    assert product_types(build("bfloat16"), (2, 500, 12)) == (["bfloat16"] * 4 + ["float32"], "float32")
