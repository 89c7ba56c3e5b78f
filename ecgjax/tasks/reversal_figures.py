"""Figures of merit for electrode reversal, at the priors that matter."""

import numpy as np

from ecgjax import leads, metrics
from ecgjax.metrics import Metric

CLASS_NAMES = tuple(placement.name for placement in leads.PLACEMENTS)
LIMB_CLASSES = tuple(CLASS_NAMES.index(placement.name) for placement in (*leads.LIMB_SWAPS, *leads.LIMB_CYCLES))
NONE = CLASS_NAMES.index(leads.CORRECT.name)

_NUM_CLASSES = len(CLASS_NAMES)


def prior(none: float) -> np.ndarray:
    """`[class]`: the probability `none` for a correct record, the rest shared by the reversals."""
    share = np.full(_NUM_CLASSES, (1 - none) / (_NUM_CLASSES - 1))
    share[NONE] = none
    return share


def at_prior(probability: np.ndarray, none: float) -> np.ndarray:
    """Class probabilities `[..., class]` at a prior of one half, carried over to the prior `none` (Bayes' rule)."""
    weighed = probability * (prior(none) / prior(0.5))
    return weighed / weighed.sum(axis=-1, keepdims=True)


def reversal_figures(
    placement: np.ndarray,
    any_reversal: np.ndarray,
    scores: np.ndarray | None,
    patient_ids: np.ndarray,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """Figures of detection, and with `scores` `[n, class]` of typing, at priors of 50 % and 2 %.

    `placement` `[n]` is the true class and `any_reversal` `[n]` the probability of a reversal at even priors.
    """
    is_reversed = placement != NONE
    is_limb = np.isin(placement, LIMB_CLASSES)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        """From the weights of an even prior."""
        named = {}
        for prevalence, suffix in ((0.5, ""), (0.02, "_at_2pct")):
            odds = any_reversal * prevalence
            probability = odds / (odds + (1 - any_reversal) * (1 - prevalence))
            flagged = probability >= 0.5
            weighed = weights * np.where(is_reversed, 2 * prevalence, 2 * (1 - prevalence))
            named[f"accuracy{suffix}"] = metrics.accuracy(is_reversed, flagged, weighed)
            named[f"recall{suffix}"] = metrics.recall(is_reversed, flagged, weighed)
            named[f"specificity{suffix}"] = metrics.specificity(is_reversed, flagged, weighed)
            named[f"ece{suffix}"] = metrics.ece(is_reversed, probability, weighed)
            if scores is not None:
                typed = at_prior(scores, 1 - prevalence).argmax(axis=1)
                confusion = metrics.confusion_matrix(placement, typed, weighed, _NUM_CLASSES)
                named[f"macro_f1{suffix}"] = metrics.macro_f1(confusion)
        named["precision"] = metrics.precision(is_reversed, any_reversal >= 0.5, weights)
        named["auroc"] = metrics.auroc(is_reversed, any_reversal, weights)
        named["auroc_limb"] = metrics.auroc(is_limb, any_reversal, weights * (is_limb | ~is_reversed))
        named |= _ppv_figures(is_reversed, any_reversal, weights)
        named |= _figures_by_class(placement, any_reversal, scores, weights)
        return named

    weights = metrics.weights_at_prevalence(is_reversed, 0.5)
    return metrics.with_intervals(figures, weights, patient_ids, num_bootstrap)


def _ppv_figures(is_reversed: np.ndarray, any_reversal: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Positive predictive value where reversals are as rare as in practice, deciding at that prevalence."""
    named = {}
    for percent in (0.5, 2, 5):
        prevalence = percent / 100
        flagged = any_reversal * prevalence >= (1 - any_reversal) * (1 - prevalence)
        sensitivity = metrics.recall(is_reversed, flagged, weights)
        specificity = metrics.specificity(is_reversed, flagged, weights)
        named[f"ppv_at_{percent:g}pct"] = metrics.ppv_at(prevalence, sensitivity, specificity)
    return named


def _figures_by_class(
    placement: np.ndarray, any_reversal: np.ndarray, scores: np.ndarray | None, weights: np.ndarray
) -> dict[str, np.ndarray]:
    flagged = (any_reversal >= 0.5).astype(int)
    detected = metrics.confusion_matrix(placement, flagged, weights, _NUM_CLASSES)[..., 1]
    occurs = metrics.confusion_matrix(placement, np.zeros_like(flagged), weights, _NUM_CLASSES)[..., 0]
    with np.errstate(invalid="ignore"):
        detected = detected / occurs
    named = {f"detected/{name}": detected[..., i] for i, name in enumerate(CLASS_NAMES) if i != NONE}
    if scores is not None:
        confusion = metrics.confusion_matrix(placement, scores.argmax(axis=1), weights, _NUM_CLASSES)
        recall, f1 = metrics.recall_by_class(confusion), metrics.f1_by_class(confusion)
        for i, name in enumerate(CLASS_NAMES):
            named |= {f"recall/{name}": recall[..., i], f"f1/{name}": f1[..., i]}
    return named
