"""What exchanged electrodes and missing leads do to activation maps, on the same records under every wiring."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ecgjax import leads, metrics
from ecgjax.data.intracardiac import CHAMBER_NAMES, NUM_SITES, regions
from ecgjax.data.signals import INT16
from ecgjax.data.split import Split
from ecgjax.evaluate import Predictions
from ecgjax.leads import LEADS, PLACEMENTS
from ecgjax.metrics import Metric
from ecgjax.tasks.activation_figures import earliest_site_mm, record_correlation, weighted_mean


@dataclasses.dataclass(frozen=True)
class Wiring:
    """A way of taking a record.

    Attributes:
      name: identifies it in tables.
      kind: `correct`, `exchanged` or `reduced`.
      matrix: [12, 12], which takes a correct record to what the network is given.
    """

    name: str
    kind: str
    matrix: np.ndarray

    def applied(self, records: Split) -> Split:
        """The records as they would have been written, in the same units."""
        ecg = np.empty_like(records.ecg)
        for row, signal in enumerate(records.ecg):
            ecg[row] = np.rint(signal @ self.matrix.T).clip(INT16.min, INT16.max)
        return dataclasses.replace(records, ecg=ecg)


def wirings(lead_sets: Sequence[str]) -> list[Wiring]:
    """The correct one, every wrong placement of the electrodes, and leads of `lead_sets` alone.

    Of these, leads that follow are added, and the others are zero.
    """
    placed = [
        Wiring(placement.name, "exchanged" if placement.reads else "correct", placement.matrix)
        for placement in PLACEMENTS
    ]
    return placed + [Wiring(text, "reduced", leads.completion(leads.lead_subset(text))) for text in lead_sets]


@dataclasses.dataclass(frozen=True)
class Errors:
    """Of one wiring, by record: sums of absolute errors and counts `[record, group]`, and figures `[record]`."""

    absolute: np.ndarray
    count: np.ndarray
    correlation: np.ndarray
    earliest_mm: np.ndarray

    @classmethod
    def of(cls, predictions: Predictions) -> "Errors":
        """From `targets` and `scores` `[record, 75]` in ms; groups are all sites and those of CHAMBER_NAMES."""
        true_ms, predicted_ms = predictions["targets"], predictions["scores"]
        fires = ~np.isnan(true_ms)
        error = np.where(fires, np.abs(predicted_ms - np.where(fires, true_ms, 0.0)), 0.0).astype(float)
        is_in = regions()
        groups = np.stack([np.ones(NUM_SITES), *(is_in[name] for name in CHAMBER_NAMES)], axis=1)
        return cls(
            error @ groups,
            fires @ groups,
            record_correlation(true_ms, predicted_ms),
            earliest_site_mm(true_ms, predicted_ms, predictions["site_mm"]),
        )

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Name -> `[...]` for weights `[..., record]`, as the task's own figures."""
        mae_ms = metrics.ratio(weights @ self.absolute, weights @ self.count)
        names = ("mae_ms", *(f"mae_ms/{name}" for name in CHAMBER_NAMES))
        found = {name: mae_ms[..., k] for k, name in enumerate(names)}
        for name, values in (("pearson_r", self.correlation), ("earliest_site_mm", self.earliest_mm)):
            found[name] = weighted_mean(values, weights)
        return found


def figures(errors: Errors, correct: Errors, patient_ids: np.ndarray, num_bootstrap: int) -> dict[str, Metric]:
    """Figures of a wiring with intervals by heart, and `difference/FIGURE` to the correct one, paired."""

    def both(weights: np.ndarray) -> dict[str, np.ndarray]:
        own, other = errors.figures(weights), correct.figures(weights)
        return own | {f"difference/{name}": own[name] - other[name] for name in own}

    return metrics.with_intervals(both, np.ones(len(errors.absolute)), patient_ids, num_bootstrap)


def redundant(lead_set: str) -> bool:
    """Whether all twelve leads follow from the set, so that it changes nothing."""
    return leads.derivable(leads.lead_subset(lead_set)) == LEADS
