"""SqueezeNet over time: sizes and reach as published, and the same layers in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn, product_types, size

from configs import activation_map, transmembrane
from ecgjax import models
from ecgjax.errors import InputError

CONFIGS = {"pooled": activation_map, "same": transmembrane}


def build(version, num_outputs=75, dtype="float32", **options):
    model = CONFIGS[version].get_config("model=squeeze_net").model
    assert model.squeeze_net.version == version
    model.squeeze_net.update(options)
    return models.build(model, num_outputs, jnp.dtype(dtype), None)


def signal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("version", "kernel_size", "total"),
    [("pooled", 3, 486_657), ("same", 3, 392_907), ("same", 5, 392_907 + 2 * (12 * 64 + 61_440))],
)
def test_parameters_as_published(version, kernel_size, total):
    assert size(build(version, kernel_size=kernel_size), (1, 500, 12)) == total


@pytest.mark.parametrize(("version", "time"), [("pooled", 500), ("same", 60)])
def test_outputs_are_those_of_pytorch(version, time):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    module, x = build(version, num_outputs=7), signal(2, time, 12)
    variables = drawn(module, x, False)
    params = jax.tree.map(lambda value: torch.tensor(np.asarray(value)), variables["params"])
    shortens = version == "pooled"

    def convolution(y, own, stride=1):
        kernel = own["conv"]["kernel"] if "conv" in own else own["kernel"]
        kernel = kernel if kernel.ndim == 3 else kernel[None]
        padding = 0 if stride == 2 else len(kernel) // 2
        return functional.conv1d(y, kernel.permute(2, 1, 0), own["bias"], stride, padding)

    stride = 2 if shortens else 1
    y = torch.relu(convolution(torch.from_numpy(x).transpose(1, 2), params["stem"], stride))
    for i in range(8):
        if i in (0, 2, 4):
            y = functional.max_pool1d(y, 3, stride, 0 if shortens else 1, ceil_mode=shortens)
        fire = params[f"Fire_{i}"]
        squeezed = torch.relu(convolution(y, fire["squeeze"]))
        y = torch.relu(torch.cat([convolution(squeezed, fire[name]) for name in ("narrow", "wide")], 1))
    out = {**params["out"], "kernel": params["out"]["kernel"].reshape(3 if shortens else 1, -1, 7)}
    if shortens:
        y = functional.adaptive_avg_pool1d(torch.relu(convolution(y, params["head"], 2)), 3)
        expected = convolution(y, out, 2)[..., 0]
    else:
        expected = convolution(y, out).transpose(1, 2)
    found = jax.jit(lambda x: module.apply(variables, x, False))(x)
    assert found.shape == ((2, 7) if shortens else (2, time, 7))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_an_output_of_same_sees_25_samples():
    module, x = build("same", num_outputs=1), np.zeros((2, 80, 2), np.float32)
    variables = jax.tree.map(jnp.ones_like, drawn(module, x, False))
    x[1, 40] = 1
    still, moved = jax.jit(lambda x: module.apply(variables, x, False))(x)[..., 0]
    seeing = np.flatnonzero(still != moved)
    np.testing.assert_array_equal(seeing, np.arange(40 - 12, 40 + 12 + 1))


@pytest.mark.parametrize(("version", "num_in_head"), [("pooled", 2), ("same", 0)])
def test_half_precision_inside(version, num_in_head):
    types = ["bfloat16"] * (1 + 8 * 3 + num_in_head) + ["float32"]
    assert product_types(build(version, dtype="bfloat16"), (2, 500, 12)) == (types, "float32")


def test_bad_input_is_named():
    assert size(build("pooled"), (1, 49, 12)) == 486_657
    with pytest.raises(InputError, match="a convolution over 3 samples was shown 2; show SqueezeNet a longer signal"):
        size(build("pooled"), (1, 48, 12))
    with pytest.raises(InputError, match="unknown version 'full' of SqueezeNet; use one of pooled, same"):
        size(models.squeeze_net.SqueezeNet(3, "full", 3, 0.0, jnp.float32), (1, 60, 12))
