"""The report's section on rhythms: recordings of each class as strips, and what tuned decisions take for what."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgjax import metrics, plots
from ecgjax.plots import BAD, GOOD, INK, new_figure, styled
from ecgjax.report.files import RunFiles
from ecgjax.report.page import Section, image, paragraph
from ecgjax.tasks.heartbeat_figures import decisions

_MIDDLE = (1.0, 99.0)
"""Percentiles of a strip that its panel shows with as much again around them."""


def rhythm_section(run: RunFiles) -> Section | None:
    """None where the run is of another task or without predictions."""
    results, predictions, examples, figures_dir = run.results, run.predictions, run.examples, run.figures_dir
    if results["task"] != "rhythm" or not predictions:
        return None
    found, names = results["metrics"], [str(name) for name in predictions["class_names"]]
    body = ""
    if f"offset/{names[0]}" in found:
        offsets = np.array([found[f"offset/{name}"]["value"] for name in names])
        decided = decisions(predictions["scores"], offsets)
        targets = predictions["targets"]
        matrix = metrics.confusion_matrix(targets, decided, np.ones(len(targets)), len(names))
        how = "Classes are weighed as validation recordings ask for."
        body += image(plots.confusion(matrix, names), figures_dir / "confusion_tuned.png", "tuned decisions", how)
    if len(examples.get("strip_mv", ())):
        text = (
            "The beginning of some recordings, in mV over seconds. Green: named rightly, drawn by chance. Red: those "
            "of the class of which the network is most wrongly sure, with what it says."
        )
        picture = image(example_strips(examples), figures_dir / "example_strips.png", "example recordings by class")
        body += paragraph(text) + picture
    return Section("Recordings", body) if body else None


@styled
def example_strips(examples: Mapping[str, np.ndarray]) -> Figure:
    """A row for each of the recordings that `Rhythm.examples` has chosen."""
    count = len(examples["strip_mv"])
    figure = new_figure(9.6, 0.95 * count + 0.3)
    for k, axes in enumerate(figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]):
        _draw_strip(axes, examples, k)
    return figure


def _draw_strip(axes: Axes, examples: Mapping[str, np.ndarray], k: int) -> None:
    strip_mv = examples["strip_mv"][k][: examples["strip_samples"][k]]
    time_s = np.arange(len(strip_mv)) / examples["fs_hz"]
    truth, said = str(examples["truth"][k]), str(examples["prediction"][k])
    is_right = truth == said
    axes.plot(time_s, strip_mv, color=GOOD if is_right else BAD, linewidth=0.7)
    low, high = np.percentile(strip_mv, _MIDDLE)
    margin = max(high - low, 0.05)
    axes.set_ylim(max(low - margin, strip_mv.min() - 0.05), min(high + margin, strip_mv.max() + 0.05))
    axes.set_title(
        f"{'✓' if is_right else '✗'} {said} {100 * examples['probability'][k]:.0f} %  ·  {examples['record_ids'][k]}",
        fontsize=7,
        fontweight="normal",
    )
    axes.set_ylabel(truth, rotation=0, ha="right", va="center", fontsize=10, fontweight="bold", color=INK)
    axes.margins(x=0.005)
    axes.tick_params(labelsize=6.5)
