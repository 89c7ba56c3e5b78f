"""What every network from twelve leads to outputs promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import common
from configs.networks import add_networks
from ecgjax import models
from ecgjax.models import xresnet1d

SMALL = {
    "xresnet1d": {"depth": 18},
    "inception_time": {"num_modules": 3, "features": 4, "bottleneck": 4, "kernel_sizes": (9, 5, 3)},
    "state_space": {"features": 8, "num_layers": 1, "s4d_states": 4, "s5_states": 8},
}
NETWORKS = [*SMALL, "state_space/s5"]


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """One block a stage compiles faster."""
    monkeypatch.setitem(xresnet1d.DEPTHS, 18, (1, 1, 1, 1))


def build(name, dtype):
    """The network, with options that make it small."""
    config = common.base()
    config.model = ConfigDict()
    common.add_beat(config)
    add_networks(config)
    config.model.name, _, recurrence = name.partition("/")
    config.model[config.model.name].update(SMALL[config.model.name])
    if recurrence:
        config.model.state_space.recurrence = recurrence
    return models.build(config.model, 3, jnp.dtype(dtype), None)


def variables_of(network, x):
    """Any positive parameters and statistics; drawing them as the network does takes longer to compile."""
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), x, False))
    assert all(v.dtype == jnp.float32 for v in jax.tree.leaves(shapes))
    random = np.random.default_rng(0)
    return jax.tree.map(lambda v: random.uniform(0.05, 0.15, v.shape).astype(np.float32), shapes)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter(name):
    network, x = build(name, "float32"), jax.random.normal(jax.random.key(1), (4, 60, 12))
    variables = variables_of(network, x)

    @jax.jit
    def gradients(params):
        def value(params):
            given, rngs = {**variables, "params": params}, {"dropout": jax.random.key(2)}
            output, _ = network.apply(given, x, True, mutable=["batch_stats"], rngs=rngs)
            return jnp.sum(output**2)

        return jax.grad(value)(params)

    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients(variables["params"])):
        assert np.isfinite(gradient).all(), path
        assert np.any(gradient != 0), path


@pytest.mark.parametrize("name", NETWORKS)
def test_few_samples_in_half_precision(name):
    network, x = build(name, "bfloat16"), jax.random.normal(jax.random.key(1), (2, 3, 12))
    output = jax.jit(network.apply, static_argnums=2)(variables_of(network, x), x, False)
    assert output.shape == (2, 3)
    assert output.dtype == jnp.float32
    assert np.isfinite(output).all()
