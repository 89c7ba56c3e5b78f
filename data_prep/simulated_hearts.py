"""Simulated activation of hearts with 75 sites in each: the dataset of hearts that needs no download."""

import functools
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from data_prep.build import RecordBuilder, base_features, base_metadata
from data_prep.intracardiac import heart_features
from data_prep.shards import Prepared, Source, to_units
from ecgjax.data.intracardiac import FS_HZ, VM_GAIN, activation_ms

SEED = 20250415
HEARTS_PER_SHARD = 256

SPLIT_HEARTS = {
    "full": {"train": 1000, "validation": 100, "test": 100},
    "smoke": {"train": 16, "validation": 8, "test": 8},
}
NUM_BEATS = 4
FIRST_HEART = {"full": 0, "smoke": 16384}
"""No heart is in two variants."""


class SimulatedHearts(RecordBuilder):
    """Variants: `full`, and `smoke` for a run of seconds. The splits are different hearts, patients all.

    The version changes with every change of the simulator that shows in its records.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("full", "smoke")
    MAKEABLE = True

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Simulated 12-lead ECGs with the potentials of 75 sites (ecgjax.simulate.activation).",
            features=tfds.features.FeaturesDict({**base_features(), **heart_features()}),
            license="Apache-2.0",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(), seed=SEED),
        )

    def sources(self) -> dict[str, list[Source]]:
        first = FIRST_HEART[self.variant]
        splits: dict[str, list[Source]] = {}
        for split, num_hearts in SPLIT_HEARTS[self.variant].items():
            starts = range(first, first + num_hearts, HEARTS_PER_SHARD)
            splits[split] = [
                functools.partial(simulate, start, min(HEARTS_PER_SHARD, first + num_hearts - start))
                for start in starts
            ]
            first += num_hearts
        return splits


def simulate(first_heart: int, num_hearts: int) -> Iterator[Prepared]:
    """A few beats of each heart, each of them a record."""
    from ecgjax.simulate.activation import generate  # noqa: PLC0415 - JAX starts here, and not in processes that prepare other datasets

    beats = generate(SEED, num_hearts, NUM_BEATS, first_heart)
    ecg, num_clipped = to_units(beats["ecg_mv"])
    vm = np.rint(beats["vm_mv"] * VM_GAIN).astype(np.int16)
    # As a reader of the stored potentials finds them, which is the solver's time to a fraction of a millisecond.
    fired_ms = activation_ms(vm / np.float32(VM_GAIN))
    for index, (number, beat) in enumerate(zip(beats["heart"], beats["beat"], strict=True)):
        heart = f"heart {number}"
        pattern = str(beats["pattern"][index])
        example = {
            "ecg": ecg[index],
            "fs_hz": FS_HZ,
            "record_id": f"{heart} beat {beat}",
            "patient_id": heart,
            "vm": vm[index],
            "activation_ms": fired_ms[index],
            "site_mm": beats["site_mm"][index],
            "heart": heart,
            "pattern": pattern,
            "bcl_ms": beats["bcl_ms"][index],
            "gkr": beats["gkr"][index],
        }
        never = int(np.isnan(fired_ms[index]).sum())
        kind = pattern if pattern.startswith("purkinje") else f"pace {1 + pattern.count('+')}"
        yield Prepared(example, (kind, *("sites that never fire",) * never), int(num_clipped[index]))
