"""Cross-validation: several networks whose predictions are averaged, or a dataset that is tested fold by fold."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from ecgjax.data.split import Split
from ecgjax.data.stored import joined_signals
from ecgjax.errors import InputError

NUM_PARTS = 10
"""Stratified tenths of a dataset, its label `part`; a patient's records are in one of them."""

NUM_FOLDS = 5


def part_split(part: int, fold: int) -> str:
    """The split of a part where `fold` is tested: its two parts are the test split, the next one is for validation."""
    place = (part - 2 * fold) % NUM_PARTS
    return "test" if place < 2 else "validation" if place == 2 else "train"


def fold_split(everything: Split, fold: int, split: str) -> Split:
    """The train, validation or test split of a fold of a dataset; `everything` where `split` is all.

    Raises:
      InputError: the dataset does not come in parts, or has no such fold.
    """
    if "part" not in everything.labels:
        raise InputError(f"{everything.dataset} is not divided into folds", "leave data.fold at 0")
    if not 0 <= fold < NUM_FOLDS:
        raise InputError(f"data.fold is {fold}", f"give 0 to {NUM_FOLDS - 1}")
    if split == "all":
        return everything
    splits = np.array([part_split(part, fold) for part in range(NUM_PARTS)])
    return dataclasses.replace(everything.select(splits[everything.labels["part"]] == split), split=split)


def patient_folds(config: ConfigDict, train: Split, validation: Split) -> list[tuple[Split, Split]]:
    """Training and validation records of each network of `member_runs`.

    The folds are cut from both splits together; no patient is in two of them.
    """
    if not config.kfold:
        return [(train, validation)]
    records = joined([train, validation])
    patients = np.unique(records.patient_ids)
    if config.kfold > len(patients):
        raise InputError(f"kfold is {config.kfold} for {len(patients)} patients", "give fewer folds")
    shuffled = np.random.default_rng(config.seed).permutation(patients)
    folds = []
    for held_out in np.array_split(shuffled, config.kfold):
        is_held_out = np.isin(records.patient_ids, held_out)
        folds.append((records.select(~is_held_out), records.select(is_held_out)))
    return folds


def joined(splits: list[Split]) -> Split:
    """The records of several splits of one dataset, as one."""
    first = splits[0]
    return dataclasses.replace(
        first,
        split="+".join(split.split for split in splits),
        ecg=joined_signals([split.ecg for split in splits]),
        record_ids=np.concatenate([split.record_ids for split in splits]),
        patient_ids=np.concatenate([split.patient_ids for split in splits]),
        labels={name: np.concatenate([split.labels[name] for split in splits]) for name in first.labels},
    )
