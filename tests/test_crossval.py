"""Folds of a dataset that comes in parts."""

import dataclasses

import numpy as np
import pytest
from fake_task import fake_split

from ecgjax.crossval import NUM_FOLDS, NUM_PARTS, fold_split, part_split
from ecgjax.errors import InputError


def parted():
    split = fake_split("train", 40)
    return dataclasses.replace(split, labels={**split.labels, "part": np.arange(40) % NUM_PARTS})


def test_every_part_is_tested_in_one_fold_and_never_trained_on_in_it():
    tested = [[part for part in range(NUM_PARTS) if part_split(part, fold) == "test"] for fold in range(NUM_FOLDS)]
    assert sorted([part for parts in tested for part in parts]) == list(range(NUM_PARTS))
    for fold in range(NUM_FOLDS):
        splits = {name: set(fold_split(parted(), fold, name).record_ids) for name in ("train", "validation", "test")}
        assert [len(splits[name]) for name in ("train", "validation", "test")] == [28, 4, 8]
        assert set.union(*splits.values()) == set(parted().record_ids)


def test_all_is_every_record():
    assert len(fold_split(parted(), 2, "all")) == 40


@pytest.mark.parametrize(
    ("split", "fold", "message"),
    [(fake_split("train", 4), 1, "not divided into folds"), (parted(), NUM_FOLDS, "data.fold is 5; give 0 to 4")],
)
def test_what_is_no_fold_is_refused(split, fold, message):
    with pytest.raises(InputError, match=message):
        fold_split(split, fold, "test")
