"""Figures of merit for a user's labels, by kind: those of classes, of several labels, or of numbers."""

from collections.abc import Sequence

import numpy as np

from ecgjax import metrics
from ecgjax.data.split import Split
from ecgjax.metrics import Metric
from ecgjax.tasks import diagnosis_figures, heartbeat_figures
from ecgjax.tasks.diagnosis_figures import Thresholds

MOST_EXAMPLES = 5
MOST_WRONG = 3


def figures(
    kind: str,
    names: Sequence[str],
    predictions: dict[str, np.ndarray],
    scores: np.ndarray,
    thresholds: Thresholds | None,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """Of the `scores` `[n, class]` or `[n, number]` for the records of `predictions`."""
    targets, patient_ids = predictions["targets"], predictions["patient_ids"]
    if kind == "classes":
        return heartbeat_figures.class_figures(
            targets, scores, scores.argmax(axis=1), patient_ids, names, num_bootstrap
        )
    if kind == "numbers":
        return number_figures(targets, scores, patient_ids, names, num_bootstrap)
    is_class = targets.astype(bool)
    found = diagnosis_figures.ranking_figures(is_class, scores, patient_ids, names, num_bootstrap)
    if thresholds is None:
        return found
    return found | diagnosis_figures.threshold_figures(
        is_class, scores, thresholds, patient_ids, names, names_one=False, num_bootstrap=num_bootstrap
    )


def number_figures(
    targets: np.ndarray, predicted: np.ndarray, patient_ids: np.ndarray, names: Sequence[str], num_bootstrap: int
) -> dict[str, Metric]:
    """Errors of numbers, `[n, number]` each, in their own units: predicted minus true.

    With several numbers, each has figures of its own, `/NAME`, and only `r2` a mean.
    """
    columns = _columns(targets, predicted)

    def of_weights(weights: np.ndarray) -> dict[str, np.ndarray]:
        total = weights.sum(axis=-1)[..., None, None]
        mae, square, bias, mean, mean_square = np.moveaxis(
            metrics.ratio(np.tensordot(weights, columns, 1), total), -1, 0
        )
        each = {
            "mae": mae,
            "rmse": np.sqrt(square),
            "r2": 1 - metrics.ratio(square, mean_square - mean**2),
            "bias": bias,
        }
        if len(names) == 1:
            return {figure: values[..., 0] for figure, values in each.items()}
        single = {f"{figure}/{name}": v[..., k] for figure, v in each.items() for k, name in enumerate(names)}
        return {"r2": metrics.mean_defined(each["r2"]), **single}

    return metrics.with_intervals(of_weights, np.ones(len(targets)), patient_ids, num_bootstrap)


def paired_gains(
    kind: str, predictions: dict[str, np.ndarray], other: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """By how much the network's own scores are better than `other`; of numbers its errors minus theirs."""
    targets, own, patient_ids = (predictions[name] for name in ("targets", "scores", "patient_ids"))
    if kind != "numbers":
        is_class = metrics.one_hot(targets, own.shape[1]) if kind == "classes" else targets.astype(bool)
        return diagnosis_figures.paired_gains(is_class, own, other, patient_ids, num_bootstrap)
    mine, theirs = (np.abs(scores - targets.astype(float)) for scores in (own, other))

    def of_weights(weights: np.ndarray) -> dict[str, np.ndarray]:
        difference = metrics.ratio(weights @ (mine - theirs), weights.sum(axis=-1)[..., None])
        return {"gain/mae": difference[..., 0]} if mine.shape[1] == 1 else {}

    return metrics.with_intervals(of_weights, np.ones(len(targets)), patient_ids, num_bootstrap)


def _columns(targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """`[n, number, 5]`: absolute, squared and plain error, the number less its mean, and its square."""
    error = predicted.astype(float) - targets
    # The mean of all serves as origin, so that sums of squares keep their digits.
    centred = targets - targets.mean(axis=0, dtype=float)
    return np.stack([np.abs(error), error**2, error, centred, centred**2], axis=2)


def examples(
    split: Split, predictions: dict[str, np.ndarray], classes: Sequence[str], seed: int
) -> dict[str, np.ndarray]:
    """Records of which the network is most wrongly sure, and some that it names rightly, for the report."""
    targets, scores = predictions["targets"], predictions["scores"]
    decided = scores.argmax(axis=1)
    sure = scores[np.arange(len(scores)), decided]
    is_right = decided == targets
    wrong = np.argsort(np.where(is_right, np.inf, -sure), kind="stable")[: min(MOST_WRONG, int(np.sum(~is_right)))]
    shuffled = np.random.default_rng(seed).permutation(len(is_right))
    chosen = np.concatenate([wrong, shuffled[is_right[shuffled]][: MOST_EXAMPLES - len(wrong)]]).astype(int)
    row = {name: i for i, name in enumerate(split.record_ids)}
    names = np.array(classes)
    return {
        "signal_mv": (split.ecg[[row[name] for name in predictions["record_ids"][chosen]]] / split.gain).astype("f4"),
        "fs_hz": np.float32(split.fs_hz),
        "record_ids": predictions["record_ids"][chosen],
        "truth": names[targets[chosen]],
        "prediction": names[decided[chosen]],
        "probability": sure[chosen],
    }
