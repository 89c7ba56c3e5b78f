"""One 12-lead WFDB record, read and checked."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_prep.plain_wfdb import MAX_BYTES, MAX_HEADER_BYTES, PlainRecord, read_plain
from data_prep.shards import BadRecordError, to_int16, to_units
from ecgjax.errors import InputError
from ecgjax.leads import LEADS, to_standard_order

if TYPE_CHECKING:
    import wfdb  # at run time it would bring pandas to processes that meet plain records only

_UNITS_PER_MV = {"mv": 1.0, "uv": 1e3, "µv": 1e3, "μv": 1e3, "v": 1e-3}
"""The spellings of the header's unit, in lower case; micro is either of two characters."""

_LENGTH = re.compile(r"\s*\S+\s+(?P<n_sig>\d+)\s+\S+\s+(?P<sig_len>\d+)")
"""The part of a header's record line that tells its size."""


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
    names = [name or "" for name in record.sig_name or []]
    if len(names) != len(LEADS):
        raise BadRecordError(f"expected {len(LEADS)} leads, the header has {len(names)}")
    check_checksums(record, expanded=False)
    per_mv = [units_per_mv(unit) for unit in record.units]
    microvolts = record.whole_microvolts(per_mv) if isinstance(record, PlainRecord) else None
    signal = record.dac() / per_mv if microvolts is None else microvolts
    try:
        signal = to_standard_order(signal, names)
    except InputError as error:
        raise BadRecordError(str(error)) from None
    if not record.fs > 0:
        raise BadRecordError(f"the header gives a sampling rate of {record.fs} Hz")
    check_samples(signal, LEADS)
    ecg, num_clipped = to_units(signal) if microvolts is None else to_int16(signal)
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


def read_digital(path: str) -> "wfdb.Record | PlainRecord":
    """Reads the WFDB record at `path` (no extension) in the units of its converter.

    Raises:
      BadRecordError: a file is missing or damaged, or the record is empty.
    """
    return read_plain(path) or read_with_wfdb(path)


def read_with_wfdb(path: str) -> "wfdb.Record":
    """`read_digital` of any record that wfdb reads."""
    import wfdb  # noqa: PLC0415 - see above

    if not os.path.exists(f"{path}.hea"):
        raise BadRecordError(f"no file {path}.hea")
    _check_size(path)
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


def _check_size(path: str) -> None:
    """Refuses a record that would take the memory of every process beside it."""
    if os.path.getsize(f"{path}.hea") > MAX_HEADER_BYTES:
        raise BadRecordError(f"{path}.hea has more than {MAX_HEADER_BYTES} bytes, which no header needs")
    with open(f"{path}.hea", encoding="ascii", errors="ignore") as header:
        found = _LENGTH.match(next((line for line in header if line.strip() and line.strip()[0] != "#"), ""))
    if found and 2 * int(found["n_sig"]) * int(found["sig_len"]) > MAX_BYTES:
        size = f"{found['sig_len']} samples of {found['n_sig']} leads"
        raise BadRecordError(f"the header tells of {size}, expected {MAX_BYTES // 2} samples in all")


def check_checksums(record: "wfdb.Record | PlainRecord", expanded: bool) -> None:
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


def check_samples(signal: np.ndarray, lead_names: Sequence[str]) -> None:
    """Refuses `[time, lead]` with a missing sample or a flat lead."""
    span = np.ptp(signal, axis=0)  # NaN where one is missing
    missing = np.isnan(signal[:, np.isnan(span)]).sum(axis=0)
    if len(missing):
        lead = int(np.argmax(np.isnan(span)))
        raise BadRecordError(f"{missing[0]} of {len(signal)} samples of lead {lead_names[lead]} are missing (NaN)")
    flat = [name for name, of_lead in zip(lead_names, span, strict=True) if of_lead == 0]
    if flat:
        raise BadRecordError(
            "all leads are flat" if len(flat) == len(lead_names) > 1 else f"flat: lead {', '.join(flat)}"
        )
