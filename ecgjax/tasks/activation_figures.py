"""Figures of merit for activation maps: errors in ms overall, by site and by region, and where activation begins."""

import numpy as np

from ecgjax import metrics
from ecgjax.data import intracardiac
from ecgjax.metrics import Metric


def activation_figures(
    true_ms: np.ndarray, predicted_ms: np.ndarray, site_mm: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """Errors at the sites that fire, of times `[n, site]`; `true_ms` is NaN at the others, `site_mm` `[n, site, 3]`.

    `mae_ms` and `rmse_ms` of all pairs of a record and a site, `mae_ms/REGION` and `mae_ms/SITE`; `r2` over all pairs;
    `pearson_r` over the sites of a record, and `earliest_site_mm` from the site that is first to the one that is said
    to be, both means over records. A figure that no record defines is left out.
    """
    fires = ~np.isnan(true_ms)
    error = np.where(fires, predicted_ms.astype(float) - np.where(fires, true_ms, 0.0), 0.0)
    # The mean of all serves as origin, so that sums of squares keep their digits.
    centred = np.where(fires, true_ms - _mean_defined(true_ms), 0.0)
    sums = np.stack([fires.sum(1), np.abs(error).sum(1), (error**2).sum(1), centred.sum(1), (centred**2).sum(1)], 1)
    each = np.concatenate([fires, np.abs(error)], axis=1)
    of_records = {
        "pearson_r": record_correlation(true_ms, predicted_ms),
        "earliest_site_mm": earliest_site_mm(true_ms, predicted_ms, site_mm),
    }
    of_records = {name: values for name, values in of_records.items() if not np.isnan(values).all()}
    groups = intracardiac.regions() | {
        site: np.arange(intracardiac.NUM_SITES) == i for i, site in enumerate(intracardiac.SITES)
    }
    is_in = np.stack(list(groups.values()), axis=1).astype(float)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        count, absolute, square, mean, mean_square = np.moveaxis(weights @ sums, -1, 0)
        found = {
            "mae_ms": metrics.ratio(absolute, count),
            "rmse_ms": np.sqrt(metrics.ratio(square, count)),
            "r2": 1 - metrics.ratio(square, mean_square - metrics.ratio(mean**2, count)),
        }
        found |= {name: weighted_mean(values, weights) for name, values in of_records.items()}
        counts, errors = np.split(weights @ each, 2, axis=-1)
        by_group = metrics.ratio(errors @ is_in, counts @ is_in)
        return found | {f"mae_ms/{name}": by_group[..., i] for i, name in enumerate(groups)}

    return metrics.with_intervals(figures, np.ones(len(error)), patient_ids, num_bootstrap)


def record_correlation(true_ms: np.ndarray, predicted_ms: np.ndarray) -> np.ndarray:
    """`[n]`: Pearson's over the sites of a record that fire; NaN where either does not vary."""
    fires = ~np.isnan(true_ms)
    count = np.maximum(fires.sum(axis=1, keepdims=True), 1)
    true, predicted = (
        np.where(fires, values - np.where(fires, values, 0.0).sum(axis=1, keepdims=True) / count, 0.0)
        for values in (np.where(fires, true_ms, 0.0).astype(float), predicted_ms.astype(float))
    )
    norms = np.sqrt((true**2).sum(axis=1) * (predicted**2).sum(axis=1))
    return np.divide((true * predicted).sum(axis=1), norms, out=np.full(len(norms), np.nan), where=norms > 0)


def earliest_site_mm(true_ms: np.ndarray, predicted_ms: np.ndarray, site_mm: np.ndarray) -> np.ndarray:
    """`[n]`: between the site that fires first and the one that is predicted to, of those that fire; NaN for none."""
    fires = ~np.isnan(true_ms)
    first, said = (np.argmin(np.where(fires, values, np.inf), axis=1) for values in (true_ms, predicted_ms))
    row = np.arange(len(true_ms))
    distance = np.linalg.norm(site_mm[row, first].astype(float) - site_mm[row, said], axis=1)
    return np.where(fires.any(axis=1), distance, np.nan)


def paired_gains(
    true_ms: np.ndarray, own_ms: np.ndarray, other_ms: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    """The errors of `own_ms` minus those of `other_ms`, predictions `[n, site]`: below 0 where `own_ms` is better."""
    fires = ~np.isnan(true_ms)
    errors = [np.where(fires, guess.astype(float) - np.where(fires, true_ms, 0), 0) for guess in (own_ms, other_ms)]
    sums = np.stack([*(np.abs(e).sum(1) for e in errors), *((e**2).sum(1) for e in errors), fires.sum(1)], axis=1)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        *columns, count = np.moveaxis(weights @ sums, -1, 0)
        own_mae, other_mae, own_square, other_square = (metrics.ratio(column, count) for column in columns)
        return {"gain/mae_ms": own_mae - other_mae, "gain/rmse_ms": np.sqrt(own_square) - np.sqrt(other_square)}

    return metrics.with_intervals(figures, np.ones(len(sums)), patient_ids, num_bootstrap)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`[...]` of `values` `[n]` that are not NaN under `weights` `[..., n]`; NaN without weight."""
    defined = ~np.isnan(values)
    return metrics.ratio(weights @ np.where(defined, values, 0.0), weights @ defined.astype(float))


def _mean_defined(values: np.ndarray) -> float:
    """Of all that is not NaN; 0 for nothing."""
    defined = values[~np.isnan(values)]
    return float(defined.mean(dtype=float)) if len(defined) else 0.0
