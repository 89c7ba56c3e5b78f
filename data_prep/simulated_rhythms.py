"""Simulated recordings of a hand-held device, one heart each: the dataset of rhythms that needs no download."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds

from data_prep.build import RecordBuilder, base_metadata
from data_prep.cinc2017 import rhythm_classes, rhythm_features
from data_prep.shards import Prepared, Source, to_units
from data_prep.stratified import stratified_parts
from ecgjax.crossval import part_split
from ecgjax.data.record_files import SPLITS
from ecgjax.data.rhythms import FS_HZ, LEAD_NAMES

SEED = 20250601

NUM_RECORDS = {"full": 4000, "smoke": 150}
FIRST_RECORD = {"full": 0, "smoke": 66560}
"""No recording is in two variants; from this one on every split of `smoke` holds every class."""


class SimulatedRhythms(RecordBuilder):
    """Variants: `full`, and `smoke` for a run of seconds; parts and splits as in `Cinc2017`.

    The version changes with every change of the simulator that shows in its records.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("full", "smoke")
    MAKEABLE = True

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Simulated one-lead recordings with the class and kind of their rhythm (ecgjax.simulate).",
            features=tfds.features.FeaturesDict({**rhythm_features(), "kind": tfds.features.Text()}),
            license="Apache-2.0",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(LEAD_NAMES), seed=SEED),
        )

    def sources(self) -> dict[str, list[Source]]:
        from ecgjax.simulate.one_lead_rhythms import draw_class  # noqa: PLC0415 - see simulate

        first = FIRST_RECORD[self.variant]
        numbers = np.arange(first, first + NUM_RECORDS[self.variant])
        parts = stratified_parts([draw_class(SEED, int(n)) for n in numbers], [f"{n}" for n in numbers], SEED)
        of_split = np.array([part_split(part, fold=0) for part in parts])
        return {
            split: [functools.partial(simulate, numbers[of_split == split], parts[of_split == split])]
            for split in SPLITS
        }


def simulate(numbers: np.ndarray, parts: Sequence[int]) -> Iterator[Prepared]:
    """The recordings of these numbers, which lie in these parts."""
    from ecgjax.simulate.one_lead_rhythms import generate  # noqa: PLC0415 - JAX starts here, and not in processes that prepare other datasets

    for number, part, recording in zip(numbers, parts, generate(SEED, numbers), strict=True):
        ecg, num_clipped = to_units(recording.signal_mv[:, None])
        example = {
            "ecg": ecg,
            "fs_hz": FS_HZ,
            "record_id": f"recording {number}",
            "patient_id": f"recording {number}",
            "rhythm": recording.rhythm,
            "part": int(part),
            "kind": recording.kind,
        }
        classes = (*rhythm_classes(recording.rhythm, len(ecg)), f"kind {recording.kind}")
        yield Prepared(example, classes, int(num_clipped))
