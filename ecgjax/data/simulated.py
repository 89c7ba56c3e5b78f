"""What the prepared dataset `simulated` is made from, so that its hearts can be drawn again."""

import numpy as np

from ecgjax.data.split import Split

NAME = "simulated"

SEED = 20240229
"""The one seed of the dataset: a record is a function of it and of the number of its heart."""

FS_HZ = 100.0
SECONDS = 10.0

_PREFIX = "heart "


def is_simulated(split: Split) -> bool:
    return split.dataset.split("/")[0] == NAME


def record_id(heart: int) -> str:
    """The name of the record of a heart, and of the patient, who has no other."""
    return f"{_PREFIX}{heart}"


def heart_numbers(split: Split) -> np.ndarray:
    """`[record]` of a split that `is_simulated`."""
    return np.array([int(name.removeprefix(_PREFIX)) for name in split.record_ids])
