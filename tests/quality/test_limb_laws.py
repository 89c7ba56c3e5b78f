"""The laws among limb leads name the leads that break them."""

import itertools

import numpy as np
import pytest

from ecgjax import leads
from ecgjax.leads import LEADS, LEADS_FROM_INDEPENDENT, LIMB_LEADS
from ecgjax.quality.limb_laws import explain, limb_contradiction, limb_groups, odd_one

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=(600, 8)) @ LEADS_FROM_INDEPENDENT.T + RNG.normal(0, 1e-3, (600, 12))
LIMB = TRUE[:, :6]


def explained(limb_mv):
    ((given, covariance),) = limb_groups(limb_mv)
    return explain(given, covariance)


@pytest.mark.parametrize("placement", leads.PLACEMENTS, ids=lambda placement: placement.name)
def test_no_exchange_of_electrodes_is_a_contradiction(placement):
    neutral_mv = 0.1 * np.random.default_rng(0).normal(size=len(TRUE))
    page = np.where(np.arange(12) == 4, np.nan, placement.apply(TRUE, neutral_mv) + np.linspace(0, 1, 12))
    assert limb_contradiction(page) < 0.01


def test_fewer_than_three_limb_leads_contradict_nothing():
    page = np.full(TRUE.shape, np.nan)
    page[:, :2] = TRUE[:, 3:5]
    assert limb_contradiction(page) == 0


@pytest.mark.parametrize("factor", [-1.0, 2.0, 0.5, 10.0, 0.001, -2.0])
@pytest.mark.parametrize("lead", LIMB_LEADS)
def test_a_lead_of_wrong_gain_or_sign_is_named_with_its_factor(lead, factor):
    found = explained(LIMB * np.where(np.array(LIMB_LEADS) == lead, factor, 1))
    assert found.concerned == (lead,)
    assert found.num_alternatives == 1
    assert found.factors[LIMB_LEADS.index(lead)] == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("pair", list(itertools.combinations(range(6), 2)), ids=str)
def test_exchanged_names_are_told(pair):
    order = list(range(6))
    order[pair[0]], order[pair[1]] = order[pair[1]], order[pair[0]]
    found = explained(LIMB[:, order])
    assert found.concerned == tuple(LIMB_LEADS[k] for k in pair)
    assert [found.meant[k] for k in pair] == [LIMB_LEADS[k] for k in pair[::-1]]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_order_of_cabrera_is_one_mistake(sign):
    cabrera = [LIMB_LEADS.index(name) for name in ("aVL", "I", "aVR", "II", "aVF", "III")]
    found = explained(LIMB[:, cabrera] * [1, 1, sign, 1, 1, 1])
    assert found.meant == ("aVL", "I", "aVR", "II", "aVF", "III")
    assert found.factors[2] == sign


def test_unaugmented_leads_are_two_thirds_as_large():
    found = explained(LIMB * np.repeat([1, 2 / 3], 3))
    assert found.concerned == LIMB_LEADS[3:]
    assert found.factors[3:] == pytest.approx([2 / 3] * 3, rel=0.01)


def test_three_leads_tell_signs_but_no_gains():
    given = np.where(np.arange(6) < 3, LIMB, np.nan)
    assert explained(given * [1, -1, 1, 1, 1, 1]).concerned == ("II",)
    assert explained(given * [1, 3, 1, 1, 1, 1]) is None


def test_a_lead_of_another_record_is_named_and_not_explained():
    limb_mv = LIMB.copy()
    limb_mv[:, 4] = np.roll(limb_mv[:, 4], 100)
    ((given, covariance),) = limb_groups(limb_mv)
    assert explain(given, covariance) is None
    assert odd_one(given, covariance) == LEADS[4]
