"""Figures of merit for transmembrane potentials: errors in mV, of the time of the upstroke and of its duration."""

import dataclasses

import numpy as np

from ecgjax import metrics
from ecgjax.data import intracardiac
from ecgjax.metrics import Metric
from ecgjax.tasks.activation_figures import weighted_mean

_RECORDS_AT_ONCE = 32


@dataclasses.dataclass(frozen=True)
class Compared:
    """True and predicted potentials, reduced to what figures need.

    Attributes:
      moments: [record, 5]: sums over times and sites of the squared error, the squared distance of the truth from rest,
        the truth and its square, and how many values there are.
      square_error: [record, site] mean over time, mV squared.
      upstroke_ms, apd90_ms: [record, 2, site] of the truth and of the prediction; NaN where there is none.
    """

    moments: np.ndarray
    square_error: np.ndarray
    upstroke_ms: np.ndarray
    apd90_ms: np.ndarray

    @classmethod
    def from_potentials(cls, true_mv: np.ndarray, predicted_mv: np.ndarray) -> "Compared":
        """Of `[record, time, site]` each, of which a few records at a time are looked at."""
        parts = [
            _compared(true_mv[rows].astype(np.float32), predicted_mv[rows].astype(np.float32))
            for start in range(0, len(true_mv), _RECORDS_AT_ONCE)
            for rows in [slice(start, start + _RECORDS_AT_ONCE)]
        ]
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    @property
    def relative_error(self) -> np.ndarray:
        """`[record]`: norm of the error over that of the truth's distance from rest."""
        return np.sqrt(metrics.ratio(self.moments[:, 0], self.moments[:, 1]))


def _compared(true_mv: np.ndarray, predicted_mv: np.ndarray) -> tuple[np.ndarray, ...]:
    square_error = np.square(predicted_mv - true_mv).mean(axis=1)
    from_rest = np.square(true_mv - intracardiac.REST_MV).sum(axis=(1, 2), dtype=float)
    size = true_mv[0].size
    moments = [
        square_error.mean(axis=1, dtype=float) * size,
        from_rest,
        true_mv.sum(axis=(1, 2), dtype=float),
        np.square(true_mv).sum(axis=(1, 2), dtype=float),
        np.full(len(true_mv), size),
    ]
    both_mv = np.stack([true_mv, predicted_mv], axis=1)
    upstroke_ms, apd90_ms = intracardiac.activation_ms(both_mv), intracardiac.apd90_ms(both_mv)
    return np.stack(moments, axis=1), square_error, upstroke_ms, apd90_ms


def potential_figures(compared: Compared, patient_ids: np.ndarray, num_bootstrap: int) -> dict[str, Metric]:
    """Figures overall and, for the errors in mV and ms, `/REGION`.

    `rmse_mv` and `r2` are of all values, `relative_error` is a mean over records. `mae_upstroke_ms` and `mae_apd90_ms`
    are over the pairs of a record and a site where truth and prediction have one; `missed_upstrokes` and
    `missed_apd90` are the shares of those in the truth that the prediction lacks, `false_upstrokes` that of the silent
    sites which it lets fire. A figure that no record defines is left out.
    """
    moments = compared.moments
    regions = {"": np.ones(intracardiac.NUM_SITES, bool)} | {
        f"/{name}": is_in for name, is_in in intracardiac.regions().items()
    }
    of_records = {f"rmse_mv{name}": compared.square_error[:, is_in].mean(axis=1) for name, is_in in regions.items()}
    shares = _missed(compared.upstroke_ms, "upstrokes") | _missed(compared.apd90_ms, "apd90")
    has_true, has_predicted = np.moveaxis(~np.isnan(compared.upstroke_ms), 1, 0)
    shares["false_upstrokes"] = _sums(~has_true & has_predicted), _sums(~has_true)
    for name, times_ms in {"upstroke": compared.upstroke_ms, "apd90": compared.apd90_ms}.items():
        error = np.abs(times_ms[:, 1] - times_ms[:, 0])
        for region, is_in in regions.items():
            shares[f"mae_{name}_ms{region}"] = np.nansum(error[:, is_in], axis=1), _sums(~np.isnan(error[:, is_in]))
    shares = {name: (part, whole) for name, (part, whole) in shares.items() if whole.any()}

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        square, _, total, total_square, count = np.moveaxis(weights @ moments, -1, 0)
        found = {name: np.sqrt(weighted_mean(values, weights)) for name, values in of_records.items()}
        found["relative_error"] = weighted_mean(compared.relative_error, weights)
        found["r2"] = 1 - metrics.ratio(square, total_square - metrics.ratio(total**2, count))
        return found | {name: metrics.ratio(weights @ part, weights @ whole) for name, (part, whole) in shares.items()}

    return metrics.with_intervals(figures, np.ones(len(moments)), patient_ids, num_bootstrap)


def _missed(times_ms: np.ndarray, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of `[record, 2, site]`: in how many sites of a record the prediction lacks what the truth has, of how many."""
    has_true, has_predicted = np.moveaxis(~np.isnan(times_ms), 1, 0)
    return {f"missed_{name}": (_sums(has_true & ~has_predicted), _sums(has_true))}


def _sums(is_counted: np.ndarray) -> np.ndarray:
    """`[record]` of `[record, site]`."""
    return is_counted.sum(axis=1)


def paired_gains(own: Compared, other: Compared, patient_ids: np.ndarray, num_bootstrap: int) -> dict[str, Metric]:
    """The errors of `own` minus those of `other` for the same records: below 0 where `own` is better."""
    squares = [compared.square_error.mean(axis=1) for compared in (own, other)]
    relative = [compared.relative_error for compared in (own, other)]

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        own_rmse, other_rmse = (np.sqrt(weighted_mean(values, weights)) for values in squares)
        own_relative, other_relative = (weighted_mean(values, weights) for values in relative)
        return {"gain/rmse_mv": own_rmse - other_rmse, "gain/relative_error": own_relative - other_relative}

    return metrics.with_intervals(figures, np.ones(len(squares[0])), patient_ids, num_bootstrap)
