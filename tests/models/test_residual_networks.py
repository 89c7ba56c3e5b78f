"""What the published residual networks share: every weight learns, and half precision computes the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn

from configs import diagnosis, reconstruction
from ecgjax import models

SMALL = {
    "ribeiro_net": {"channels": (4, 6), "factors": (2, 3), "kernel_size": 5},
    "ribeiro_full_rate_net": {"channels": (4, 6), "hidden": 5},
    "ml_resnet": {},
    "uresnet": {"channels": (4, 5, 6, 7)},
}
"""Options of the networks, narrow."""


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SMALL))
def test_every_weight_learns_and_half_precision_agrees(name):
    model = (reconstruction if name == "uresnet" else diagnosis).get_config(f"model={name}").model
    model[name].update(SMALL[name])
    whole, half = (models.build(model, 3, jnp.dtype(dtype), None) for dtype in ("float32", "bfloat16"))
    time = 125 if name == "ml_resnet" else 30
    signal = jax.random.normal(jax.random.key(1), (2, time, 12))

    def loss(params, variables):
        output, state = whole.apply(
            {**variables, "params": params},
            signal,
            is_training=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(2)},
        )
        return jnp.sum(output**2), state["batch_stats"]

    @jax.jit
    def everything(variables):
        gradients, moved = jax.grad(loss, has_aux=True)(variables["params"], variables)
        moved = jax.tree.map(jnp.subtract, moved, variables["batch_stats"])
        return gradients, moved, *(module.apply(variables, signal, is_training=False) for module in (whole, half))

    gradients, moved, of_whole, of_half = everything(drawn(whole, signal, False))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients))
    kernels = [x for path, x in jax.tree.leaves_with_path(gradients) if path[-1].key == "kernel"]
    assert all(np.any(x != 0) for x in [*kernels, *jax.tree.leaves(moved)])
    assert of_whole.dtype == of_half.dtype == jnp.float32
    assert of_whole.shape == ((2, time, 3) if name == "uresnet" else (2, 3))
    np.testing.assert_allclose(of_half, of_whole, atol=0.1 * float(jnp.max(jnp.abs(of_whole))))
