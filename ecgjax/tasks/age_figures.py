"""Figures of merit for age: errors altogether, by decade and by diagnosis, and whether a stated spread holds."""

from collections.abc import Sequence

import numpy as np
from scipy.special import erfinv

from ecgjax import metrics
from ecgjax.metrics import Metric

NOMINAL = np.arange(0.1, 1.0, 0.1)
"""Shares of a normal distribution whose central intervals are compared with what they hold."""

INTERVALS = {68: 0.6827, 95: 0.95}
"""Per cent in the name of a figure -> the share."""

FEWEST = 3
"""Records below which a decade or a diagnosis is left out."""


def half_width(share: np.ndarray | float) -> np.ndarray:
    """Standard deviations on either side of the mean that hold a share of a normal distribution."""
    return np.sqrt(2) * erfinv(share)


def decade_names(age_years: np.ndarray) -> np.ndarray:
    """`50-59` and so on, one a record `[n]`."""
    first = (10 * np.floor(np.asarray(age_years, float) / 10)).astype(int)
    return np.array([f"{start}-{start + 9}" for start in first])


def age_figures(
    age_years: np.ndarray,
    predicted_years: np.ndarray,
    patient_ids: np.ndarray,
    is_class: np.ndarray,
    class_names: Sequence[str],
    num_bootstrap: int,
) -> dict[str, Metric]:
    """Errors in years: predicted minus true, of all records, `/DECADE` and `/superclass NAME`; `[n]` each.

    `is_class` `[n, class]` bool says which diagnostic superclasses a record is in.
    """
    error = predicted_years.astype(float) - age_years
    # The mean of all serves as origin, so that sums of squares keep their digits.
    centred = age_years - np.mean(age_years, dtype=float)
    columns = np.stack([np.abs(error), error, error**2, centred, centred**2], axis=1)
    decades = decade_names(age_years)
    # By their first year: the tenth decade would come before the third as text.
    ordered = sorted(set(decades.tolist()), key=lambda name: int(name.split("-")[0]))
    groups = {name: decades == name for name in ordered}
    groups |= {f"superclass {name}": is_class[:, k] for k, name in enumerate(class_names)}
    groups = {name: is_in.astype(float) for name, is_in in groups.items() if is_in.sum() >= FEWEST}

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        mae, bias, square, mean, mean_square = np.moveaxis(_means(columns, weights), -1, 0)
        found = {
            "mae_years": mae,
            "rmse_years": np.sqrt(square),
            "r2": 1 - metrics.ratio(square, mean_square - mean**2),
            "bias_years": bias,
            "error_sd_years": np.sqrt(np.maximum(square - bias**2, 0)),
        }
        of_groups = {name: _means(columns[:, :2], weights * is_in) for name, is_in in groups.items()}
        found |= {f"mae_years/{name}": means[..., 0] for name, means in of_groups.items()}
        return found | {f"bias_years/{name}": means[..., 1] for name, means in of_groups.items()}

    return metrics.with_intervals(figures, np.ones(len(error)), patient_ids, num_bootstrap)


def spread_figures(
    age_years: np.ndarray,
    predicted_years: np.ndarray,
    spread_years: np.ndarray,
    patient_ids: np.ndarray,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """Of normal distributions with the standard deviation `spread_years`; `[n]` each.

    Shares of records inside the central intervals of 68 and 95 %, the mean distance of such shares from what they
    should be, and the mean negative logarithm of the density of the true age.
    """
    z = (age_years - predicted_years.astype(float)) / spread_years
    density = 0.5 * z**2 + np.log(spread_years, dtype=float) + 0.5 * np.log(2 * np.pi)
    inside_one = np.abs(z)[:, None] <= half_width(np.array(list(INTERVALS.values())))
    inside = np.abs(z)[:, None] <= half_width(NOMINAL)
    columns = np.concatenate([inside_one, inside, density[:, None], spread_years[:, None]], axis=1, dtype=float)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        means = _means(columns, weights)
        gaps = np.abs(means[..., len(INTERVALS) : -2] - NOMINAL)
        coverage = {f"coverage_{percent}pct": means[..., k] for k, percent in enumerate(INTERVALS)}
        return {
            **coverage,
            "coverage_error": gaps.mean(axis=-1),
            "negative_log_likelihood": means[..., -2],
            "mean_spread_years": means[..., -1],
        }

    return metrics.with_intervals(figures, np.ones(len(z)), patient_ids, num_bootstrap)


def best_scale(age_years: np.ndarray, predicted_years: np.ndarray, spread_years: np.ndarray) -> float:
    """The factor of all spreads that makes the true ages most likely."""
    return float(np.sqrt(np.mean(((age_years - predicted_years.astype(float)) / spread_years) ** 2)))


def paired_gains(
    age_years: np.ndarray, own: np.ndarray, other: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """The errors of the predictions `own` minus those of `other`, `[n]` each: below 0 where `own` is better."""
    columns = np.stack([f(guess - age_years.astype(float)) for f in (np.abs, np.square) for guess in (own, other)], 1)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        own_mae, other_mae, own_square, other_square = np.moveaxis(_means(columns, weights), -1, 0)
        return {
            "gain/mae_years": own_mae - other_mae,
            "gain/rmse_years": np.sqrt(own_square) - np.sqrt(other_square),
        }

    return metrics.with_intervals(figures, np.ones(len(columns)), patient_ids, num_bootstrap)


def _means(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means `[..., column]` of `[n, column]`, NaN without weight."""
    return metrics.ratio(weights @ columns, weights.sum(axis=-1)[..., None])
