"""The report's section on hearts: errors by region and by site, and typical, good and bad predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ecgjax.data.intracardiac import CHAMBERS, LAYERS, NUM_SITES, SITES, regions
from ecgjax.heart.maps import activation_on_heart
from ecgjax.heart.potentials import potential_grid
from ecgjax.heart.rendering import VIEWS
from ecgjax.heart.template import fitted_heart, mean_heart
from ecgjax.plots import ACCENT, INK, MUTED, SECOND, SERIES, new_figure, styled
from ecgjax.report.files import RunFiles
from ecgjax.report.page import Section, image, paragraph, side_by_side, table

_ERRORS = {
    "activation_map": (("mae_ms", "mean absolute error (ms)"),),
    "transmembrane": (
        ("rmse_mv", "root mean square error (mV)"),
        ("mae_upstroke_ms", "mean absolute error of the upstroke (ms)"),
        ("mae_apd90_ms", "mean absolute error of the duration (ms)"),
    ),
}
"""Task -> its figures that are broken down by region."""

_EXAMPLES = (("typical", 0.5), ("among the worst", 0.95))
"""What a shown record is called, and the share of records with a lower error."""

_MIN_TRIANGLES = 6_000
_VIEWS = tuple(view for view in VIEWS if view.name != "from the left")


def heart_section(run: RunFiles) -> Section | None:
    """None where the run is of another task or without predictions."""
    results, predictions, figures_dir = run.results, run.predictions, run.figures_dir
    task = results["task"]
    if task not in _ERRORS or not predictions:
        return None
    found = results["metrics"]
    methods = {"network": found} | {name.replace("_", " "): rival for name, rival in results["baselines"].items()}
    rows = [
        (f"{label}: {region}", [_cell(figures.get(f"{name}/{region}")) for figures in methods.values()])
        for name, label in _ERRORS[task]
        for region in regions()
        if f"{name}/{region}" in found
    ]
    body = paragraph("Errors by part of the heart, over the sites that fire; intervals are by heart.")
    body += table(["", *methods], rows)
    show = _maps if task == "activation_map" else _potentials
    return Section("Where in the heart it errs", body + show(found, predictions, figures_dir))


def _cell(entry: Mapping[str, Any] | None) -> tuple[str, str]:
    if entry is None or entry["value"] is None:
        return "–", ""
    interval = entry["ci95"]
    return f"{entry['value']:.2f}", f"{interval[0]:.2f} – {interval[1]:.2f}" if interval else ""


def _maps(found: Mapping[str, Any], predictions: Mapping[str, np.ndarray], figures_dir: Path) -> str:
    true_ms, predicted_ms = (predictions[name].astype(float) for name in ("targets", "scores"))
    pictures = [
        image(time_against_time(true_ms, predicted_ms), figures_dir / "activation_times.png", "predicted against true"),
        image(error_of_records(true_ms, predicted_ms), figures_dir / "error_of_records.png", "error of each record"),
    ]
    body = image(error_by_site(found), figures_dir / "error_by_site.png", "error of each site")
    body += side_by_side(pictures)
    error_ms = _nan_mean(np.abs(predicted_ms - true_ms))
    for name, share in _EXAMPLES:
        row = _row_at(error_ms, share)
        site_mm = predictions["site_mm"][row].astype(float)
        heart = fitted_heart(site_mm) if np.isfinite(site_mm).all() else mean_heart()
        title = f"{predictions['record_ids'][row]}, {name}: mean error {error_ms[row]:.1f} ms"
        figure = activation_on_heart(
            heart, true_ms[row], predicted_ms[row], title, views=_VIEWS, min_triangles=_MIN_TRIANGLES
        )
        caption = "Between its 75 sites the heart is coloured by a smooth spline; grey is what never fires."
        body += image(figure, figures_dir / f"map_{name.replace(' ', '_')}.png", title, caption)
    return body


def _potentials(found: Mapping[str, Any], predictions: Mapping[str, np.ndarray], figures_dir: Path) -> str:
    del found
    true_mv, predicted_mv = predictions["targets"], predictions["scores"]
    rmse_mv = np.array(
        [
            np.sqrt(np.mean(np.square(one.astype(np.float32) - other.astype(np.float32))))
            for one, other in zip(true_mv, predicted_mv, strict=True)
        ]
    )
    body = ""
    for name, share in _EXAMPLES:
        row = _row_at(rmse_mv, share)
        title = f"{predictions['record_ids'][row]}, {name}: root mean square error {rmse_mv[row]:.1f} mV"
        figure = potential_grid(true_mv[row].astype(float), predicted_mv[row].astype(float), title)
        body += image(figure, figures_dir / f"potentials_{name.replace(' ', '_')}.png", title)
    return body


def _nan_mean(values: np.ndarray) -> np.ndarray:
    """`[n]` over the last axis, 0 where nothing is known."""
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _row_at(error: np.ndarray, share: float) -> int:
    """The record above whose error `[n]` all but a `share` of the records lie not."""
    return int(np.argsort(error, kind="stable")[min(int(share * len(error)), len(error) - 1)])


@styled
def error_by_site(found: Mapping[str, Any]) -> Figure:
    """A bar for each of the 75 sites, by chamber and layer; `found` as the metrics of `results.json`."""
    order = sorted(range(NUM_SITES), key=lambda k: (CHAMBERS[k], ("endo", "mid", "epi").index(LAYERS[k]), k))
    colours = dict(zip(("endo", "mid", "epi"), (ACCENT, SECOND, SERIES[2]), strict=True))
    figure = new_figure(9.6, 3.2)
    axes = figure.subplots()
    for layer, colour in colours.items():
        places = [place for place, k in enumerate(order) if LAYERS[k] == layer]
        # A site that no record lets fire has no error.
        values = [found.get(f"mae_ms/{SITES[order[place]]}", {}).get("value") or 0.0 for place in places]
        axes.bar(places, values, width=0.8, color=colour, label=layer)
    axes.axhline(found["mae_ms"]["value"], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xticks(range(NUM_SITES), [SITES[k] for k in order], rotation=90, fontsize=6)
    axes.tick_params(axis="x", colors=INK)
    axes.set_xlim(-0.7, NUM_SITES - 0.3)
    axes.grid(False, axis="x")
    axes.set_ylabel("mean absolute error (ms)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    return figure


@styled
def time_against_time(true_ms: np.ndarray, predicted_ms: np.ndarray) -> Figure:
    """Where pairs of true and predicted times `[n, 75]` lie, by their number."""
    fires = ~np.isnan(true_ms)
    figure = new_figure(4.6, 4.2)
    axes = figure.subplots()
    ends = [float(np.nanmin(true_ms)), float(np.nanmax(true_ms))]
    drawn = axes.hexbin(true_ms[fires], predicted_ms[fires], gridsize=60, mincnt=1, bins="log", cmap="GnBu")
    axes.plot(ends, ends, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlabel="true activation (ms)", ylabel="predicted activation (ms)", aspect="equal")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, aspect=28)
    bar.set_label("pairs of a record and a site", fontsize=8.5)
    bar.outline.set_visible(False)
    return figure


@styled
def error_of_records(true_ms: np.ndarray, predicted_ms: np.ndarray) -> Figure:
    """Share of the records whose mean absolute error is below a limit, from times `[n, 75]`."""
    error_ms = np.sort(_nan_mean(np.abs(predicted_ms - true_ms)))
    figure = new_figure(4.6, 4.2)
    axes = figure.subplots()
    axes.step(error_ms, np.arange(1, len(error_ms) + 1) / len(error_ms), where="post", color=ACCENT, linewidth=1.6)
    for share in (0.5, 0.95):
        limit = float(np.quantile(error_ms, share))
        axes.plot([limit, limit], [0, share], color=SECOND, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(f"{100 * share:.0f} %: {limit:.1f} ms", (limit, share), (6, -10), textcoords="offset points")
    axes.set(xlabel="mean absolute error of a record (ms)", ylabel="share of records", ylim=(0, 1.02))
    axes.set_xlim(left=0)
    return figure
