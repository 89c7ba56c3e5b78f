"""Searches over toy tables, against brute force over all orders."""

import itertools

import numpy as np
import pytest

from ecgjax.elimination import search, subsets
from ecgjax.elimination.search import backward, best_subsets, cost_table, drop_shares, forward, order_groups
from ecgjax.elimination.subsets import all_subsets, known_leads, names_of, subset_of
from ecgjax.leads import LEADS, LIMB_LEADS

FIVE = ("I", "II", "V2", "V4", "V6")


def table_of(names, cost_of_known):
    """Costs of all subsets of `names`, equal for equal information."""
    evaluated = all_subsets(names)
    known = known_leads(evaluated)
    return cost_table(evaluated, np.array([cost_of_known(int(k)) for k in known]))


def random_table(names, seed):
    costs = np.random.default_rng(seed).uniform(size=4096)
    return table_of(names, lambda known: costs[known])


@pytest.mark.parametrize("seed", range(4))
def test_best_subsets_are_the_best_of_all(seed):
    cost = random_table(FIVE, seed)
    for step in best_subsets(cost, 1):
        every = [subset_of(chosen) for chosen in itertools.combinations(FIVE, step.num_leads)]
        assert step.cost == min(cost[every])
        assert list(step.tied) == sorted(s for s in every if cost[s] == step.cost)


@pytest.mark.parametrize("seed", range(4))
def test_backward_drops_what_costs_least(seed):
    cost = random_table(FIVE, seed)
    kept = set(FIVE)
    for step in backward(cost, 2):
        if step.num_leads < len(FIVE):
            kept.remove(min(kept, key=lambda name: cost[subset_of(kept - {name})]))
        assert step.tied == (subset_of(kept),)
    assert len(kept) == 2


@pytest.mark.parametrize("seed", range(4))
def test_forward_adds_what_helps_most(seed):
    cost = random_table(FIVE, seed)
    kept: set[str] = set()
    for step in reversed(forward(cost, 1)):
        kept.add(min(set(FIVE) - kept, key=lambda name: cost[subset_of(kept | {name})]))
        assert step.tied == (subset_of(kept),)
    assert kept == set(FIVE)


def chains(cost, names, until):
    """Every order of elimination whose subsets are among the greedy ones, by brute force."""
    best = {step.num_leads: set(step.tied) for step in backward(cost, until)}
    found = []
    for order in itertools.permutations(names, len(names) - until):
        kept = [set(names) - set(order[:k]) for k in range(len(order) + 1)]
        if all(subset_of(k) in best[len(k)] for k in kept):
            found.append(order)
    return found


@pytest.mark.parametrize(("until", "seed"), [(1, 0), (3, 1), (2, 2)])
def test_shares_count_the_equally_good_orders(until, seed):
    names = (*LIMB_LEADS[:4], "V1", "V5")
    cost = random_table(names, seed)
    shares = drop_shares(backward(cost, until))
    orders = chains(cost, names, until)
    assert len(orders) > 1
    for name in LEADS:
        for rank in range(len(names) - until):
            expected = np.mean([order[rank] == name for order in orders])
            assert shares[LEADS.index(name), rank] == pytest.approx(expected)
        assert shares[LEADS.index(name)].sum() == pytest.approx(float(name in names))


def test_storage_order_decides_nothing():
    """Where limb leads are worth nothing they go together, whatever is first in memory."""

    def cost_of(known):
        weights = {"V1": 2, "V2": 6, "V3": 5, "V4": 4, "V5": 3, "V6": 1}
        return -sum(weights.get(name, 0) for name in names_of(known))

    steps = backward(table_of(LEADS, cost_of), 1)
    shares = drop_shares(steps)
    np.testing.assert_allclose(shares[:6, :6], 1 / 6)
    assert order_groups(shares) == [LIMB_LEADS, ("V6",), ("V1",), ("V5",), ("V4",), ("V3",), ("V2",)]
    assert subsets.describe(steps[1].tied) == "any five of I, II, III, aVR, aVL, aVF + V1 + V2 + V3 + V4 + V5 + V6"


def test_rank_makes_four_limb_leads_free_and_the_last_one_decides():
    def cost_of(known):
        names = names_of(known)
        return -sum(10 * (n in names[:12]) * (n.startswith("V")) for n in names) - 3 * ("aVR" in names) - len(names)

    steps = backward(table_of(LEADS, cost_of), 1)
    by_size = {step.num_leads: step for step in steps}
    assert [by_size[n].cost for n in range(8, 12)] == [by_size[12].cost] * 4
    assert subsets.describe(by_size[8].tied).startswith("any two of I, II, III, aVR, aVL, aVF + V1")
    # Only pairs that hold aVR can go on to it.
    assert set(names_of(by_size[7].tied[0])) - {"aVR"} == set(LEADS[6:])
    groups = order_groups(drop_shares(steps))
    assert groups[0] == ("I", "II", "III", "aVL", "aVF")
    assert groups[1] == ("aVR",)


def test_equal_costs_of_different_leads_stay_side_by_side():
    cost = table_of(("V1", "V2", "V3"), lambda known: float(-known.bit_count()))
    assert [len(step.tied) for step in backward(cost, 1)] == [1, 3, 3]
    assert order_groups(drop_shares(backward(cost, 1))) == [("V1", "V2", "V3")]
    assert search.SEARCHES["forward"](cost, 2)[-1].num_leads == 2
