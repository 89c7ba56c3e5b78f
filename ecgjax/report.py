"""`report.html`: what a run reached, from the files of its workdir alone."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecgjax import metrics, plots
from ecgjax.clinical_plot import clinical_figure
from ecgjax.leads import LEADS
from ecgjax.report_age import age_section
from ecgjax.report_diagnosis import precision_recall_section
from ecgjax.report_files import RunFiles, read_run
from ecgjax.report_heart import heart_section
from ecgjax.report_heartbeat import heartbeat_section
from ecgjax.report_page import (
    Section,
    definitions,
    folded,
    image,
    page,
    paragraph,
    save_png,
    side_by_side,
    table,
    tiles,
)
from ecgjax.report_reconstruction import reconstruction_section
from ecgjax.report_rhythm import rhythm_section
from ecgjax.viewer.document import escape
from ecgjax.viewer.viewer import viewer

_LABELS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "macro_f1": "macro F1",
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "challenge_f2": "challenge F2",
    "challenge_g2": "challenge G2",
    "bias_years": "mean error (years)",
    "error_sd_years": "error's deviation (years)",
    "coverage_68pct": "inside the 68 % interval",
    "coverage_95pct": "inside the 95 % interval",
    "coverage_error": "interval calibration error",
    "negative_log_likelihood": "negative log likelihood",
    "ece": "calibration error",
    "brier": "Brier score",
    "r2": "R²",
    "pearson_r": "Pearson r",
    "f1": "F1",
    "f1_ano": "F1 (A, N, O)",
    "recording_accuracy": "accuracy, mean over recordings",
    "recording_f1_v": "F1 of V, mean over recordings",
}
_UNITS = {"years": "years", "ms": "ms", "mv": "mV", "db": "dB"}
_SHARES = (
    "accuracy",
    "coverage",
    "detected",
    "not_injective",
    "precision",
    "recall",
    "specificity",
    "sensitivity",
    "ppv",
    "repair",
)
_HEADLINES = (
    *("accuracy", "macro_f1", "auroc", "ppv_at_2pct", "f1_ano"),
    *("lead_accuracy", "set_accuracy", "lead_accuracy_assigned", "set_accuracy_assigned", "repair_exact"),
    *("macro_auroc", "macro_auprc", "mae_years", "rmse_years", "r2", "pearson_r", "rmse_mv", "mae_ms", "snr_db"),
)
_MOST_CURVES = 6
_NOT_CURVES = ("step", "split", "epoch", "wall_s", "records_per_s")
_NUM_BOOTSTRAP = 500
_MARKED_PREVALENCE = (0.02, 0.05)
_PREVALENCE = np.union1d(np.geomspace(0.001, 0.5, 61), _MARKED_PREVALENCE)
_NONE = "none"
_SECOND_DOTS = {
    "recall": ("detected", "named rightly (95 % interval)", "flagged at all"),
    "auprc": ("auprc_no_skill", "AUPRC (95 % interval)", "no skill"),
}
"""Figure by class -> the figure that is drawn beside it, and what both are called."""
_DRAWN_ELSEWHERE = (
    *("threshold", "mae_years", "bias_years", "offset", "recording_accuracy", "recording_f1_v"),
    *("mae_ms", "mae_upstroke_ms", "mae_apd90_ms"),
)


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
        *(_headline, _curves, _confusion, _precision_recall, _classes, _ppv, _calibration, _regression, _age),
        *(_heartbeat, _rhythm, _heart, _rebuilt, _examples, _provenance),
    )
    sections = [section for maker in makers if (section := maker(run)) is not None]
    results = run.results
    patients = f" of {results['n_patients']:,} patients" if results["n_patients"] else ""
    records = f"{results['n_records']:,} records{patients}"
    lead = f"{results['dataset']}, {results['split']} split: {records}, seed {results['seed']}"
    path = workdir / "report.html"
    unfinished = path.with_suffix(".html.part")
    unfinished.write_text(page(_words(results["task"]), lead, sections), encoding="utf-8")
    os.replace(unfinished, path)
    return path


def _words(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def _label(name: str) -> str:
    """`ppv_at_2pct` as `PPV at 2 %`, `mae_years` as `MAE (years)`."""
    base, at, rest = name.partition("_at_")
    if base in _LABELS:
        return _LABELS[base] + re.sub(r"^_at_([\d.]+)pct", r" at \1 %", at + rest).replace("_", " ")
    stem, _, suffix = name.rpartition("_")
    unit = f" ({_UNITS[suffix]})" if stem and suffix in _UNITS else ""
    text = stem if unit else name
    text = re.sub(r"_at_([\d.]+)pct", r" at \1 %", text).replace("_", " ")
    return re.sub(r"\b(ppv|mae|rmse|snr|f1|auroc|auprc)\b", lambda m: m[0].upper(), text) + unit


def _is_share(name: str) -> bool:
    return any(re.search(rf"(^|_){stem}(_|$)", name) for stem in _SHARES)


def _formatted(name: str, entry: Mapping | None) -> tuple[str, str]:
    """Value and interval as text."""
    if entry is None or entry["value"] is None:
        return "–", ""
    scale, digits = (100, ".1f") if _is_share(name) else (1, ".3f" if abs(entry["value"]) < 2 else ".2f")
    unit = " %" if _is_share(name) else ""
    interval = entry["ci95"]
    bounds = f"{scale * interval[0]:{digits}} – {scale * interval[1]:{digits}}" if interval else ""
    return f"{scale * entry['value']:{digits}}{unit}", bounds


def _headline(run: RunFiles) -> Section:
    found = run.results["metrics"]
    baselines = run.results.get("baselines", {})
    names = [name for name in found if not set("/@") & set(name)]
    shown = [name for name in _HEADLINES if name in names][:4] or names[:4]
    big = tiles([(_label(name), *_formatted(name, found[name])) for name in shown])
    order = shown + [name for name in names if name not in shown]
    methods = [found, *baselines.values()]
    rows = [(_label(name), [_formatted(name, figures.get(name)) for figures in methods]) for name in order]
    gains = {name: None for figures in baselines.values() for name in figures if name.startswith("gain/")}
    for name in gains:
        cells = [_formatted(name, figures.get(name)) for figures in baselines.values()]
        rows.append((f"{_label(name.removeprefix('gain/'))}, this network minus it", [("", ""), *cells]))
    text = (
        "Under each value its 95 % interval, by resampling patients. An interval of no width says that no example "
        "was missed, not that none ever will be."
    )
    return Section("", big + table(["", "this network", *map(_words, baselines)], rows) + paragraph(text))


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
        _label(name): {split: np.array(p, float) for split, p in points[name].items()}
        for name in several[:_MOST_CURVES]
    }
    figure = plots.learning_curves(curves)
    return Section("Learning curves", image(figure, run.figures_dir / "learning_curves.png", "learning curves"))


def _class_targets(run: RunFiles) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
    """Class indices `[n]`, scores `[n, class]` and names, of a task that chooses one of several classes.

    Where a record asks several such questions, the name of each of its leads, `n` counts them all.
    """
    p = run.predictions
    if "class_names" not in p or p["scores"].ndim != p["targets"].ndim + 1:
        return None
    names = tuple(str(name) for name in p["class_names"])
    is_index = np.issubdtype(p["targets"].dtype, np.integer)
    scores = p["scores"].reshape(-1, p["scores"].shape[-1])
    return (p["targets"].ravel(), scores, names) if is_index and scores.shape[1] == len(names) > 1 else None


def _confusion(run: RunFiles) -> Section | None:
    found = _class_targets(run)
    if found is None:
        return None
    targets, scores, names = found
    matrix = metrics.confusion_matrix(targets, scores.argmax(1), np.ones(len(targets)), len(names))
    wrong = matrix * (1 - np.eye(len(names)))
    worst = np.argsort(wrong, axis=None)[::-1][:5]
    listed = [
        f"{names[i]} taken for {names[j]} {wrong[i, j]:.0f} of {matrix[i].sum():.0f} times"
        for i, j in zip(*np.unravel_index(worst, matrix.shape), strict=True)
        if wrong[i, j]
    ]
    text = f"Most frequent: {'; '.join(listed)}." if listed else "No example is misclassified."
    figure = plots.confusion(matrix, names)
    picture = image(figure, run.figures_dir / "confusion.png", "confusion matrix", "Number of examples in each cell.")
    return Section("What is taken for what", paragraph(text) + picture)


def _classes(run: RunFiles) -> Section | None:
    families: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, entry in run.results["metrics"].items():
        family, slash, member = name.partition("/")
        if slash and "@" not in family and family not in _DRAWN_ELSEWHERE and entry["value"] is not None:
            families[family][member] = entry
    families = {family: members for family, members in families.items() if len(members) > 1}
    seconds = {
        family: families.pop(second)
        for family, (second, _, _) in _SECOND_DOTS.items()
        if {family, second} <= families.keys()
    }
    pictures = []
    for family, members in families.items():
        beside = seconds.get(family, {})
        _, label, second_label = _SECOND_DOTS[family] if beside else ("", _label(family), "")
        figure = plots.by_class(
            list(members),
            np.array([entry["value"] for entry in members.values()]),
            [entry["ci95"] for entry in members.values()],
            label=label,
            is_share=_is_share(family),
            second=np.array([beside[name]["value"] if name in beside else np.nan for name in members])
            if beside
            else None,
            second_label=second_label,
        )
        alt = f"{_label(family)} by class"
        pictures.append(image(figure, run.figures_dir / f"{family}_by_class.png", alt))
    return Section("Class by class", side_by_side(pictures)) if pictures else None


def _detection(run: RunFiles) -> tuple[np.ndarray, np.ndarray] | None:
    """Whether an example is anything but the first class, `none`, and the probability given to that; `[n]` each."""
    found = _class_targets(run)
    if found is None or found[2][0] != _NONE:
        return None
    targets, scores, _ = found
    # A network may answer this with a head of its own.
    own = run.predictions.get("any_reversal")
    return targets > 0, 1 - scores[:, 0] if own is None else own


def _ppv(run: RunFiles) -> Section | None:
    found = _detection(run)
    if found is None:
        return None
    is_any, probability = found
    weights = metrics.weights_at_prevalence(is_any, 0.5)
    lines = {}
    # At 50 % the even chance is the best threshold; where a share q is reversed, it is a probability of 1 - q.
    for threshold, reason in ((0.5, "even odds"), (0.98, "the best at 2 %")):
        flagged = probability > threshold

        def figures(w, flagged=flagged):
            sensitivity, specificity = metrics.recall(is_any, flagged, w), metrics.specificity(is_any, flagged, w)
            curve = {f"{k}": metrics.ppv_at(q, sensitivity, specificity) for k, q in enumerate(_PREVALENCE)}
            return curve | {"recall": sensitivity, "specificity": specificity}

        at = metrics.with_intervals(figures, weights, run.predictions["patient_ids"], _NUM_BOOTSTRAP)
        curve = [at[f"{k}"] for k in range(len(_PREVALENCE))]
        low, high = zip(*((m.value, m.value) if m.ci95 is None else m.ci95 for m in curve), strict=True)
        label = (
            f"flagged above {threshold:g} ({reason}): recall {100 * at['recall'].value:.1f} %, "
            f"specificity {100 * at['specificity'].value:.1f} %"
        )
        lines[label] = (np.array([m.value for m in curve]), np.array(low), np.array(high))
    figure = plots.ppv_against_prevalence(_PREVALENCE, lines, _MARKED_PREVALENCE)
    caption = "Bands are 95 % intervals. In practice 0.4 to 4 % of records are taken with a reversal."
    text = "How often a warning is right depends on how rare the error is."
    picture = image(figure, run.figures_dir / "ppv.png", "positive predictive value against prevalence", caption)
    return Section("What a warning is worth", paragraph(text) + picture)


def _calibration(run: RunFiles) -> Section | None:
    found = _class_targets(run)
    if found is None or not np.allclose(found[1].sum(1), 1, atol=1e-3):
        return None
    targets, scores, _ = found
    weights, panels = np.ones(len(targets)), {}
    detection = _detection(run)
    if detection is not None:
        is_any, probability = detection
        weights = metrics.weights_at_prevalence(is_any, 0.5)
        panels["any or none"] = metrics.calibration_bins(is_any, probability, weights)
    panels["the class it names"] = metrics.calibration_bins(scores.argmax(1) == targets, scores.max(1), weights)
    figure = plots.calibration(panels)
    caption = "On the diagonal a stated probability is what comes true. Dots grow with the share of examples."
    picture = image(figure, run.figures_dir / "calibration.png", "calibration diagram", caption)
    return Section("Can its probabilities be believed?", picture)


def _regression(run: RunFiles) -> Section | None:
    p = run.predictions
    if not p or not np.issubdtype(p["targets"].dtype, np.floating) or p["scores"].size != p["targets"].size:
        return None
    if p["targets"].ndim > 2 or (p["targets"].ndim == 2 and p["targets"].shape[1] > 1):
        return None
    label = str(p["class_names"].ravel()[0]) if "class_names" in p and p["class_names"].size else ""
    found = run.results["metrics"]
    stated = [name for name in found if name == "r2" or (name.startswith("mae_") and "/" not in name)]
    note = "\n".join(f"{_label(name)} {_formatted(name, found[name])[0]}" for name in stated)
    figure = plots.predicted_against_true(p["targets"].ravel(), p["scores"].ravel(), label.replace("_", " "), note)
    picture = image(
        figure, run.figures_dir / "scatter.png", "prediction against truth", "Dashed: identity; orange: fit."
    )
    return Section("Prediction against truth", picture)


def _precision_recall(run: RunFiles) -> Section | None:
    return precision_recall_section(run.results, run.predictions, run.figures_dir)


def _age(run: RunFiles) -> Section | None:
    return age_section(run.results, run.predictions, run.figures_dir)


def _heartbeat(run: RunFiles) -> Section | None:
    return heartbeat_section(run.results, run.predictions, run.examples, run.figures_dir)


def _rhythm(run: RunFiles) -> Section | None:
    return rhythm_section(run.results, run.predictions, run.examples, run.figures_dir)


def _heart(run: RunFiles) -> Section | None:
    return heart_section(run.results, run.predictions, run.figures_dir)


def _rebuilt(run: RunFiles) -> Section | None:
    return reconstruction_section(run.results, run.examples, run.figures_dir)


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
    found = _class_targets(run)
    return found[2][int(value)] if found is not None and np.issubdtype(value.dtype, np.integer) else str(value)


def _provenance(run: RunFiles) -> Section:
    results = run.results
    entries = [(_words(key), results[key]) for key in ("task", "dataset", "split", "seed", "git", "hardware")]
    left_out = [f"{count:,} ({reason})" for reason, count in results.get("left_out", {}).items() if count]
    if left_out:
        entries.append(("Left out", ", ".join(left_out)))
    entries.append(("Wall time", f"{results['wall_s']:,.0f} s"))
    if results.get("records_per_s"):
        entries.append(("Throughput", f"{results['records_per_s']:,.0f} records/s"))
    folded_config = folded("Configuration", run.config) if run.config else ""
    return Section("How it was made", definitions(entries) + folded_config)
