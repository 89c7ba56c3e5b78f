"""A twelve-lead record on ECG paper: three rows of four leads and a rhythm strip, 25 mm/s and 10 mm/mV."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgjax.leads import LEADS

MM_PER_S = 25.0
MM_PER_MV = 10.0
ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
RHYTHM_LEAD = "II"
LONGEST_S = 10.0

MARGIN_MM, PULSE_MM, ROW_MM, HEADER_MM, FOOTER_MM = 5.0, 10.0, 27.0, 12.0, 5.0
PAPER, FINE, COARSE, INK = "#fffaf8", "#f8dcd6", "#eeb4a8", "#16181d"

_STYLE = {"font.family": "DejaVu Sans", "path.simplify": True, "path.simplify_threshold": 0.1}


def _draw_paper(axes: Axes, width_mm: float, height_mm: float) -> None:
    axes.set(xlim=(0, width_mm), ylim=(0, height_mm), aspect="equal")
    axes.set_axis_off()
    for step, colour, line in ((1, FINE, 0.3), (5, COARSE, 0.45)):
        axes.vlines(np.arange(0, width_mm + 0.1, step), 0, height_mm, colors=colour, linewidth=line, zorder=0)
        axes.hlines(np.arange(0, height_mm + 0.1, step), 0, width_mm, colors=colour, linewidth=line, zorder=0)


def _draw_strip(axes: Axes, samples_mv: np.ndarray, fs_hz: float, start_mm: tuple[float, float], name: str) -> None:
    """One lead `[time]` from `start_mm`, which is the left end of its resting level, its name at the top left."""
    left_mm, baseline_mm = start_mm
    x = left_mm + np.arange(len(samples_mv)) / fs_hz * MM_PER_S
    known = samples_mv[np.isfinite(samples_mv)]
    y = baseline_mm + (samples_mv - (np.median(known) if len(known) else 0.0)) * MM_PER_MV
    axes.plot(x, y, color=INK, linewidth=0.7, solid_joinstyle="round", zorder=3)
    label = axes.text(left_mm + 1, baseline_mm + 8.5, name, fontsize=7.5, fontweight="bold", color=INK, zorder=2)
    label.set_bbox({"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.8})


def _draw_calibration(axes: Axes, baseline_mm: float) -> None:
    """The pulse of 1 mV and 0.2 s."""
    x = MARGIN_MM + np.array([0, 2.5, 2.5, 7.5, 7.5, PULSE_MM])
    axes.plot(x, baseline_mm + MM_PER_MV * np.array([0, 0, 1, 1, 0, 0]), color=INK, linewidth=0.7, zorder=3)


def _write(axes: Axes, at_mm: tuple[float, float], text: str, **style: Any) -> None:
    axes.text(*at_mm, text, va="center", zorder=5, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}, **style)


@matplotlib.rc_context(_STYLE)
def clinical_figure(signal_mv: np.ndarray, fs_hz: float, title: str, note: str, note_colour: str) -> Figure:
    """A record `[time, 12]` in mV as on paper, at true size when printed; at most the first ten seconds.

    Each column holds a quarter of the time, the strip below all of it. `note` stands at the upper right in
    `note_colour`. Samples that are not numbers leave gaps.
    """
    num_samples = min(len(signal_mv), int(LONGEST_S * fs_hz))
    column = num_samples // 4
    column_mm = column / fs_hz * MM_PER_S
    width_mm = 2 * MARGIN_MM + PULSE_MM + max(4 * column_mm, 100.0)
    height_mm = HEADER_MM + 4 * ROW_MM + FOOTER_MM
    figure = Figure(figsize=(width_mm / 25.4, height_mm / 25.4), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    _draw_paper(axes, width_mm, height_mm)
    left_mm = MARGIN_MM + PULSE_MM
    baselines_mm = FOOTER_MM + ROW_MM * (np.arange(3, -1, -1) + 0.42)
    for row, baseline_mm in zip(ROWS, baselines_mm, strict=False):
        for k, name in enumerate(row):
            samples = signal_mv[k * column : (k + 1) * column, LEADS.index(name)]
            _draw_strip(axes, samples, fs_hz, (left_mm + k * column_mm, baseline_mm), name)
            if k:
                x = left_mm + k * column_mm
                axes.vlines(x, baseline_mm - 3, baseline_mm + 3, colors=INK, linewidth=0.9, zorder=3)
    whole = signal_mv[: 4 * column, LEADS.index(RHYTHM_LEAD)]
    _draw_strip(axes, whole, fs_hz, (left_mm, baselines_mm[-1]), RHYTHM_LEAD)
    for baseline_mm in baselines_mm:
        _draw_calibration(axes, baseline_mm)
    top_mm = height_mm - HEADER_MM / 2
    _write(axes, (MARGIN_MM, top_mm), title, fontsize=9.5, color=INK)
    right_mm = width_mm - MARGIN_MM
    _write(axes, (right_mm, top_mm), note, fontsize=9.5, fontweight="bold", color=note_colour, ha="right")
    speed = f"{MM_PER_S:g} mm/s   {MM_PER_MV:g} mm/mV"
    _write(axes, (right_mm, 2.6), speed, fontsize=6.5, color="#6b5a55", ha="right")
    return figure
