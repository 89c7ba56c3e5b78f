"""Transmembrane potentials as figures: every site over time, and the heart as it is excited and recovers."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.animation import PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ecgjax.data.intracardiac import FS_HZ, PEAK_MV, REST_MV, SITES
from ecgjax.heart.interpolation import interpolated
from ecgjax.heart.mesh import Heart
from ecgjax.heart.rendering import VIEWS, scene
from ecgjax.plots import ACCENT, INK, MUTED, RULE, STYLE, new_figure, styled

POTENTIALS = colormaps["plasma"]
SCALE = Normalize(REST_MV, PEAK_MV, clip=True)

_COLUMNS = 10
_GAP_MS, _PANEL_MV = 60, 185
"""Between the panels of a row, and from row to row."""
_SCALE_MS, _SCALE_MV = 200, 50
_ANIMATED_VIEWS = (VIEWS[0], VIEWS[2], VIEWS[3])
_DPI = 80


@styled
def potential_grid(true_mv: np.ndarray | None, predicted_mv: np.ndarray, title: str) -> Figure:
    """One panel a site of potentials `[time, 75]`: the true one black, the predicted one coloured."""
    num_samples, num_sites = predicted_mv.shape
    place = np.arange(num_sites)
    # One pair of axes for all panels: 75 pairs take ten times as long to draw.
    left_ms = place % _COLUMNS * (num_samples * 1000 / FS_HZ + _GAP_MS)
    level_mv = -(place // _COLUMNS) * _PANEL_MV
    time_ms = np.arange(num_samples) * 1000 / FS_HZ
    figure = new_figure(1.25 * _COLUMNS, 0.95 * -(-num_sites // _COLUMNS) + 0.6)
    axes = figure.subplots()
    axes.hlines(level_mv + REST_MV, left_ms, left_ms + time_ms[-1], color=RULE, linewidth=0.7)
    axes.hlines(level_mv, left_ms, left_ms + time_ms[-1], color=RULE, linewidth=0.7)
    for name, vm_mv, colour in (("true", true_mv, INK), ("predicted", predicted_mv, ACCENT)):
        if vm_mv is not None:
            traces = np.stack([left_ms[:, None] + time_ms, level_mv[:, None] + vm_mv.T], axis=-1)
            axes.add_collection(LineCollection(list(traces), colors=colour, linewidths=1.1, label=name))
    for site, x, y in zip(SITES, left_ms, level_mv, strict=True):
        axes.text(x + time_ms[-1], y + PEAK_MV + 12, site, fontsize=6.5, ha="right", fontweight="bold")
    # The last row has room for a scale.
    x, y = left_ms[_COLUMNS - 1], level_mv[-1]
    axes.plot([x, x, x + _SCALE_MS], [y + REST_MV + _SCALE_MV, y + REST_MV, y + REST_MV], color=MUTED, linewidth=1.2)
    axes.text(x + 15, y + REST_MV + 10, f"{_SCALE_MS} ms, {_SCALE_MV} mV", fontsize=7, color=MUTED)
    axes.set_axis_off()
    axes.autoscale_view()
    axes.margins(0.01)
    axes.legend(loc="lower right", bbox_to_anchor=(0.88, 0), borderaxespad=0.2)
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    return figure


def write_animation(
    path: Path,
    heart: Heart,
    true_mv: np.ndarray | None,
    predicted_mv: np.ndarray,
    title: str,
    *,
    step_ms: float,
    min_triangles: int = 5_000,
    frames_per_s: int = 12,
) -> None:
    """Writes a GIF of potentials `[time, 75]` on the heart, one picture every `step_ms`; the true ones above."""
    every = max(1, round(step_ms * FS_HZ / 1000))
    rows = {"predicted": predicted_mv} if true_mv is None else {"true": true_mv, "predicted": predicted_mv}
    fields = [interpolated(vm_mv[::every], heart.site_mm, heart.points_mm, "smooth") for vm_mv in rows.values()]
    scenes = [scene(heart, view, min_triangles) for view in _ANIMATED_VIEWS]
    # Not as a decorator: saving draws, and draws in the style of its own time.
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.4 * len(scenes) + 0.9, 2.1 * len(rows) + 0.5))
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(rows), len(scenes), squeeze=False)
        figure.subplots_adjust(0.03, 0.02, 0.88, 0.84, 0.02, 0.02)
        drawn = [
            [seen.draw(axes, field[0], POTENTIALS, SCALE) for axes, seen in zip(row, scenes, strict=True)]
            for row, field in zip(grid, fields, strict=True)
        ]
        for axes, view in zip(grid[0], _ANIMATED_VIEWS, strict=True):
            axes.set_title(view.name, loc="center", fontsize=9, fontweight="normal", color=MUTED)
        for row, name in zip(grid, rows, strict=True):
            row[0].text(0, 0.5, name, transform=row[0].transAxes, rotation=90, ha="right", va="center")
        bar = figure.colorbar(ScalarMappable(SCALE, POTENTIALS), cax=figure.add_axes((0.9, 0.12, 0.015, 0.66)))
        bar.set_label("mV")
        figure.text(0.01, 0.94, title, fontweight="bold")
        clock = figure.text(0.99, 0.94, "", ha="right")
        writer = PillowWriter(fps=frames_per_s)
        with writer.saving(figure, str(path), _DPI):
            for frame in range(len(fields[0])):
                clock.set_text(f"{frame * every * 1000 / FS_HZ:.0f} ms")
                for row, field in zip(drawn, fields, strict=True):
                    for collection, seen in zip(row, scenes, strict=True):
                        collection.set_facecolor(seen.colours(field[frame], POTENTIALS, SCALE))
                writer.grab_frame()
