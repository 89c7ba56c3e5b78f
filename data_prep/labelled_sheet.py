"""Tables of text as programs of all kinds write them: any delimiter, with and without a header."""

import collections
import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.labelled_files import Recordings
from ecgjax.errors import InputError
from ecgjax.recordings.lead_names import is_lead, lead_of
from ecgjax.recordings.tables import split_unit

_MISSING = ("", "na", "n/a", "nan", "null", "?")


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A table of text: rows are column -> value."""

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, str]]
    has_comma: bool

    def values(self, column: str) -> list[str]:
        """Those that are not missing."""
        return [row[column] for row in self.rows if not is_missing(row[column])]

    def number(self, text: str) -> float | None:
        """The number that a cell holds, None for any other text."""
        try:
            value = float(text.replace(",", ".") if self.has_comma else text)
        except ValueError:
            return None
        return value if np.isfinite(value) else None


def read_sheet(path: Path) -> Sheet:
    """The table in a file, whose delimiter and encoding are found out.

    Raises:
      InputError: it is none, or its rows differ in length.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)
    try:
        lines = [line for line in csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True) if line]
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file ({error})", "save it as CSV again") from None
    header = [name.strip() for name in lines[0]] if lines else []
    twice = [name for name, count in collections.Counter(header).items() if name and count > 1]
    if twice:
        raise InputError(f"{path} has the column {twice[0]!r} twice", "rename one of them")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            raise InputError(f"row {number} of {path} has {len(line)} cells, the header {len(header)}", "mend the row")
    rows = [dict(zip(header, map(str.strip, line), strict=True)) for line in lines[1:]]
    return Sheet(path, tuple(header), rows, delimiter != ",")


def holds_signals(sheet: Sheet) -> bool:
    """Whether it is a recording: its columns are leads, or the first row is of numbers."""
    titles = [split_unit(name)[0] for name in sheet.columns]
    signals = [name for name in titles if is_lead(lead_of(name)[0]) or sheet.number(name) is not None]
    return bool(signals) and 2 * len(signals) >= len(titles)


def with_header(sheet: Sheet, files: Recordings) -> Sheet:
    """The table, with numbered columns where its first row is of a recording already."""
    if not any(map(files.find, filter(None, sheet.columns))):
        return sheet
    columns = tuple(f"column {number}" for number, _ in enumerate(sheet.columns, 1))
    rows = [sheet.columns, *([*row.values()] for row in sheet.rows)]
    return dataclasses.replace(sheet, columns=columns, rows=[dict(zip(columns, row, strict=True)) for row in rows])


def is_missing(text: str) -> bool:
    return text.casefold() in _MISSING
