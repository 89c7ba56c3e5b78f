import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.models.arrangement_net import ArrangementNet, identity_residuals

SIZES = {
    "patch": 8,
    "features": 8,
    "hidden": 16,
    "num_blocks": 1,
    "num_pair_blocks": 1,
    "fine_gain": 5.0,
    "dropout_rate": 0.3,
    "dtype": jnp.float32,
}


def beats(batch, names, seed=0):
    independent = np.random.default_rng(seed).normal(size=(batch, 32, len(leads.INDEPENDENT_LEADS)))
    columns = [leads.LEADS.index(name) for name in names]
    return (independent @ leads.LEADS_FROM_INDEPENDENT.T)[:, :, columns].astype(np.float32)


@functools.cache
def network(names):
    net = ArrangementNet(names=names, **SIZES)
    variables = jax.jit(net.init, static_argnums=2)(jax.random.key(0), beats(2, names), False)
    return jax.jit(lambda shown: net.apply(variables, shown, False)), net, variables


@pytest.mark.parametrize("leads_of", [pytest.param("all", marks=pytest.mark.slow), "precordial", "I,aVL,V2,V5"])
def test_reordered_leads_give_reordered_names(leads_of):
    names = leads.lead_set(leads_of)
    apply, *_ = network(names)
    shown = beats(3, names)
    order = np.random.default_rng(1).permutation(len(names))
    plain = apply(shown)
    np.testing.assert_allclose(apply(shown[:, :, order]), plain[:, order], atol=2e-4)
    np.testing.assert_allclose(np.exp(plain).sum(axis=2), 1, atol=1e-4)


@pytest.mark.parametrize("num_leads", [2, 7])
def test_any_number_of_leads_may_be_asked_about(num_leads):
    apply, *_ = network(leads.LEADS)
    shown = beats(3, leads.LEADS)
    asked = np.random.default_rng(2).permutation(12)[:num_leads]
    alone = apply(shown[:, :, asked])
    assert alone.shape == (3, num_leads, 12)
    silenced = np.where(np.isin(np.arange(12), asked), shown, 0)
    np.testing.assert_allclose(apply(silenced)[:, asked], alone, atol=2e-4)


def test_chest_names_are_marginals_over_all_orders():
    names = ("V1", "V2", "V3")
    _, net, variables = network(names)
    shown = beats(2, names)
    apply = jax.jit(lambda x: net.apply(variables, x, False, capture_intermediates=True, mutable=["intermediates"]))
    found, state = apply(shown)
    unary = state["intermediates"]["unary"]["__call__"][0]
    pairs = state["intermediates"]["pair"]["__call__"][0].reshape(2, 3, 3, 3)
    weights = np.zeros((2, 3, 3))
    for order in itertools.permutations(range(3)):
        energy = sum(unary[:, lead, name] for name, lead in enumerate(order))
        for k, (one, other) in enumerate(itertools.combinations(range(3), 2)):
            energy += pairs[:, order[one], order[other], k]
        for name, lead in enumerate(order):
            weights[:, lead, name] += np.exp(energy)
    np.testing.assert_allclose(np.exp(found), weights / weights.sum(axis=2, keepdims=True), rtol=1e-4)


def test_gain_tells_nothing():
    apply, *_ = network(leads.PRECORDIAL_LEADS)
    shown = beats(2, leads.PRECORDIAL_LEADS)
    np.testing.assert_allclose(apply(3 * shown), apply(shown), atol=1e-3)


def test_identities_single_out_the_limb_leads():
    residual = np.asarray(jax.jit(identity_residuals, static_argnums=1)(beats(5, leads.LEADS), leads.LEADS))
    roles = [name for identity in leads.IDENTITIES for name in identity]
    for k, role in enumerate(roles):
        lead = leads.LEADS.index(role)
        assert np.all(residual[:, lead, k] < -0.9), role
        assert np.all(residual[:, 6:, k] > -0.5), role


def test_no_identity_among_chest_leads():
    assert not np.any(identity_residuals(beats(2, leads.PRECORDIAL_LEADS), leads.PRECORDIAL_LEADS))


def test_refusals():
    net = ArrangementNet(names=("V1", "V2"), **SIZES)
    variables = jax.eval_shape(lambda: net.init(jax.random.key(0), beats(1, ("V1", "V2")), False))
    with pytest.raises(InputError, match="3 leads came for 2 names"):
        jax.eval_shape(lambda v: net.apply(v, beats(1, ("V1", "V2", "V3")), False), variables)
    with pytest.raises(InputError, match="does not divide into pieces of 8"):
        jax.eval_shape(lambda v: net.apply(v, beats(1, ("V1", "V2"))[:, :30], False), variables)
