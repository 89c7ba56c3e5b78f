"""The best leads to keep, from a table that knows what every subset costs.

`cost` `[4096]` is indexed by subset (see `subsets`) and NaN for those outside the candidates; less is better. Subsets
of equal cost are kept side by side, whatever their place in memory: a search goes on from all of them, and its steps
tell all of them.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from ecgjax.elimination import subsets
from ecgjax.elimination.subsets import NUM_LEADS, NUM_SUBSETS

TIE = 1e-12
"""Costs this close differ by rounding alone."""


@dataclasses.dataclass(frozen=True)
class Step:
    """The choice of one number of leads.

    Attributes:
      num_leads: how many are kept.
      tied: the subsets that are equally good, ascending; more than one wherever rank makes leads interchangeable.
      cost: theirs.
    """

    num_leads: int
    tied: tuple[int, ...]
    cost: float


Search = Callable[[np.ndarray, int], list[Step]]
"""From `cost` `[4096]` and the smallest number of leads to one step a number of leads, most leads first."""


def cost_table(evaluated: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """`[4096]` from `costs` `[n]` of the subsets `evaluated` `[n]`."""
    table = np.full(NUM_SUBSETS, np.nan)
    table[evaluated] = costs
    return table


def _cheapest(cost: np.ndarray, candidates: np.ndarray) -> Step:
    """All of `candidates`, which have one size, that cost as little as the cheapest.

    Raises:
      ValueError: none of them has a cost.
    """
    costs = cost[candidates]
    least = np.nanmin(costs)
    tied = np.unique(candidates[costs <= least + TIE])
    return Step(int(subsets.size_of(tied[:1])[0]), tuple(map(int, tied)), float(least))


def best_subsets(cost: np.ndarray, until: int) -> list[Step]:
    """The cheapest of all subsets of each size."""
    known = np.flatnonzero(~np.isnan(cost))
    size = subsets.size_of(known)
    return [_cheapest(cost, known[size == n]) for n in range(int(size.max()), until - 1, -1)]


def backward(cost: np.ndarray, until: int) -> list[Step]:
    """From all leads: the lead goes whose removal costs least, one after the other."""
    known = np.flatnonzero(~np.isnan(cost))
    steps = [_cheapest(cost, known[[np.argmax(subsets.size_of(known))]])]
    while steps[-1].num_leads > until:
        steps.append(_cheapest(cost, one_fewer(steps[-1].tied)))
    return steps


def forward(cost: np.ndarray, until: int) -> list[Step]:
    """From no lead: the lead comes that helps most, one after the other."""
    known = np.flatnonzero(~np.isnan(cost))
    size = subsets.size_of(known)
    steps = [_cheapest(cost, known[size == 1])]
    for _ in range(1, int(size.max())):
        larger = _larger(steps[-1].tied)
        steps.append(_cheapest(cost, larger[~np.isnan(cost[larger])]))
    return [step for step in reversed(steps) if step.num_leads >= until]


SEARCHES: dict[str, Search] = {"best": best_subsets, "backward": backward, "forward": forward}
"""By name: exhaustive, greedy elimination, greedy selection."""


def one_fewer(tied: Sequence[int]) -> np.ndarray:
    """Every subset with one lead fewer than one of `tied`."""
    bits = 1 << np.arange(NUM_LEADS)
    parents = np.array(tied)[:, None]
    return np.unique((parents & ~bits)[(parents & bits) != 0])


def _larger(tied: Sequence[int]) -> np.ndarray:
    """Every subset with one lead more than one of `tied`."""
    bits = 1 << np.arange(NUM_LEADS)
    parents = np.array(tied)[:, None]
    return np.unique((parents | bits)[(parents & bits) == 0])


def drop_shares(steps: Sequence[Step]) -> np.ndarray:
    """`[12, rank]`: share of the equally good orders in which each lead is the first, second... to go.

    `steps` are those of `backward` or `forward`. An order is a chain of subsets, each of them among the best of its
    size; what is left after the last step is dropped at the last rank, shared evenly. Leads that are no candidates
    have zeros.
    """
    levels = [np.array(step.tied) for step in steps]
    # Chains that lead down to each subset, and from it on down to the end.
    links = [(below & ~above[:, None]) == 0 for above, below in itertools.pairwise(levels)]
    down = [np.ones(len(levels[0]))]
    for link in links:
        down.append(down[-1] @ link)
    onward = [np.ones(len(levels[-1]))]
    for link in reversed(links):
        onward.append(link @ onward[-1])
    onward.reverse()

    num_orders = float(down[-1].sum())
    shares = np.zeros((NUM_LEADS, len(steps)))
    for rank, link in enumerate(links):
        chains = down[rank][:, None] * link * onward[rank + 1]
        for p, c in zip(*np.nonzero(chains), strict=True):
            lead = int(levels[rank][p] ^ levels[rank + 1][c]).bit_length() - 1
            shares[lead, rank] += chains[p, c] / num_orders
    left = subsets.is_in(levels[-1]) * (down[-1] / num_orders)[:, None]
    shares[:, -1] = left.sum(0)
    return shares


def mean_ranks(shares: np.ndarray) -> np.ndarray:
    """`[..., 12]`: when a lead goes on average, from shares `[..., 12, rank]`; NaN where it is no candidate."""
    total = shares.sum(-1)
    ranks = np.arange(shares.shape[-1])
    return np.divide((shares * ranks).sum(-1), total, out=np.full(total.shape, np.nan), where=total > 0)


def order_groups(shares: np.ndarray) -> list[tuple[str, ...]]:
    """Leads in the order in which they go, those that rank cannot tell apart together; from shares `[12, rank]`."""
    ranks = np.round(mean_ranks(shares), 9)
    values = np.unique(ranks[~np.isnan(ranks)])
    return [subsets.names_of(sum(1 << int(i) for i in np.flatnonzero(ranks == value))) for value in values]
