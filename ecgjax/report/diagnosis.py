"""The report's section on several labels a record: precision against recall, label by label."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from ecgjax.plots import ACCENT, MUTED, PERCENT, SECOND, new_figure, styled
from ecgjax.report.files import RunFiles
from ecgjax.report.page import Section, image, paragraph

MOST_PANELS = 24
_COLUMNS = 4


def precision_recall_section(run: RunFiles) -> Section | None:
    """None where a record has one label at most, without predictions, or where no record has any of the labels."""
    results, predictions, figures_dir = run.results, run.predictions, run.figures_dir
    if results["task"] not in ("diagnosis", "labelled") or not predictions or predictions["targets"].dtype != np.int8:
        return None
    names = [str(name) for name in predictions["class_names"]]
    is_class, scores = predictions["targets"].astype(bool), predictions["scores"]
    occurring = [k for k in np.argsort(-is_class.sum(axis=0), kind="stable") if is_class[:, k].any()]
    if not occurring:
        return None
    shown = sorted(occurring[:MOST_PANELS])
    panels = {}
    for k in shown:
        found = {figure: results["metrics"].get(f"{figure}/{names[k]}") for figure in ("auprc", "threshold")}
        panels[names[k]] = (is_class[:, k], scores[:, k], found["auprc"], found["threshold"])
    kept = "" if len(shown) == len(names) else f" The {len(shown)} most frequent of {len(names)} labels are drawn."
    text = paragraph(
        "Dashed is what chance reaches: the share of records that have the label. The dot is where the label is named "
        "when its probability passes the threshold that gave the best F1 on the validation records." + kept
    )
    picture = image(precision_recall(panels), figures_dir / "precision_recall.png", "precision against recall by label")
    return Section("Precision and recall", text + picture)


_Panel = tuple[np.ndarray, np.ndarray, Mapping[str, Any] | None, Mapping[str, Any] | None]


@styled
def precision_recall(panels: Mapping[str, _Panel]) -> Figure:
    """A panel a label: whether records have it and its scores `[n]`, and entries of `results.json` for AUPRC and
    threshold, None where there is none."""
    columns = min(_COLUMNS, len(panels)) if len(panels) != 6 else 3
    rows = -(-len(panels) // columns)
    figure = new_figure(2.6 * columns + 0.3, 2.4 * rows + 0.3)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_axis_off()
    for axes, (name, (is_class, scores, auprc, threshold)) in zip(grid.ravel(), panels.items(), strict=False):
        precision, recall, _ = precision_recall_curve(is_class, scores)
        axes.plot(recall, precision, color=ACCENT, linewidth=1.5, drawstyle="steps-post")
        axes.axhline(is_class.mean(), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        if threshold is not None:
            _mark(axes, is_class, scores > threshold["value"], threshold["value"])
        axes.set_title(f"{name} ({is_class.sum()})" + _stated(auprc), fontsize=8.5)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
        axes.set_xticks([0, 0.5, 1])
        axes.xaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_formatter(PERCENT)
    figure.supxlabel("recall", fontsize=8.5)
    figure.supylabel("precision", fontsize=8.5)
    return figure


def _mark(axes: Axes, is_class: np.ndarray, is_named: np.ndarray, threshold: float) -> None:
    if not is_named.any():
        return
    at = (is_class[is_named].sum() / is_class.sum(), is_class[is_named].mean())
    axes.scatter(*at, s=28, color=SECOND, edgecolor="white", zorder=4)
    is_right = at[0] > 0.5
    axes.annotate(
        f"{threshold:.2f}",
        at,
        (-5 if is_right else 5, 3),
        textcoords="offset points",
        ha="right" if is_right else "left",
        va="bottom",
        fontsize=7.5,
        color=SECOND,
    )


def _stated(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["value"] is None:
        return ""
    interval = entry["ci95"]
    return f" {entry['value']:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
