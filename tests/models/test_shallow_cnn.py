"""The published shallow networks, to the parameter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.reversal import get_config
from ecgjax import models
from ecgjax.errors import InputError


def build(args):
    module = models.build(get_config(args).model, 2, jnp.float32, None)
    return module, module.init(jax.random.key(0), jnp.zeros((1, 100, 12)), is_training=False)


@pytest.mark.parametrize(
    ("name", "parameters", "statistics"),
    [("original", 19_426, 64), ("original_wide", 38_850, 128), ("original_deep", 860_034, 768)],
)
def test_parameter_counts_as_published(name, parameters, statistics):
    _, variables = build(f"model={name}")
    sizes = {group: sum(x.size for x in jax.tree.leaves(tree)) for group, tree in variables.items()}
    assert sizes["params"] + sizes["batch_stats"] == parameters
    assert sizes["batch_stats"] == statistics


def test_dropout_and_running_statistics_act_in_training_alone():
    module, variables = build("model=original")
    signal = jax.random.normal(jax.random.key(1), (8, 200, 12))
    first = module.apply(variables, signal, is_training=False)
    np.testing.assert_array_equal(first, module.apply(variables, signal, is_training=False))
    trained = [
        module.apply(variables, signal, is_training=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(k)})
        for k in range(2)
    ]
    assert not np.allclose(trained[0][0], trained[1][0])
    moved = jax.tree.map(jnp.subtract, trained[0][1]["batch_stats"], variables["batch_stats"])
    assert all(np.any(x != 0) for x in jax.tree.leaves(moved))


def test_unknown_network_is_named():
    config = get_config()
    config.model.name = "resnet"
    with pytest.raises(InputError, match=r"unknown model.name 'resnet'; use one of placement_net, shallow_cnn"):
        models.build(config.model, 2, jnp.float32, None)
