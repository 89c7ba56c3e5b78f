"""The convolutional network of one beat: sizes as published, and the same layers in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn, product_types, size

from configs.heartbeat import get_config
from ecgjax import models
from ecgjax.errors import InputError


def build(num_outputs, dtype="float32", **options):
    model = get_config("model=beat_cnn").model
    model.beat_cnn.update(options)
    return models.build(model, num_outputs, jnp.dtype(dtype), None)


def beats(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("num_outputs", "total"), [(1, 1_682_961), (5, 1_683_829)])
def test_parameters_as_published(num_outputs, total):
    assert size(build(num_outputs), (1, 187, 1)) == total


@pytest.mark.parametrize(("time", "channels"), [(187, 1), (30, 6)])
def test_outputs_are_those_of_pytorch(time, channels):
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("scripts.peers.published_heartbeat")
    module, x = build(5), beats(3, time, channels)
    variables = drawn(module, x, False)
    peer = peers.BeatCNN(time, channels, 5, get_config().model.beat_cnn).eval()
    peer.load_flax(variables)
    with torch.no_grad():
        expected = peer(torch.from_numpy(x))
    np.testing.assert_allclose(jax.jit(lambda x: module.apply(variables, x, False))(x), expected, rtol=1e-4, atol=1e-4)


def test_half_precision_inside():
    assert product_types(build(5, "bfloat16"), (2, 187, 1)) == (["bfloat16"] * 5 + ["float32"], "float32")


def test_dropout_acts_in_training_alone():
    module, x = build(5, features=(4,), hidden=(8,)), beats(2, 20, 1)
    variables = drawn(module, x, False)
    train = jax.jit(lambda key: module.apply(variables, x, True, rngs={"dropout": key}))
    first, second = (train(jax.random.key(seed)) for seed in range(2))
    assert not np.allclose(first, second)


def test_another_length_than_that_of_training_is_refused():
    module = build(5, features=(4,), hidden=(8,))
    variables = drawn(module, beats(1, 20, 1), False)
    with pytest.raises(InputError, match="ends in 44 values where .* reads 40,"):
        jax.eval_shape(lambda: module.apply(variables, beats(1, 21, 1), False))
