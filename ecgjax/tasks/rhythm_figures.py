"""Figures of merit for recordings of one rhythm each, and decisions that suit the challenge's score."""

import numpy as np

from ecgjax import metrics
from ecgjax.data.rhythms import CLASSES, SCORED
from ecgjax.metrics import Metric
from ecgjax.tasks.heartbeat_figures import class_figures, decisions

OFFSETS = np.linspace(-1.5, 1.5, 31)
"""Of log probabilities, among which validation recordings choose for each class."""

OFFSET_COST = 0.01
"""Gain in the score that an offset of 1 has to bring: a few validation recordings must not move it far."""

_ROUNDS = 3


def challenge_score(confusion: np.ndarray) -> np.ndarray:
    """`[...]`: mean F1 of `SCORED` from confusion matrices `[..., truth, prediction]` of `CLASSES`.

    Clifford et al., Computing in Cardiology 2017, 44, equation 4. Noise counts where it is taken for another rhythm.
    """
    return metrics.mean_defined(metrics.f1_by_class(confusion)[..., : len(SCORED)])


def rhythm_figures(
    targets: np.ndarray, scores: np.ndarray, decided: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """The challenge's score, and what all tasks have of classes `[n]`, probabilities `[n, class]`, decisions `[n]`."""

    def score(weights: np.ndarray) -> np.ndarray:
        return challenge_score(metrics.confusion_matrix(targets, decided, weights, len(CLASSES)))

    first = metrics.with_interval(score, np.ones(len(targets)), patient_ids, num_bootstrap)
    return {"f1_ano": first, **class_figures(targets, scores, decided, patient_ids, CLASSES, num_bootstrap)}


def best_offsets(targets: np.ndarray, scores: np.ndarray) -> tuple[float, ...]:
    """What to add to log probabilities `[n, class]` of each class for the best challenge score on classes `[n]`.

    One class after the other, from none; each from the offset that costs least.
    """
    chosen = np.zeros(len(CLASSES))

    def value(k: int, offset: float) -> float:
        tried = np.where(np.arange(len(CLASSES)) == k, offset, chosen)
        confusion = metrics.confusion_matrix(targets, decisions(scores, tried), np.ones(len(targets)), len(CLASSES))
        return float(np.nan_to_num(challenge_score(confusion))) - OFFSET_COST * abs(offset)

    for _ in range(_ROUNDS):
        for k in range(1, len(CLASSES)):
            chosen[k] = max(sorted(OFFSETS, key=abs), key=lambda offset: value(k, offset))
    return tuple(chosen.tolist())


def paired_gains(
    targets: np.ndarray, own: np.ndarray, other: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """By how much decisions `[n]` of `own` are better than those of `other`."""

    def compared(decided: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        confusion = metrics.confusion_matrix(targets, decided, weights, len(CLASSES))
        return {
            "gain/f1_ano": challenge_score(confusion),
            "gain/accuracy": metrics.accuracy(targets, decided, weights),
        }

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        mine, theirs = compared(own, weights), compared(other, weights)
        return {name: mine[name] - theirs[name] for name in mine}

    return metrics.with_intervals(figures, np.ones(len(targets)), patient_ids, num_bootstrap)
