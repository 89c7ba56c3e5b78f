"""The report's section on where ages are misjudged: by size, by decade and diagnosis, and by the stated spread."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ecgjax.plots import ACCENT, GOOD, MUTED, PERCENT, SECOND, new_figure, styled
from ecgjax.report.files import RunFiles
from ecgjax.report.page import Section, image, paragraph, side_by_side
from ecgjax.tasks.age_figures import half_width

_CLASS = "superclass "
_LIMITS = 1.96
"""Standard deviations of the difference that Bland and Altman draw (Lancet 1986, 327:307)."""


def age_section(run: RunFiles) -> Section | None:
    """None where the run is of another task or without predictions."""
    results, predictions, figures_dir = run.results, run.predictions, run.figures_dir
    if results["task"] != "age" or not predictions:
        return None
    found = results["metrics"]
    truth, predicted = (predictions[name].ravel().astype(float) for name in ("targets", "scores"))
    pictures = [
        image(
            bland_altman(truth, predicted),
            figures_dir / "bland_altman.png",
            "difference against mean",
            "Solid: mean difference; dashed: 1.96 standard deviations from it.",
        ),
        *_group_pictures(found, figures_dir),
    ]
    if "spread_scale" in found and "spread_years" in predictions:
        spread_years = found["spread_scale"]["value"] * predictions["spread_years"].astype(float)
        caption = "On the diagonal as many ages lie inside a central interval as the stated spread says."
        figure = interval_coverage((truth - predicted) / spread_years)
        pictures.append(image(figure, figures_dir / "spread_calibration.png", "calibration of the spread", caption))
    text = "The young are judged too old and the old too young by any method that is not sure: the mean error shows it."
    return Section("Where it errs", paragraph(text) + side_by_side(pictures))


def _group_pictures(found: Mapping[str, Any], figures_dir: Path) -> list[str]:
    pictures = []
    for is_class, stem, label in ((False, "decade", "true age"), (True, "superclass", "diagnostic superclass")):
        names = [
            name.removeprefix("mae_years/")
            for name in found
            if name.startswith("mae_years/") and name.startswith(f"mae_years/{_CLASS}") == is_class
        ]
        if len(names) < 2:
            continue
        entries = {
            name.removeprefix(_CLASS): [found[f"{f}/{name}"] for f in ("mae_years", "bias_years")] for name in names
        }
        alt = f"error by {label}"
        pictures.append(image(error_by_group(entries, label), figures_dir / f"error_by_{stem}.png", alt))
    return pictures


@styled
def bland_altman(truth: np.ndarray, predicted: np.ndarray) -> Figure:
    """Predicted minus true age over the mean of both; `[n]` each, in years."""
    difference = predicted - truth
    figure = new_figure(4.6, 4.0)
    axes = figure.subplots()
    opacity = float(np.clip(150 / len(truth), 0.06, 0.7))
    axes.scatter((truth + predicted) / 2, difference, s=9, color=ACCENT, alpha=opacity, linewidth=0, rasterized=True)
    middle, spread = difference.mean(), difference.std()
    for height, style in ((middle, "-"), (middle - _LIMITS * spread, "--"), (middle + _LIMITS * spread, "--")):
        axes.axhline(height, color=SECOND, linewidth=1.2, linestyle=style)
        axes.annotate(
            f"{height:+.1f}", (1.01, height), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=SECOND
        )
    axes.set(xlabel="mean of true and predicted age (years)", ylabel="predicted minus true (years)")
    return figure


@styled
def error_by_group(entries: Mapping[str, list[Mapping[str, Any]]], label: str) -> Figure:
    """Mean absolute and mean error of each group with their intervals; `entries[group]` as in `results.json`."""
    figure = new_figure(4.6, 3.4)
    axes = figure.subplots()
    place = np.arange(len(entries))
    series = ((ACCENT, "mean absolute error", -0.08), (SECOND, "mean error", 0.08))
    for kind, (colour, name, aside) in enumerate(series):
        values = [group[kind]["value"] for group in entries.values()]
        for x, group in zip(place, entries.values(), strict=True):
            if group[kind]["ci95"]:
                axes.vlines(x + aside, *group[kind]["ci95"], color=colour, linewidth=2.2, alpha=0.55)
        axes.scatter(place + aside, values, s=26, color=colour, label=name, zorder=3)
    axes.axhline(0, color=MUTED, linewidth=0.9)
    axes.set_xticks(place, list(entries), rotation=35 if len(entries) > 5 else 0)
    axes.grid(False, axis="x")
    axes.set(xlabel=label, ylabel="years")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handletextpad=0.2)
    return figure


@styled
def interval_coverage(z: np.ndarray) -> Figure:
    """Share of records inside each central interval, from errors `[n]` in stated standard deviations."""
    nominal = np.linspace(0, 1, 51)[1:-1]
    inside = (np.abs(z)[:, None] <= half_width(nominal)).mean(axis=0)
    figure = new_figure(4.2, 4.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#aab1ba", linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(nominal, inside, color=GOOD, linewidth=1.6)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="share that the interval should hold", ylabel="share inside")
    axes.set_aspect("equal")
    axes.xaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_formatter(PERCENT)
    return figure
