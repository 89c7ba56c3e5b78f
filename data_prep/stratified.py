"""Random splits and parts that give every class its share."""

from collections.abc import Mapping, Sequence

import numpy as np

from ecgjax.crossval import NUM_PARTS


def stratified_splits(classes: Sequence[str], shares: Mapping[str, float], seed: int) -> np.ndarray:
    """The split of each record [record], text: every class divided by `shares`, which sum to 1.

    A class's first record in random order goes to the split named first, so that none is there to be tested alone.
    """
    names = np.array(classes)
    splits = np.empty(len(names), dtype=np.array(list(shares)).dtype)
    rng = np.random.default_rng(seed)
    bounds = np.cumsum(list(shares.values()))
    for name in np.unique(names):
        records = rng.permutation(np.flatnonzero(names == name))
        place = np.arange(len(records)) / len(records)
        splits[records] = np.array(list(shares))[np.searchsorted(bounds[:-1], place, side="right")]
    return splits


def stratified_parts(classes: Sequence[str], groups: Sequence[str], seed: int) -> np.ndarray:
    """The part of each record, int [record]: every class dealt out evenly, and no group of records torn apart.

    A group has the class of its first record. One class begins where the last one ended, so that parts are of one size.
    """
    names, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    class_of = np.asarray(classes)[first]
    rng = np.random.default_rng(seed)
    dealt = np.concatenate([rng.permutation(np.flatnonzero(class_of == name)) for name in np.unique(class_of)])
    parts = np.empty(len(names), int)
    parts[dealt] = np.arange(len(names)) % NUM_PARTS
    return parts[group_of]
