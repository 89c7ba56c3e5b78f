"""WFDB records, whose header is checked before wfdb follows it (header(5) of the WFDB manual)."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np

from ecgjax.recordings.contents import (
    Channel,
    Contents,
    FormatError,
    Stated,
    check_file_holds,
    check_size,
    described_patient,
    iso_time,
    read_limited,
)
from ecgjax.recordings.wfdb_plain import read_plain

_BITS = {
    "8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "310": 10, "311": 10,
    "508": 0, "516": 0, "524": 0,
}  # fmt: skip
_FLAC = ("508", "516", "524")
"""Storage format -> bits of a sample; FLAC, which has no certain number, among them."""

_SIGNAL = re.compile(
    r"(?P<file>\S+)\s+(?P<format>\d+)(?:x(?P<frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d*))?(?:\s+(?P<rest>.*))?"
)
_RECORD = re.compile(
    r"(?P<name>[\w-]+)(?:/(?P<segments>\d+))?\s+(?P<signals>\d+)"
    r"(?:\s+(?P<fs>\d+(?:\.\d*)?)\S*(?:\s+(?P<length>\d+)(?:\s+(?P<rest>.*))?)?)?"
)
_FILE_NAME = re.compile(r"[\w.~+=@ -]+")
_FRAME_FIELDS = (("frame", "1"), ("skew", "0"), ("offset", "0"))
_USUAL_HZ = 250.0
"""Of a header that gives no rate, by the format."""

_MAX_HEADER_BYTES, _MAX_SEGMENTS, _MAX_FRAME, _MAX_SKEW = 2**22, 10_000, 10_000, 1_000_000


@dataclasses.dataclass(frozen=True)
class _Header:
    """Of a record: `rest` is what follows the length, time and date; a record of segments has no signal lines."""

    is_segmented: bool
    fs_hz: float
    length: int
    signals: list[re.Match]
    rest: str
    comments: list[str]


def header_of(path: Path) -> Path | None:
    """The header of the record that a file belongs to; None where there is none beside it."""
    header = path if path.suffix.lower() == ".hea" else path.with_suffix(".hea")
    if not path.suffix:
        header = path.with_name(f"{path.name}.hea")
    return header if header.is_file() else None


def read(path: Path, stated: Stated) -> Contents:
    """The record with the header `path`."""
    header = _checked_header(path, is_segment=False)
    channels = None
    if not header.is_segmented:
        channels = read_plain(path.parent, header.signals, header.fs_hz, header.length)
    if channels is None:
        channels = _read_with_wfdb(path, header.is_segmented)
    check_size(max((len(channel.samples) for channel in channels), default=0), len(channels))
    return Contents("WFDB", channels, _started(header.rest), _patient(header.comments), [])


def _read_with_wfdb(path: Path, is_segmented: bool) -> list[Channel]:
    import wfdb  # noqa: PLC0415 - pandas, which plain records do not need

    try:
        record: Any = wfdb.rdrecord(str(path.with_suffix("")), physical=is_segmented, smooth_frames=is_segmented)
    except Exception as error:  # wfdb reports damage through whatever its parsing and reshaping happen to raise
        raise FormatError(f"the signal files do not fit the header ({' '.join(str(error).split())[:120]})") from None
    if is_segmented:
        signals, rates = list(record.p_signal.T), [float(record.fs)] * len(record.sig_name)
    else:
        _check_sums(record)
        signals, rates = record.dac(expanded=True), [float(record.fs * frame) for frame in record.samps_per_frame]
    return [
        Channel(name or "", unit or "", rate, np.asarray(samples))
        for name, unit, rate, samples in zip(record.sig_name, record.units, rates, signals, strict=True)
    ]


def _checked_header(path: Path, is_segment: bool) -> _Header:
    """Of the record at `path`; refuses one that names files elsewhere, or more than they hold."""
    text = read_limited(path, _MAX_HEADER_BYTES).decode("latin-1")
    lines = [line.strip() for line in text.split("\n")]
    comments = [line.lstrip("# ").strip() for line in lines if line.startswith("#")]
    filled = [line for line in lines if line and not line.startswith("#")]
    record = _RECORD.fullmatch(filled[0]) if filled else None
    if record is None:
        raise FormatError("its first line is not `NAME SIGNALS RATE LENGTH`")
    num_signals, length = int(record["signals"][:9]), int((record["length"] or "0")[:12])
    fs_hz = float((record["fs"] or str(_USUAL_HZ))[:40])
    if not fs_hz > 0:
        raise FormatError(f"the rate is {fs_hz} Hz")
    check_size(max(length, 1), num_signals)
    signals = []
    if record["segments"] is not None:
        if is_segment:
            raise FormatError("a segment has segments itself")
        _check_segments(path.parent, filled[1:], int(record["segments"][:9]), length)
    elif len(filled) - 1 != num_signals:
        raise FormatError(f"its first line says {num_signals} signals, there are lines for {len(filled) - 1}")
    else:
        signals = _checked_signals(path.parent, filled[1:], length)
    return _Header(record["segments"] is not None, fs_hz, length, signals, record["rest"] or "", comments)


def _check_segments(folder: Path, lines: list[str], num_segments: int, length: int) -> None:
    if len(lines) != num_segments or not 0 < num_segments <= _MAX_SEGMENTS:
        raise FormatError(f"its first line says {num_segments} segments, there are lines for {len(lines)}")
    total = 0
    for line in lines:
        match = re.fullmatch(r"(~|[\w-]+)\s+(\d{1,12})", line)
        if match is None:
            raise FormatError(f"{line[:60]!r} names no segment of this folder")
        total += int(match[2])
        if match[1] != "~":
            _checked_header(_in_folder(folder, f"{match[1]}.hea"), is_segment=True)
    if total != length:
        raise FormatError(f"the segments have {total} samples, the record {length}")


def _checked_signals(folder: Path, lines: list[str], length: int) -> list[re.Match]:
    needed: dict[str, int] = {}
    compressed = set()
    per_frame, signals = 0, []
    for line in lines:
        match = _SIGNAL.fullmatch(line)
        if match is None or (match["format"] not in _BITS and match["file"] != "~"):
            raise FormatError(f"{line[:60]!r} is no line of a signal")
        frame, skew, offset = (int((match[key] or default)[:12]) for key, default in _FRAME_FIELDS)
        if not 0 < frame <= _MAX_FRAME or skew > _MAX_SKEW:
            raise FormatError(f"{line[:60]!r} has {frame} samples a frame and a skew of {skew}")
        per_frame += frame
        signals.append(match)
        if match["file"] != "~":
            needed[match["file"]] = needed.get(match["file"], 8 * offset) + length * frame * _BITS[match["format"]]
            compressed |= {match["file"]} if match["format"] in _FLAC else set()
    check_size(max(length, 1) * per_frame, 1)
    for name, bits in needed.items():
        file = _in_folder(folder, name)
        found = file.stat().st_size
        check_file_holds(bits // 8, found, name)
        if name in compressed:
            _check_flac(file)
        elif not length:
            check_size(max(found, 1), 1)
    return signals


def _check_flac(file: Path) -> None:
    import soundfile  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with wfdb, for this format only

    try:
        info = soundfile.info(str(file))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise FormatError(f"{file.name} is no FLAC ({error})") from None
    check_size(info.frames, info.channels)


def _in_folder(folder: Path, name: str) -> Path:
    """A file that a header names; only one beside the header will do."""
    if not _FILE_NAME.fullmatch(name) or name in (".", ".."):
        raise FormatError(f"the header names {name[:60]!r}, which is no file beside it")
    file = folder / name
    if not file.is_file():
        raise FormatError(f"the header names {name}, which is not there")
    return file


def _check_sums(record: Any) -> None:
    """The header's sums modulo 2**16; zero for all says nothing."""
    if None in record.checksum or not any(record.checksum):
        return
    for name, said, found in zip(record.sig_name, record.checksum, record.calc_checksum(expanded=True), strict=True):
        if (said - found) % 2**16:
            raise FormatError(f"the checksum of {name} is {found}, the header says {said % 2**16}")


def _started(text: str) -> str:
    """From `HH:MM:SS DD/MM/YYYY`; a time without a date says nothing."""
    match = re.match(r"(\d{1,2}):(\d\d):(\d\d)(?:\.\d+)?\s+(\d{1,2})/(\d{1,2})/(\d{4})", text)
    if match is None:
        return ""
    hour, minute, second, day, month, year = map(int, match.groups())
    return iso_time((year, month, day), (hour, minute, second))


def _patient(comments: list[str]) -> dict[str, float | str]:
    text = " ".join(comments)
    age = re.search(r"\bage\W{1,4}(\d{1,3})\b", text, re.IGNORECASE)
    sex = re.search(r"\b(?:sex|gender)\W{1,4}([MFmf])", text, re.IGNORECASE)
    if age is None and sex is None and comments and (short := re.match(r"(\d{1,3}) ([MF])\b", comments[0])):
        return described_patient(float(short[1]), short[2])
    return described_patient(float(age[1]) if age else None, sex[1] if sex else "")
