"""Classes on a page: confusions, figures of each, what a warning is worth, can probabilities be believed."""

from collections import defaultdict
from typing import Any

import numpy as np

from ecgjax import metrics, plots
from ecgjax.report.files import RunFiles
from ecgjax.report.page import Section, image, paragraph, side_by_side
from ecgjax.report.words import is_share, label_of

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


def class_targets(run: RunFiles) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
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


def confusion_section(run: RunFiles) -> Section | None:
    found = class_targets(run)
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


def by_class_section(run: RunFiles) -> Section | None:
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
        _, label, second_label = _SECOND_DOTS[family] if beside else ("", label_of(family), "")
        figure = plots.by_class(
            list(members),
            np.array([entry["value"] for entry in members.values()]),
            [entry["ci95"] for entry in members.values()],
            label=label,
            is_share=is_share(family),
            second=np.array([beside[name]["value"] if name in beside else np.nan for name in members])
            if beside
            else None,
            second_label=second_label,
        )
        alt = f"{label_of(family)} by class"
        pictures.append(image(figure, run.figures_dir / f"{family}_by_class.png", alt))
    return Section("Class by class", side_by_side(pictures)) if pictures else None


def detection(run: RunFiles) -> tuple[np.ndarray, np.ndarray] | None:
    """Whether an example is anything but the first class, `none`, and the probability given to that; `[n]` each."""
    found = class_targets(run)
    if found is None or found[2][0] != _NONE:
        return None
    targets, scores, _ = found
    # A network may answer this with a head of its own.
    own = run.predictions.get("any_reversal")
    return targets > 0, 1 - scores[:, 0] if own is None else own


def ppv_section(run: RunFiles) -> Section | None:
    found = detection(run)
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


def calibration_section(run: RunFiles) -> Section | None:
    found = class_targets(run)
    if found is None or not np.allclose(found[1].sum(1), 1, atol=1e-3):
        return None
    targets, scores, _ = found
    weights, panels = np.ones(len(targets)), {}
    any_or_none = detection(run)
    if any_or_none is not None:
        is_any, probability = any_or_none
        weights = metrics.weights_at_prevalence(is_any, 0.5)
        panels["any or none"] = metrics.calibration_bins(is_any, probability, weights)
    panels["the class it names"] = metrics.calibration_bins(scores.argmax(1) == targets, scores.max(1), weights)
    figure = plots.calibration(panels)
    caption = "On the diagonal a stated probability is what comes true. Dots grow with the share of examples."
    picture = image(figure, run.figures_dir / "calibration.png", "calibration diagram", caption)
    return Section("Can its probabilities be believed?", picture)
