"""A user's table of labels: which column names the recordings, the labels, the patients and the split.

What a `Reading` leaves open is found out from the values, and every such finding is put into words.
"""

import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.labelled_files import Recordings, recordings_in
from data_prep.labelled_sheet import Sheet, holds_signals, is_missing, read_sheet, with_header
from data_prep.labelled_splits import SPLIT_OF, splits_of, strata_of
from ecgjax.data.record_files import SPLITS
from ecgjax.errors import InputError

KINDS = ("classes", "several", "numbers")
"""One class of several, any number of labels, or numbers."""

MOST_CLASSES = 10
"""Whole numbers of more values than this are numbers, not names of classes."""

FEWEST_RECORDS = 10
"""Below this there is nothing to train, to stop by and to test."""

_TABLES = (".csv", ".tsv")
_FLAGS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0, "0.0": 0.0, "1.0": 1.0}
_PATIENTS = ("patient", "patientid", "subject", "subjectid", "person", "personid", "pid", "mrn")
_SPLITS = ("split", "set", "subset", "partition")
_LABELS = ("label", "class", "target", "diagnosis", "outcome", "y")
_INDICES = ("", "id", "index", "no", "nr", "number", "row")
_SHOWN, _LISTED = 3, 12


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a table is to be read, as configs/finetune.py describes it; "" is found out."""

    csv: str
    file: str
    label: str
    kind: str
    patient: str
    split: str
    validation_share: float
    test_share: float
    split_seed: int

    def __post_init__(self):
        if self.kind and self.kind not in KINDS:
            raise InputError(f"unknown labelled.kind {self.kind!r}", f"use one of {', '.join(KINDS)}")
        shares = (self.validation_share, self.test_share)
        if not (min(shares) > 0 and sum(shares) < 1):
            raise InputError(
                f"labelled.validation_share and test_share are {shares[0]:g} and {shares[1]:g}",
                "give shares above 0 that leave some records to train on",
            )

    def shares(self) -> dict[str, float]:
        """Of the patients in each split."""
        shown = {"validation": self.validation_share, "test": self.test_share}
        return {"train": 1 - sum(shown.values()), **shown}


@dataclasses.dataclass(frozen=True)
class Labelled:
    """A recording with its labels: the index of its class, 0 or 1 for each of several, or numbers.

    `path` is that in the folder, and `record_id` the same without the ending.
    """

    path: str
    record_id: str
    patient_id: str
    split: str
    labels: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """What a table says.

    Attributes:
      name: of its file.
      records: those that have a label and a recording.
      kind: of `KINDS`.
      columns: those of the labels.
      classes: names of the classes or of several labels; empty for numbers.
      said: what was found out and left out, a sentence each.
    """

    name: str
    records: tuple[Labelled, ...]
    kind: str
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    said: tuple[str, ...]

    def scale(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each column in the training records."""
        seen = np.array([record.labels for record in self.records if record.split == "train"])
        return tuple(seen.mean(axis=0).tolist()), tuple(np.maximum(seen.std(axis=0), 1e-6).tolist())


def read_table(folder: Path, reading: Reading) -> Table:
    """The labels of the recordings in a folder and below.

    Raises:
      InputError: there is no such table, or what it says is not enough to train on.
    """
    found = recordings_in(folder)
    sheets = [read_sheet(folder / name) for name in found if "/" not in name and name.lower().endswith(_TABLES)]
    tables = [sheet for sheet in sheets if not holds_signals(sheet)]
    apart = {sheet.path for sheet in tables}
    files = Recordings(name for name in found if folder / name not in apart)
    sheet = with_header(_sheet(folder, reading, tables, files), files)
    file_column = _file_column(sheet, files, reading)
    others = [name for name in sheet.columns if name != file_column]
    patient_column = _named(sheet, others, reading.patient, _PATIENTS, "patient")
    split_column = _split_column(sheet, others, reading)
    taken = (file_column, patient_column, split_column)
    columns = _label_columns(sheet, [name for name in others if name not in taken], files, reading)
    kind = _kind(sheet, columns, reading)
    rows, said = _matched(sheet, files, file_column, columns)
    classes = _class_names(rows, columns, kind)
    labels = _labels(sheet, rows, columns, kind, classes)
    if len(rows) < FEWEST_RECORDS:
        raise InputError(
            f"{sheet.path} labels {len(rows)} recordings of {folder}",
            f"give {FEWEST_RECORDS} or more, the more the better",
        )
    _check_labels(labels, columns, kind, classes)
    patients = _patients(rows, patient_column)
    strata = strata_of(labels, kind)
    stated = [row[split_column] for _, row in rows] if split_column else None
    splits, how = splits_of(stated, split_column, patients, strata, reading.shares(), reading.split_seed)
    counts = ", ".join(f"{count} {split}" for split in SPLITS if (count := splits.count(split)))
    of_patients = f"column {patient_column!r} names {len(set(patients))} patients" if patient_column else ""
    intro = (
        f"{sheet.path.name}: column {file_column!r} names the recordings",
        f"{_told(columns)} {_what(kind, labels, classes)}",
        of_patients or "no column names patients: every recording is taken for that of another patient",
        f"{how}: {counts} records",
    )
    records = tuple(
        Labelled(path, os.path.splitext(path)[0], patient, split, values)
        for (path, _), patient, split, values in zip(rows, patients, splits, labels, strict=True)
    )
    return Table(sheet.path.name, records, kind, tuple(columns), classes, (*intro, *said))


def _sheet(folder: Path, reading: Reading, tables: Sequence[Sheet], files: Recordings) -> Sheet:
    """The table that is named, or the only one in the folder that names recordings."""
    if reading.csv:
        path = folder / reading.csv
        if not path.is_file():
            raise InputError(f"there is no table {path}", "set labelled.csv to its name in the folder, or its path")
        return read_sheet(path)
    if not tables:
        raise InputError(
            f"no CSV file of labels in {folder}", "put one there, with a column of file names and one of labels"
        )
    naming = [sheet for sheet in tables if _best(sheet, files)[1]]
    if len(naming) > 1:
        names = ", ".join(sheet.path.name for sheet in naming)
        raise InputError(f"several CSV files in {folder} name recordings: {names}", "choose one with labelled.csv=NAME")
    return naming[0] if naming else tables[0]


def _best(sheet: Sheet, files: Recordings) -> tuple[str, int]:
    """The column whose values name most recordings, and how many."""
    numbers = {name: len(set().union(*map(files.find, set(sheet.values(name))))) for name in sheet.columns}
    return max(numbers.items(), key=lambda item: item[1], default=("", 0))


def _names_most(sheet: Sheet, column: str, files: Recordings) -> bool:
    """Whether it is another column of recordings: small numbers may be labels that happen to be names, too."""
    found = [files.find(value) for value in set(sheet.values(column))]
    return all(found) and 2 * len(set().union(*found)) > len(files.paths)


def _file_column(sheet: Sheet, files: Recordings, reading: Reading) -> str:
    if reading.file:
        return _asked(sheet, reading.file, "file")
    name, count = _best(sheet, files)
    if not count:
        there = f"{len(files.paths)} recordings, such as {files.paths[0]}" if files.paths else "no recording"
        raise InputError(
            f"no column of {sheet.path} names recordings of the folder, which holds {there}",
            "name each by its path in the folder, with or without its ending",
        )
    return name


def _asked(sheet: Sheet, column: str, field: str) -> str:
    if column not in sheet.columns:
        raise InputError(
            f"{sheet.path} has no column {column!r}, which labelled.{field} names",
            f"use one of {', '.join(sheet.columns)}",
        )
    return column


def _named(sheet: Sheet, columns: Sequence[str], asked: str, names: Sequence[str], field: str) -> str:
    """The column that is asked for, or one that has a common name; "" for neither."""
    if asked:
        return _asked(sheet, asked, field)
    return next((name for name in columns if _plain(name) in names), "")


def _split_column(sheet: Sheet, columns: Sequence[str], reading: Reading) -> str:
    name = _named(sheet, columns, reading.split, _SPLITS, "split")
    unknown = [value for value in sheet.values(name) if value.casefold() not in SPLIT_OF] if name else []
    if not unknown:
        return name
    if reading.split:
        raise InputError(
            f"column {name!r} of {sheet.path} holds {unknown[0]!r}", f"write one of {', '.join(SPLITS)} in each row"
        )
    return ""


def _label_columns(sheet: Sheet, columns: Sequence[str], files: Recordings, reading: Reading) -> list[str]:
    if reading.label:
        return [_asked(sheet, name.strip(), "label") for name in reading.label.split(",")]
    possible = [
        name
        for name in columns
        if _plain(name) not in _INDICES
        and not _plain(name).startswith("unnamed")
        and not _names_most(sheet, name, files)
    ]
    if not possible:
        raise InputError(f"{sheet.path} has no column of labels", "add one, or name it with labelled.label")
    by_name = [name for name in possible if _plain(name) in _LABELS]
    if len(by_name) == 1:
        return by_name
    if len(possible) > 1 and not all(value.lower() in _FLAGS for name in possible for value in sheet.values(name)):
        raise InputError(
            f"several columns of {sheet.path} could be labels: {_some(possible, _LISTED)}",
            "choose with labelled.label=COLUMN",
        )
    return possible


def _kind(sheet: Sheet, columns: Sequence[str], reading: Reading) -> str:
    values = [value for name in columns for value in sheet.values(name)]
    if not values:
        raise InputError(f"{_told(columns)} of {sheet.path} are empty", "fill in labels")
    if reading.kind == "classes" and len(columns) > 1:
        raise InputError(f"labelled.kind is classes for {len(columns)} columns", "name one with labelled.label")
    if reading.kind:
        return reading.kind
    numbers = [number for value in values if (number := sheet.number(value)) is not None]
    is_whole = all(number == round(number) for number in numbers)
    if len(columns) > 1:
        if all(value.lower() in _FLAGS for value in values):
            return "several"
        if 2 * len(numbers) > len(values):
            return "numbers"
        raise InputError(
            f"{_told(columns)} of {sheet.path} are neither all 0 or 1 nor numbers", "choose one with labelled.label"
        )
    is_number = 2 * len(numbers) > len(values) and (len(set(numbers)) > MOST_CLASSES or not is_whole)
    return "numbers" if is_number else "classes"


_Row = tuple[str, Mapping[str, str]]
"""The path of a recording and its row."""


def _matched(sheet: Sheet, files: Recordings, file_column: str, columns: Sequence[str]) -> tuple[list[_Row], list[str]]:
    """The rows that can be used, and what was left out."""
    rows: dict[str, Mapping[str, str]] = {}
    unlabelled, absent, repeated, seen = [], [], [], set()
    for row in sheet.rows:
        paths = sorted(files.find(row[file_column])) if row[file_column] else []
        if len(paths) > 1:
            raise InputError(
                f"{row[file_column]!r} in {sheet.path} may be {paths[0]} or {paths[1]}", "name it by its whole path"
            )
        seen.update(paths)
        if not paths:
            absent.append(row[file_column] or "no name")
        elif any(is_missing(row[name]) for name in columns):
            unlabelled.append(row[file_column])
        elif paths[0] in rows:
            if any(rows[paths[0]][name] != row[name] for name in columns):
                raise InputError(f"{sheet.path} has two rows with different labels for {paths[0]}", "keep one of them")
            repeated.append(row[file_column])
        else:
            rows[paths[0]] = row
    lost = [path for path in files.paths if path not in seen]
    said = [
        f"left out, {what}: {len(names)} ({_some(names)})"
        for names, what in (
            (unlabelled, "rows without a label"),
            (absent, "rows whose recording is not there"),
            (repeated, "rows that repeat another"),
            (lost, "recordings without a row"),
        )
        if names
    ]
    return sorted(rows.items()), said


def _class_names(rows: Sequence[_Row], columns: Sequence[str], kind: str) -> tuple[str, ...]:
    if kind == "several":
        return tuple(columns)
    return tuple(sorted({_class_name(row[columns[0]]) for _, row in rows})) if kind == "classes" else ()


def _class_name(text: str) -> str:
    """Programs that write tables make `1.0` of a whole number where another one is missing."""
    return text.removesuffix(".0") if text.removesuffix(".0").lstrip("-").isdigit() else text


def _labels(
    sheet: Sheet, rows: Sequence[_Row], columns: Sequence[str], kind: str, classes: tuple[str, ...]
) -> list[tuple[float, ...]]:
    if kind == "classes":
        return [(float(classes.index(_class_name(row[columns[0]]))),) for _, row in rows]
    expected = "0 or 1" if kind == "several" else "a number"

    def value(path: str, name: str, text: str) -> float:
        found = _FLAGS.get(text.lower()) if kind == "several" else sheet.number(text)
        if found is None:
            raise InputError(
                f"column {name!r} of {sheet.path} holds {text!r} for {path}, expected {expected}",
                "mend it, leave the cell empty, or set labelled.kind",
            )
        return found

    return [tuple(value(path, name, row[name]) for name in columns) for path, row in rows]


def _check_labels(
    labels: Sequence[tuple[float, ...]], columns: Sequence[str], kind: str, classes: tuple[str, ...]
) -> None:
    """Raises InputError where there is nothing to tell apart, or a class has one record."""
    for name, values in zip(columns, zip(*labels, strict=True), strict=True):
        if len(set(values)) == 1:
            shown = classes[int(values[0])] if kind == "classes" else f"{values[0]:g}"
            raise InputError(
                f"all {len(values)} labels in column {name!r} are {shown}", "give records of another label, too"
            )
        counts = collections.Counter(values)
        single = [value for value, count in counts.items() if count == 1] if kind != "numbers" else []
        if single:
            shown = f"class {classes[int(single[0])]!r}" if kind == "classes" else f"value {single[0]:g}"
            raise InputError(
                f"{shown} of column {name!r} has one record, which cannot be learnt and tested",
                "add records of it, remove its row, or merge it with another",
            )


def _patients(rows: Sequence[_Row], column: str) -> list[str]:
    """A recording whose patient is not known is taken for that of another."""
    return [row[column] if column and not is_missing(row[column]) else path for path, row in rows]


def _what(kind: str, labels: Sequence[tuple[float, ...]], classes: Sequence[str]) -> str:
    values = np.array(labels)
    if kind == "numbers":
        bounds = zip(values.min(axis=0), values.max(axis=0), strict=True)
        return f"hold{'s' if values.shape[1] == 1 else ''} numbers: " + ", ".join(f"{a:g} to {b:g}" for a, b in bounds)
    counts = values.sum(axis=0) if kind == "several" else np.bincount(values[:, 0].astype(int))
    told = ", ".join(f"{name} ({count:g})" for name, count in zip(classes, counts, strict=True))
    return f"names classes: {told}" if kind == "classes" else f"are labels of which a record may have several: {told}"


def _told(columns: Sequence[str]) -> str:
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(map(repr, columns))}"


def _some(names: Sequence[str], number: int = _SHOWN) -> str:
    return ", ".join(names[:number]) + (", ..." if len(names) > number else "")


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
