"""Figures of merit for lead identification: by lead and by whole set, under either decoding."""

from collections.abc import Sequence

import numpy as np

from ecgjax import leads, metrics
from ecgjax.metrics import Metric

GROUPS = {"precordial": leads.PRECORDIAL_LEADS, "limb": leads.LIMB_LEADS}
"""Parts of a set of leads that are also judged by themselves."""


def lead_confusion(named: np.ndarray) -> np.ndarray:
    """Counts `[truth, name]` over records in which lead `k` was given the name `named[:, k]`; `[n, K]` indices."""
    num_records, num_leads = named.shape
    truth = np.tile(np.arange(num_leads), num_records)
    return metrics.confusion_matrix(truth, named.ravel(), np.ones(named.size), num_leads)


def is_injective(named: np.ndarray) -> np.ndarray:
    """Whether no name is given twice; `[n]` bool from indices `[n, K]`."""
    ordered = np.sort(named, axis=1)
    return np.all(ordered[:, 1:] != ordered[:, :-1], axis=1)


def lead_id_figures(
    scores: np.ndarray, assigned: np.ndarray, patient_ids: np.ndarray, names: Sequence[str], num_bootstrap: int
) -> dict[str, Metric]:
    """Figures of the most probable names, and with `_assigned` of names given once each.

    Lead `k` of every record is truly `names[k]`; `scores` `[n, K, K]` are the probabilities of its names, `assigned`
    `[n, K]` the names under an assignment. `not_injective` is the share of records in which the most probable names
    repeat; `ece` compares the probability of a lead's most probable name with how often it is right.
    """
    of_record: dict[str, np.ndarray] = {}
    most_probable = scores.argmax(axis=2)
    for named, suffix in ((most_probable, ""), (assigned, "_assigned")):
        right = named == np.arange(len(names))
        of_record |= _shares_right(right, names, suffix)
        of_record |= {f"recall{suffix}/{name}": right[:, k] for k, name in enumerate(names)}
    of_record["not_injective"] = ~is_injective(most_probable)
    columns = np.stack([values.astype(float) for values in of_record.values()], axis=1)
    gaps = _calibration_gaps(scores.max(axis=2), most_probable == np.arange(len(names)))

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        # Every figure is a mean over records, so that all replicates of all of them are one product of matrices.
        total = weights.sum(axis=-1)
        means = weights @ columns / total[..., None]
        ece = np.abs(weights @ gaps).sum(axis=-1) / (total * len(names))
        return {name: means[..., i] for i, name in enumerate(of_record)} | {"ece": ece}

    found = metrics.with_intervals(figures, np.ones(len(scores)), patient_ids, num_bootstrap)
    headlines = [name for name in found if "/" not in name]
    return {name: found[name] for name in (*headlines, *(name for name in found if "/" in name))}


def _shares_right(right: np.ndarray, names: Sequence[str], suffix: str) -> dict[str, np.ndarray]:
    """Share of the leads `[n]` and whether all of them are right, of the set and of its parts; `right` is `[n, K]`."""
    shares = {f"lead_accuracy{suffix}": right.mean(axis=1), f"set_accuracy{suffix}": right.all(axis=1)}
    for group, members in GROUPS.items():
        is_member = np.isin(names, members)
        if is_member.any() and not is_member.all():
            shares[f"lead_accuracy_{group}{suffix}"] = right[:, is_member].mean(axis=1)
            shares[f"set_accuracy_{group}{suffix}"] = right[:, is_member].all(axis=1)
    return shares


def _calibration_gaps(probability: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    """`[n, bin]`: by how much the probabilities `[n, K]` exceed what came true, summed over a record's leads."""
    num_bins = metrics.NUM_CALIBRATION_BINS
    bins = np.clip((probability * num_bins).astype(int), 0, num_bins - 1)
    gaps = np.zeros((len(probability), num_bins))
    np.add.at(gaps, (np.arange(len(probability))[:, None], bins), probability.astype(float) - is_right)
    return gaps


def exchanged_pairs(named: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """Number of records in which two leads took each other's names, `V2-V3` say, most first; `named` is `[n, K]`."""
    num_leads = len(names)
    counts = {
        f"{names[i]}-{names[j]}": int(np.sum((named[:, i] == j) & (named[:, j] == i)))
        for i in range(num_leads)
        for j in range(i + 1, num_leads)
    }
    return dict(sorted(((pair, n) for pair, n in counts.items() if n), key=lambda item: -item[1]))
