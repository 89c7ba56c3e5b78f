"""The report's section on heartbeats: how many of each class, beats of each class, and recording by recording."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgjax import metrics, plots
from ecgjax.plots import ACCENT, BAD, GOOD, MUTED, SECOND, new_figure, styled
from ecgjax.report.files import RunFiles
from ecgjax.report.page import Section, image, paragraph, side_by_side, table
from ecgjax.tasks.heartbeat_figures import decisions, recordings

FEW_PATIENTS = 30
"""Below this, the report warns of intervals by patient."""


def heartbeat_section(run: RunFiles) -> Section | None:
    """None where the run is of another task or without predictions."""
    results, predictions, examples, figures_dir = run.results, run.predictions, run.examples, run.figures_dir
    if results["task"] != "heartbeat" or not predictions:
        return None
    found, names = results["metrics"], [str(name) for name in predictions["class_names"]]
    targets, decided, how = predictions["targets"], *_decided(found, predictions["scores"], names)
    body, num_patients = "", results["n_patients"]
    if num_patients < FEW_PATIENTS:
        body += paragraph(
            f"Intervals resample {num_patients} recordings, not beats: of so few, they say roughly how far another "
            "set of patients might lie."
        )
    counts = np.stack([np.bincount(classes, minlength=len(names)) for classes in (targets, decided)])
    pictures = [image(class_histogram(counts, names), figures_dir / "class_histogram.png", "beats of each class")]
    if how:
        matrix = metrics.confusion_matrix(targets, decided, np.ones(len(targets)), len(names))
        picture = image(plots.confusion(matrix, names), figures_dir / "confusion_tuned.png", "tuned decisions", how)
        pictures.append(picture)
    body += side_by_side(pictures)
    if len(examples.get("beat_mv", ())):
        caption = (
            "Grey: the typical beat of the recording. Green: named rightly, drawn by chance. Red: the beats of the "
            "class of which the network is most wrongly sure, with what it says."
        )
        figure = example_beats(examples, [name for name in names if name in examples["truth"]])
        body += image(figure, figures_dir / "example_beats.png", "example beats by class", caption)
    body += _by_recording(found, predictions["record_ids"], targets, names)
    return Section("Beats", body)


def _decided(found: Mapping[str, Any], scores: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, str]:
    """Classes `[n]` as the figures take them, and how they differ from the most probable ones."""
    if "threshold" in found:
        threshold = found["threshold"]["value"]
        how = f"A beat is called {names[1]} above a probability of {threshold:.3g}, as validation beats ask for."
        return (scores[:, 1] > threshold).astype(int), how
    if f"offset/{names[0]}" in found:
        how = "Shares of classes are corrected as validation beats ask for."
        return decisions(scores, np.array([found[f"offset/{name}"]["value"] for name in names])), how
    return decisions(scores, None), ""


def _by_recording(found: Mapping[str, Any], record_ids: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> str:
    """A table of the recordings that have figures of their own."""
    of_beat = recordings(record_ids)
    listed = [name for name in np.unique(of_beat).tolist() if f"recording_accuracy/{name}" in found]
    if not listed:
        return ""
    rows = []
    for name in listed:
        accuracy, f1 = found[f"recording_accuracy/{name}"], found.get(f"recording_f1_v/{name}")
        count = np.bincount(targets[of_beat == name], minlength=len(names))
        cells = [f"{100 * accuracy['value']:.1f} %", f"{f1['value']:.3f}" if f1 else "–", *(f"{c:,}" for c in count)]
        rows.append((name, [(cell, "") for cell in cells]))
    text = "Beats of one recording resemble each other, so that one recording can rule the figures over all beats."
    return paragraph(text) + table(["recording", "accuracy", "F1 of V", *(f"{name} beats" for name in names)], rows)


@styled
def class_histogram(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Beats of each class as they are and as they are named, `[2, class]`, on a log scale."""
    figure = new_figure(4.6, 3.2)
    axes = figure.subplots()
    place = np.arange(len(names))
    for values, aside, colour, label in zip(counts, (-0.2, 0.2), (ACCENT, SECOND), ("true", "named"), strict=True):
        axes.bar(place + aside, values, 0.38, color=colour, label=label)
        for x, value in zip(place + aside, values, strict=True):
            axes.annotate(f"{value:,}", (x, max(value, 1)), (0, 2), textcoords="offset points", ha="center", fontsize=7)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 3 * max(counts.max(), 1))
    axes.set_xticks(place, names)
    axes.grid(False, axis="x")
    axes.set(ylabel="beats")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


@styled
def example_beats(examples: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """A row for each of the classes `names`, of the beats that `Heartbeat.examples` has chosen."""
    rows = [np.flatnonzero(examples["truth"] == name) for name in names]
    columns = max(len(row) for row in rows)
    figure = new_figure(1.9 * columns + 0.4, 1.35 * len(rows) + 0.5)
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex=True)
    for name, row, panels in zip(names, rows, grid, strict=True):
        for axes in panels[len(row) :]:
            axes.set_axis_off()
        for axes, k in zip(panels, row, strict=False):
            _draw_beat(axes, examples, int(k))
        panels[0].set_ylabel(name, rotation=0, ha="right", fontsize=10, fontweight="bold")
    figure.supxlabel("seconds from R", fontsize=8.5)
    return figure


def _draw_beat(axes: Axes, examples: Mapping[str, np.ndarray], k: int) -> None:
    beat_mv = examples["beat_mv"][k]
    time_s = (np.arange(len(beat_mv)) - examples["r_sample"]) / examples["fs_hz"]
    for typical_mv in beat_mv.T[1:]:
        axes.plot(time_s, typical_mv, color=MUTED, linewidth=0.9, alpha=0.6)
    said = str(examples["prediction"][k])
    is_right = said == str(examples["truth"][k])
    axes.plot(time_s, beat_mv[:, 0], color=GOOD if is_right else BAD, linewidth=1.1)
    axes.set_title(
        f"{'✓' if is_right else '✗'} {said} {100 * examples['probability'][k]:.0f} %  ·  {examples['record_ids'][k]}",
        fontsize=7,
        fontweight="normal",
    )
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
