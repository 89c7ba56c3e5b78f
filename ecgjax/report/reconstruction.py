"""The report's section on rebuilt leads: true and rebuilt beats overlaid, and every lead against the baselines."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ecgjax import leads
from ecgjax.clinical_plot import ROWS
from ecgjax.lead_completion import learnt_leads
from ecgjax.plots import ACCENT, INK, MUTED, SERIES, new_figure, styled
from ecgjax.report.files import RunFiles
from ecgjax.report.page import Section, image, paragraph, table

_PANELS = {"pearson_r": "Pearson r", "rmse_mv": "RMSE (mV)", "variance_ratio": "variance ratio"}
_RIVALS = {
    "least_squares": "least squares",
    "own_least_squares": "least squares fitted to the record itself",
    "dipole": "dipole",
}


def reconstruction_section(run: RunFiles) -> Section | None:
    """None where the run is of another task, or without the `examples` of `Reconstruction.examples`."""
    results, examples, figures_dir = run.results, run.examples, run.figures_dir
    if results["task"] != "reconstruction" or not examples:
        return None
    sets = [str(given) for given in examples["given"]]
    methods = {"this network": results["metrics"]} | {
        _RIVALS.get(name, name): figures for name, figures in results["baselines"].items()
    }
    rows = [
        (f"{given}: {label}", [_cell(figures.get(_name(figure, given, k == 0))) for figures in methods.values()])
        for k, given in enumerate(sets)
        for figure, label in _PANELS.items()
    ]
    body = paragraph(
        "Means over the leads that do not follow from the given ones. A variance ratio below 1 says that rebuilt leads "
        "shrink towards the mean. Least squares fitted to the record itself has seen all of its leads."
    ) + table(["given leads", *methods], rows)
    for k, given in enumerate(sets):
        entries = {
            name: {
                (figure, lead): figures.get(f"{_name(figure, given, k == 0)}/{lead}")
                for figure in _PANELS
                for lead in learnt_leads(leads.lead_subset(given))
            }
            for name, figures in methods.items()
        }
        stem = given.replace("+", "_")
        alt = f"Lead by lead from {given}"
        body += image(by_lead(entries, f"From {given}"), figures_dir / f"by_lead_{stem}.png", alt)
        beats_mv, errors_mv = (examples["true_beat_mv"][k], examples["rebuilt_beat_mv"][k]), examples["rmse_mv"][k]
        figure = overlay(*beats_mv, errors_mv, given, float(examples["fs_hz"]), float(examples["before_s"]))
        caption = (
            f"Record {examples['record_ids'][k]}, whose mean correlation from {given} is the median: its average beat, "
            "black as recorded and coloured as rebuilt, with the lead's root mean square error as a band."
        )
        body += image(figure, figures_dir / f"overlay_{stem}.png", f"Beats rebuilt from {given}", caption)
    return Section("Rebuilt leads", body)


def _name(figure: str, given: str, is_first: bool) -> str:
    return figure if is_first else f"{figure}@{given}"


def _cell(entry: Mapping[str, Any] | None) -> tuple[str, str]:
    if entry is None or entry["value"] is None:
        return "–", ""
    interval = entry["ci95"]
    return f"{entry['value']:.3f}", f"{interval[0]:.3f} – {interval[1]:.3f}" if interval else ""


@styled
def by_lead(entries: Mapping[str, Mapping[tuple[str, str], Mapping[str, Any] | None]], title: str) -> Figure:
    """Figures of each rebuilt lead, the first method with intervals; `entries[method][figure, lead]` as in results."""
    names = list(dict.fromkeys(lead for _, lead in next(iter(entries.values()))))
    figure = new_figure(9.6, 0.3 * len(names) + 1.3)
    rows = np.arange(len(names))
    for axes, (name, label) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        for (method, of_method), colour, marker in zip(entries.items(), SERIES, "osD^v*", strict=False):
            is_own = method == next(iter(entries))
            found = [of_method[name, lead] for lead in names]
            values = [np.nan if entry is None or entry["value"] is None else entry["value"] for entry in found]
            for row, entry in zip(rows, found, strict=True):
                if is_own and entry is not None and entry["ci95"]:
                    axes.hlines(row, *entry["ci95"], color=colour, linewidth=2.2, alpha=0.5, zorder=2)
            face = colour if is_own else "white"
            axes.scatter(values, rows, s=26, marker=marker, facecolor=face, edgecolor=colour, label=method, zorder=3)
        if name == "variance_ratio":
            axes.axvline(1, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.set_yticks(rows, names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(False, axis="y")
        axes.set_xlabel(label)
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


@styled
def overlay(
    true_mv: np.ndarray, rebuilt_mv: np.ndarray, rmse_mv: np.ndarray, given: str, fs_hz: float, before_s: float
) -> Figure:
    """A true and a rebuilt beat `[time, 12]`, with the error `[12]` of each rebuilt lead as a band."""
    names = leads.lead_subset(given)
    known, learnt = leads.derivable(names), learnt_leads(names)
    time_s = np.arange(len(true_mv)) / fs_hz - before_s
    figure = new_figure(9.6, 5.4)
    grid = figure.subplots(len(ROWS), len(ROWS[0]), sharex=True, sharey="col")
    for axes, lead in zip(grid.ravel(), [lead for row in ROWS for lead in row], strict=True):
        column = leads.LEADS.index(lead)
        axes.plot(time_s, true_mv[:, column], color=INK, linewidth=1.1)
        role = "given" if lead in names else "follows" if lead in known else "rebuilt"
        if lead not in known:
            rebuilt = rebuilt_mv[:, column]
            axes.plot(time_s, rebuilt, color=ACCENT, linewidth=1.3)
            if lead in learnt:
                band = rmse_mv[column]
                axes.fill_between(time_s, rebuilt - band, rebuilt + band, color=ACCENT, alpha=0.2, linewidth=0)
        axes.set_title(f"{lead} · {role}", color=ACCENT if role == "rebuilt" else MUTED)
        axes.margins(x=0)
    for axes in grid[:, 0]:
        axes.set_ylabel("mV")
    for axes in grid[-1]:
        axes.set_xlabel("s from the R peak")
    return figure
