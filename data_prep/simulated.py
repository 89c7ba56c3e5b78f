"""Simulated hearts, one record each: the dataset that needs no download."""

import functools
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from data_prep.build import RecordBuilder, base_features, base_metadata
from data_prep.shards import RECORDS_PER_SHARD, Prepared, Source, to_units
from ecgjax.data.simulated import FS_HZ, SECONDS, SEED, record_id

SPLIT_SIZES = {
    "full": {"train": 6000, "validation": 750, "test": 750},
    "large": {"train": 60000, "validation": 750, "test": 750},
    "smoke": {"train": 96, "validation": 32, "test": 32},
}
FIRST_HEART = {"full": 0, "smoke": 8192, "large": 16384}
"""No heart is in two variants."""

NUMBERS = (
    *("age_years", "height_cm", "weight_kg", "heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms"),
    *("axis_deg", "p_axis_deg", "t_axis_deg"),
)
TEXTS = ("sex", "rhythm", "conduction", "infarct")
FLAGS = ("hypertrophy", "abnormal_t", "low_voltage")


class Simulated(RecordBuilder):
    """Variants: `full`, `large` for what takes many hearts to learn, and `smoke` for a run of seconds.

    The version changes with every change of the simulator that shows in its records.
    """

    VERSION = tfds.core.Version("1.1.0")
    VARIANTS = ("full", "large", "smoke")
    MAKEABLE = True

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Simulated 12-lead ECGs with exact labels, another heart in each (ecgjax.simulate).",
            features=tfds.features.FeaturesDict({**base_features(), **label_features()}),
            license="Apache-2.0",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(), seed=SEED),
        )

    def sources(self) -> dict[str, list[Source]]:
        first = FIRST_HEART[self.variant]
        splits: dict[str, list[Source]] = {}
        for split, size in SPLIT_SIZES[self.variant].items():
            starts = range(first, first + size, RECORDS_PER_SHARD)
            splits[split] = [
                functools.partial(simulate, start, min(RECORDS_PER_SHARD, first + size - start)) for start in starts
            ]
            first += size
        return splits


def label_features() -> dict[str, tfds.features.FeatureConnector]:
    """What the simulator knows of a record; NaN for what a heart does not have."""
    scalar = tfds.features.Scalar
    return {
        **{name: scalar(np.float32) for name in NUMBERS},
        **{name: tfds.features.Text() for name in TEXTS},
        **{name: scalar(np.bool_) for name in FLAGS},
        "beat_s": tfds.features.Sequence(np.float32),
        "beat_kind": tfds.features.Sequence(np.int32),
    }


def simulate(first_heart: int, num_hearts: int) -> Iterator[Prepared]:
    """One record of each heart."""
    from ecgjax.simulate import generate  # noqa: PLC0415 - JAX starts here, and not in processes that prepare other datasets

    hearts = generate(SEED, num_hearts, FS_HZ, SECONDS, first_heart)
    ecg, num_clipped = to_units(hearts["ecg_mv"])
    for index, heart in enumerate(hearts["heart_id"]):
        labels = {name: hearts[name][index] for name in (*NUMBERS, *FLAGS)}
        texts = {name: str(hearts[name][index]) for name in TEXTS}
        inside = np.isfinite(hearts["beat_s"][index])
        example = {
            "ecg": ecg[index],
            "fs_hz": FS_HZ,
            "record_id": record_id(heart),
            "patient_id": record_id(heart),
            **labels,
            **texts,
            "beat_s": hearts["beat_s"][index][inside].tolist(),
            "beat_kind": hearts["beat_kind"][index][inside].tolist(),
        }
        classes = tuple(f"{kind} {texts[kind]}" for kind in ("rhythm", "conduction", "infarct"))
        yield Prepared(example, classes, int(num_clipped[index]))
