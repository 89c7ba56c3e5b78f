"""Figures of merit for rebuilt leads, lead by lead, from a few numbers of each record instead of its signals."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ecgjax import leads, metrics
from ecgjax.lead_completion import learnt_leads
from ecgjax.metrics import Metric

MOMENTS = ("mean_true", "mean_rebuilt", "variance_true", "variance_rebuilt", "covariance")
"""What is kept of a lead of a record, over time: the last axis of `moments`, in mV and mV squared."""

FIGURES = ("pearson_r", "rmse_mv", "r2", "variance_ratio", "r_peak_bias_mv", "st_error_mv")
"""Means over the leads that were rebuilt.

`pearson_r` is the mean over records of the correlation of each, `rmse_mv` and `r2` are of all records together, and
`variance_ratio` is what was rebuilt over what is true, so that a network that shrinks to the mean is below 1.
`r_peak_bias_mv` is how much larger the largest deflection of the average beat comes out, negative where it is too
small; `st_error_mv` is the mean distance of the ST levels.
"""

BY_GROUP = ("pearson_r", "rmse_mv", "variance_ratio")
"""The figures that are also given for groups of records."""

# A lead that deviates less is flat: records are kept in microvolts.
_FLAT_MV = 1e-3

Weighted = Callable[[np.ndarray], dict[str, np.ndarray]]
"""From weights `[..., n]` to figures `[...]` by name."""


@dataclasses.dataclass(frozen=True)
class Rebuilt:
    """What is known of the rebuilt leads of some records.

    Attributes:
      moments: [n, 12, 5], see MOMENTS.
      qrs_mv: [n, 12, 2] true and rebuilt peak of the QRS complex.
      st_mv: [n, 12, 2] true and rebuilt level of the ST segment.
      has_beat: [n] whether a beat was found.
    """

    moments: np.ndarray
    qrs_mv: np.ndarray
    st_mv: np.ndarray
    has_beat: np.ndarray

    @classmethod
    def from_predictions(cls, predictions: Mapping[str, np.ndarray], rows: np.ndarray) -> "Rebuilt":
        """Those of some rows of what the task predicts."""
        peaks = np.stack([predictions["targets"][rows], predictions["scores"][rows]], axis=-1)
        has_beat = predictions["num_beats"][rows] > 0
        return cls(
            predictions["moments"][rows].astype(float),
            peaks.astype(float),
            predictions["st_mv"][rows].astype(float),
            has_beat,
        )

    def amplified(self, gains: np.ndarray) -> "Rebuilt":
        """With rebuilt leads scaled about their mean by `gains` [12]."""
        one = np.ones_like(gains)
        on_moments = np.stack([one, one, one, gains**2, gains], axis=-1)
        on_levels = np.stack([one, gains], axis=-1)
        return dataclasses.replace(
            self, moments=self.moments * on_moments, qrs_mv=self.qrs_mv * on_levels, st_mv=self.st_mv * on_levels
        )

    def correlation(self) -> np.ndarray:
        """[n, 12]: Pearson's r; NaN where the true lead is flat, 0 where only the rebuilt one is."""
        _, _, true, rebuilt, covariance = np.moveaxis(self.moments, -1, 0)
        scale = np.sqrt(np.maximum(true, 0) * np.maximum(rebuilt, 0))
        found = np.clip(np.nan_to_num(metrics.ratio(covariance, scale)), -1, 1)
        found = np.where(rebuilt < _FLAT_MV**2, 0.0, found)
        return np.where(true < _FLAT_MV**2, np.nan, found)

    def squared_error(self) -> np.ndarray:
        """[n, 12]: mean over time, in mV squared."""
        mean_true, mean_rebuilt, true, rebuilt, covariance = np.moveaxis(self.moments, -1, 0)
        return np.maximum(true + rebuilt - 2 * covariance, 0) + (mean_rebuilt - mean_true) ** 2


def variance_ratio(rebuilt: Rebuilt) -> np.ndarray:
    """[12]: variance of the rebuilt leads over that of the true ones, over all records; NaN for flat leads."""
    return metrics.ratio(rebuilt.moments[..., 3].sum(0), rebuilt.moments[..., 2].sum(0))


def weighted_figures(rebuilt: Rebuilt, names: Sequence[str], groups: Mapping[str, np.ndarray]) -> Weighted:
    """FIGURES of the leads `names`, their means, and BY_GROUP of `groups` of records, name -> bool `[n]`."""
    columns = [leads.LEADS.index(name) for name in names]
    correlation = rebuilt.correlation()[:, columns]
    is_defined = ~np.isnan(correlation)
    true_peak, rebuilt_peak = np.moveaxis(rebuilt.qrs_mv[:, columns], -1, 0)
    true_st, rebuilt_st = np.moveaxis(rebuilt.st_mv[:, columns], -1, 0)
    has_beat = rebuilt.has_beat[:, None].astype(float)
    sums = {
        "correlation": np.nan_to_num(correlation),
        "is_defined": is_defined.astype(float),
        "squared_error": rebuilt.squared_error()[:, columns],
        "true": rebuilt.moments[:, columns, 2],
        "rebuilt": rebuilt.moments[:, columns, 3],
        "peak": has_beat * np.sign(true_peak) * (rebuilt_peak - true_peak),
        "st": has_beat * np.abs(rebuilt_st - true_st),
        "one": np.ones_like(true_peak),
        "has_beat": np.broadcast_to(has_beat, true_peak.shape),
    }
    table = np.concatenate(list(sums.values()), axis=1)

    def of_leads(weights: np.ndarray) -> dict[str, np.ndarray]:
        """FIGURES of each lead, `[..., lead]`."""
        # Every figure is made of sums over records, so that all replicates of all of them are one product of matrices.
        parts = dict(zip(sums, np.split(weights @ table, len(sums), axis=-1), strict=True))
        error = metrics.ratio(parts["squared_error"], parts["one"])
        return {
            "pearson_r": metrics.ratio(parts["correlation"], parts["is_defined"]),
            "rmse_mv": np.sqrt(error),
            "r2": 1 - metrics.ratio(parts["squared_error"], parts["true"]),
            "variance_ratio": metrics.ratio(parts["rebuilt"], parts["true"]),
            "r_peak_bias_mv": metrics.ratio(parts["peak"], parts["has_beat"]),
            "st_error_mv": metrics.ratio(parts["st"], parts["has_beat"]),
        }

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        by_lead = of_leads(weights)
        found = {figure: metrics.mean_defined(by_lead[figure]) for figure in FIGURES}
        found |= {f"{figure}/{name}": by_lead[figure][..., i] for figure in FIGURES for i, name in enumerate(names)}
        for group, is_member in groups.items():
            of_group = of_leads(weights * is_member)
            found |= {f"{figure}/{group}": metrics.mean_defined(of_group[figure]) for figure in BY_GROUP}
        return found

    return figures


def named_for_set(name: str, given: str, is_first: bool) -> str:
    """The name in results of a figure under the leads `given`: `rmse_mv@I+II/V1`, but plain for the first set."""
    figure, slash, member = name.partition("/")
    return name if is_first else f"{figure}@{given}{slash}{member}"


def reconstruction_figures(
    predictions: Mapping[str, np.ndarray],
    sets: Sequence[str],
    gains: np.ndarray,
    group_names: Sequence[str],
    num_bootstrap: int,
) -> dict[str, Metric]:
    """Figures for each set of given leads; `gains` `[view, 12]` scale the rebuilt leads about their means."""
    found: dict[str, Metric] = {}
    for view, given in enumerate(sets):
        rows = np.flatnonzero(predictions["view"] == view)
        members = predictions["groups"][rows] if group_names else np.zeros((len(rows), 0), bool)
        groups = {name: members[:, i] for i, name in enumerate(group_names)}
        rebuilt = Rebuilt.from_predictions(predictions, rows).amplified(gains[view])
        figures = weighted_figures(rebuilt, learnt_leads(leads.lead_subset(given)), groups)
        of_set = metrics.with_intervals(figures, np.ones(len(rows)), predictions["patient_ids"][rows], num_bootstrap)
        found |= {named_for_set(name, given, view == 0): metric for name, metric in of_set.items()}
    headlines = [name for name in found if "/" not in name]
    return {name: found[name] for name in (*headlines, *(name for name in found if "/" in name))}


def gains_over(
    own: Mapping[str, np.ndarray],
    rival: Mapping[str, np.ndarray],
    sets: Sequence[str],
    gains: np.ndarray,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """`gain/FIGURE`: each figure of the network's predictions minus that of a rival's for the same records, paired."""
    found: dict[str, Metric] = {}
    for view, given in enumerate(sets):
        rows = np.flatnonzero(own["view"] == view)
        names = learnt_leads(leads.lead_subset(given))
        first = weighted_figures(Rebuilt.from_predictions(own, rows).amplified(gains[view]), names, {})
        second = weighted_figures(Rebuilt.from_predictions(rival, rows), names, {})

        def difference(
            weights: np.ndarray, first: Weighted = first, second: Weighted = second
        ) -> dict[str, np.ndarray]:
            ours, theirs = first(weights), second(weights)
            return {name: ours[name] - theirs[name] for name in ours}

        of_set = metrics.with_intervals(difference, np.ones(len(rows)), own["patient_ids"][rows], num_bootstrap)
        found |= {f"gain/{named_for_set(name, given, view == 0)}": metric for name, metric in of_set.items()}
    return found
