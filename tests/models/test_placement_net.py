"""The placement network: what it is symmetric under, and what its outputs mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.reversal import get_config
from ecgjax import leads, models
from ecgjax.errors import InputError

NAMES = [placement.name for placement in leads.PLACEMENTS]
LIMB_GROUP = (leads.CORRECT, *leads.LIMB_SWAPS, *leads.LIMB_CYCLES)


def started(module, beats):
    """The variables with which training starts."""
    return jax.jit(lambda key: module.init(key, beats, is_training=False))(jax.random.key(0))


@pytest.fixture(scope="module")
def network():
    config = get_config()
    module = models.build(config.model, 20, jnp.float32, None)
    potentials = np.random.default_rng(0).normal(size=(5, 96, len(leads.ELECTRODES)))
    beats = jnp.asarray(potentials @ leads.LEADS_FROM_ELECTRODES.T, jnp.float32)
    variables = started(module, beats)
    return jax.jit(lambda x: module.apply(variables, x, is_training=False)), beats


def likelihoods(outputs):
    """Types without their prior, `none` at one half and the others sharing the rest."""
    return outputs[:, 1:].at[:, 1:].add(np.log(len(NAMES) - 1))


@pytest.mark.parametrize("written", LIMB_GROUP, ids=lambda p: p.name)
def test_exchanging_limb_cables_exchanges_the_limb_scores(network, written):
    """A rewired record scores a placement as the record before it scores what remains of the placement."""
    apply, beats = network
    plain = likelihoods(apply(beats))
    rewired = likelihoods(apply(jnp.asarray(written.apply(np.asarray(beats)), jnp.float32)))
    for hypothesis in LIMB_GROUP:
        composed = written.inverse.matrix @ hypothesis.matrix
        (same,) = [p for p in LIMB_GROUP if np.allclose(p.matrix, composed)]
        np.testing.assert_allclose(
            rewired[:, NAMES.index(hypothesis.name)], plain[:, NAMES.index(same.name)], atol=1e-4
        )


def test_gain_changes_nothing(network):
    apply, beats = network
    np.testing.assert_allclose(apply(beats), apply(3.0 * beats), atol=1e-3)


def test_any_reversal_is_the_sum_of_the_types(network):
    apply, beats = network
    outputs = apply(beats)
    types = jax.nn.softmax(outputs[:, 1:])
    np.testing.assert_allclose(jax.nn.sigmoid(outputs[:, 0]), 1 - types[:, 0], atol=1e-5)


def test_a_batch_is_its_records(network):
    apply, beats = network
    np.testing.assert_allclose(apply(beats)[2:3], apply(beats[2:3]), atol=1e-4)


def test_a_flat_beat_has_finite_scores(network):
    apply, _ = network
    assert np.all(np.isfinite(apply(jnp.zeros((1, 96, 12)))))


def test_half_precision_computes_and_keeps_single_precision_weights():
    config = get_config()
    module = models.build(config.model, 20, jnp.bfloat16, None)
    beats = jax.random.normal(jax.random.key(0), (2, 96, 12))
    variables = started(module, beats)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    single = models.build(config.model, 20, jnp.float32, None)
    outputs, expected = (
        jax.jit(lambda v, m=m: m.apply(v, beats, is_training=False))(variables) for m in (module, single)
    )
    assert outputs.dtype == jnp.float32
    np.testing.assert_allclose(outputs, expected, atol=0.1)


def test_a_beat_that_does_not_divide_into_pieces_is_refused():
    module = models.build(get_config().model, 20, jnp.float32, None)
    with pytest.raises(
        InputError, match="97 samples does not divide into pieces of 8; change model.placement_net.patch"
    ):
        module.init(jax.random.key(0), jnp.zeros((1, 97, 12)), is_training=False)


def test_a_task_without_types_is_refused():
    module = models.build(get_config().model, 2, jnp.float32, None)
    with pytest.raises(InputError, match="placement_net has 20 outputs and the task wants 2"):
        module.init(jax.random.key(0), jnp.zeros((1, 96, 12)), is_training=False)
