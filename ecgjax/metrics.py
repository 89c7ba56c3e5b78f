"""Weighted figures of merit with bootstrap intervals, on the host in float64.

Every figure takes `weights` `[..., n]`, one weight an example, and returns `[...]`: a thousand bootstrap replicates are
a leading axis, and scores are sorted once for all of them. A figure without a definition for some weights (a class that
no example of a replicate has) is NaN there, and intervals leave such replicates out.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
import scipy.sparse
import scipy.stats

BOOTSTRAP_SEED = 0
"""One seed for every figure: all methods are judged on the same replicates, so their differences are paired."""

NUM_CALIBRATION_BINS = 15

# Replicates are weighed in blocks of about this many bytes: all of PTB-XL's test set under 19 views is 42,000 examples.
_BLOCK_BYTES = 2**25


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure, its 95 % interval (None where there is none) and the number of examples behind it."""

    value: float
    ci95: tuple[float, float] | None
    n: int

    def to_json(self) -> dict:
        """The entry of `results.json`; an undefined value is null, since JSON has no NaN."""
        value = float(self.value)
        return {"value": value if np.isfinite(value) else None, "ci95": self.ci95 and list(self.ci95), "n": self.n}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the denominator is not above 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))


def sum_by_group(weights: np.ndarray, group: np.ndarray, num_groups: int) -> np.ndarray:
    """Sums `[..., n]` over the examples of each `group` `[n]`: `[..., num_groups]`."""
    n = len(group)
    members = scipy.sparse.csr_array((np.ones(n), (group, np.arange(n))), shape=(num_groups, n))
    flat = np.asarray(weights, float).reshape(-1, n)
    return (members @ flat.T).T.reshape(*np.shape(weights)[:-1], num_groups)


def one_hot(targets: np.ndarray, num_classes: int) -> np.ndarray:
    """`[n, num_classes]` bool from class indices `[n]`."""
    return np.asarray(targets)[:, None] == np.arange(num_classes)


def weights_at_prevalence(is_positive: np.ndarray, prevalence: float) -> np.ndarray:
    """Weights `[n]` of sum 1 under which a share `prevalence` of the examples is positive."""
    return np.where(
        is_positive, prevalence / max(is_positive.sum(), 1), (1 - prevalence) / max((~is_positive).sum(), 1)
    )


def accuracy(targets: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the weight that is predicted rightly; `targets` and `predicted` `[n]`."""
    return ratio(weights @ (targets == predicted).astype(float), weights.sum(-1))


def recall(is_positive: np.ndarray, is_flagged: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sensitivity: share of the positives that are flagged; bool `[n]` each."""
    return ratio(weights @ (is_positive & is_flagged).astype(float), weights @ is_positive.astype(float))


def specificity(is_positive: np.ndarray, is_flagged: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the negatives that are not flagged; bool `[n]` each."""
    return recall(~is_positive, ~is_flagged, weights)


def precision(is_positive: np.ndarray, is_flagged: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the flagged that are positive, at the prevalence of `weights`; bool `[n]` each."""
    return recall(is_flagged, is_positive, weights)


def f1(is_positive: np.ndarray, is_flagged: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall; NaN where nothing is positive and nothing flagged."""
    hits = 2 * (weights @ (is_positive & is_flagged).astype(float))
    return ratio(hits, weights @ (is_positive.astype(float) + is_flagged))


def ppv_at(prevalence: float, sensitivity: np.ndarray, specificity: np.ndarray) -> np.ndarray:
    """Positive predictive value where a share `prevalence` is positive (Bayes' rule)."""
    hits = np.asarray(sensitivity) * prevalence
    return ratio(hits, hits + (1 - np.asarray(specificity)) * (1 - prevalence))


def confusion_matrix(targets: np.ndarray, predicted: np.ndarray, weights: np.ndarray, num_classes: int) -> np.ndarray:
    """`[..., truth, prediction]` sums of weights, from class indices `[n]`."""
    cells = sum_by_group(weights, np.asarray(targets) * num_classes + predicted, num_classes**2)
    return cells.reshape(*cells.shape[:-1], num_classes, num_classes)


def recall_by_class(confusion: np.ndarray) -> np.ndarray:
    """`[..., class]` from a confusion matrix; NaN for a class that does not occur."""
    return ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1))


def precision_by_class(confusion: np.ndarray) -> np.ndarray:
    """`[..., class]` from a confusion matrix; 0 for one never predicted, NaN where it does not occur either."""
    hits, named = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-2)
    return np.where((named > 0) | (confusion.sum(-1) == 0), ratio(hits, named), 0.0)


def specificity_by_class(confusion: np.ndarray) -> np.ndarray:
    """`[..., class]` from a confusion matrix: the share of other classes' weight that is not given to a class."""
    total, hits = confusion.sum((-2, -1))[..., None], np.diagonal(confusion, axis1=-2, axis2=-1)
    occurs, named = confusion.sum(-1), confusion.sum(-2)
    return ratio(total - occurs - named + hits, total - occurs)


def f1_by_class(confusion: np.ndarray) -> np.ndarray:
    """`[..., class]` from a confusion matrix; NaN for a class that neither occurs nor is predicted."""
    return ratio(2 * np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1) + confusion.sum(-2))


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that occur."""
    return mean_defined(recall_by_class(confusion))


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur or are predicted."""
    return mean_defined(f1_by_class(confusion))


def _areas(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`auroc` and `auprc`; sums above and below are needed at the scores of positives alone, of which there are few."""
    is_positive, weights = np.asarray(is_positive, bool), np.asarray(weights, float)
    order = np.argsort(scores, kind="stable")
    rows = np.flatnonzero(is_positive[order])
    positive_scores = scores[order[rows]]
    # Examples along the first axis: replicates of one example lie together, and sums run along whole rows.
    columns = weights.reshape(-1, weights.shape[-1]).T
    positives = columns[order[rows]]
    all_below, positives_below = _sums_below(columns[order]), _sums_below(positives)

    def weight_below(side: Literal["left", "right"]) -> tuple[np.ndarray, np.ndarray]:
        """Of all examples and of the positives, below each positive or not above it."""
        return (
            all_below[np.searchsorted(scores[order], positive_scores, side)],
            positives_below[np.searchsorted(positive_scores, positive_scores, side)],
        )

    (below, own_below), (up_to, own_up_to) = weight_below("left"), weight_below("right")
    total, total_positive = all_below[-1], positives_below[-1]
    negatives_below = below - own_below + 0.5 * ((up_to - below) - (own_up_to - own_below))
    precision_above = ratio(total_positive - own_below, total - below)
    shape = weights.shape[:-1]
    return (
        ratio((positives * negatives_below).sum(0), total_positive * (total - total_positive)).reshape(shape),
        ratio((positives * np.nan_to_num(precision_above)).sum(0), total_positive).reshape(shape),
    )


def _sums_below(values: np.ndarray) -> np.ndarray:
    """`[n + 1, ...]`: sums over the first axis of what comes before each row, and of all."""
    return np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])


def auroc(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probability that a positive scores above a negative, ties counting half; `is_positive` and `scores` `[n]`."""
    return _areas(is_positive, scores, weights)[0]


def auprc(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision: precision at each distinct score, averaged over the positives there."""
    return _areas(is_positive, scores, weights)[1]


def areas_by_class(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`auroc_by_class` and `auprc_by_class`, in the time of one of them."""
    both = [_areas(is_class[:, c], scores[:, c], weights) for c in range(scores.shape[1])]
    aurocs, auprcs = zip(*both, strict=True)
    return np.stack(aurocs, axis=-1), np.stack(auprcs, axis=-1)


def auroc_by_class(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[..., class]`, each class against the rest; `is_class` bool (one-hot or multi-label), `scores`; `[n, class]`."""
    return np.stack([auroc(is_class[:, c], scores[:, c], weights) for c in range(scores.shape[1])], axis=-1)


def auprc_by_class(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[..., class]`, each class against the rest; `is_class` bool (one-hot or multi-label), `scores`; `[n, class]`."""
    return np.stack([auprc(is_class[:, c], scores[:, c], weights) for c in range(scores.shape[1])], axis=-1)


def macro_auroc(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of `auroc_by_class` over the classes that occur."""
    return mean_defined(auroc_by_class(is_class, scores, weights))


def macro_auprc(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of `auprc_by_class` over the classes that occur."""
    return mean_defined(auprc_by_class(is_class, scores, weights))


def calibration_bins(is_true: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[..., bin, 3]`: weight, mean probability and share that came true in equal-width bins of `probability` `[n]`."""
    bins = np.clip((np.asarray(probability) * NUM_CALIBRATION_BINS).astype(int), 0, NUM_CALIBRATION_BINS - 1)
    weight, expected, came_true = (
        sum_by_group(weights * factor, bins, NUM_CALIBRATION_BINS) for factor in (1.0, probability, is_true)
    )
    return np.stack([weight, ratio(expected, weight), ratio(came_true, weight)], axis=-1)


def ece(is_true: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error: mean distance of `probability` from what came true, by bin (Guo et al., ICML 2017).

    Of a classifier's confidence: pass `predicted == targets` and the predicted class's probability.
    """
    bins = calibration_bins(is_true, probability, weights)
    gaps = np.nan_to_num(np.abs(bins[..., 1] - bins[..., 2]))
    return ratio((bins[..., 0] * gaps).sum(-1), bins[..., 0].sum(-1))


def brier(is_true: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared distance of `probability` from what came true; `[n]` each."""
    return ratio(weights @ (np.asarray(probability, float) - is_true) ** 2, weights.sum(-1))


def _patient_counts(num_patients: int, num_bootstrap: int, seed: int) -> np.ndarray:
    """`[num_bootstrap, num_patients]`: how often each patient is drawn, with replacement."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_patients, np.full(num_patients, 1 / num_patients), size=num_bootstrap)


def bootstrap_weights(patient_ids: np.ndarray, num_bootstrap: int, seed: int) -> np.ndarray:
    """`[num_bootstrap, n]` multiplicities of the examples when patients `[n]` are resampled with replacement."""
    patients, row = np.unique(patient_ids, return_inverse=True)
    return _patient_counts(len(patients), num_bootstrap, seed)[:, row].astype(float)


def percentile_interval(replicates: np.ndarray) -> tuple[float, float] | None:
    """The middle 95 % of the replicates that are defined; None where none is."""
    defined = replicates[~np.isnan(replicates)]
    if not defined.size:
        return None
    low, high = np.percentile(defined, (2.5, 97.5))
    return float(low), float(high)


def with_intervals(
    figures: Callable[[np.ndarray], dict[str, np.ndarray]],
    weights: np.ndarray,
    patient_ids: np.ndarray,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """Name -> Metric of `figures`, a function from weights `[..., n]` to name -> `[...]`.

    Intervals are percentiles over replicates that resample patients (Efron and Tibshirani 1993, chapter 13);
    with `num_bootstrap` 0 or a single patient there are none. `n` counts the examples with weight.
    """
    weights = np.asarray(weights, float)
    n = int(np.count_nonzero(weights))
    values = {name: float(value) for name, value in figures(weights).items()}
    patients, row = np.unique(patient_ids, return_inverse=True)
    if not num_bootstrap or len(patients) < 2:
        return {name: Metric(value, None, n) for name, value in values.items()}
    counts = _patient_counts(len(patients), num_bootstrap, BOOTSTRAP_SEED)
    rows_per_block = max(1, _BLOCK_BYTES // (8 * len(weights)))
    blocks = [
        figures(counts[start : start + rows_per_block, row] * weights)
        for start in range(0, num_bootstrap, rows_per_block)
    ]
    return {
        name: Metric(value, percentile_interval(np.concatenate([block[name] for block in blocks])), n)
        for name, value in values.items()
    }


def with_interval(
    figure: Callable[[np.ndarray], np.ndarray], weights: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> Metric:
    """`with_intervals` for one function from weights `[..., n]` to `[...]`."""
    return with_intervals(lambda w: {"": figure(w)}, weights, patient_ids, num_bootstrap)[""]


@dataclasses.dataclass(frozen=True)
class McNemar:
    """Examples that one of two methods alone has right, and the exact two-sided p-value that they differ."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> McNemar:
    """Exact McNemar test of two methods on independent examples; bool `[n]` each (Psychometrika 1947, 12:153)."""
    only_first = int(np.sum(first_right & ~second_right))
    only_second = int(np.sum(second_right & ~first_right))
    discordant = only_first + only_second
    p_value = scipy.stats.binomtest(only_first, discordant).pvalue if discordant else 1.0
    return McNemar(only_first, only_second, float(p_value))
