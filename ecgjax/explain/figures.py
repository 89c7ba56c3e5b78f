"""Figures of attributions and embeddings, in the manner of `plots`: arrays in, a figure out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ecgjax import leads
from ecgjax.explain.projections import NUM_COMPONENTS, Plane, Projection, frontal_directions, frontal_fit
from ecgjax.explain.waves import REST, WAVES
from ecgjax.plots import ACCENT, INK, MUTED, PERCENT, RULE, SECOND, SERIES, new_figure, styled

_STRENGTH = LinearSegmentedColormap.from_list("strength", ["#d3dadf", "#e9b97f", "#d1691f", "#8c2d04"])
_SIGNED = LinearSegmentedColormap.from_list("signed", ["#0f6e84", "#7db6c1", "#d3dadf", "#e9a86a", "#b8500c"])
_SHARE = LinearSegmentedColormap.from_list("share", ["#fdf9f4", "#e9b97f", "#d1691f", "#8c2d04"])
_SHADED = ("P", "QRS", "T")
_MOST_POINTS = 4000
"""Points of a scatter; beyond them it is drawn from a part."""


_MOST_LABELS = 12
"""Classes that are named beside their centroids; more of them are in a legend."""


@styled
def attribution_beat(
    beat: np.ndarray,
    attribution: np.ndarray,
    wave: np.ndarray,
    *,
    time_s: np.ndarray,
    lead_names: Sequence[str],
    title: str,
    unit: str,
) -> Figure:
    """An average beat `[time, lead]`, each lead coloured by its `attribution`, which is signed where any is negative.

    `wave` `[time]` are indices into `waves.WAVES`; `time_s` is relative to the R peak.
    """
    columns = min(4, len(lead_names))
    rows = -(-len(lead_names) // columns)
    figure = new_figure(2.6 * columns + 0.9, 1.75 * rows + 0.75)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True)
    # Down the columns, as on ECG paper.
    ordered = panels.T.ravel()
    colours, norm = _scale(attribution)
    for axes, name, trace, strength in zip(ordered, lead_names, beat.T, attribution.T, strict=False):
        _shade_waves(axes, wave, time_s, names_at_top=axes in panels[0])
        points = np.stack([time_s, trace], axis=1)
        line = LineCollection(
            list(np.stack([points[:-1], points[1:]], axis=1)),
            cmap=colours,
            norm=norm,
            linewidth=2.1,
            capstyle="round",
            zorder=3,
        )
        line.set_array((strength[:-1] + strength[1:]) / 2)
        axes.add_collection(line)
        low, high = trace.min(), trace.max()
        margin = 0.12 * max(high - low, 1e-3)
        axes.set(xlim=(time_s[0], time_s[-1]), ylim=(low - margin, high + 1.6 * margin))
        axes.text(0.015, 0.97, name, transform=axes.transAxes, va="top", fontweight="bold", fontsize=9)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.tick_params(labelsize=7.5)
    for axes in ordered[len(lead_names) :]:
        axes.set_axis_off()
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    figure.supxlabel("time from the R peak (s)", fontsize=8.5, color=MUTED)
    figure.supylabel(unit, fontsize=8.5, color=MUTED)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=panels, shrink=0.6, aspect=30, pad=0.015)
    bar.set_label("attribution" if colours is _SIGNED else "attribution, absolute", fontsize=8.5)
    bar.ax.tick_params(labelsize=7.5)
    bar.outline.set_visible(False)
    return figure


def _scale(attribution: np.ndarray) -> tuple[LinearSegmentedColormap, Normalize]:
    # A hundredth of the samples may go beyond the scale, so that one spike does not pale all else.
    top = max(float(np.quantile(np.abs(attribution), 0.99)), 1e-12)
    if attribution.min() < 0:
        return _SIGNED, TwoSlopeNorm(0.0, -top, top)
    return _STRENGTH, Normalize(0.0, top)


def _shade_waves(axes: Axes, wave: np.ndarray, time_s: np.ndarray, names_at_top: bool) -> None:
    step = time_s[1] - time_s[0]
    for name in _SHADED:
        inside = time_s[wave == WAVES.index(name)]
        if not inside.size:
            continue
        axes.axvspan(inside[0] - step / 2, inside[-1] + step / 2, color="#eef2f4", zorder=0, linewidth=0)
        if names_at_top:
            middle = (inside[0] + inside[-1]) / 2
            at: Any = {"xycoords": ("data", "axes fraction"), "ha": "center"}
            axes.annotate(name, (middle, 1.01), fontsize=7.5, color=MUTED, **at)


@styled
def wave_shares(
    shares: np.ndarray, intervals: Sequence[tuple[float, float] | None], durations: np.ndarray, title: str
) -> Figure:
    """Bars of `shares` `[wave]` with intervals, and hollow dots for the share of the time that each wave takes."""
    figure = new_figure(4.8, 3.0)
    axes = figure.subplots()
    places = np.arange(len(WAVES))
    colours = [RULE if i == REST else ACCENT for i in places]
    axes.bar(places, shares, width=0.62, color=colours, zorder=2)
    for place, interval in zip(places, intervals, strict=True):
        if interval is not None:
            axes.vlines(place, *interval, color=INK, linewidth=1.3, zorder=4)
    axes.scatter(
        places, durations, s=34, facecolor="white", edgecolor=SECOND, linewidth=1.4, label="share of the time", zorder=5
    )
    axes.set_xticks(places, [f"{name}\n{100 * share:.0f} %" for name, share in zip(WAVES, shares, strict=True)])
    axes.tick_params(axis="x", colors=INK)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(False, axis="x")
    axes.set(ylabel="share of the attribution")
    axes.set_title(title)
    axes.legend(loc="upper right")
    return figure


@styled
def share_matrix(matrix: np.ndarray, row_names: Sequence[str], column_names: Sequence[str], title: str) -> Figure:
    """Shares `[target, lead or wave]`, in percent of their row."""
    rows, columns = matrix.shape
    figure = new_figure(0.46 * columns + 2.4, 0.32 * rows + 1.3)
    axes = figure.subplots()
    top = max(float(np.nanmax(matrix)), 1e-6)
    axes.imshow(matrix, cmap=_SHARE, vmin=0, vmax=top, aspect="auto")
    for row, column in np.ndindex(rows, columns):
        ink = "white" if matrix[row, column] > 0.55 * top else INK
        axes.text(column, row, f"{100 * matrix[row, column]:.0f}", ha="center", va="center", fontsize=7.5, color=ink)
    axes.set_xticks(np.arange(columns), column_names)
    axes.set_yticks(np.arange(rows), row_names)
    axes.grid(False)
    axes.tick_params(colors=INK, labelsize=8)
    axes.set(ylabel="explained class")
    axes.set_title(title)
    return figure


def class_colours(names: Sequence[str]) -> list[Any]:
    """A colour each: a row of hues from V1 to V6 and another for limb leads; few classes in the report's colours."""
    if set(names) <= set(leads.LEADS):
        limb, precordial = colormaps["winter"], colormaps["plasma"]
        return [
            precordial(0.05 + 0.16 * leads.PRECORDIAL_LEADS.index(name))
            if name in leads.PRECORDIAL_LEADS
            else limb(0.05 + 0.18 * leads.LIMB_LEADS.index(name))
            for name in names
        ]
    if len(names) <= len(SERIES):
        return list(SERIES[: len(names)])
    return [colormaps["turbo"](0.04 + 0.92 * i / (len(names) - 1)) for i in range(len(names))]


def _shown_points(projection: Projection) -> np.ndarray:
    num_points = len(projection.classes)
    return np.random.default_rng(0).permutation(num_points)[:_MOST_POINTS]


@styled
def scatter_2d(panels: Mapping[str, Projection]) -> Figure:
    """The first two components of each layer, with the centroid of every class."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    first = next(iter(panels.values()))
    has_legend = len(first.class_names) > _MOST_LABELS
    figure = new_figure(4.5 * columns + 1.6 * has_legend, 4.3 * rows)
    axes_of = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, projection) in zip(axes_of, panels.items(), strict=False):
        colours = class_colours(projection.class_names)
        shown = _shown_points(projection)
        x, y = projection.coordinates[shown, :2].T
        opacity = float(np.clip(400 / len(shown), 0.15, 0.8))
        of_point = [colours[c] for c in projection.classes[shown]]
        axes.scatter(x, y, s=9, c=of_point, alpha=opacity, linewidth=0, rasterized=True)
        for name, colour, (a, b, *_) in zip(projection.class_names, colours, projection.centroids(), strict=True):
            axes.scatter(a, b, s=46, color=colour, edgecolor="white", linewidth=1.1, zorder=4)
            if not has_legend:
                style: Any = {"textcoords": "offset points", "fontsize": 8, "fontweight": "bold", "zorder": 5}
                text = axes.annotate(name, (a, b), (5, 4), **style)
                text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.6, "pad": 0.4})
        axes.set(xlabel=_component(projection, 0), ylabel=_component(projection, 1))
        axes.set_title(title)
        axes.set_aspect("equal", adjustable="datalim")
    if has_legend:
        figure.legend(handles=_keys(first), loc="outside right center", fontsize=8)
    for axes in axes_of[len(panels) :]:
        axes.set_axis_off()
    return figure


def _keys(projection: Projection) -> list[Line2D]:
    return [
        Line2D([], [], marker="o", linestyle="", color=colour, label=name)
        for name, colour in zip(projection.class_names, class_colours(projection.class_names), strict=True)
    ]


def _component(projection: Projection, number: int) -> str:
    return f"component {number + 1} ({100 * projection.explained[number]:.0f} %)"


@styled
def scatter_3d(title: str, projection: Projection, planes: Mapping[str, Plane]) -> Figure:
    """Three components, with the centroid of every class and the plane of each group of classes."""
    has_legend = len(projection.class_names) > _MOST_LABELS
    figure = new_figure(6.2 + 1.6 * has_legend, 5.6)
    axes: Any = figure.add_subplot(projection="3d")
    colours = class_colours(projection.class_names)
    shown = _shown_points(projection)
    of_point = [colours[c] for c in projection.classes[shown]]
    axes.scatter(*projection.coordinates[shown].T, s=9, c=of_point, alpha=0.35, linewidth=0, rasterized=True)
    for name, colour, centroid in zip(projection.class_names, colours, projection.centroids(), strict=True):
        axes.scatter(*centroid[:, None], s=60, color=colour, edgecolor="white", depthshade=False, zorder=5)
        if not has_legend:
            axes.text(*centroid, f"  {name}", fontsize=8.5, fontweight="bold", zorder=6)
    reach = np.sqrt(np.mean(np.sum(projection.coordinates**2, axis=1)))
    for plane, colour in zip(planes.values(), SERIES, strict=False):
        corners = plane.centre + reach * np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) @ plane.axes
        axes.plot_surface(*corners.T.reshape(NUM_COMPONENTS, 2, 2), color=colour, alpha=0.13, linewidth=0)
    for set_label, number in ((axes.set_xlabel, 0), (axes.set_ylabel, 1), (axes.set_zlabel, 2)):
        set_label(_component(projection, number), fontsize=8)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=7)
    axes.set_box_aspect((1, 1, 0.85), zoom=1.05)
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    if has_legend:
        figure.legend(handles=_keys(projection), loc="outside right center", fontsize=8)
    return figure


@styled
def frontal_plane(title: str, projection: Projection, explained: float) -> Figure:
    """Centroids of limb leads, turned onto the directions in which the leads look at the heart."""
    names = projection.class_names
    directions = frontal_directions(names)
    fitted, _ = frontal_fit(projection.centroids()[:, :2], names)
    figure = new_figure(4.5, 4.7)
    axes = figure.subplots()
    for name, (x, y) in zip(names, directions, strict=True):
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": "#b9c0c7", "linewidth": 1.1})
        axes.annotate(name, (1.14 * x, 1.14 * y), ha="center", va="center", fontsize=8.5, color=MUTED)
    for name, colour, start, (x, y) in zip(names, class_colours(names), directions, fitted, strict=True):
        axes.plot([start[0], x], [start[1], y], color=colour, linewidth=1.0, linestyle=(0, (2, 2)), zorder=3)
        axes.scatter(x, y, s=52, color=colour, edgecolor="white", zorder=4)
        axes.annotate(name, (x, y), (6, -3), textcoords="offset points", fontsize=8.5, fontweight="bold", zorder=5)
    reach = 1.25 * max(1.0, float(np.abs(fitted).max()))
    # Feet below, the left arm to the right, as the clinic draws it.
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal", xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"{title}: R² {explained:.2f}")
    return figure
