"""A folder of recordings in any format that `ecgjax.load` reads, with an `index.csv` that says whose they are.

Columns of the index: `file`, `patient_id`, `heart_rate_bpm` (empty where it is not known).
"""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from data_prep.build import RecordBuilder, base_features, base_metadata
from data_prep.ptbxl import read_table
from data_prep.shards import RECORDS_PER_SHARD, BadRecordError, Prepared, ReadEach, Source, cut, to_units
from ecgjax.errors import InputError
from ecgjax.recordings.load import load

INDEX = "index.csv"
COLUMNS = ("file", "patient_id", "heart_rate_bpm")


class Clinic(RecordBuilder):
    """The one variant has all records; patients go to train, validation and test as 8 : 1 : 1."""

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("default",)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Recordings of a clinic, with heart rates.",
            features=tfds.features.FeaturesDict(
                {**base_features(), "heart_rate_bpm": tfds.features.Scalar(np.float32)}
            ),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(), raw_dir=str(self.raw_dir)),
        )

    def sources(self) -> dict[str, list[Source]]:
        if not (self.raw_dir / INDEX).is_file():
            raise InputError(f"there is no {self.raw_dir / INDEX}", f"write one with the columns {', '.join(COLUMNS)}")
        rows = read_table(self.raw_dir / INDEX, COLUMNS)
        of_split: dict[str, list[Entry]] = {"train": [], "validation": [], "test": []}
        for row in rows:
            rate = float(row["heart_rate_bpm"] or "nan")
            entry = Entry(str(self.raw_dir / row["file"]), row["file"], row["patient_id"], rate)
            of_split[split_of(entry.patient_id)].append(entry)
        return {
            split: [ReadEach(part, record_id, read_entry) for part in cut(entries, RECORDS_PER_SHARD)]
            for split, entries in of_split.items()
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One row of the index."""

    path: str
    record_id: str
    patient_id: str
    heart_rate_bpm: float


def split_of(patient_id: str) -> str:
    """Always the same for a patient, whoever else is in the folder."""
    tenth = int(hashlib.sha256(patient_id.encode()).hexdigest(), 16) % 10
    return {8: "validation", 9: "test"}.get(tenth, "train")


def record_id(entry: Entry) -> str:
    return entry.record_id


def read_entry(entry: Entry) -> Prepared:
    """The record of an entry.

    Raises:
      BadRecordError: the file cannot be read, or lacks a lead.
    """
    try:
        recording = load(Path(entry.path))
    except InputError as error:
        raise BadRecordError(str(error)) from None
    signal_mv, missing = recording.twelve()
    if missing or np.isnan(signal_mv).any():
        raise BadRecordError(f"expected twelve whole leads, missing are {', '.join(missing) or 'parts of them'}")
    ecg, num_clipped = to_units(signal_mv)
    example = {
        "ecg": ecg,
        "fs_hz": recording.fs_hz,
        "record_id": entry.record_id,
        "patient_id": entry.patient_id,
        "heart_rate_bpm": entry.heart_rate_bpm,
    }
    return Prepared(example, (f"format {recording.format}",), int(num_clipped))
