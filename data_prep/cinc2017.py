"""PhysioNet/CinC Challenge 2017: recordings of a hand-held device in lead I, 9 to 61 s, and the class of their rhythm.

Clifford et al., Computing in Cardiology 2017, 44, doi 10.22489/CinC.2017.065-469. No patient is known, and some
recordings are there twice.
"""

import csv
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from data_prep.build import RecordBuilder, base_features, base_metadata
from data_prep.shards import RECORDS_PER_SHARD, BadRecordError, Prepared, ReadEach, Source, cut, to_units
from data_prep.stratified import stratified_parts
from data_prep.wfdb_records import check_checksums, check_samples, read_digital, units_per_mv
from ecgjax.crossval import part_split
from ecgjax.data.record_files import SPLITS
from ecgjax.data.rhythms import CLASSES, FS_HZ, LEAD_NAMES
from ecgjax.errors import InputError

LABELS = ("REFERENCE-v3.csv", "REFERENCE.csv")
"""The corrected labels, and those that the archive of the recordings holds."""

FOLDERS = ("training2017", "training", ".")
"""Where the recordings may lie in the raw folder; the first that is there is taken."""

SEED = 0

CITATION = """@inproceedings{clifford2017af,
  author = {Clifford, Gari D. and Liu, Chengyu and Moody, Benjamin and Lehman, Li-wei H. and Silva, Ikaro and Li, Qiao
    and Johnson, Alistair E. and Mark, Roger G.},
  title = {{AF} Classification from a Short Single Lead {ECG} Recording: the {PhysioNet}/Computing in Cardiology
    Challenge 2017},
  booktitle = {Computing in Cardiology}, volume = {44}, year = {2017}, doi = {10.22489/CinC.2017.065-469}}"""


class Cinc2017(RecordBuilder):
    """The one variant has the split of fold 0: parts 0 and 1 are test, 2 validation, the rest train.

    Recordings of the same samples share a part and a patient.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("default",)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="One-lead recordings of the PhysioNet/CinC Challenge 2017: N, A, O or noise (~).",
            features=tfds.features.FeaturesDict(rhythm_features()),
            homepage="https://physionet.org/content/challenge-2017/",
            citation=CITATION,
            license="ODC-BY-1.0",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(LEAD_NAMES), raw_dir=str(self.raw_dir)),
        )

    def sources(self) -> dict[str, list[Source]]:
        entries: dict[str, list[Entry]] = {split: [] for split in SPLITS}
        for entry in find_entries(self.raw_dir):
            entries[part_split(entry.part, fold=0)].append(entry)
        return {
            split: [ReadEach(part, record_name, read_entry) for part in cut(of_split, RECORDS_PER_SHARD)]
            for split, of_split in entries.items()
        }


def rhythm_features() -> dict[str, tfds.features.FeatureConnector]:
    """The features of every dataset of rhythms."""
    return {
        **base_features(len(LEAD_NAMES)),
        "rhythm": tfds.features.Text(),
        "part": tfds.features.Scalar(np.int64),
    }


@dataclasses.dataclass(frozen=True)
class Entry:
    """A recording: its files without extension, and what is known of it; no `rhythm` where no label names it."""

    path: str
    rhythm: str | None
    patient_id: str
    part: int


def find_entries(raw_dir: Path) -> list[Entry]:
    """Every recording that has a label or a file, by name.

    Raises:
      InputError: there are no labels, one is no pair of a name and a class, or a recording has two.
    """
    folder = next(raw_dir / name for name in FOLDERS if (raw_dir / name).is_dir())
    files = folder.rglob("*.hea") if folder != raw_dir else folder.glob("*.hea")
    paths = {header.stem: header.with_suffix("") for header in files}
    if not paths:
        raise InputError(f"no .hea file in {folder}", f"give --raw_dir the folder that holds {FOLDERS[0]}")
    rhythm_of = _read_labels(raw_dir, folder)
    names = sorted({*paths, *rhythm_of})
    for name in names:
        paths.setdefault(name, folder / name)
    patients = _same_samples({name: paths[name].with_suffix(".mat") for name in names})
    parts = stratified_parts([rhythm_of.get(name, "") for name in names], patients, SEED)
    return [
        Entry(str(paths[name]), rhythm_of.get(name), patient, int(part))
        for name, patient, part in zip(names, patients, parts, strict=True)
    ]


def _read_labels(raw_dir: Path, folder: Path) -> dict[str, str]:
    """Recording -> the text of its class."""
    places = [place / name for name in LABELS for place in (raw_dir, folder)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(f"no file {raw_dir / LABELS[0]}", "download it from physionet.org/content/challenge-2017")
    rhythm_of: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for number, row in enumerate(filter(None, csv.reader(file)), start=1):
            if len(row) != 2:
                raise InputError(f"{path} line {number} is no name and class: {','.join(row)!r}", "download it again")
            if row[0] in rhythm_of:
                raise InputError(f"recording {row[0]} occurs twice in {path}", "keep one line of it")
            rhythm_of[row[0]] = row[1]
    return rhythm_of


def _same_samples(path_of: dict[str, Path]) -> list[str]:
    """For each recording, the first one whose file has the same bytes; itself where there is no file."""
    first: dict[bytes, str] = {}
    return [
        first.setdefault(hashlib.sha256(path.read_bytes()).digest(), name) if path.is_file() else name
        for name, path in path_of.items()
    ]


def record_name(entry: Entry) -> str:
    return Path(entry.path).name


def read_entry(entry: Entry) -> Prepared:
    """The recording of an entry.

    Raises:
      BadRecordError: it has no label or no file, a file is damaged or disagrees with its header, the rate or the number
        of leads is another, a sample is missing, or it is flat.
    """
    if entry.rhythm is None:
        raise BadRecordError(f"{LABELS[0]} does not name it")
    if entry.rhythm not in CLASSES:
        raise BadRecordError(f"expected a class of {', '.join(CLASSES)}, it is {entry.rhythm!r}")
    record = read_digital(entry.path)
    if record.fs != FS_HZ:
        raise BadRecordError(f"expected a sampling rate of {FS_HZ:g} Hz, the header gives {record.fs:g} Hz")
    if len(record.sig_name) != len(LEAD_NAMES):
        raise BadRecordError(f"expected one lead, the header has {len(record.sig_name)}")
    check_checksums(record, expanded=False)
    signal_mv = record.dac() / [units_per_mv(unit) for unit in record.units]
    check_samples(signal_mv, LEAD_NAMES)
    ecg, num_clipped = to_units(signal_mv)
    example = {
        "ecg": ecg,
        "fs_hz": FS_HZ,
        "record_id": record_name(entry),
        "patient_id": entry.patient_id,
        "rhythm": entry.rhythm,
        "part": entry.part,
    }
    return Prepared(example, rhythm_classes(entry.rhythm, len(ecg)), int(num_clipped))


def rhythm_classes(rhythm: str, num_samples: int) -> tuple[str, ...]:
    """What a recording counts for in the printed table."""
    seconds = num_samples / FS_HZ
    length = "below 30 s" if seconds < 29.5 else "30 s" if seconds < 30.5 else "above 30 s"
    return (f"rhythm {rhythm}", f"length {length}")
