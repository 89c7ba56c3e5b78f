"""CSV, TSV and other tables of text: delimiter, decimal comma, header, units and the column of time are found."""

import dataclasses
import re
from array import array
from pathlib import Path

import numpy as np

from ecgjax.recordings.contents import Channel, Contents, FormatError, Stated, check_size, read_limited
from ecgjax.recordings.lead_names import is_lead, lead_of
from ecgjax.recordings.normalise import is_unstated, units_per_mv

_TIME = re.compile(
    r"(elapsed[\s_]*)?(time|times|timestamp|zeit|temps|t|seconds?|secs?|milliseconds?|msecs?|ms|s)", re.I
)
_INDEX = re.compile(r"(sample|samples|index|frame|nr|no|n|#|idx)?[\s_.#]*(number|no|index|id)?", re.I)
_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "milliseconds": 1e-3}
_SECONDS |= {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "secs": 1.0, "millisecond": 1e-3, "min": 60.0}
_WITH_UNIT = re.compile(r"(.*?)\s*[\[(/_ ]\s*([^\W\d_]{1,12})\s*[\])]?")
_MISSING = ("", "nan", "na", "null", "none", "-", ".")
_MAX_PREAMBLE = 64
_ANY_NUMBER = r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?"


def is_table(head: bytes) -> bool:
    """Whether the first bytes of a file are text."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    return bool(text.strip()) and not any(byte < 32 and byte not in b"\t\r\n\f" for byte in text)


def begins_with_numbers(head: bytes) -> bool:
    """Whether a row of numbers is among the first lines of text."""
    lines = [line for line in _decoded(head).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        # The last line may be cut off.
        _first_row(lines[:-1] if len(lines) > 1 else lines)
    except FormatError:
        return False
    return True


def read(path: Path, stated: Stated) -> Contents:
    """The columns of the table; one of time gives the rate."""
    data = read_limited(path)
    if b"\0" in data:
        raise FormatError("it is no text")
    text = data.decode("utf-8-sig", "replace") if data[:3] == b"\xef\xbb\xbf" else _decoded(data)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    first = _first_row(lines)
    delimiter, has_comma = _dialect(lines[first])
    preamble = [_cells(line, _header_delimiter(line, delimiter)) for line in lines[:first]]
    width = len(_cells(lines[first], delimiter))
    check_size(len(lines) - first, width)
    values = _values(lines[first:], delimiter, has_comma, width, first)
    if width > 1 and np.isnan(values[:, -1]).all() and not any(len(c) == width and c[-1] for c in preamble):
        # Every row ends with a delimiter.
        width, values = width - 1, values[:, :-1]
        preamble = [cells[:-1] if len(cells) > width and not cells[-1] else cells for cells in preamble]
    names, units, said = _header(preamble, width)
    notes: list[str] = []
    fs_hz = said.get("rate")
    columns = columns_to_channels(names, units, list(values.T), notes)
    channels = [
        Channel(c.name, c.unit or str(said.get("unit", "")), c.fs_hz or (float(fs_hz) if fs_hz else None), c.samples)
        for c in columns
    ]
    if len(channels) == 1 and not channels[0].name and "lead" in said:
        channels = [dataclasses.replace(channels[0], name=str(said["lead"]))]
    return Contents("table", channels, "", {}, notes)


def columns_to_channels(
    names: list[str], units: list[str], columns: list[np.ndarray], notes: list[str]
) -> list[Channel]:
    """The columns but that of time or of numbers of samples, with the rate by it; adds what it assumed to `notes`."""
    time = _time_column(names, columns)
    fs_hz = None if time is None else _rate(columns[time], units[time], names[time], notes)
    return [
        Channel(name, unit, fs_hz, column)
        for k, (name, unit, column) in enumerate(zip(names, units, columns, strict=True))
        if k != time
    ]


def split_unit(title: str) -> tuple[str, str]:
    """`I (mV)`, `I [uV]`, `I/mV` and `I_mV` are a name and a unit."""
    match = _WITH_UNIT.fullmatch(title)
    if match and match[1] and (units_per_mv(match[2]) is not None or match[2].lower() in _SECONDS):
        return match[1], match[2]
    return title, ""


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _first_row(lines: list[str]) -> int:
    """The first line that consists of numbers."""
    for k, line in enumerate(lines[:_MAX_PREAMBLE]):
        delimiter, has_comma = _dialect(line)
        cells = [_plain(cell, has_comma) for cell in _cells(line, delimiter)]
        if any(_is_number(cell) for cell in cells) and all(_is_number(c) or _is_missing(c) for c in cells):
            return k
    raise FormatError(f"none of its first {min(len(lines), _MAX_PREAMBLE)} lines is a row of numbers")


def _dialect(line: str) -> tuple[str | None, bool]:
    """Delimiter, None for spaces, and whether the decimals follow a comma."""
    for delimiter in (";", "\t"):
        if delimiter in line:
            return delimiter, "," in line
    if "," not in line:
        return None, False
    # `0,12 0,13` has its decimals after a comma, `1, 2` and `1,2` have not.
    cells = line.split()
    is_decimal = len(cells) > 1 and all(re.fullmatch(_ANY_NUMBER, cell) for cell in cells)
    return (None, True) if is_decimal else (",", False)


def _header_delimiter(line: str, delimiter: str | None) -> str | None:
    """That of the rows or, in a preamble to a single column, the comma."""
    return "," if delimiter is None and "," in line else delimiter


def _cells(line: str, delimiter: str | None) -> list[str]:
    cells = line.split(delimiter)
    return [cell.strip(" \t'\"[]" if delimiter else "'\"") if ":" in cell else cell.strip(" \t'\"") for cell in cells]


def _plain(cell: str, has_comma: bool) -> str:
    return cell.replace(",", ".") if has_comma else cell


def _is_missing(cell: str) -> bool:
    return cell.lower() in _MISSING


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|\d+:\d+(:\d+)?(\.\d+)?", cell) is not None


def _values(lines: list[str], delimiter: str | None, has_comma: bool, width: int, first: int) -> np.ndarray:
    """float64 [row, column]."""
    found = array("d")
    for number, line in enumerate(lines, first + 1):
        cells = _cells(line, delimiter)
        if len(cells) != width:
            raise FormatError(f"row {number} has {len(cells)} columns, the first {width}")
        for cell in cells:
            try:
                found.append(float(cell.replace(",", ".") if has_comma else cell))
            except ValueError:
                found.append(_other_value(cell, number))
    return np.frombuffer(found).reshape(-1, width)


def _other_value(cell: str, number: int) -> float:
    """Gaps, and times of day in seconds."""
    if _is_missing(cell):
        return float("nan")
    if re.fullmatch(r"\d{1,6}:\d+(:\d+)?([.,]\d+)?", cell):
        parts = [float(part) for part in cell.replace(",", ".").split(":")]
        return sum(part * 60.0**k for k, part in enumerate(reversed(parts)))
    raise FormatError(f"row {number} has {cell[:30]!r} among its numbers")


def _header(preamble: list[list[str]], width: int) -> tuple[list[str], list[str], dict[str, float | str]]:
    """Name and unit of each column, and what lines of `key,value` say of rate, unit and lead."""
    names, units = [""] * width, [""] * width
    said: dict[str, float | str] = {}
    wide = [cells for cells in preamble if len(cells) == width and (width != 2 or not _said(cells))]
    for cells in preamble:
        said |= _said(cells)
    if wide:
        is_units = len(wide) > 1 and all(_is_unit(cell) for cell in wide[-1] if cell)
        titles = wide[-2] if is_units else wide[-1]
        for k, title in enumerate(titles):
            names[k], units[k] = split_unit(title)
        if is_units:
            units = [cell.strip("()[]'") for cell in wide[-1]]
    return names, units, said


def _said(cells: list[str]) -> dict[str, float | str]:
    if len(cells) != 2:
        return {}
    key, value = cells[0].lower(), cells[1]
    number = re.match(r"(\d{1,6}(?:\.\d+)?)\s*(k?)h", value.lower() + ("hz" if "hz" in key else ""))
    if number and re.search(r"rate|frequency|\bfs\b|hz", key):
        return {"rate": float(number[1]) * (1000 if number[2] else 1)}
    if key in ("unit", "units"):
        return {"unit": value}
    return {"lead": value} if key == "lead" else {}


def _is_unit(cell: str) -> bool:
    text = cell.strip("()[]' ")
    return units_per_mv(text) is not None or text.lower() in _SECONDS or is_unstated(text) or ":" in text


def _time_column(names: list[str], columns: list[np.ndarray]) -> int | None:
    """The column of time or of numbers of samples: by its name or, without names, the first if it rises evenly."""
    for k, name in enumerate(names):
        is_time = _TIME.fullmatch(name.strip()) or (name.strip() and _INDEX.fullmatch(name.strip()))
        if is_time and not is_lead(lead_of(name)[0]):
            return k
    if not names[0] and len(columns) > 1 and len(columns[0]) > 2 and _is_even(columns[0]):
        return 0
    return None


def _is_even(column: np.ndarray) -> bool:
    """Whether it rises by the same step up to rounding and single gaps."""
    steps = np.diff(column)
    if not len(steps) or not np.isfinite(steps).all() or steps.min() <= 0:
        return False
    mean = (column[-1] - column[0]) / len(steps)
    # What is rounded is off by less than a step.
    return bool(np.abs(column - column[0] - mean * np.arange(len(column))).max() <= 0.51 * mean)


def _rate(column: np.ndarray, unit: str, name: str, notes: list[str]) -> float | None:
    """The rate by a column of time; None where it counts samples."""
    if not _is_even(column):
        raise FormatError(f"its column of time {name!r} does not rise evenly")
    step = float(column[-1] - column[0]) / (len(column) - 1)
    unit = unit.lower().strip("'") or (name.lower().strip() if name.lower().strip() in _SECONDS else "")
    if unit in _SECONDS or ":" in unit:
        seconds = _SECONDS.get(unit, 1.0)
    elif step == 1 or (name.strip() and not _TIME.fullmatch(name.strip())):
        return None
    else:
        seconds = 1.0 if step < 0.1 else 1e-3
        notes.append(f"unit of time not stated, taken for {'s' if seconds == 1 else 'ms'} since it rises by {step:.3g}")
    fs_hz = 1 / (step * seconds)
    # A rate is a whole number, but for the rounding of the times.
    return float(round(fs_hz)) if abs(fs_hz - round(fs_hz)) < 1e-3 * fs_hz else fs_hz
