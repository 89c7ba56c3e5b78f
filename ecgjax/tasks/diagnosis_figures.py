"""Figures of merit for several labels a record: by label and in the mean, at every threshold and at chosen ones."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ecgjax import metrics
from ecgjax.metrics import Metric

BETA = 2.0
"""How much more a missed label weighs than a false one in the challenge's measures."""

GRID = np.linspace(0.0, 1.0, 100)
"""Thresholds among which the challenge's measures are optimised, as in the benchmark."""

FALLBACK = 0.5
"""Threshold of a class that no validation record has."""


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Probabilities from which a class is named, one a class.

    Attributes:
      f1: the largest F1 of the class on validation records.
      challenge: the largest G measure of the class on validation records.
    """

    f1: tuple[float, ...]
    challenge: tuple[float, ...]


def chosen_thresholds(is_class: np.ndarray, scores: np.ndarray) -> Thresholds:
    """Those that validation records choose, from `[n, class]` each; `FALLBACK` where a class does not occur."""
    return Thresholds(
        tuple(_best_for_f1(is_class[:, c], scores[:, c]) for c in range(scores.shape[1])),
        tuple(_best_for_g(is_class[:, c], scores[:, c]) for c in range(scores.shape[1])),
    )


def _best_for_f1(is_class: np.ndarray, scores: np.ndarray) -> float:
    """Halfway between the score from which F1 is largest and the next one below, or 0."""
    if not is_class.any():
        return FALLBACK
    values, rank = np.unique(-scores.astype(float), return_inverse=True)
    flagged = np.cumsum(np.bincount(rank))
    hits = np.cumsum(np.bincount(rank, weights=is_class))
    best = int(np.argmax(hits / (flagged + is_class.sum())))
    below = values[best + 1] if best + 1 < len(values) else 0.0
    return float(-(values[best] + below) / 2)


def _best_for_g(is_class: np.ndarray, scores: np.ndarray) -> float:
    if not is_class.any():
        return FALLBACK
    is_named = scores[:, None] > GRID
    hits = is_class.astype(float) @ is_named
    measure = hits / (is_named.sum(axis=0) + BETA * (is_class.sum() - hits))
    return float(GRID[np.argmax(measure)])


def is_named(scores: np.ndarray, thresholds: tuple[float, ...], names_one: bool) -> np.ndarray:
    """Which classes are named, bool `[n, class]`; with `names_one` at least the most probable one."""
    named = scores > np.asarray(thresholds)
    if names_one:
        nothing = ~named.any(axis=1)
        named[nothing, scores[nothing].argmax(axis=1)] = True
    return named


def ranking_figures(
    is_class: np.ndarray, scores: np.ndarray, patient_ids: np.ndarray, names: Sequence[str], num_bootstrap: int
) -> dict[str, Metric]:
    """What needs no threshold, from `[n, class]` each: areas under both curves, by class and in the mean.

    `auprc_no_skill` is the prevalence, the average precision of chance. Means are over the classes that occur.
    """

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        auroc, auprc = metrics.areas_by_class(is_class, scores, weights)
        prevalence = metrics.ratio(weights @ is_class.astype(float), weights.sum(axis=-1)[..., None])
        by_class = {"auroc": auroc, "auprc": auprc, "auprc_no_skill": np.where(prevalence > 0, prevalence, np.nan)}
        return _with_means(by_class, names)

    return metrics.with_intervals(figures, np.ones(len(scores)), patient_ids, num_bootstrap)


def threshold_figures(
    is_class: np.ndarray,
    scores: np.ndarray,
    thresholds: Thresholds,
    patient_ids: np.ndarray,
    names: Sequence[str],
    *,
    names_one: bool,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """F1 by class and in the mean, and the measures of the PhysioNet/CinC challenge 2020 that PTB-XL's benchmark uses.

    `challenge_f2` and `challenge_g2` are means over classes of F and G with beta 2 (Alday et al., Physiol Meas 2020,
    41:124003; G is the Jaccard index for beta 1), each record weighing one over the number of its labels, or one where
    it has none. For them a record is given at least one label where `names_one`, as in the benchmark.
    """
    by_f1 = is_named(scores, thresholds.f1, names_one=False)
    by_challenge = is_named(scores, thresholds.challenge, names_one)
    share = 1 / np.maximum(is_class.sum(axis=1), 1)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        hits, false, missed = _counts(is_class, by_f1, weights)
        found = _with_means({"f1": metrics.ratio(2 * hits, 2 * hits + false + missed)}, names)
        hits, false, missed = _counts(is_class, by_challenge, weights * share)
        f2 = metrics.ratio((1 + BETA**2) * hits, (1 + BETA**2) * hits + false + BETA**2 * missed)
        g2 = metrics.ratio(hits, hits + false + BETA * missed)
        return {**found, "challenge_f2": metrics.mean_defined(f2), "challenge_g2": metrics.mean_defined(g2)}

    found = metrics.with_intervals(figures, np.ones(len(scores)), patient_ids, num_bootstrap)
    chosen = {
        f"threshold/{name}": Metric(value, None, len(scores)) for name, value in zip(names, thresholds.f1, strict=True)
    }
    return {**found, **chosen}


def paired_gains(
    is_class: np.ndarray, own: np.ndarray, other: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """By how much the scores `own` rank better than `other`, in the mean over classes; `[n, class]` each."""

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        areas = [metrics.areas_by_class(is_class, scores, weights) for scores in (own, other)]
        auroc, auprc = (
            metrics.mean_defined(mine) - metrics.mean_defined(theirs) for mine, theirs in zip(*areas, strict=True)
        )
        return {"gain/macro_auroc": auroc, "gain/macro_auprc": auprc}

    return metrics.with_intervals(figures, np.ones(len(own)), patient_ids, num_bootstrap)


def _counts(is_class: np.ndarray, named: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight `[..., class]` of labels found, named falsely and missed."""
    cells = (is_class & named, ~is_class & named, is_class & ~named)
    found, false, missed = (weights @ cell.astype(float) for cell in cells)
    return found, false, missed


def _with_means(by_class: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """`macro_FIGURE` of each figure `[..., class]`, and `FIGURE/CLASS`."""
    means = {f"macro_{figure}": metrics.mean_defined(values) for figure, values in by_class.items()}
    single = {f"{figure}/{name}": values[..., k] for figure, values in by_class.items() for k, name in enumerate(names)}
    return {**means, **single}
