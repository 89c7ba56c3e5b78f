"""Random splits that give every class its share."""

from collections.abc import Mapping, Sequence

import numpy as np


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
