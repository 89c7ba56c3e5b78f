"""Pictures of an elimination: the metric against the number of leads, and the order with its stability."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ecgjax import plots
from ecgjax.elimination.curves import Curve
from ecgjax.elimination.outcome import Outcome
from ecgjax.elimination.scoring import MEAN
from ecgjax.elimination.search import mean_ranks
from ecgjax.leads import LEADS
from ecgjax.plots import ACCENT, INK, MUTED, PERCENT, RULE, SERIES, new_figure, styled

_SHARE = LinearSegmentedColormap.from_list("share", ["#f7fafb", "#a9d3da", "#3f94a6", "#0f6e84", "#083b4a"])
_MOST_PANELS = 24
"""Labels that are drawn; the rest is in the tables."""

_LINES = {
    "best": "best subset",
    "backward": "greedy elimination",
    "forward": "greedy selection",
    "retrained": "trained anew at every step",
}


def draw(outcome: Outcome) -> dict[str, Figure]:
    """File name without its ending -> picture."""
    names = [name for name in outcome.figure_names if outcome.curve(outcome.searches()[0], name)]
    metric = outcome.criterion.name.replace("_", " ")
    panels = {
        (metric if name == MEAN else name): [
            curve for search in outcome.searches() if (curve := outcome.curve(search, name)) is not None
        ]
        for name in names[:_MOST_PANELS]
    }
    pictures = {
        "metric_by_leads": by_number_of_leads(panels),
        "order": order_strips(
            {"order": outcome.order, **{f"over {n}": s.shares for n, s in outcome.stability.items()}}
        ),
    }
    if outcome.wearables:
        points = {name: entry["points"][MEAN] for name, entry in outcome.wearables.items()}
        pictures["wearable_sets"] = plots.by_class(
            list(points),
            np.array([point.test.value for point in points.values()]),
            [point.test.ci95 for point in points.values()],
            label=f"{metric}, test records",
            is_share=False,
            second=None,
            second_label="",
        )
    return pictures


@styled
def by_number_of_leads(panels: Mapping[str, Sequence[Curve]]) -> Figure:
    """One panel a figure, one line a search; the band is the 95 % interval of the first."""
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(max(2.9 * columns, 4.6) + 0.2, 2.5 * rows + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for number, (axes, (title, curves)) in enumerate(zip(grid, panels.items(), strict=False)):
        for curve, colour in zip(curves, SERIES, strict=False):
            leads = [point.num_leads for point in curve.points]
            values = [point.test.value for point in curve.points]
            label = _LINES[curve.search] if number == 0 else None
            axes.plot(leads, values, color=colour, linewidth=1.5, marker="o", markersize=3, label=label, zorder=3)
            intervals = [point.test.ci95 for point in curve.points]
            if curve is curves[0] and all(interval is not None for interval in intervals):
                low, high = np.array(intervals).T
                axes.fill_between(leads, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.axhline(curves[0].points[0].test.value, color="#aab1ba", linewidth=1, linestyle=(0, (4, 3)), zorder=2)
        axes.set_title(title)
        axes.invert_xaxis()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    # Shared axes are turned once for each panel.
    left, right = sorted(grid[0].get_xlim(), reverse=True)
    grid[0].set_xlim(left, right)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[: len(panels)][-columns:]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("leads", fontsize=8.5, color=MUTED)
    figure.legend(loc="outside upper left", ncols=4)
    return figure


@styled
def order_strips(strips: Mapping[str, np.ndarray]) -> Figure:
    """When each lead goes: shares `[12, rank]`, leads in the order of the first strip."""
    first = next(iter(strips.values()))
    ranks = mean_ranks(first)
    rows = np.argsort(ranks, kind="stable")[: int(np.sum(~np.isnan(ranks)))]
    num_ranks = first.shape[1]
    figure = new_figure((0.36 * num_ranks + 0.9) * len(strips) + 0.9, 0.3 * len(rows) + 1.1)
    for axes, (title, shares) in zip(figure.subplots(1, len(strips), squeeze=False)[0], strips.items(), strict=True):
        image = axes.imshow(shares[rows], cmap=_SHARE, vmin=0, vmax=1, aspect="auto")
        for (row, rank), share in np.ndenumerate(shares[rows]):
            if share >= 0.005:
                ink = "white" if share > 0.45 else INK
                axes.text(rank, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6.5, color=ink)
        axes.set_yticks(np.arange(len(rows)), [LEADS[row] for row in rows])
        axes.set_xticks(np.arange(num_ranks), [*map(str, range(1, num_ranks)), "left"])
        axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
        axes.grid(False)
        axes.grid(True, axis="y", which="minor", color=RULE, linewidth=0.6)
        axes.tick_params(which="minor", length=0)
        axes.tick_params(axis="y", colors=INK)
        axes.set_title(title, color=ACCENT)
        axes.set_xlabel("goes as number")
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.8, aspect=30, pad=0.01, format=PERCENT)
    bar.set_label("share of the orders", fontsize=8.5)
    bar.outline.set_visible(False)
    return figure
