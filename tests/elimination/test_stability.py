"""How sure an order is: shares, Kendall's tau."""

import itertools

import numpy as np
import pytest

from ecgjax.elimination import stability
from ecgjax.elimination.search import backward, cost_table, drop_shares
from ecgjax.elimination.subsets import all_subsets, is_in
from ecgjax.leads import LEADS

CHEST = ("V1", "V2", "V3", "V4")
WANTED = all_subsets(CHEST)


def costs_of(*order):
    """Costs under which the leads go in this order."""
    worth = {name: 2.0**rank for rank, name in enumerate(order)}
    return -(is_in(WANTED) @ np.array([worth.get(name, 0.0) for name in LEADS]))


def test_tau_counts_pairs():
    orders = list(itertools.permutations(CHEST))[::5]
    for one, other in itertools.combinations(orders, 2):
        concordant = [
            (one.index(a) < one.index(b)) == (other.index(a) < other.index(b))
            for a, b in itertools.combinations(CHEST, 2)
        ]
        shares = [stability.order_of(WANTED, costs_of(*order), 1) for order in (one, other)]
        assert stability.kendall_tau(*shares) == pytest.approx(2 * np.mean(concordant) - 1)


def test_an_order_without_any_preference_has_no_tau():
    tied = stability.order_of(WANTED, np.zeros(len(WANTED)), 1)
    assert np.isnan(stability.kendall_tau(tied, stability.order_of(WANTED, costs_of(*CHEST), 1)))
    np.testing.assert_allclose(tied[[LEADS.index(name) for name in CHEST]], 0.25)


def test_resamples_are_compared_with_the_whole():
    costs = costs_of("V4", "V2", "V1", "V3")
    other = costs_of("V2", "V4", "V1", "V3")
    undefined = np.full(len(costs), np.nan)
    found = stability.over_resamples(WANTED, costs, np.stack([costs, other, costs, costs, undefined], 1), 1)
    assert found.num_orders == 4
    assert found.tau == pytest.approx((3 * 1 + 4 / 6) / 4)
    np.testing.assert_allclose(found.shares[LEADS.index("V4")], [0.75, 0.25, 0, 0])
    content = found.to_json()
    assert list(content["share_dropped_at_rank"]) == list(CHEST)
    assert content["range95"][1] == 1


def test_runs_are_compared_with_each_other():
    costs = np.stack([costs_of("V1", "V2", "V3", "V4"), costs_of("V4", "V3", "V2", "V1"), costs_of(*CHEST)])
    found = stability.over_runs(WANTED, costs, 2)
    assert found.num_orders == 3
    reference = drop_shares(backward(cost_table(WANTED, costs[0]), 2))
    assert stability.between([reference] * 2).tau == 1
    # Down to two leads, the last two are not told apart.
    assert found.tau == pytest.approx(
        (1 + 2 * stability.kendall_tau(reference, stability.order_of(WANTED, costs[1], 2))) / 3
    )
    alone = stability.between([reference])
    assert alone.tau95 is None
    assert alone.to_json()["kendall_tau"] is None
