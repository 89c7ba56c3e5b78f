"""Arrays of NPY, NPZ, MAT and HDF5: which of them is the recording, and which of its axes is time."""

import re
from collections.abc import Mapping

import numpy as np

from ecgjax.recordings.contents import MAX_CHANNELS, Channel, Contents, FormatError, Stated, check_size

_RATE_NAMES = (
    "fs",
    "fs_hz",
    "sfreq",
    "sampling_rate",
    "sampling_frequency",
    "samplerate",
    "sample_rate",
    "freq",
    "frequency",
)
_UNIT_NAMES = ("unit", "units")
_LEAD_NAMES = ("lead_names", "leads", "sig_name", "sig_names", "channels", "channel_names", "lead")


def member_of(text: str | None) -> tuple[str | None, int | None]:
    """The name of a variable and the number of a record from `name`, `name[3]`, `[3]` or None."""
    match = re.fullmatch(r"(.*?)(?:\[(\d{1,9})\])?", text or "", re.DOTALL)
    assert match is not None
    return match[1] or None, int(match[2]) if match[2] else None


def chosen(shapes: dict[str, tuple[int, ...]], name: str | None) -> str:
    """The variable that is named or, of several, the largest that can be a recording.

    Raises:
      FormatError: there is none of that name, or no one is the largest.
    """
    if name is not None:
        if name not in shapes:
            raise FormatError(f"it has no member {name!r}, only {', '.join(list(shapes)[:8])[:120]}")
        return name
    can_be = {key: _size(shape) for key, shape in shapes.items() if 1 <= len(shape) <= 3 and max(shape) > 16}
    if not can_be:
        raise FormatError("it holds no array that can be a recording")
    largest = max(can_be.values())
    of_size = [key for key, size in can_be.items() if size == largest]
    if len(of_size) > 1:
        raise FormatError(f"it holds several recordings: state member, one of {', '.join(of_size[:8])[:120]}")
    return of_size[0]


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= int(length)
    return size


def record_of(shape: tuple[int, ...], index: int | None) -> int | None:
    """The record to take of an array of three dimensions; None where the array is one recording.

    Raises:
      FormatError: it is not stated which, or there is none of that number.
    """
    if len(shape) < 3:
        if index is not None:
            raise FormatError(f"the shape {shape} is that of one recording, not of several")
        if not shape or min(shape) < 1:
            raise FormatError(f"the shape {shape} is not that of a recording")
        return None
    if len(shape) > 3:
        raise FormatError(f"the shape {shape} has more than three dimensions")
    if index is None and shape[0] == 1:
        return 0
    if index is None:
        raise FormatError(f"it holds {shape[0]} recordings: state which by member, such as [0]")
    if index >= shape[0]:
        raise FormatError(f"it holds {shape[0]} recordings, there is no number {index}")
    return index


def contents(format_: str, values: np.ndarray, stated: Stated, beside: Mapping[str, object]) -> Contents:
    """A recording from `[time, lead]`, `[lead, time]` or `[time]`, and from small variables beside it such as `fs`."""
    notes = []
    if values.dtype.kind not in "iuf":
        raise FormatError(f"its samples are of type {values.dtype}, not numbers")
    if values.ndim == 1:
        values = values[:, None]
    if values.shape[1] > values.shape[0] or (
        stated.lead_names and values.shape[1] != len(stated.lead_names) == values.shape[0]
    ):
        notes.append(f"shape {values.shape[0]} x {values.shape[1]}: taken for leads x time")
        values = values.T
    if values.shape[1] > MAX_CHANNELS:
        raise FormatError(f"the shape {values.shape} is not that of a recording")
    check_size(*values.shape)
    lower = {key.lower(): value for key, value in beside.items()}
    rate = next((_number(lower[key]) for key in _RATE_NAMES if key in lower), None)
    unit = next((_words(lower[key]) for key in _UNIT_NAMES if key in lower), [])
    names = next((_words(lower[key]) for key in _LEAD_NAMES if key in lower), [])
    if len(names) != values.shape[1]:
        names = [""] * values.shape[1]
    units = unit if len(unit) == values.shape[1] else unit[:1] * values.shape[1] or [""] * values.shape[1]
    channels = [Channel(*each) for each in zip(names, units, [rate] * len(names), values.T, strict=True)]
    return Contents(format_, channels, "", {}, notes)


def _number(value: object) -> float | None:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        return None
    number = float(array.reshape(-1)[0])
    return number if np.isfinite(number) and number > 0 else None


def _words(value: object) -> list[str]:
    """Strings from an array or a list of them; [] for anything else."""
    if isinstance(value, str | bytes):
        value = [value]
    words = value if isinstance(value, list) else [_single(one) for one in np.asarray(value).reshape(-1)[:MAX_CHANNELS]]
    if not all(isinstance(word, str | bytes) for word in words):
        return []
    return [(word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)).strip() for word in words]


def _single(value: object) -> object:
    """What a MATLAB cell holds, where that is one thing."""
    return value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value
