"""What an elimination found: curves, orders and how sure they are, as JSON, arrays and text."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecgjax.analysis.markdown import table, value_and_interval
from ecgjax.elimination import subsets
from ecgjax.elimination.curves import Curve, Point, fewest_without_loss
from ecgjax.elimination.scoring import MEAN, Criterion
from ecgjax.elimination.search import mean_ranks, order_groups
from ecgjax.elimination.stability import Stability
from ecgjax.leads import LEADS, LIMB_LEADS

SEARCH_NAMES = {
    "best": "Best subset of every size",
    "backward": "Greedy elimination",
    "forward": "Greedy selection",
    "retrained": "Elimination, trained anew at every step",
}
"""Headings of the searches."""

COMPARED = {
    "patients": "resamples of the validation patients, each against the order from all of them",
    "seeds": "runs, each against every other one",
}
"""What the orders of a `Stability` are, in words."""

_LABEL_SIZES = (1, 2, 3)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that is reported.

    Attributes:
      criterion: what was judged.
      figure_names: `mean`, and the labels where there are several.
      candidates: the leads that it began with.
      curves: on the test records; those of `mean` chosen by `mean` first.
      order: [12, rank] shares of the greedy elimination, mean over the runs.
      stability: by a key of COMPARED.
      wearables: from `curves.wearables`; empty where networks knew only their own leads.
      arrays: content of elimination.npz.
      notes: what a reader has to know.
      num_runs: networks, or sequences of them, that the figures are means over.
    """

    criterion: Criterion
    figure_names: tuple[str, ...]
    candidates: tuple[str, ...]
    curves: list[Curve]
    order: np.ndarray
    stability: dict[str, Stability]
    wearables: dict[str, dict[str, Any]]
    arrays: dict[str, np.ndarray]
    notes: list[str]
    num_runs: int

    def curve(self, search: str, figure: str = MEAN, chosen_by: str = MEAN) -> Curve | None:
        """The curve of a search, None where there is none."""
        return next((c for c in self.curves if (c.search, c.figure, c.chosen_by) == (search, figure, chosen_by)), None)

    def searches(self) -> list[str]:
        """Those that there are."""
        return [search for search in SEARCH_NAMES if self.curve(search)]

    def to_json(self) -> dict[str, Any]:
        """Content of elimination.json, but for where it comes from."""
        ranks = mean_ranks(self.order)
        is_higher = self.criterion.is_better_higher
        found = {search: self.curve(search) for search in self.searches()}
        return {
            "metric": self.criterion.name,
            "candidates": list(self.candidates),
            "n_runs": self.num_runs,
            "notes": self.notes,
            "fewest_leads_without_measured_loss": {
                search: fewest_without_loss(curve, is_higher) for search, curve in found.items() if curve
            },
            "order": {
                "first_to_go": [list(group) for group in order_groups(self.order)],
                "mean_rank": {
                    name: float(round(rank, 6)) for name, rank in zip(LEADS, ranks, strict=True) if not np.isnan(rank)
                },
                "stability": {name: found.to_json() for name, found in self.stability.items()},
            },
            "curves": [curve.to_json() for curve in self.curves],
            "wearable_sets": {
                name: {
                    "leads": list(entry["leads"]),
                    "signals": num_signals(subsets.subset_of(entry["leads"])),
                    "figures": {figure: point.to_json() for figure, point in entry["points"].items()},
                }
                for name, entry in self.wearables.items()
            },
        }

    def text(self) -> str:
        """The tables of elimination.md."""
        parts = [*(f"Note: {note}." for note in self.notes)]
        if set(LIMB_LEADS) <= set(self.candidates):
            parts.append(
                "The six limb leads span two dimensions: from any two follow all six. Sets that differ in nothing else "
                "carry the same information and are told together; a set of n leads may hold fewer than n signals."
            )
        for search in self.searches():
            curve = self.curve(search)
            if curve is not None:
                fewest = fewest_without_loss(curve, self.criterion.is_better_higher)
                number = f"{fewest} lead{'s' * (fewest > 1)}"
                parts += [f"## {SEARCH_NAMES[search]}", self._curve_table(curve)]
                parts.append(f"No interval of the difference lies on the side of a loss down to {number}.")
        parts += ["## Order", self._order_table(), *self._stability_text()]
        if labels := self._label_table():
            parts += ["## Labels", labels]
        if self.wearables:
            parts += ["## Wearable sets", self._wearable_table()]
        return "\n\n".join(parts)

    def _curve_table(self, curve: Curve) -> str:
        name = self.criterion.name.replace("_", " ")
        rows = [
            [p.num_leads, p.leads, f"{p.validation:.3f}", value_and_interval(p.test), value_and_interval(p.difference)]
            for p in curve.points
        ]
        return table(["leads", "which", f"validation {name}", "test", "test, minus all leads"], rows)

    def _order_table(self) -> str:
        rows: list[list[object]] = []
        ranks = mean_ranks(self.order)
        for group in order_groups(self.order):
            shown = ", ".join(group) + (" (tied)" if len(group) > 1 else "")
            rows.append([shown, f"{ranks[LEADS.index(group[0])] + 1:.2f}"])
        return table(["first to go", "mean place"], rows)

    def _stability_text(self) -> list[str]:
        lines = []
        for name, found in self.stability.items():
            if not np.isfinite(found.tau):
                continue
            spread = "" if found.tau95 is None else f" (95 % of them {found.tau95[0]:.2f} to {found.tau95[1]:.2f})"
            lines.append(f"Kendall's tau over {found.num_orders} {COMPARED[name]}: mean {found.tau:.2f}{spread}.")
        return lines

    def _label_table(self) -> str:
        """The best few leads for each label alone."""
        rows: list[list[object]] = []
        for figure in self.figure_names:
            curve = self.curve("best", figure, figure)
            if curve is None or figure == MEAN:
                continue
            by_size = {point.num_leads: point for point in curve.points}
            row: list[object] = [figure, value_and_interval(curve.points[0].test)]
            row += [_leads_and_value(by_size.get(size)) for size in _LABEL_SIZES]
            rows.append(row)
        return table(["label", "all leads", *(f"best {size}" for size in _LABEL_SIZES)], rows) if rows else ""

    def _wearable_table(self) -> str:
        rows = []
        for name, entry in self.wearables.items():
            point = entry["points"][MEAN]
            rows.append(
                [name, num_signals(subsets.subset_of(entry["leads"])), f"{point.validation:.3f}",
                 value_and_interval(point.test), value_and_interval(point.difference)]
            )  # fmt: skip
        name = self.criterion.name.replace("_", " ")
        return table(["leads", "signals", f"validation {name}", "test", "test, minus all leads"], rows)


def num_signals(subset: int) -> int:
    """Dimensions that a subset of the leads spans."""
    is_limb = [name in LIMB_LEADS for name in subsets.names_of(subset)]
    return min(2, sum(is_limb)) + len(is_limb) - sum(is_limb)


def _leads_and_value(point: Point | None) -> str:
    return "-" if point is None else f"{point.leads}: {value_and_interval(point.test)}"


def validation_arrays(
    evaluated: np.ndarray, wanted: np.ndarray, figures: np.ndarray, figure_names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Every subset and its figures on the validation records, for elimination.npz.

    `figures` `[run, subset, figure]` are of the subsets `evaluated`; each of `wanted` `[n]` has those of the one that
    carries the same information. `is_given` is `[n, 12]`, `class_of` `[n]` tells subsets of equal information.
    """
    place = np.searchsorted(evaluated, subsets.known_leads(wanted))
    return {
        "subset": wanted,
        "is_given": subsets.is_in(wanted),
        "class_of": place,
        "validation": figures[:, place],
        "figure_names": np.array(figure_names),
        "lead_names": np.array(LEADS),
    }


def order_arrays(order: np.ndarray, stability: Mapping[str, Stability]) -> dict[str, np.ndarray]:
    """`[12, rank]` each: the order, and the shares behind it, for elimination.npz."""
    return {"order": order, **{f"shares_{name}": found.shares for name, found in stability.items()}}
