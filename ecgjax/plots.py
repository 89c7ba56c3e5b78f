"""Figures of the report. Each function takes arrays and returns a matplotlib figure; nothing is shown or written."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

INK, MUTED, RULE = "#1c2128", "#68707b", "#e3e6ea"
ACCENT, SECOND, GOOD, BAD = "#0f6e84", "#d1691f", "#1e7f4f", "#c0322b"
SERIES = (ACCENT, SECOND, "#7a5195", "#8a9a1e", "#b5446e", "#4a5560")
_HEAT = LinearSegmentedColormap.from_list("heat", ["#f2f7f8", "#a9d3da", "#3f94a6", "#0f6e84", "#083b4a"])

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#aab1ba",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
styled = matplotlib.rc_context(STYLE)
PERCENT = PercentFormatter(1, decimals=0, symbol=" %")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return Figure(figsize=(width, height), layout="constrained")


@styled
def learning_curves(curves: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """One panel a figure: `curves[name][split]` is `[point, 2]` of step and value."""
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = new_figure(3.6 * columns + 0.2, 2.5 * rows + 0.1)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    splits = sorted({split for by_split in curves.values() for split in by_split}, key=_split_order)
    colours = dict(zip(splits, SERIES * len(splits), strict=False))
    for axes, (name, by_split) in zip(panels, curves.items(), strict=False):
        for split in sorted(by_split, key=_split_order):
            step, value = np.asarray(by_split[split], float).T
            marker = "o" if len(step) < 30 else None
            axes.plot(step, value, color=colours[split], linewidth=1.4, marker=marker, markersize=3, label=split)
        axes.set_title(name)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        values = np.concatenate([np.asarray(v, float)[:, 1] for v in by_split.values()])
        if "loss" in name and np.nanmin(values) > 0 and np.nanmax(values) > 20 * np.nanmin(values):
            axes.set_yscale("log")
        axes.legend(loc="best")
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    figure.supxlabel("step", fontsize=8.5, color=MUTED)
    return figure


def _split_order(split: str) -> tuple[int, str]:
    order = ("train", "validation", "test")
    return (order.index(split) if split in order else len(order), split)


@styled
def confusion(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Counts `[truth, prediction]`; colour is the share of the truth's row, on a log scale."""
    num_classes = len(class_names)
    side = max(3.4, 0.40 * num_classes)
    figure = new_figure(side + 2.0, side + 1.0)
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(np.where(share > 0, share, np.nan), cmap=_HEAT, norm=LogNorm(0.001, 1), aspect="equal")
    for truth, prediction in zip(*np.nonzero(matrix), strict=True):
        ink = "white" if share[truth, prediction] > 0.03 else INK
        count = f"{matrix[truth, prediction]:.0f}"
        axes.text(prediction, truth, count, ha="center", va="center", fontsize=6.8, color=ink)
    ticks = np.arange(num_classes)
    axes.set_xticks(ticks, class_names, rotation=55, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, class_names)
    axes.set_xticks(ticks[1:] - 0.5, minor=True)
    axes.set_yticks(ticks[1:] - 0.5, minor=True)
    axes.grid(False)
    axes.grid(True, which="minor", color=RULE, linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.tick_params(colors=INK, labelsize=8)
    axes.set(xlabel="predicted", ylabel="truth")
    bar = figure.colorbar(image, ax=axes, shrink=0.55, aspect=28, pad=0.02)
    bar.set_ticks([0.001, 0.01, 0.1, 1], labels=["0.1 %", "1 %", "10 %", "100 %"])
    bar.set_label("share of the true class", fontsize=8.5)
    bar.outline.set_visible(False)
    return figure


@styled
def calibration(panels: Mapping[str, np.ndarray]) -> Figure:
    """Reliability diagrams with the distribution of the probability below; `panels[title]` is `[bin, 3]`.

    The bins are those of `ecgjax.metrics.calibration_bins`: weight, mean probability, share that came true.
    """
    figure = new_figure(4.2 * len(panels) + 0.2, 4.7)
    grid = figure.subplots(2, len(panels), squeeze=False, sharex=True, height_ratios=(4, 1))
    for (upper, lower), (title, bins) in zip(grid.T, panels.items(), strict=True):
        share = bins[:, 0] / bins[:, 0].sum()
        seen = share > 0
        upper.plot([0, 1], [0, 1], color="#aab1ba", linewidth=1, linestyle=(0, (4, 3)))
        upper.plot(bins[seen, 1], bins[seen, 2], color=ACCENT, linewidth=1.2)
        upper.scatter(bins[seen, 1], bins[seen, 2], s=18 + 160 * share[seen], color=ACCENT, edgecolor="white", zorder=3)
        upper.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), ylabel="came true")
        upper.set_title(title)
        left = np.arange(len(bins)) / len(bins)
        lower.bar(left, share, width=0.9 / len(bins), align="edge", color="#a9d3da")
        lower.set(xlabel="predicted probability", ylabel="share")
        lower.xaxis.set_major_formatter(PERCENT)
        lower.yaxis.set_major_locator(MaxNLocator(2))
        for axes in (upper, lower):
            axes.yaxis.set_major_formatter(PERCENT)
    return figure


@styled
def by_class(
    names: Sequence[str],
    values: np.ndarray,
    intervals: Sequence[tuple[float, float] | None],
    *,
    label: str,
    is_share: bool,
    second: np.ndarray | None,
    second_label: str,
) -> Figure:
    """A dot and its interval for each class, from top to bottom; `second` adds hollow dots, NaN for none."""
    figure = new_figure(5.3, 0.26 * len(names) + 0.9)
    axes = figure.subplots()
    rows = np.arange(len(names))
    if second is not None:
        axes.scatter(
            second, rows, s=34, facecolor="white", edgecolor=SECOND, linewidth=1.3, label=second_label, zorder=3
        )
    for row, interval in zip(rows, intervals, strict=True):
        if interval is not None:
            axes.hlines(row, *interval, color=ACCENT, linewidth=2.2, alpha=0.55, zorder=2)
    axes.scatter(values, rows, s=26, color=ACCENT, label=label, zorder=4)
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", colors=INK, labelsize=8.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(False, axis="y")
    low = np.nanmin([*values, *(i[0] for i in intervals if i is not None), *(() if second is None else second)])
    if is_share and np.isfinite(low):
        left = max(0.0, np.floor((low - 0.02) * 10) / 10)
        axes.set_xlim(left - 0.01 * (1 - left), 1 + 0.015 * (1 - left))
        axes.xaxis.set_major_formatter(PERCENT)
    for row, value in zip(rows, values, strict=True):
        text = f"{100 * value:.1f} %" if is_share else (f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}")
        axes.annotate(text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=MUTED)
    if second is not None:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handletextpad=0.2)
    else:
        axes.set_title(label)
    return figure


@styled
def ppv_against_prevalence(
    prevalence: np.ndarray, lines: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], marked: Sequence[float]
) -> Figure:
    """Positive predictive value over `prevalence` `[point]`; each of `lines` is value, low and high, `[point]`.

    The first line carries its value at each prevalence of `marked`.
    """
    figure = new_figure(8.6, 3.9)
    axes = figure.subplots()
    for number, ((label, (value, low, high)), colour) in enumerate(zip(lines.items(), SERIES, strict=False)):
        axes.fill_between(prevalence, low, high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(prevalence, value, color=colour, linewidth=1.8, label=label)
        at = np.interp(np.log(marked), np.log(prevalence), value)
        axes.scatter(marked, at, s=26, color=colour, edgecolor="white", zorder=4)
        if number == 0:
            for x, y in zip(marked, at, strict=True):
                axes.annotate(
                    f"{100 * y:.0f} % at {100 * x:g} %", (x, y), (7, -9), textcoords="offset points", fontsize=8.5
                )
    axes.set_xscale("log")
    axes.set(xlim=(prevalence[0], prevalence[-1]), ylim=(0, 1.03))
    ticks = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    axes.set_xticks(ticks, [f"{100 * t:g} %" for t in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set(xlabel="prevalence", ylabel="positive predictive value")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), borderaxespad=0.2)
    return figure


@styled
def predicted_against_true(targets: np.ndarray, predicted: np.ndarray, label: str, note: str) -> Figure:
    """Scatter of a regression with the identity and the least-squares line, `[n]` each; `note` stands in a corner."""
    figure = new_figure(4.6, 4.4)
    axes: Axes = figure.subplots()
    opacity = float(np.clip(150 / len(targets), 0.06, 0.7))
    axes.scatter(targets, predicted, s=9, color=ACCENT, alpha=opacity, linewidth=0, rasterized=True)
    ends = np.array([min(targets.min(), predicted.min()), max(targets.max(), predicted.max())])
    axes.plot(ends, ends, color="#aab1ba", linewidth=1, linestyle=(0, (4, 3)))
    if len(targets) > 1 and np.ptp(targets) > 0:
        axes.plot(ends, np.polyval(np.polyfit(targets, predicted, 1), ends), color=SECOND, linewidth=1.4)
    axes.set(xlabel=f"true {label}".strip(), ylabel=f"predicted {label}".strip(), aspect="equal")
    axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize=8.5)
    return figure
