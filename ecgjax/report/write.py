"""`report.html`: what a run reached, from the files of its workdir alone."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from ecgjax import plots
from ecgjax.clinical_plot import clinical_figure
from ecgjax.leads import LEADS
from ecgjax.report.age import age_section
from ecgjax.report.classes import (
    by_class_section,
    calibration_section,
    class_targets,
    confusion_section,
    ppv_section,
)
from ecgjax.report.diagnosis import precision_recall_section
from ecgjax.report.files import RunFiles, read_run
from ecgjax.report.heart import heart_section
from ecgjax.report.heartbeat import heartbeat_section
from ecgjax.report.page import (
    Section,
    definitions,
    folded,
    image,
    page,
    paragraph,
    save_png,
    table,
    tiles,
)
from ecgjax.report.reconstruction import reconstruction_section
from ecgjax.report.rhythm import rhythm_section
from ecgjax.report.words import formatted, label_of, words
from ecgjax.viewer.document import escape
from ecgjax.viewer.viewer import viewer

_HEADLINES = (
    *("accuracy", "macro_f1", "auroc", "ppv_at_2pct", "f1_ano"),
    *("lead_accuracy", "set_accuracy", "lead_accuracy_assigned", "set_accuracy_assigned", "repair_exact"),
    *("macro_auroc", "macro_auprc", "mae_years", "rmse_years", "r2", "pearson_r", "rmse_mv", "mae_ms", "snr_db"),
)
_MOST_CURVES = 6
_NOT_CURVES = ("step", "split", "epoch", "wall_s", "records_per_s")


def write_report(workdir: str | Path) -> Path:
    """Writes `report.html` and `figures/*.png` into `workdir` and returns the page's path.

    Sections appear for which the files hold data: `results.json` is needed; `config.json`, `metrics.jsonl`,
    `predictions_SPLIT.npz` and `examples_SPLIT.npz` (signal_mv [example, time, 12], fs_hz, record_ids, truth,
    prediction, probability) are not.

    Raises:
      InputError: no results in `workdir`, or a file that cannot be read.
    """
    workdir = Path(workdir)
    run = read_run(workdir)
    run.figures_dir.mkdir(exist_ok=True)
    makers = (
        *(_headline, _curves, confusion_section, precision_recall_section, by_class_section, ppv_section),
        *(calibration_section, _regression, age_section, heartbeat_section, rhythm_section, heart_section),
        *(reconstruction_section, _examples, _provenance),
    )
    sections = [section for maker in makers if (section := maker(run)) is not None]
    results = run.results
    patients = f" of {results['n_patients']:,} patients" if results["n_patients"] else ""
    records = f"{results['n_records']:,} records{patients}"
    lead = f"{results['dataset']}, {results['split']} split: {records}, seed {results['seed']}"
    path = workdir / "report.html"
    unfinished = path.with_suffix(".html.part")
    unfinished.write_text(page(words(results["task"]), lead, sections), encoding="utf-8")
    os.replace(unfinished, path)
    return path


def _headline(run: RunFiles) -> Section:
    found = run.results["metrics"]
    baselines = run.results.get("baselines", {})
    names = [name for name in found if not set("/@") & set(name)]
    shown = [name for name in _HEADLINES if name in names][:4] or names[:4]
    big = tiles([(label_of(name), *formatted(name, found[name])) for name in shown])
    order = shown + [name for name in names if name not in shown]
    methods = [found, *baselines.values()]
    rows = [(label_of(name), [formatted(name, figures.get(name)) for figures in methods]) for name in order]
    gains = {name: None for figures in baselines.values() for name in figures if name.startswith("gain/")}
    for name in gains:
        cells = [formatted(name, figures.get(name)) for figures in baselines.values()]
        rows.append((f"{label_of(name.removeprefix('gain/'))}, this network minus it", [("", ""), *cells]))
    text = (
        "Under each value its 95 % interval, by resampling patients. An interval of no width says that no example "
        "was missed, not that none ever will be."
    )
    return Section("", big + table(["", "this network", *map(words, baselines)], rows) + paragraph(text))


def _curves(run: RunFiles) -> Section | None:
    points: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for entry in run.log:
        for name, value in entry.items():
            if name not in _NOT_CURVES and isinstance(value, int | float) and "/" not in name:
                points[name][entry["split"]].append((entry["step"], value))
    several = [name for name, splits in points.items() if any(len(p) > 1 for p in splits.values())]
    rank = {name: k for k, name in enumerate(("loss", *_HEADLINES))}
    several.sort(key=lambda name: rank[name] if name in rank else len(rank))
    if not several:
        return None
    curves = {
        label_of(name): {split: np.array(p, float) for split, p in points[name].items()}
        for name in several[:_MOST_CURVES]
    }
    figure = plots.learning_curves(curves)
    return Section("Learning curves", image(figure, run.figures_dir / "learning_curves.png", "learning curves"))


def _regression(run: RunFiles) -> Section | None:
    p = run.predictions
    if not p or not np.issubdtype(p["targets"].dtype, np.floating) or p["scores"].size != p["targets"].size:
        return None
    if p["targets"].ndim > 2 or (p["targets"].ndim == 2 and p["targets"].shape[1] > 1):
        return None
    label = str(p["class_names"].ravel()[0]) if "class_names" in p and p["class_names"].size else ""
    found = run.results["metrics"]
    stated = [name for name in found if name == "r2" or (name.startswith("mae_") and "/" not in name)]
    note = "\n".join(f"{label_of(name)} {formatted(name, found[name])[0]}" for name in stated)
    figure = plots.predicted_against_true(p["targets"].ravel(), p["scores"].ravel(), label.replace("_", " "), note)
    picture = image(
        figure, run.figures_dir / "scatter.png", "prediction against truth", "Dashed: identity; orange: fit."
    )
    return Section("Prediction against truth", picture)


def _examples(run: RunFiles) -> Section | None:
    if "signal_mv" not in run.examples:
        return None
    e = run.examples
    shown = []
    for k, signal_mv in enumerate(e["signal_mv"]):
        truth, prediction = (_class_name(run, e[key][k]) for key in ("truth", "prediction"))
        is_right = truth == prediction
        said = f"{prediction} ({100 * float(e['probability'][k]):.0f} %)"
        note = f"✓ {said}" if is_right else f"✗ {said}, truth {truth}"
        title, fs_hz = f"Record {e['record_ids'][k]}", float(e["fs_hz"])
        figure = clinical_figure(signal_mv, fs_hz, title, note, plots.GOOD if is_right else plots.BAD)
        save_png(figure, run.figures_dir / f"example_{k + 1}.png")
        heading = f'{escape(title)} <span class="{"right" if is_right else "wrong"}">{escape(note)}</span>'
        label = f"{title}: truth {truth}, prediction {prediction}"
        shown.append(f"<h3>{heading}</h3>{viewer(signal_mv, fs_hz, LEADS, label=label)}")
    text = "Beside each name what the network says and how sure it is: green where it is right, red where it is wrong."
    return Section("Examples", paragraph(text) + "".join(shown))


def _class_name(run: RunFiles, value: np.generic) -> str:
    found = class_targets(run)
    return found[2][int(value)] if found is not None and np.issubdtype(value.dtype, np.integer) else str(value)


def _provenance(run: RunFiles) -> Section:
    results = run.results
    entries = [(words(key), results[key]) for key in ("task", "dataset", "split", "seed", "git", "hardware")]
    left_out = [f"{count:,} ({reason})" for reason, count in results.get("left_out", {}).items() if count]
    if left_out:
        entries.append(("Left out", ", ".join(left_out)))
    entries.append(("Wall time", f"{results['wall_s']:,.0f} s"))
    if results.get("records_per_s"):
        entries.append(("Throughput", f"{results['records_per_s']:,.0f} records/s"))
    folded_config = folded("Configuration", run.config) if run.config else ""
    return Section("How it was made", definitions(entries) + folded_config)
