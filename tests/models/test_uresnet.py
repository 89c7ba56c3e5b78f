"""UResNet: its size as counted, the leads it reads, and every length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn

from configs.reconstruction import get_config
from ecgjax import models


def build(num_outputs, **options):
    model = get_config("model=uresnet").model
    model.uresnet.update(options)
    return models.build(model, num_outputs, jnp.dtype("float32"), None)


@pytest.mark.parametrize(
    ("leads", "num_outputs", "total"), [("I,II,aVR", 12, 843_148), ("all", 8, 843_148 + 16 * 9 * 64 - 4 * 65)]
)
def test_parameters_as_counted(leads, num_outputs, total):
    module = build(num_outputs, leads=leads)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 100, 12)), is_training=False))
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == total


def test_reads_its_leads_alone_and_any_length():
    module, signal = build(8, channels=(4, 5, 6, 7), leads="I,V2"), jnp.ones((1, 40, 12))
    variables = drawn(module, signal, False)

    @jax.jit
    def slopes(signal):
        return jax.grad(lambda x: jnp.sum(module.apply(variables, x, False) ** 2))(signal)

    largest = np.max(np.abs(slopes(signal)), axis=(0, 1))
    np.testing.assert_array_equal(largest > 0, np.isin(np.arange(12), (0, 7)))
    shorter = jax.eval_shape(lambda x: module.apply(variables, x, False), signal[:, :33])
    assert shorter.shape == (1, 33, 8)
