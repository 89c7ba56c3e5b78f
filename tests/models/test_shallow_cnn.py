"""The published shallow networks, to the parameter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn

from configs.reversal import get_config
from ecgjax import models
from ecgjax.errors import InputError


def build(args):
    return models.build(get_config(args).model, 2, jnp.float32, None)


@pytest.mark.parametrize(
    ("name", "parameters", "statistics"),
    [("original", 19_426, 64), ("original_wide", 38_850, 128), ("original_deep", 860_034, 768)],
)
def test_parameter_counts_as_published(name, parameters, statistics):
    module = build(f"model={name}")
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 100, 12)), is_training=False))
    sizes = {group: sum(x.size for x in jax.tree.leaves(tree)) for group, tree in variables.items()}
    assert sizes["params"] + sizes["batch_stats"] == parameters
    assert sizes["batch_stats"] == statistics


def test_dropout_and_running_statistics_act_in_training_alone():
    module, signal = build("model=original"), jax.random.normal(jax.random.key(1), (8, 200, 12))
    variables = drawn(module, signal, False)

    @functools.partial(jax.jit, static_argnums=0)
    def apply(is_training, key):
        return module.apply(variables, signal, is_training, mutable=["batch_stats"], rngs={"dropout": key})

    keys = [jax.random.key(k) for k in range(2)]
    np.testing.assert_array_equal(*(apply(False, key)[0] for key in keys))
    trained = [apply(True, key) for key in keys]
    assert not np.allclose(trained[0][0], trained[1][0])
    moved = jax.tree.map(jnp.subtract, trained[0][1]["batch_stats"], variables["batch_stats"])
    assert all(np.any(x != 0) for x in jax.tree.leaves(moved))


def test_unknown_network_is_named():
    config = get_config()
    config.model.name = "resnet"
    with pytest.raises(InputError, match=r"unknown model.name 'resnet'; use one of placement_net, shallow_cnn"):
        models.build(config.model, 2, jnp.float32, None)
