"""What a reader of one format takes from a file, before names, units and rates are normalised."""

import dataclasses
from pathlib import Path

import numpy as np

MAX_SAMPLES = 2**26
"""Of all leads of a recording together: 268 MB as float32, and up to five times that while a file is read."""

MAX_TEXT_BYTES = 2**26
"""Of a file that is parsed as a whole: text, XML, DICOM, SCP."""

MAX_CHANNELS = 512


class FormatError(Exception):
    """The file is not what its format prescribes, in words that follow `expected FORMAT, `."""


@dataclasses.dataclass(frozen=True)
class Stated:
    """What the caller says of a file; it holds against what the file says. None where nothing is said.

    Attributes:
      fs_hz: the rate.
      units: of all samples, such as `uV`.
      lead_names: of the columns, in their order.
      member: which variable or dataset of a file that holds several; `name[3]` is one record of an array of records.
    """

    fs_hz: float | None
    units: str | None
    lead_names: tuple[str, ...] | None
    member: str | None


@dataclasses.dataclass(frozen=True)
class Channel:
    """One signal as the file has it.

    Attributes:
      name: as it is spelt there, "" where there is none.
      unit: of the samples, "" where none is stated.
      fs_hz: the rate, None where none is stated.
      samples: float [time], NaN where nothing was recorded.
    """

    name: str
    unit: str
    fs_hz: float | None
    samples: np.ndarray


@dataclasses.dataclass(frozen=True)
class Contents:
    """Everything that is taken from a file.

    Attributes:
      format: its name.
      channels: in the order of the file.
      started: ISO text, "" where unknown.
      patient: `age_years` and `sex` ("male", "female") as far as the file says.
      assumptions: what the reader had to assume.
    """

    format: str
    channels: list[Channel]
    started: str
    patient: dict[str, float | str]
    assumptions: list[str]


def read_limited(path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """The bytes of a file; raises FormatError where there are more than `limit`."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise FormatError(f"the file is larger than {limit >> 20} MB")
    return data


def check_size(num_samples: int, num_channels: int) -> None:
    """Raises FormatError where so many samples of so many channels are none, or too many to load."""
    if num_channels < 1 or num_samples < 1:
        raise FormatError(f"it holds {max(num_samples, 0)} samples of {max(num_channels, 0)} channels")
    if num_channels > MAX_CHANNELS:
        raise FormatError(f"it says that it has {num_channels} channels, more than {MAX_CHANNELS}")
    if num_samples * num_channels > MAX_SAMPLES:
        raise FormatError(f"{num_samples} samples of {num_channels} channels are more than {MAX_SAMPLES} in all")


def check_file_holds(needed: int, found: int, what: str) -> None:
    """Raises FormatError where the `found` bytes of a file are fewer than its header needs."""
    if found < needed:
        raise FormatError(f"its header describes {needed} bytes of {what}, the file has {max(found, 0)}")


def iso_time(date: tuple[int, int, int], time: tuple[int, int, int] = (0, 0, 0)) -> str:
    """`(year, month, day)` and `(hour, minute, second)` as ISO text; "" where there is no such time."""
    (year, month, day), (hour, minute, second) = date, time
    if not (0 < year < 10000 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return ""
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def described_patient(age_years: float | None, sex: str) -> dict[str, float | str]:
    """The two as far as they are known: an age beyond any, or a letter that is neither M nor F, is not."""
    found: dict[str, float | str] = {}
    if age_years is not None and 0 <= age_years <= 150:
        found["age_years"] = age_years
    sexes = {"m": "male", "f": "female", "w": "female"}
    if sex.strip()[:1].lower() in sexes:
        found["sex"] = sexes[sex.strip()[:1].lower()]
    return found
