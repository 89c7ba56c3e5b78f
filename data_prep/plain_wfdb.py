"""The commonest WFDB records, read in a fiftieth of the time that wfdb takes, to the same values.

One segment, one signal file of 16-bit samples, and a header in which every field is written out (WFDB header(5)): so
are PTB-XL, MIMIC-IV-ECG and the records of PhysioNet's challenges on ECGs. wfdb spends its time on looking
up types of header fields in pandas tables. Whatever is out of the ordinary, damage above all, is left to wfdb, which
stays the reference.
"""

import datetime
import os
import re
from collections.abc import Sequence

import numpy as np

from data_prep.shards import GAIN
from ecgjax.recordings import wfdb_plain
from ecgjax.recordings.contents import FormatError

_RECORD = re.compile(
    r"[-\w]+ (?P<n_sig>\d{1,4}) (?P<fs>\d{1,9}(?:\.\d{1,9})?) (?P<sig_len>\d{1,10})"
    r"(?: (\d\d?):(\d\d?):(\d\d?)(?: (\d\d?)/(\d\d?)/(\d{4}))?)?",
    re.ASCII,
)
_SIGNAL = re.compile(
    r"(?P<file_name>[-\w]+\.\w+) 16(?:\+(?P<byte_offset>\d{1,9}))? "
    r"(?P<gain>\d{1,9}(?:\.\d{1,9})?)(?:\((?P<baseline>-?\d{1,9})\))?/(?P<units>\w+) "
    r"\d+ (?P<adc_zero>-?\d{1,9}) -?\d+ (?P<checksum>-?\d{1,9}) \d+ (?P<name>[!-~](?:[ -~]*[!-~])?)",
    re.ASCII,
)
MAX_BYTES = 2**28
"""Of a record's samples, 16 bits each: six hours of twelve leads at 500 Hz."""

MAX_HEADER_BYTES = 2**20

_FORMAT, _BITS = "16", 16
MISSING = wfdb_plain.missing_value(_BITS)
"""The value of a sample that was not taken."""


class PlainRecord:
    """What the callers of `wfdb_records.read_digital` use of a `wfdb.Record`, under its names.

    Attributes:
      d_signal: int16 [time, lead], units of the converter.
      adc_gain, baseline: [lead], units per physical unit and at 0.
      checksum: [lead], as the header states it.
    """

    def __init__(self, fs: float, d_signal: np.ndarray, signal_lines: list[re.Match]):
        self.fs = int(fs) if round(fs, 8) == int(fs) else fs
        self.d_signal = d_signal
        self.sig_name = [line["name"] for line in signal_lines]
        self.units = [line["units"] for line in signal_lines]
        self.adc_gain = [float(line["gain"]) for line in signal_lines]
        self.baseline = [int(line["baseline"] or line["adc_zero"]) for line in signal_lines]
        self.checksum = [int(line["checksum"]) for line in signal_lines]

    def whole_microvolts(self, units_per_mv: Sequence[float]) -> np.ndarray | None:
        """int32 [time, lead], where a unit of the converter is a whole number of microvolts and no sample is missing.

        `units_per_mv` [lead] is of the physical units. None elsewhere, where `dac` has to do.
        """
        per_unit = GAIN / (np.array(self.adc_gain) * units_per_mv)
        limit = (2**31 - 1) // (max(map(abs, self.baseline)) - MISSING)
        is_whole = per_unit.max() <= limit and (per_unit == np.rint(per_unit)).all()
        if not is_whole or self.d_signal.min() == MISSING:
            return None
        microvolts = self.d_signal.astype(np.int32)
        if any(self.baseline):
            microvolts -= np.array(self.baseline, np.int32)
        return microvolts if (per_unit == 1).all() else microvolts * per_unit.astype(np.int32)

    @property
    def sig_len(self) -> int:
        return len(self.d_signal)

    def calc_checksum(self, expanded: bool) -> list[int]:
        """Of each lead, modulo 2**16; a plain record reads the same `expanded` or not."""
        del expanded
        return wfdb_plain.checksums(self.d_signal).tolist()

    def dac(self) -> np.ndarray:
        """float64 [time, lead] in physical units, NaN where a sample is missing."""
        return wfdb_plain.physical(self.d_signal, self.baseline, self.adc_gain, _BITS)


def read_plain(path: str) -> PlainRecord | None:
    """The record at `path` (no extension); None where it is not plain, not whole or not there."""
    try:
        with open(f"{path}.hea", "rb") as header:
            lines = header.read(MAX_HEADER_BYTES).decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    lines = [line for line in map(str.strip, lines) if line and line[0] != "#"]
    record_line = _RECORD.fullmatch(lines[0]) if lines else None
    signal_lines = [found for line in lines[1:] if (found := _SIGNAL.fullmatch(line))]
    if record_line is None or not len(signal_lines) == len(lines) - 1 == int(record_line["n_sig"]) > 0:
        return None
    fs, sig_len = float(record_line["fs"]), int(record_line["sig_len"])
    num_bytes = 2 * sig_len * len(signal_lines)
    places = {(line["file_name"], line["byte_offset"]) for line in signal_lines}
    gains = [float(line["gain"]) for line in signal_lines]
    if not (len(places) == 1 and fs and 0 < num_bytes <= MAX_BYTES and all(gains) and _has_time(record_line)):
        return None
    file_name, byte_offset = places.pop()
    signal_file = os.path.join(os.path.dirname(path), file_name)
    try:
        samples = wfdb_plain.stored_samples(signal_file, _FORMAT, int(byte_offset or 0), sig_len, len(signal_lines))
    except (OSError, FormatError):
        return None
    return PlainRecord(fs, samples, signal_lines)


def _has_time(record_line: re.Match) -> bool:
    """Whether the time and the date exist, where they are given."""
    hour, minute, second, day, month, year = record_line.groups()[-6:]
    try:
        if hour is not None:
            datetime.time(int(hour), int(minute), int(second))
        if day is not None:
            datetime.date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True
