"""Activation maps as figures: site by site as columns of colour, and on the heart from several sides."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ecgjax.data.intracardiac import CHAMBERS, LAYERS, SITES
from ecgjax.heart.interpolation import interpolated
from ecgjax.heart.mesh import Heart
from ecgjax.heart.rendering import UNKNOWN, VIEWS, View, scene
from ecgjax.plots import INK, MUTED, new_figure, styled

TIMES = colormaps["plasma_r"]
"""Early is bright, late is dark and blue."""

DIFFERENCES = colormaps["RdBu_r"]
"""Red where the prediction is late."""

_BANDS = 16
_LEAST_MS = 5.0
"""Differences are not magnified beyond this half scale."""


def time_norm(*maps_ms: np.ndarray | None) -> Normalize:
    """One scale for all of the maps `[..., site]`, in bands of whole milliseconds."""
    known = np.concatenate([np.ravel(times) for times in maps_ms if times is not None])
    known = known[~np.isnan(known)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    levels = MaxNLocator(_BANDS, steps=[1, 2, 5, 10], min_n_ticks=3).tick_values(low, max(high, low + 1))
    return BoundaryNorm(levels, TIMES.N, extend="neither", clip=True)


def difference_norm(true_ms: np.ndarray, predicted_ms: np.ndarray) -> Normalize:
    """A scale that is white for no difference and reaches nearly all of them."""
    difference = np.abs(predicted_ms - true_ms)
    known = difference[~np.isnan(difference)]
    limit = max(_LEAST_MS, float(np.percentile(known, 98)) if len(known) else 0.0)
    return Normalize(-limit, limit, clip=True)


@styled
def activation_columns(true_ms: np.ndarray | None, predicted_ms: np.ndarray, title: str) -> Figure:
    """Times `[75]` of every site, by chamber and layer, each column true and predicted side by side and their gap.

    Sites that never fire are grey.
    """
    bands = time_norm(true_ms, predicted_ms)
    norm = Normalize(bands.vmin, bands.vmax)
    columns = {"true": true_ms, "predicted": predicted_ms} if true_ms is not None else {"predicted": predicted_ms}
    chambers = ("LV", "septum", "RV")
    rows = {
        chamber: sorted(
            (i for i in range(len(SITES)) if CHAMBERS[i] == chamber),
            key=lambda i: (("endo", "mid", "epi").index(LAYERS[i]), i),
        )
        for chamber in chambers
    }
    figure = new_figure(9.6, 0.17 * max(map(len, rows.values())) + 1.1)
    panels = figure.subplots(1, len(chambers))
    for axes, chamber in zip(panels, chambers, strict=True):
        sites = rows[chamber]
        _column(axes, np.stack([times[sites] for times in columns.values()], 1), TIMES, norm)
        axes.set_ylim(max(map(len, rows.values())) - 0.5, -0.5)
        axes.set_yticks(range(len(sites)), [SITES[i] for i in sites], fontsize=6.5)
        axes.set_xticks(range(len(columns)), list(columns))
        axes.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.set_title(chamber)
        for row, site in enumerate(sites):
            text = f"{predicted_ms[site]:.0f}"
            if true_ms is not None:
                text = "never" if np.isnan(true_ms[site]) else f"{predicted_ms[site] - true_ms[site]:+.1f}"
            axes.annotate(text, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=6.5, color=MUTED)
    _bar(figure, list(panels), TIMES, norm, "activation (ms)")
    note = "beside each row predicted minus true, in ms" if true_ms is not None else "beside each row the time in ms"
    figure.suptitle(f"{title}; {note}", x=0.01, ha="left", fontsize=9)
    return figure


def _column(axes: Axes, values: np.ndarray, colour_map: Colormap, norm: Normalize) -> None:
    axes.imshow(np.ma.masked_invalid(values), cmap=colour_map.with_extremes(bad=UNKNOWN), norm=norm, aspect="auto")
    axes.set_xticks(np.arange(values.shape[1] + 1) - 0.5, minor=True)
    axes.grid(False)
    axes.grid(True, which="minor", axis="x", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    axes.tick_params(colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


@styled
def activation_on_heart(
    heart: Heart,
    true_ms: np.ndarray | None,
    predicted_ms: np.ndarray,
    title: str,
    *,
    method: str = "smooth",
    views: tuple[View, ...] = VIEWS,
    min_triangles: int = 20_000,
) -> Figure:
    """The map `[75]` on the heart from several sides: true, predicted and, on a scale of its own, their difference.

    Between sites it is interpolated by `method`, one of `interpolation.METHODS`.
    """
    norm = time_norm(true_ms, predicted_ms)
    rows = [("predicted", predicted_ms, TIMES, norm, "activation (ms)")]
    if true_ms is not None:
        error = difference_norm(true_ms, predicted_ms)
        rows = [
            ("true", true_ms, TIMES, norm, "activation (ms)"),
            # What never fires has no place in a comparison, whatever is predicted there.
            ("predicted", np.where(np.isnan(true_ms), np.nan, predicted_ms), TIMES, norm, "activation (ms)"),
            ("predicted − true", predicted_ms - true_ms, DIFFERENCES, error, "difference (ms)"),
        ]
    figure = new_figure(2.4 * len(views) + 0.9, 2.0 * len(rows) + 0.4)
    grid = figure.subplots(len(rows), len(views), squeeze=False)
    scenes = [scene(heart, view, min_triangles) for view in views]
    for row, (name, times_ms, colour_map, scale, _) in zip(grid, rows, strict=True):
        field = interpolated(times_ms, heart.site_mm, heart.points_mm, method)
        for axes, seen in zip(row, scenes, strict=True):
            seen.draw(axes, field, colour_map, scale)
        row[0].text(-0.04, 0.5, name, transform=row[0].transAxes, rotation=90, ha="right", va="center")
    for axes, view in zip(grid[0], views, strict=True):
        axes.set_title(view.name, loc="center", fontsize=9, fontweight="normal", color=MUTED)
    shared = len(rows) - (true_ms is not None)
    _bar(figure, grid[:shared].ravel().tolist(), TIMES, norm, rows[0][4])
    if true_ms is not None:
        _bar(figure, grid[-1].tolist(), DIFFERENCES, rows[-1][3], rows[-1][4])
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    return figure


def _bar(figure: Figure, axes: list[Axes], colour_map: Colormap, norm: Normalize, label: str) -> None:
    bar = figure.colorbar(ScalarMappable(norm, colour_map), ax=axes, shrink=0.8, aspect=30, pad=0.02)
    bar.set_label(label, fontsize=8.5)
    bar.outline.set_visible(False)
