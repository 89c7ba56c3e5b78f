"""Figures of merit for beats of one class each: over all beats, class by class, and recording by recording."""

from collections.abc import Sequence

import numpy as np

from ecgjax import metrics
from ecgjax.metrics import Metric
from ecgjax.tasks.diagnosis_figures import chosen_thresholds

MOST_RECORDINGS = 48
"""Up to so many recordings, those of the MIT-BIH database, have figures of their own ..."""

FEWEST_BEATS = 50
"""... where they have so many beats."""

FEWEST_ECTOPICS = 10
"""Ventricular ectopic beats of a recording from which its F1 is stated."""

POWERS = np.linspace(-1.0, 2.0, 61)
"""Among which validation beats choose how far shares of classes are corrected."""

TINY = 1e-12


def class_figures(
    targets: np.ndarray,
    scores: np.ndarray,
    decided: np.ndarray,
    patient_ids: np.ndarray,
    names: Sequence[str],
    num_bootstrap: int,
) -> dict[str, Metric]:
    """Of several classes, from classes `[n]`, probabilities `[n, class]` and decisions `[n]`.

    Means are over the classes that occur; a class that occurs and is never named has precision 0.
    """
    is_class = metrics.one_hot(targets, len(names))
    is_right = decided == targets
    confidence = scores[np.arange(len(decided)), decided]

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        confusion = metrics.confusion_matrix(targets, decided, weights, len(names))
        auroc, auprc = metrics.areas_by_class(is_class, scores, weights)
        by_class = {
            "f1": metrics.f1_by_class(confusion),
            "precision": metrics.precision_by_class(confusion),
            "recall": metrics.recall_by_class(confusion),
            "specificity": metrics.specificity_by_class(confusion),
            "auroc": auroc,
            "auprc": auprc,
        }
        means = {f"macro_{figure}": metrics.mean_defined(values) for figure, values in by_class.items()}
        single = {f"{figure}/{name}": v[..., k] for figure, v in by_class.items() for k, name in enumerate(names)}
        return {
            "accuracy": metrics.accuracy(targets, decided, weights),
            "balanced_accuracy": metrics.balanced_accuracy(confusion),
            **means,
            "ece": metrics.ece(is_right, confidence, weights),
            **single,
        }

    return metrics.with_intervals(figures, np.ones(len(targets)), patient_ids, num_bootstrap)


def ranking_figures(
    is_abnormal: np.ndarray, probability: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """Of two classes, what needs no threshold; `[n]` each."""

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        auroc, auprc = metrics.areas_by_class(is_abnormal[:, None], probability[:, None], weights)
        return {"auroc": auroc[..., 0], "auprc": auprc[..., 0]}

    return metrics.with_intervals(figures, np.ones(len(probability)), patient_ids, num_bootstrap)


def detection_figures(
    is_abnormal: np.ndarray, is_flagged: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """Of two classes, at a threshold; bool `[n]` each."""

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        confusion = metrics.confusion_matrix(is_abnormal.astype(int), is_flagged.astype(int), weights, 2)
        return {
            "accuracy": metrics.accuracy(is_abnormal, is_flagged, weights),
            "balanced_accuracy": metrics.balanced_accuracy(confusion),
            "f1": metrics.f1(is_abnormal, is_flagged, weights),
            "macro_f1": metrics.macro_f1(confusion),
            "precision": metrics.precision(is_abnormal, is_flagged, weights),
            "sensitivity": metrics.recall(is_abnormal, is_flagged, weights),
            "specificity": metrics.specificity(is_abnormal, is_flagged, weights),
        }

    return metrics.with_intervals(figures, np.ones(len(is_flagged)), patient_ids, num_bootstrap)


def recording_figures(
    targets: np.ndarray,
    decided: np.ndarray,
    record_ids: np.ndarray,
    patient_ids: np.ndarray,
    ectopic: int | None,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """What the recordings have in the mean, each counting once, and one by one where they are few.

    Beats of a recording resemble each other, so that a single one can rule the figures over all beats. Accuracy, and
    F1 of the class `ectopic` in the recordings that have `FEWEST_ECTOPICS` of it. Nothing where ids name no recording.
    """
    names = recordings(record_ids)
    unique, of_beat = np.unique(names, return_inverse=True)
    if len(unique) < 2 or "" in unique:
        return {}

    def by_recording(values: np.ndarray) -> np.ndarray:
        return metrics.sum_by_group(values, of_beat, len(unique))

    sizes = by_recording(np.ones(len(targets)))
    columns = {"recording_accuracy": (targets == decided, np.ones(len(targets)), np.ones(len(unique), bool))}
    if ectopic is not None:
        occurs, named = targets == ectopic, decided == ectopic
        enough = by_recording(occurs) >= FEWEST_ECTOPICS
        if enough.any():
            columns["recording_f1_v"] = (2.0 * (occurs & named), occurs + 1.0 * named, enough)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        drawn = by_recording(weights) / sizes
        found = {}
        for name, (above, below, has) in columns.items():
            values = metrics.ratio(by_recording(weights * above), by_recording(weights * below))
            share = np.where(has & ~np.isnan(values), drawn, 0.0)
            found[name] = metrics.ratio((share * np.nan_to_num(values)).sum(axis=-1), share.sum(axis=-1))
        return found

    found = metrics.with_intervals(figures, np.ones(len(targets)), patient_ids, num_bootstrap)
    found = {name: Metric(metric.value, metric.ci95, int(columns[name][2].sum())) for name, metric in found.items()}
    if len(unique) > MOST_RECORDINGS:
        return found
    for name, (above, below, has) in columns.items():
        values = metrics.ratio(by_recording(above), by_recording(below))
        shown = np.flatnonzero(has & (sizes >= FEWEST_BEATS))
        found |= {f"{name}/{unique[k]}": Metric(values[k], None, int(sizes[k])) for k in shown}
    return found


def recordings(record_ids: np.ndarray) -> np.ndarray:
    """The recording of each beat, text `[n]`: ids are a recording and a number; "" where they are a number alone."""
    return np.array([record_id.rpartition(" ")[0] for record_id in record_ids.tolist()], str)


def best_threshold(is_abnormal: np.ndarray, probability: np.ndarray) -> float:
    """The probability above which naming a beat abnormal has the largest F1; `[n]` each."""
    return chosen_thresholds(is_abnormal[:, None], probability[:, None]).f1[0]


def best_offsets(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """`[class]`, to be added to log probabilities `[n, class]`: a power of each class's share that maximises macro F1.

    Logit adjustment after training (Menon et al., ICLR 2021). Classes that do not occur keep their probability, and
    of several equally good powers the one closest to none is taken.
    """
    num_classes = scores.shape[1]
    share = np.bincount(targets, minlength=num_classes) / len(targets)
    log_share = np.log(np.where(share > 0, share, 1.0))
    powers = sorted(POWERS, key=abs)
    reached = [_macro_f1(targets, decisions(scores, -power * log_share)) for power in powers]
    return -powers[int(np.nanargmax(reached))] * log_share


def _macro_f1(targets: np.ndarray, decided: np.ndarray) -> float:
    num_classes = max(targets.max(), decided.max()) + 1
    return float(metrics.macro_f1(metrics.confusion_matrix(targets, decided, np.ones(len(targets)), num_classes)))


def decisions(scores: np.ndarray, offsets: np.ndarray | None) -> np.ndarray:
    """Classes `[n]` from probabilities `[n, class]`: the most probable, with `offsets` of their logarithms."""
    if offsets is None:
        return scores.argmax(axis=1)
    return (np.log(scores.astype(float) + TINY) + offsets).argmax(axis=1)


def paired_gains(
    targets: np.ndarray,
    own: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    patient_ids: np.ndarray,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """By how much probabilities `[n, class]` and decisions `[n]` of `own` are better than those of `other`."""
    num_classes = own[0].shape[1]

    def compared(scores: np.ndarray, decided: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        confusion = metrics.confusion_matrix(targets, decided, weights, num_classes)
        found = {
            "gain/accuracy": metrics.accuracy(targets, decided, weights),
            "gain/macro_f1": metrics.macro_f1(confusion),
        }
        # Areas of many classes on a thousand replicates would take longer than all else.
        return found | ({"gain/auroc": metrics.auroc(targets == 1, scores[:, 1], weights)} if num_classes == 2 else {})

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        mine, theirs = (compared(*method, weights) for method in (own, other))
        return {name: mine[name] - theirs[name] for name in mine}

    return metrics.with_intervals(figures, np.ones(len(targets)), patient_ids, num_bootstrap)
