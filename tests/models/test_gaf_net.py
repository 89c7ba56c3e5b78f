"""The Gramian field against its closed form, and the network that reads it against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn, product_types, size

from configs.heartbeat import get_config
from ecgjax import models
from ecgjax.models.gaf_net import gramian_field


def build(dtype="float32", **options):
    model = get_config("model=gaf_net").model
    model.gaf_net.update(options)
    return models.build(model, 5, jnp.dtype(dtype), None)


def beats(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_field_is_the_cosine_of_the_sum_of_angles():
    x = 3 * beats(4, 50, 2).astype(float) + 1
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    angle = np.arccos(np.clip((2 * x - low - high) / (high - low), -1, 1))
    expected = np.cos(angle[:, :, None] + angle[:, None])
    field = np.asarray(jax.jit(gramian_field)(x.astype(np.float32)))
    np.testing.assert_allclose(field, expected, atol=1e-5)
    np.testing.assert_allclose(field, field.transpose(0, 2, 1, 3), atol=1e-6)
    np.testing.assert_allclose(np.einsum("btti->bti", field), np.cos(2 * angle), atol=1e-5)


def test_field_knows_neither_gain_nor_offset_and_has_finite_slopes():
    x = beats(2, 20, 1)
    shown = np.concatenate([x, 5 * x - 2, np.full_like(x, 0.3)], axis=-1)
    slope, field = jax.jit(jax.grad(lambda x: (gramian_field(x).sum(), gramian_field(x)), has_aux=True))(shown)
    np.testing.assert_allclose(field[..., 1], field[..., 0], atol=1e-5)
    np.testing.assert_allclose(field[..., 2], -1, atol=1e-6)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(("features", "total"), [((64, 32, 16), 660_421), ((128, 64, 32), 1_254_517)])
def test_parameters_without_the_large_layer(features, total):
    pixels = 8 * 8 * features[-1]
    convolutions = sum(9 * a * b + b for a, b in zip((1, *features), features, strict=False))
    dense = (pixels + 1) * 512 + 513 * 216 + 217 * 5
    for image_size, time in ((64, 187), (224, 187), (33, 250)):
        assert size(build(features=features, image_size=image_size), (1, time, 1)) == convolutions + dense == total


@pytest.mark.parametrize(("time", "channels", "image_size"), [(187, 1, 26), (30, 2, 33)])
def test_outputs_are_those_of_pytorch(time, channels, image_size):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    module, x = build(features=(6, 5, 4), hidden=(10,), pooled_size=3, image_size=image_size), beats(2, time, channels)
    variables = drawn(module, x, False)
    params = jax.tree.map(lambda value: torch.tensor(np.asarray(value)), variables["params"])
    field = gramian_field(jax.image.resize(x, (2, image_size, channels), "linear"))
    y = torch.tensor(np.asarray(field)).permute(0, 3, 1, 2)
    for i in range(3):
        kernel = params[f"Conv_{i}"]["kernel"].permute(3, 2, 0, 1)
        y = functional.leaky_relu(functional.conv2d(y, kernel, params[f"bias_{i}"], padding=1), 0.001)
    y = functional.adaptive_avg_pool2d(functional.max_pool2d(y, 3, 2, 1), 3).permute(0, 2, 3, 1).flatten(1)
    head = params["head"]
    y = functional.leaky_relu(y @ head["hidden_0"]["kernel"] + head["hidden_0"]["bias"], 0.001)
    expected = y @ head["out"]["kernel"] + head["out"]["bias"]
    found = jax.jit(lambda x: module.apply(variables, x, False))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_any_length_and_half_precision():
    module = build("bfloat16")
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 187, 1)), False))
    longer = jax.eval_shape(lambda given: module.apply(given, jnp.zeros((3, 250, 1)), False), variables)
    assert longer.shape == (3, 5)
    # The beat is resampled at full precision; three convolutions, two means, two dense layers and the output follow.
    types = ["float32"] + ["bfloat16"] * 7 + ["float32"]
    assert product_types(module, (2, 187, 1)) == (types, "float32")
