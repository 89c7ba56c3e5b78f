"""A user's folder of recordings in any format that `ecgjax.load` reads, with one table of labels.

The folder is only read. Its records are kept in units and at the rate of this repository like those of any dataset, in
a variant that is named after the contents of the folder, so that a changed file makes another one.
"""

import dataclasses
import functools
import hashlib
import os
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from data_prep.build import Options, RecordBuilder, base_features, base_metadata
from data_prep.labelled_table import Labelled, Reading, Table, read_table
from data_prep.shards import RECORDS_PER_SHARD, BadRecordError, Prepared, ReadEach, Source, cut, to_units
from ecgjax.data.record_files import SPLITS
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.recordings.load import load
from ecgjax.recordings.recording import Recording

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15
"""Of the patients, where the table does not divide them."""

SPLIT_SEED = 0

FOUND_OUT = Reading(
    csv="",
    file="",
    label="",
    kind="",
    patient="",
    split="",
    validation_share=VALIDATION_SHARE,
    test_share=TEST_SHARE,
    split_seed=SPLIT_SEED,
)
"""A table is to be read so where nothing is stated of it."""

_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Stated:
    """What the user says of recordings, for files that do not; 0 and "" where they do.

    Attributes:
      fs_hz: the rate.
      units: of the samples.
      lead_names: of the columns.
      one_lead: whether a single lead is kept and not the twelve ...
      lead: ... and which; "" for the only one, or I of several.
    """

    fs_hz: float = 0.0
    units: str = ""
    lead_names: tuple[str, ...] = ()
    one_lead: bool = False
    lead: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledOptions(Options):
    """How a folder is prepared."""

    reading: Reading = FOUND_OUT
    stated: Stated = Stated()


class LabelledFolder(RecordBuilder):
    """The variant is a digest, `variant_of`, or a name of the user's choice.

    The label `[column]` float32 is the index of the class, 0 or 1 for each of several, or numbers; `kind`, `columns`,
    `classes`, and for numbers the `centre` and `spread` of those in training, are metadata.
    """

    name = "labelled_folder"
    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("default",)
    ANY_VARIANT = True

    def _info(self) -> tfds.core.DatasetInfo:
        table = self._table
        lead_names = ("ECG",) if self._stated.one_lead else LEADS
        centre, spread = table.scale()
        label = tfds.features.Tensor(shape=(len(table.columns),), dtype=np.float32, encoding="bytes")
        return tfds.core.DatasetInfo(
            builder=self,
            description="A folder of recordings with a table of labels.",
            features=tfds.features.FeaturesDict({**base_features(len(lead_names)), "label": label}),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(
                base_metadata(lead_names),
                raw_dir=str(self.raw_dir),
                kind=table.kind,
                columns=list(table.columns),
                classes=list(table.classes),
                centre=list(centre),
                spread=list(spread),
                said=list(table.said),
            ),
        )

    @functools.cached_property
    def _table(self) -> Table:
        reading = self.options.reading if isinstance(self.options, LabelledOptions) else FOUND_OUT
        return read_table(self.raw_dir, reading)

    @property
    def _stated(self) -> Stated:
        return self.options.stated if isinstance(self.options, LabelledOptions) else Stated()

    def sources(self) -> dict[str, list[Source]]:
        read = functools.partial(read_labelled, folder=str(self.raw_dir), stated=self._stated, table=self._names)
        entries = {split: [one for one in self._table.records if one.split == split] for split in SPLITS}
        return {
            split: [ReadEach(part, _record_id, read) for part in cut(of_split, RECORDS_PER_SHARD)]
            for split, of_split in entries.items()
        }

    @property
    def _names(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        return self._table.kind, self._table.columns, self._table.classes


def variant_of(folder: Path, options: LabelledOptions) -> str:
    """A name that follows from the contents of the folder's files, and from how they are to be read."""
    digest = hashlib.blake2b(repr((options.reading, options.stated, options.skip_bad)).encode())
    table = Path(folder / options.reading.csv) if options.reading.csv else None
    paths = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]
    for path in sorted({*paths, *([str(table)] if table else [])}):
        digest.update(os.path.relpath(path, folder).encode())
        if os.path.isfile(path):
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, hashlib.blake2b).digest())
    stem = "".join(c for c in folder.name if c.isascii() and c.isalnum())
    return "-".join(filter(None, (stem, digest.hexdigest()[:_DIGITS])))


def read_labelled(
    entry: Labelled, *, folder: str, stated: Stated, table: tuple[str, tuple[str, ...], tuple[str, ...]]
) -> Prepared:
    """The record of a row.

    Raises:
      BadRecordError: it cannot be read, or lacks the lead or all leads.
    """
    try:
        recording = load(
            Path(folder, entry.path),
            fs_hz=stated.fs_hz or None,
            units=stated.units or None,
            lead_names=stated.lead_names or None,
        )
    except InputError as error:
        raise BadRecordError(str(error)) from None
    signal_mv, absent = _one_lead(recording, stated.lead) if stated.one_lead else _twelve(recording)
    ecg, num_clipped = to_units(signal_mv)
    example = {
        "ecg": ecg,
        "fs_hz": recording.fs_hz,
        "record_id": entry.record_id,
        "patient_id": entry.patient_id,
        "label": np.array(entry.labels, np.float32),
    }
    assumed = [f"assumed: {text.split(' since ')[0]}" for text in recording.assumptions]
    lacking = [f"lacking: {', '.join(absent)}"] if absent else []
    return Prepared(example, (*_classes(entry, *table), *assumed, *lacking), int(num_clipped))


def _classes(entry: Labelled, kind: str, columns: tuple[str, ...], classes: tuple[str, ...]) -> list[str]:
    """What the record counts for in the printed table."""
    if kind == "classes":
        return [f"{columns[0]} {classes[int(entry.labels[0])]}"]
    return [f"label {name}" for name, has in zip(classes, entry.labels, strict=False) if has]


def _twelve(recording: Recording) -> tuple[np.ndarray, tuple[str, ...]]:
    """float32 `[time, 12]`, zero in the leads that have no signal, and their names."""
    signal_mv, _ = recording.twelve()
    filled = np.stack([_without_gaps(lead) for lead in signal_mv.T], axis=1)
    absent = tuple(name for name, lead in zip(LEADS, filled.T, strict=True) if not np.ptp(lead))
    if len(absent) == len(LEADS):
        raise BadRecordError(
            f"expected some of the twelve leads, {', '.join(recording.lead_names)} hold no such signal"
        )
    filled[:, np.isin(LEADS, absent)] = 0.0
    return filled, absent


def _one_lead(recording: Recording, asked: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """float32 `[time, 1]`."""
    names = recording.lead_names
    name = asked or ("I" if "I" in names else names[0])
    if name not in names:
        raise BadRecordError(f"expected lead {name}, it has {', '.join(names)}")
    signal_mv = _without_gaps(recording.signal_mv[:, names.index(name)])
    if not np.ptp(signal_mv):
        raise BadRecordError(f"flat: lead {name}")
    return signal_mv[:, None], ()


def _without_gaps(signal_mv: np.ndarray) -> np.ndarray:
    """`[time]` with missing samples on the line between their neighbours; zeros where all are missing."""
    known = np.isfinite(signal_mv)
    if known.all() or not known.any():
        return np.nan_to_num(signal_mv)
    place = np.arange(len(signal_mv))
    return np.interp(place, place[known], signal_mv[known]).astype(np.float32)


def _record_id(entry: Labelled) -> str:
    return entry.record_id
