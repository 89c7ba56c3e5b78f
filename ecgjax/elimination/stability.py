"""How sure an elimination order is: over bootstrap resamples of the validation patients, and over seeds."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats

from ecgjax.elimination.search import backward, cost_table, drop_shares, mean_ranks
from ecgjax.leads import LEADS


@dataclasses.dataclass(frozen=True)
class Stability:
    """Orders side by side.

    Attributes:
      num_orders: how many.
      shares: [12, rank] share of them in which each lead goes at each rank; equally good orders count in parts.
      tau: Kendall's tau-b, mean over the comparisons; NaN without any.
      tau95: the middle 95 % of them; None for fewer than two.
    """

    num_orders: int
    shares: np.ndarray
    tau: float
    tau95: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """The entry of `elimination.json`."""
        return {
            "n_orders": self.num_orders,
            "kendall_tau": float(self.tau) if np.isfinite(self.tau) else None,
            "range95": self.tau95 and list(self.tau95),
            "share_dropped_at_rank": {
                name: row.round(6).tolist() for name, row in zip(LEADS, self.shares, strict=True) if row.any()
            },
        }


def order_of(wanted: np.ndarray, costs: np.ndarray, until: int) -> np.ndarray:
    """`[12, rank]` of the greedy elimination, see `drop_shares`, from `costs` `[n]` of the subsets `wanted` `[n]`."""
    return drop_shares(backward(cost_table(wanted, costs), until))


def kendall_tau(one: np.ndarray, other: np.ndarray) -> float:
    """Tau-b of the mean ranks of two `[12, rank]`; NaN where one of them tells no leads apart."""
    first, second = mean_ranks(one), mean_ranks(other)
    is_candidate = ~np.isnan(first)
    first, second = first[is_candidate].round(9), second[is_candidate].round(9)
    if len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
        return float("nan")
    return float(scipy.stats.kendalltau(first, second).statistic)


def over_resamples(wanted: np.ndarray, costs: np.ndarray, resampled: np.ndarray, until: int) -> Stability:
    """Of orders from `resampled` `[n, resample]` costs, each compared with the one from all records, `costs` `[n]`.

    Resamples in which nothing has a cost are left out.
    """
    reference = order_of(wanted, costs, until)
    orders = [order_of(wanted, column, until) for column in resampled.T if not np.isnan(column).any()]
    return _stability(orders, [kendall_tau(order, reference) for order in orders], reference)


def over_runs(wanted: np.ndarray, costs: np.ndarray, until: int) -> Stability:
    """Of the orders of several runs, `costs` `[run, n]`, each compared with every other one."""
    return between([order_of(wanted, of_run, until) for of_run in costs])


def between(orders: Sequence[np.ndarray]) -> Stability:
    """Of `orders` `[12, rank]`, each compared with every other one."""
    pairs = [(i, j) for i in range(len(orders)) for j in range(i)]
    return _stability(orders, [kendall_tau(orders[i], orders[j]) for i, j in pairs], orders[0])


def _stability(orders: Sequence[np.ndarray], taus: Sequence[float], like: np.ndarray) -> Stability:
    defined = np.array([tau for tau in taus if np.isfinite(tau)])
    shares = np.mean(orders, axis=0) if orders else np.zeros_like(like)
    if not defined.size:
        return Stability(len(orders), shares, float("nan"), None)
    low, high = np.percentile(defined, (2.5, 97.5))
    spread = (float(low), float(high)) if defined.size > 1 else None
    return Stability(len(orders), shares, float(defined.mean()), spread)
