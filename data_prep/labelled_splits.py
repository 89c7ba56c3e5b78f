"""The splits of labelled recordings: as a table says, or dealt out by patient with every class in its share."""

import collections
from collections.abc import Mapping, Sequence

import numpy as np

from ecgjax.data.record_files import SPLITS
from ecgjax.errors import InputError

SPLIT_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""How tables spell the splits."""


def strata_of(labels: Sequence[tuple[float, ...]], kind: str) -> list[int]:
    """What splits are to have equal shares of: classes, the rarest label of a record, or quarters of numbers."""
    values = np.array(labels)
    if kind == "classes":
        return values[:, 0].astype(int).tolist()
    if kind == "numbers":
        return np.searchsorted(np.quantile(values[:, 0], (0.25, 0.5, 0.75)), values[:, 0]).tolist()
    order = np.argsort(values.sum(axis=0))
    return [next((int(k) for k in order if row[k]), -1) for row in values]


def splits_of(
    stated: Sequence[str] | None,
    column: str,
    patients: Sequence[str],
    strata: Sequence[int],
    shares: Mapping[str, float],
    seed: int,
) -> tuple[list[str], str]:
    """The split of each record, and how it was found: as `stated` in a column, or dealt out by `shares` of patients.

    Where the table states no record for validation, some of those for training become such.

    Raises:
      InputError: a record is stated to be in no split, or none to be in one that cannot be done without.
    """
    if stated is None:
        return _dealt(
            patients, strata, shares, seed
        ), f"no column names the split, patients are dealt out by seed {seed}"
    splits = [SPLIT_OF.get(text.casefold(), "") for text in stated]
    absent = [split for split in ("train", "test") if split not in splits]
    if absent or "" in splits:
        what = f"no record is for {absent[0]}" if absent else "a record is for none"
        raise InputError(f"by column {column!r} {what}", f"write one of {', '.join(SPLITS)} in each row")
    how = f"column {column!r} names the split"
    if "validation" not in splits:
        of_train = [k for k, split in enumerate(splits) if split == "train"]
        kept = {split: share for split, share in shares.items() if split != "test"}
        dealt = _dealt([patients[k] for k in of_train], [strata[k] for k in of_train], kept, seed)
        for k, split in zip(of_train, dealt, strict=True):
            splits[k] = split
        how += f", and those for validation are dealt out of train by seed {seed}"
    return splits, how


def _dealt(patients: Sequence[str], strata: Sequence[int], shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of each record: patients in random order go, stratum by stratum, where most are lacking.

    The first patient of a stratum goes to the first split, so that none is there to be tested alone.
    """
    records = collections.defaultdict(list)
    for record, patient in enumerate(patients):
        records[patient].append(record)
    names = sorted(records)
    rng = np.random.default_rng(seed)
    of_stratum = np.array([strata[records[name][0]] for name in names])
    dealt, splits = dict.fromkeys(shares, 0), [""] * len(patients)
    for stratum in sorted(set(strata)):
        for place, k in enumerate(rng.permutation(np.flatnonzero(of_stratum == stratum))):
            lacking = min(shares, key=lambda split: (dealt[split] + 0.5) / shares[split])
            chosen = lacking if place else next(iter(shares))
            for record in records[names[k]]:
                splits[record] = chosen
            dealt[chosen] += len(records[names[k]])
    return splits
