"""Weighted figures of merit with bootstrap intervals, on the host in float64.

Every figure takes `weights` `[..., n]`, one weight an example, and returns `[...]`: a thousand bootstrap replicates are
a leading axis, and scores are sorted once for all of them. A figure without a definition for some weights (a class that
no example of a replicate has) is NaN there, and intervals leave such replicates out.
"""

import dataclasses
from collections.abc import Callable

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


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))


def _sum_by_group(weights: np.ndarray, group: np.ndarray, num_groups: int) -> np.ndarray:
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
    return _ratio(weights @ (targets == predicted).astype(float), weights.sum(-1))


def recall(is_positive: np.ndarray, is_flagged: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sensitivity: share of the positives that are flagged; bool `[n]` each."""
    return _ratio(weights @ (is_positive & is_flagged).astype(float), weights @ is_positive.astype(float))


def specificity(is_positive: np.ndarray, is_flagged: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the negatives that are not flagged; bool `[n]` each."""
    return recall(~is_positive, ~is_flagged, weights)


def precision(is_positive: np.ndarray, is_flagged: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the flagged that are positive, at the prevalence of `weights`; bool `[n]` each."""
    return recall(is_flagged, is_positive, weights)


def f1(is_positive: np.ndarray, is_flagged: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall; NaN where nothing is positive and nothing flagged."""
    hits = 2 * (weights @ (is_positive & is_flagged).astype(float))
    return _ratio(hits, weights @ (is_positive.astype(float) + is_flagged))


def ppv_at(prevalence: float, sensitivity: np.ndarray, specificity: np.ndarray) -> np.ndarray:
    """Positive predictive value where a share `prevalence` is positive (Bayes' rule)."""
    hits = np.asarray(sensitivity) * prevalence
    return _ratio(hits, hits + (1 - np.asarray(specificity)) * (1 - prevalence))


def confusion_matrix(targets: np.ndarray, predicted: np.ndarray, weights: np.ndarray, num_classes: int) -> np.ndarray:
    """`[..., truth, prediction]` sums of weights, from class indices `[n]`."""
    cells = _sum_by_group(weights, np.asarray(targets) * num_classes + predicted, num_classes**2)
    return cells.reshape(*cells.shape[:-1], num_classes, num_classes)


def recall_by_class(confusion: np.ndarray) -> np.ndarray:
    """`[..., class]` from a confusion matrix; NaN for a class that does not occur."""
    return _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1))


def f1_by_class(confusion: np.ndarray) -> np.ndarray:
    """`[..., class]` from a confusion matrix; NaN for a class that neither occurs nor is predicted."""
    return _ratio(2 * np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1) + confusion.sum(-2))


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that occur."""
    return _mean_defined(recall_by_class(confusion))


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur or are predicted."""
    return _mean_defined(f1_by_class(confusion))


def _sums_by_score(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of negatives at each distinct score, ascending: `[..., score]` each."""
    values, rank = np.unique(scores, return_inverse=True)
    # One pass: positives go to the even groups, negatives to the odd ones.
    sums = _sum_by_group(weights, 2 * rank + ~np.asarray(is_positive, bool), 2 * len(values))
    return sums[..., ::2], sums[..., 1::2]


def auroc(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probability that a positive scores above a negative, ties counting half; `is_positive` and `scores` `[n]`."""
    positives, negatives = _sums_by_score(is_positive, scores, weights)
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    return _ratio((positives * below).sum(-1), positives.sum(-1) * negatives.sum(-1))


def auprc(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision: precision at each distinct score, averaged over the positives there."""
    positives, negatives = (sums[..., ::-1] for sums in _sums_by_score(is_positive, scores, weights))
    hits = np.cumsum(positives, axis=-1)
    precision_above = _ratio(hits, hits + np.cumsum(negatives, axis=-1))
    return _ratio((np.nan_to_num(precision_above) * positives).sum(-1), hits[..., -1])


def auroc_by_class(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[..., class]`, each class against the rest; `is_class` bool (one-hot or multi-label), `scores`; `[n, class]`."""
    return np.stack([auroc(is_class[:, c], scores[:, c], weights) for c in range(scores.shape[1])], axis=-1)


def auprc_by_class(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[..., class]`, each class against the rest; `is_class` bool (one-hot or multi-label), `scores`; `[n, class]`."""
    return np.stack([auprc(is_class[:, c], scores[:, c], weights) for c in range(scores.shape[1])], axis=-1)


def macro_auroc(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of `auroc_by_class` over the classes that occur."""
    return _mean_defined(auroc_by_class(is_class, scores, weights))


def macro_auprc(is_class: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of `auprc_by_class` over the classes that occur."""
    return _mean_defined(auprc_by_class(is_class, scores, weights))


def calibration_bins(is_true: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[..., bin, 3]`: weight, mean probability and share that came true in equal-width bins of `probability` `[n]`."""
    bins = np.clip((np.asarray(probability) * NUM_CALIBRATION_BINS).astype(int), 0, NUM_CALIBRATION_BINS - 1)
    weight, expected, came_true = (
        _sum_by_group(weights * factor, bins, NUM_CALIBRATION_BINS) for factor in (1.0, probability, is_true)
    )
    return np.stack([weight, _ratio(expected, weight), _ratio(came_true, weight)], axis=-1)


def ece(is_true: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error: mean distance of `probability` from what came true, by bin (Guo et al., ICML 2017).

    Of a classifier's confidence: pass `predicted == targets` and the predicted class's probability.
    """
    bins = calibration_bins(is_true, probability, weights)
    gaps = np.nan_to_num(np.abs(bins[..., 1] - bins[..., 2]))
    return _ratio((bins[..., 0] * gaps).sum(-1), bins[..., 0].sum(-1))


def brier(is_true: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared distance of `probability` from what came true; `[n]` each."""
    return _ratio(weights @ (np.asarray(probability, float) - is_true) ** 2, weights.sum(-1))


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


def paired_difference(
    first: Callable[[np.ndarray], np.ndarray],
    second: Callable[[np.ndarray], np.ndarray],
    weights: np.ndarray,
    patient_ids: np.ndarray,
    num_bootstrap: int,
) -> Metric:
    """The figure `first` minus `second` on the same examples and the same replicates."""
    return with_interval(lambda w: first(w) - second(w), weights, patient_ids, num_bootstrap)


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
