"""WFDB records of one segment and one rate, decoded without wfdb, which takes seconds to import (signal(5))."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgjax.recordings.contents import Channel, FormatError, check_file_holds

_BITS = {"16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "212": 12}
"""The storage formats that are decoded here, and the bits of a sample."""

Calibration = float | Sequence[float]
"""Of one signal, or of each."""

_CALIBRATION = re.compile(
    r"(?P<gain>[+-]?[\d.]+(?:[eE][+-]?\d{1,2})?)(?:\((?P<baseline>-?\d{1,10})\))?(?:/(?P<unit>\S+))?"
    r"\s+\d+\s+(?P<zero>-?\d{1,10})\s+-?\d+\s+(?P<checksum>-?\d{1,10})\s+\d+(?:\s+(?P<name>.*))?"
)


@dataclasses.dataclass(frozen=True)
class _Signal:
    gain: float
    baseline: int
    unit: str
    checksum: int
    name: str


def read_plain(folder: Path, lines: list[re.Match], fs_hz: float, length: int) -> list[Channel] | None:
    """The channels of the signal lines of a header; None where wfdb has to read them.

    Raises:
      FormatError: a file is shorter than the header says, or a checksum is wrong.
    """
    calibrated = [_CALIBRATION.fullmatch(line["rest"] or "") for line in lines]
    is_plain = all((line["frame"] or "1", line["skew"] or "0") == ("1", "0") for line in lines)
    if not (is_plain and length and all(calibrated) and all(line["format"] in _BITS for line in lines)):
        return None
    signals = [_signal(match) for match in calibrated if match]
    found: dict[int, Channel] = {}
    for name in dict.fromkeys(line["file"] for line in lines):
        members = [k for k, line in enumerate(lines) if line["file"] == name]
        kinds = {lines[k]["format"] for k in members}
        if len(kinds) > 1 or any(signals[k].gain == 0 for k in members):
            return None
        stored = stored_samples(folder / name, kinds.pop(), int(lines[members[0]]["offset"] or 0), length, len(members))
        for k, samples in zip(members, stored.T, strict=True):
            found[k] = _channel(signals[k], samples, _BITS[lines[k]["format"]], fs_hz)
    return [found[k] for k in range(len(lines))]


def _signal(match: re.Match) -> _Signal:
    try:
        gain = float(match["gain"])
    except ValueError:
        gain = 0.0
    baseline = int(match["baseline"] or match["zero"])
    return _Signal(gain, baseline, match["unit"] or "mV", int(match["checksum"]), match["name"] or "")


def stored_samples(path: str | Path, format_: str, offset: int, length: int, num_signals: int) -> np.ndarray:
    """int [time, signal] in units of the converter, from the byte `offset` on.

    Raises:
      FormatError: the file is shorter.
    """
    count = length * num_signals
    needed = -(-count * _BITS[format_] // 8)
    with open(path, "rb", buffering=0) as opened:
        opened.seek(offset)
        data = np.frombuffer(opened.read(needed), np.uint8)
    check_file_holds(needed, len(data), os.path.basename(path))
    if format_ == "212":
        samples = _of_twelve_bits(data, count)
    elif format_ == "24":
        three = data.reshape(-1, 3).astype(np.int32)
        samples = (three[:, 0] << 8 | three[:, 1] << 16 | three[:, 2] << 24) >> 8
    elif format_ == "80":
        samples = data.astype(np.int16) - 128
    else:
        samples = data.view({"16": "<i2", "32": "<i4", "61": ">i2"}[format_])
    return samples.reshape(length, num_signals)


def _of_twelve_bits(data: np.ndarray, count: int) -> np.ndarray:
    """Two samples in three bytes: the low bytes are the first and the third, the second has the high bits of both."""
    three = np.append(data, np.zeros(-len(data) % 3, np.uint8)).reshape(-1, 3).astype(np.int16)
    first = three[:, 0] | (three[:, 1] & 0x0F) << 8
    second = three[:, 2] | (three[:, 1] & 0xF0) << 4
    both = np.stack([first, second], axis=1).reshape(-1)[:count]
    return np.where(both > 2047, both - 4096, both)


def _channel(signal: _Signal, samples: np.ndarray, bits: int, fs_hz: float) -> Channel:
    found, said = int(checksums(samples)), signal.checksum % 2**16
    if signal.checksum and found != said:
        raise FormatError(f"the checksum of {signal.name[:40]} is {found}, the header says {said}")
    return Channel(signal.name, signal.unit, fs_hz, physical(samples, signal.baseline, signal.gain, bits))


def checksums(samples: np.ndarray) -> np.ndarray:
    """Of samples `[time, ...]`, as a header states them modulo 2**16."""
    return samples.sum(axis=0, dtype=np.int64) % 2**16


def physical(samples: np.ndarray, baseline: Calibration, gain: Calibration, bits: int) -> np.ndarray:
    """float64 in the header's unit of samples `[time, ...]` of so many bits; NaN where none was taken."""
    found = samples.astype(np.float64)
    found -= baseline
    found /= gain
    missing = missing_value(bits)
    if samples.min() == missing:
        found[samples == missing] = np.nan
    return found


def missing_value(bits: int) -> int:
    """The least number says that nothing was recorded."""
    return -(2 ** (bits - 1))
