"""Any folder of 12-lead WFDB records, all of them test data.

Every `.hea` file in the folder and below is a record, named by its path without the extension. A `patients.csv` in the
folder, with columns `record_id` and `patient_id`, says which records belong together; else each is its own patient.
"""

import dataclasses
import os
from pathlib import Path

import tensorflow_datasets as tfds

from data_prep.build import RecordBuilder, base_features, base_metadata
from data_prep.ptbxl import read_table
from data_prep.shards import RECORDS_PER_SHARD, Prepared, ReadEach, Source, cut
from data_prep.wfdb_records import read_recording
from ecgjax.errors import InputError

PATIENTS = "patients.csv"


class Wfdb(RecordBuilder):
    """The variant is a name of the user's choice, so that several folders can lie side by side."""

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("default",)
    ANY_VARIANT = True

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="A folder of 12-lead WFDB records, any rate, length and order of leads.",
            features=tfds.features.FeaturesDict(base_features()),
            homepage="https://wfdb.io",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(), raw_dir=str(self.raw_dir)),
        )

    def sources(self) -> dict[str, list[Source]]:
        entries = find_records(self.raw_dir)
        return {"test": [ReadEach(part, record_id, read_entry) for part in cut(entries, RECORDS_PER_SHARD)]}


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One record of the folder."""

    path: str
    record_id: str
    patient_id: str


def find_records(raw_dir: Path) -> list[Entry]:
    """The records of a folder, by name.

    Raises:
      InputError: there are none, or `patients.csv` names records that are not there.
    """
    # Text, not paths: a listing of millions of files fits in memory.
    headers = [
        os.path.relpath(os.path.join(folder, name), raw_dir)
        for folder, _, files in os.walk(raw_dir)
        for name in files
        if name.endswith(".hea")
    ]
    headers.sort(key=lambda header: header.split(os.sep))
    names = [header.removesuffix(".hea").replace(os.sep, "/") for header in headers]
    if not names:
        raise InputError(f"no .hea file in {raw_dir} or below", "give --raw_dir a folder of WFDB records")
    patient_of = {}
    if (raw_dir / PATIENTS).is_file():
        rows = read_table(raw_dir / PATIENTS, ("record_id", "patient_id"))
        patient_of = {row["record_id"]: row["patient_id"] for row in rows}
        unknown = sorted(set(patient_of) - set(names))
        if unknown:
            raise InputError(
                f"{raw_dir / PATIENTS} names record {unknown[0]!r}, which is not there",
                "name records by their path in the folder, without the extension",
            )
    return [Entry(str(raw_dir / name), name, patient_of.get(name, name)) for name in names]


def record_id(entry: Entry) -> str:
    return entry.record_id


def read_entry(entry: Entry) -> Prepared:
    """The record of an entry.

    Raises:
      BadRecordError: it is no complete 12-lead record.
    """
    recording = read_recording(entry.path)
    example = {
        "ecg": recording.ecg,
        "fs_hz": recording.fs_hz,
        "record_id": entry.record_id,
        "patient_id": entry.patient_id,
    }
    return Prepared(example, (f"rate {recording.fs_hz:g} Hz",), recording.num_clipped)
