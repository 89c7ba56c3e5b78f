"""k-fold cross-validation by patient: as many networks, whose predictions on the test split are averaged."""

import dataclasses
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from ecgjax.data.records import Split
from ecgjax.errors import InputError


def member_runs(config: ConfigDict, workdir: Path) -> list[tuple[ConfigDict, Path]]:
    """Config and folder of each network that a run trains: one, or `config.kfold` of them, each with its own seed."""
    if not config.kfold:
        return [(config, workdir)]
    runs = []
    for fold in range(config.kfold):
        member = config.copy_and_resolve_references()
        member.seed = config.seed + fold
        runs.append((member, workdir / f"fold_{fold}"))
    return runs


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
        ecg=np.concatenate([split.ecg for split in splits]),
        record_ids=np.concatenate([split.record_ids for split in splits]),
        patient_ids=np.concatenate([split.patient_ids for split in splits]),
        labels={name: np.concatenate([split.labels[name] for split in splits]) for name in first.labels},
    )
