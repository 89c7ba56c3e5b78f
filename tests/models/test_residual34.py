"""The published network of rhythms: its size and its layers, by number and in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn, product_types, size

from configs.rhythm import get_config
from ecgjax import models
from ecgjax.errors import InputError


def build(dtype="float32", **options):
    model = get_config("model=residual34").model
    model.residual34.update(options)
    return models.build(model, 4, jnp.dtype(dtype), None)


@pytest.mark.parametrize(("features", "total"), [(16, 841_380), (64, 13_306_500)])
def test_parameters_as_published(features, total):
    # Convolutions of each width, in units of features squared: first of a unit, second of it, and shortcut.
    products = 16 * (2 + 8 + (2 + 4 + 6 * 4) + (6 + 9 + 6 * 9) + (12 + 16 + 4 * 16)) + (2 + 6 + 12)
    convolutions = 16 * features + products * features**2
    # Two convolutions a unit, and the first one; three shortcuts.
    biases = features * (1 + 10 + 8 * 2 + 8 * 3 + 6 * 4 + (2 + 3 + 4))
    # The first, one in the first unit, two in every other, and the last; those that read a unit have its width.
    norms = 2 * features * (1 + 1 + 8 * 1 + (1 + 7 * 2) + (2 + 7 * 3) + (3 + 5 * 4) + 4)
    head = 35 * 4 * features * 4 + 4
    assert size(build(features=features), (1, 9000, 2)) == convolutions + biases + norms + head == total


@pytest.mark.slow
def test_outputs_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    module = build(features=3, hidden=(5,))
    x = np.random.default_rng(0).normal(size=(2, 517, 2)).astype(np.float32)
    variables = drawn(module, x, False)
    to_torch = lambda tree: jax.tree.map(lambda value: torch.tensor(np.asarray(value)), tree)  # noqa: E731
    params, statistics = to_torch(variables["params"]), to_torch(variables["batch_stats"])
    convolutions, norms = iter(range(100)), iter(range(100))

    def convolution(y):
        own = params[f"Conv_{next(convolutions)}"]
        taps = len(own["kernel"])
        return functional.conv1d(
            functional.pad(y, ((taps - 1) // 2, taps // 2)), own["kernel"].permute(2, 1, 0), own["bias"]
        )

    def norm(y):
        name = f"BatchNorm_{next(norms)}"
        own, moments = params[name], statistics[name]
        return functional.batch_norm(y, moments["mean"], moments["var"], own["scale"], own["bias"], eps=1e-3)

    y = torch.relu(norm(convolution(torch.from_numpy(x[..., :1]).transpose(1, 2))))
    for unit in range(16):
        is_wider = unit in (5, 9, 13)
        shortcut = convolution(y) if is_wider else y
        branch = y if unit == 0 else torch.relu(norm(y))
        branch = convolution(torch.relu(norm(convolution(branch))))
        if unit % 2 == 0:
            shortcut, branch = functional.max_pool1d(shortcut, 2), functional.max_pool1d(branch, 2)
        y = shortcut + branch
    y = torch.relu(norm(y)).transpose(1, 2).flatten(1)
    head = params["head"]
    y = torch.relu(y @ head["hidden_0"]["kernel"] + head["hidden_0"]["bias"])
    expected = y @ head["out"]["kernel"] + head["out"]["bias"]
    found = jax.jit(lambda x: module.apply(variables, x, False))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_half_precision_inside():
    assert product_types(build("bfloat16", features=2), (2, 600, 1)) == (["bfloat16"] * 36 + ["float32"], "float32")


def test_mean_reads_any_length_and_flatten_one():
    assert size(build(head="mean"), (1, 300, 1)) == 841_380 - 34 * 64 * 4
    variables = jax.eval_shape(lambda: build().init(jax.random.key(0), jnp.zeros((1, 9000, 1)), False))
    with pytest.raises(InputError, match=r"reads 2240, .*set evaluation.window_stride_s"):
        jax.eval_shape(lambda v: build().apply(v, jnp.zeros((1, 12000, 1)), False), variables)


def test_bad_options_are_named():
    with pytest.raises(InputError, match="unknown head 'max' of residual34; use one of flatten, mean"):
        size(build(head="max"), (1, 9000, 1))
    with pytest.raises(InputError, match="residual34 was shown 255 samples; show it at least 256"):
        size(build(), (1, 255, 1))
