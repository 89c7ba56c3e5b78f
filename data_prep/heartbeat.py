"""The heartbeats that Kaggle distributes as CSV files (Kachuee et al., IEEE ICHI 2018, 443-444).

A line is one beat: 187 samples of lead II at 125 Hz from its R peak on, scaled to 0..1, zeros after its end, and a
label. The files do not say whose beat it is, so that the same patients are on both sides of every split of them.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_prep.beat_records import beat_features, beat_id
from data_prep.build import RecordBuilder
from data_prep.shards import RECORDS_PER_SHARD, BadRecordError, Prepared, ReadEach, Source, cut
from data_prep.stratified import stratified_splits
from ecgjax.data.heartbeats import CLASSES, CUT_SAMPLES, FS_HZ, LEAD_NAMES, RR_FIGURES
from ecgjax.errors import InputError

GAIN = 30000.0
"""Units per unit of the files' scale."""

TRAIN, TEST = "mitbih_train.csv", "mitbih_test.csv"
PTBDB = ("ptbdb_normal.csv", "ptbdb_abnormal.csv")
VALIDATION = {"train": 0.9, "validation": 0.1}
THREE = {"train": 0.8, "validation": 0.1, "test": 0.1}
SEED = 0


class Heartbeat(RecordBuilder):
    """Variants: `mitbih`, five classes, and `ptbdb`, beats of healthy people and of patients with an infarct.

    The validation of `mitbih` is a tenth of `mitbih_train.csv`. What is divided is divided class by class at random.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("mitbih", "ptbdb")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Heartbeats as distributed by Kaggle (shayanfazeli/heartbeat), patients unknown.",
            features=tfds.features.FeaturesDict(beat_features(CUT_SAMPLES, 1)),
            homepage="https://www.kaggle.com/datasets/shayanfazeli/heartbeat",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(gain=GAIN, lead_names=[LEAD_NAMES[0]], raw_dir=str(self.raw_dir)),
        )

    def sources(self) -> dict[str, list[Source]]:
        if self.variant == "mitbih":
            lines = _divided(find_lines(self.raw_dir / TRAIN), VALIDATION)
            lines["test"] = find_lines(self.raw_dir / TEST)
            labels_of: Callable[[str], dict[str, Any]] = class_labels
        else:
            lines = _divided([line for name in PTBDB for line in find_lines(self.raw_dir / name)], THREE)
            labels_of = infarct_labels
        read = functools.partial(read_line, labels_of=labels_of)
        return {
            split: [ReadEach(part, line_name, read) for part in cut(of_split, RECORDS_PER_SHARD)]
            for split, of_split in lines.items()
        }


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a file: its number from 1, where it begins, and the text of its last column."""

    path: str
    number: int
    start_byte: int
    label: str


def find_lines(path: Path) -> list[Line]:
    """The lines of a file that are not blank.

    Raises:
      InputError: there is no file, or nothing in it.
    """
    if not path.is_file():
        raise InputError(f"no file {path}", "give --raw_dir the folder that holds it")
    lines = []
    start_byte = 0
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            if text.strip():
                label = text.rpartition(b",")[2].strip().decode(errors="replace")
                lines.append(Line(str(path), number, start_byte, label))
            start_byte += len(text)
    if not lines:
        raise InputError(f"{path} is empty", "download it again")
    return lines


def _divided(lines: list[Line], shares: dict[str, float]) -> dict[str, list[Line]]:
    splits = stratified_splits([line.label for line in lines], shares, SEED)
    return {name: [line for line, split in zip(lines, splits, strict=True) if split == name] for name in shares}


def line_name(line: Line) -> str:
    return f"{Path(line.path).name} line {line.number}"


def read_line(line: Line, labels_of: Callable[[str], dict[str, Any]]) -> Prepared:
    """The beat and the label of a line; `labels_of` reads the label's text.

    Raises:
      BadRecordError: the line has too few or too many columns, no numbers, samples outside 0..1, or a label unknown.
    """
    with open(line.path, "rb") as file:
        file.seek(line.start_byte)
        columns = file.readline().split(b",")
    if len(columns) != CUT_SAMPLES + 1:
        raise BadRecordError(f"expected {CUT_SAMPLES} samples and a label, there are {len(columns)} columns")
    try:
        beat = np.array(columns[:-1]).astype(float)
    except ValueError as error:
        raise BadRecordError(f"expected numbers ({error})") from None
    if not (beat.min() >= 0 and beat.max() <= 1):  # NaN compares as false
        raise BadRecordError(f"expected samples of 0..1, they lie in {beat.min():g}..{beat.max():g}")
    if not beat.any():
        raise BadRecordError("the beat is flat")
    labels = labels_of(line.label)
    record_id = beat_id(Path(line.path).stem, line.number)
    example = {
        "ecg": np.rint(beat * GAIN).astype(np.int16)[:, None],
        "fs_hz": FS_HZ,
        "record_id": record_id,
        "patient_id": record_id,
        "recording": "",
        "symbol": "",
        **dict.fromkeys(RR_FIGURES, np.nan),
        "cut_samples": int(np.flatnonzero(beat)[-1]) + 1,
        **labels,
    }
    name = labels["beat_class"] or "abnormal"
    return Prepared(example, (f"class {name}",))


def class_labels(text: str) -> dict[str, Any]:
    """Of a label 0-4, an index into `heartbeats.CLASSES`."""
    index = _whole(text)
    if not 0 <= index < len(CLASSES):
        raise BadRecordError(f"expected a label of 0-{len(CLASSES) - 1}, it is {text!r}")
    return {"beat_class": CLASSES[index], "is_abnormal": CLASSES[index] != "N"}


def infarct_labels(text: str) -> dict[str, Any]:
    """Of a label 0 (healthy) or 1 (of a patient with an infarct, whose beats may be of any class)."""
    index = _whole(text)
    if index not in (0, 1):
        raise BadRecordError(f"expected a label of 0 or 1, it is {text!r}")
    return {"beat_class": "" if index else "N", "is_abnormal": bool(index)}


def _whole(text: str) -> int:
    """The whole number that a text like `3.000000000000000000e+00` stands for, -1 for any other text."""
    try:
        value = float(text)
    except ValueError:
        return -1
    return int(value) if value.is_integer() else -1
