"""One 12-lead WFDB record, read and checked."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import wfdb

from data_prep.build import BadRecordError, to_units
from ecgjax.errors import InputError
from ecgjax.leads import LEADS, to_standard_order

_UNITS_PER_MV = {"mv": 1.0, "uv": 1e3, "µv": 1e3, "μv": 1e3, "v": 1e-3}
"""The spellings of the header's unit, in lower case; micro is either of two characters."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """A record in the order of `LEADS`.

    Attributes:
      ecg: int16 [time, lead], microvolts.
      num_clipped: samples beyond what int16 microvolts hold, 32.767 mV.
    """

    ecg: np.ndarray
    fs_hz: float
    num_clipped: int


def read_recording(path: str) -> Recording:
    """Reads the WFDB record at `path` (no extension).

    Raises:
      BadRecordError: a file is missing, damaged or disagrees with its header; leads are not the twelve; a sample is
        missing; a lead is flat.
    """
    record = read_digital(path)
    names = record.sig_name or []
    if len(names) != len(LEADS):
        raise BadRecordError(f"expected {len(LEADS)} leads, the header has {len(names)}")
    check_checksums(record, expanded=False)
    signal_mv = record.dac() / [units_per_mv(unit) for unit in record.units]
    try:
        signal_mv = to_standard_order(signal_mv, names)
    except InputError as error:
        raise BadRecordError(str(error)) from None
    if not record.fs > 0:
        raise BadRecordError(f"the header gives a sampling rate of {record.fs} Hz")
    check_samples(signal_mv, LEADS)
    ecg, num_clipped = to_units(signal_mv)
    return Recording(ecg, float(record.fs), int(num_clipped))


def asked_records(record: str | None, folder: str | None) -> list[tuple[str, Path]]:
    """Identifier and path, without the extension, of one record, or of all in a folder and below.

    Raises:
      InputError: not one of the two is given, or the folder holds none.
    """
    if (record is None) == (folder is None):
        raise InputError("expected one of --record and --folder", "give the one that is meant")
    if record is not None:
        path = Path(record.removesuffix(".hea"))
        return [(path.name, path)]
    root = Path(str(folder))
    headers = sorted(root.rglob("*.hea"))
    if not headers:
        raise InputError(f"no .hea file in {root} or below", "give --folder a folder of WFDB records")
    return [(header.relative_to(root).with_suffix("").as_posix(), header.with_suffix("")) for header in headers]


def read_digital(path: str) -> wfdb.Record:
    """Reads the WFDB record at `path` (no extension) in the units of its converter.

    Raises:
      BadRecordError: a file is missing or damaged, or the record is empty.
    """
    if not os.path.exists(f"{path}.hea"):
        raise BadRecordError(f"no file {path}.hea")
    try:
        record = wfdb.rdrecord(path, physical=False)
    except FileNotFoundError as error:
        raise BadRecordError(f"no file {error.filename}") from None
    except Exception as error:  # wfdb reports damage through whatever its parsing and reshaping happen to raise
        reason = " ".join(str(error).split())
        raise BadRecordError(f"the signal file does not fit its header ({reason})") from None
    if not record.sig_len:
        raise BadRecordError("the record holds no samples")
    return record


def check_checksums(record: wfdb.Record, expanded: bool) -> None:
    """Compares the header's sums, modulo 2**16. Some archives write 0 for all of them, which says nothing.

    `expanded` where the record was read without smoothing its frames.
    """
    expected = record.checksum
    if None in expected or not any(expected):
        return
    for name, stated, found in zip(record.sig_name, expected, record.calc_checksum(expanded=expanded), strict=True):
        if (stated - found) % 2**16:
            raise BadRecordError(f"checksum of lead {name} is {found}, the header says {stated % 2**16}")


def units_per_mv(unit: str) -> float:
    """Of a unit of a header; raises BadRecordError for one that is no voltage."""
    try:
        return _UNITS_PER_MV[unit.lower()]
    except KeyError:
        raise BadRecordError(f"expected leads in mV, uV or V, the header has {unit!r}") from None


def check_samples(signal_mv: np.ndarray, lead_names: Sequence[str]) -> None:
    """Refuses `[time, lead]` with a missing sample or a flat lead."""
    missing = np.isnan(signal_mv).sum(axis=0)
    if missing.any():
        lead = int(np.argmax(missing > 0))
        raise BadRecordError(
            f"{missing[lead]} of {len(signal_mv)} samples of lead {lead_names[lead]} are missing (NaN)"
        )
    flat = [name for name, span in zip(lead_names, np.ptp(signal_mv, axis=0), strict=True) if span == 0]
    if flat:
        raise BadRecordError(
            "all leads are flat" if len(flat) == len(lead_names) > 1 else f"flat: lead {', '.join(flat)}"
        )
