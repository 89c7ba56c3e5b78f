"""A 12-lead WFDB record, rewritten with leads in other places or of other sign, and nothing else changed.

Samples are taken as the files hold them, in units of the converter. A lead that comes from another channel brings that
channel's gain, baseline and unit along; a lead that is turned has its samples and its baseline negated, which is exact
and always fits. Header lines of other channels, comments and signal files without a changed channel stay as they are.
"""

import copy
import dataclasses
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import wfdb

from data_prep.shards import BadRecordError
from data_prep.wfdb_records import check_checksums, units_per_mv
from ecgjax.errors import InputError
from ecgjax.leads import LEADS, canonical_lead

if TYPE_CHECKING:
    from ecgjax.placements.repair import Undoing  # at run time it brings JAX

BITS = {"80": 8, "508": 8, "212": 12, "16": 16, "516": 16, "24": 24, "524": 24, "32": 32}
"""The storage formats that can be written, and how many bits a sample has; the least number says "missing"."""


@dataclasses.dataclass(frozen=True)
class StoredRecord:
    """A record as its files hold it.

    Attributes:
      path: without the extension.
      header: the text of the header file, a character a byte.
      record: what wfdb reads, `e_d_signal` in units of the converter.
      channels: [lead] the channel of each of LEADS.
    """

    path: Path
    header: str
    record: wfdb.Record
    channels: tuple[int, ...]

    @property
    def fs_hz(self) -> float:
        """The rate of the leads."""
        return float(self.record.fs) * self.record.samps_per_frame[self.channels[0]]

    @property
    def signal_mv(self) -> np.ndarray:
        """[time, lead]; NaN where the converter missed a sample."""
        physical = self.record.dac(expanded=True)
        return np.stack([physical[c] / units_per_mv(self.record.units[c]) for c in self.channels], axis=1)

    @property
    def companions(self) -> list[Path]:
        """Other files of the record, such as annotations."""
        return companions(self.path, self.record)


@dataclasses.dataclass(frozen=True)
class NewLead:
    """Where a lead's samples come from: another lead's with a sign, or given in mV `[time]`, NaN for missing."""

    source: str
    sign: int
    computed_mv: np.ndarray | None = None


def companions(path: Path, record: wfdb.Record) -> list[Path]:
    """The files beside the header of the record at `path` that belong to it and hold no signals."""
    own = {f"{path.name}.hea", *record.file_name}
    beside = sorted(path.parent.glob(f"{path.name}.*"))
    return [file for file in beside if file.stem == path.name and file.name not in own and file.is_file()]


def read_stored(path: Path) -> StoredRecord:
    """Reads the record at `path` (no extension).

    Raises:
      BadRecordError: a file is missing, damaged or disagrees with its header; a lead is missing or there twice; leads
        differ in rate or format; the format cannot be written.
    """
    header, record = read_files(path)
    channel_of = lead_channels(record.sig_name or [])
    missing = [lead for lead in LEADS if lead not in channel_of]
    if missing:
        raise BadRecordError(f"expected the twelve leads, missing {', '.join(missing)}")
    channels = tuple(channel_of[lead] for lead in LEADS)
    kinds = {(record.fmt[c], record.samps_per_frame[c], record.skew[c] or 0) for c in channels}
    if len(kinds) > 1:
        raise BadRecordError(f"the leads differ in format, rate or skew: {sorted(kinds)}")
    for channel in channels:
        units_per_mv(record.units[channel])
    for format_ in record.fmt:
        if format_ not in BITS:
            raise BadRecordError(f"format {format_} cannot be written; the formats are {', '.join(BITS)}")
    check_checksums(record, expanded=True)
    return StoredRecord(path, header, record, channels)


def read_files(path: Path) -> tuple[str, wfdb.Record]:
    """The text of the header of the record at `path` (no extension), a character a byte, and what wfdb reads.

    Raises:
      BadRecordError: a file is missing or damaged, or the record has several segments.
    """
    header_file = path.with_name(f"{path.name}.hea")
    if not header_file.is_file():
        raise BadRecordError(f"no file {header_file}")
    header = header_file.read_bytes().decode("latin-1")
    if "/" in filled_lines(header)[0][1].split()[0]:
        raise BadRecordError("the record has several segments; merge them into one")
    try:
        record = wfdb.rdrecord(str(path), physical=False, smooth_frames=False)
    except FileNotFoundError as error:
        raise BadRecordError(f"no file {error.filename}") from None
    except Exception as error:  # wfdb reports damage through whatever its parsing and reshaping happen to raise
        raise BadRecordError(f"the signal file does not fit its header ({' '.join(str(error).split())})") from None
    if not isinstance(record, wfdb.Record) or not record.sig_len:
        raise BadRecordError("the record holds no samples")
    return header, record


def lead_channels(names: Sequence[str]) -> dict[str, int]:
    """Lead -> the channel that holds it; raises BadRecordError where one is there twice."""
    channel_of: dict[str, int] = {}
    for channel, name in enumerate(names):
        try:
            lead = canonical_lead(name)
        except InputError:
            continue  # a channel of its own kind, such as a pressure
        if lead in channel_of:
            raise BadRecordError(f"lead {lead} is there twice")
        channel_of[lead] = channel
    return channel_of


def new_leads(stored: StoredRecord, undoing: "Undoing") -> dict[str, NewLead]:
    """What the leads become that `undoing` changes."""
    computed_mv = undoing.apply(stored.signal_mv)
    return {
        lead: NewLead(LEADS[undoing.source[place]], int(undoing.sign[place]))
        if undoing.sign[place]
        else NewLead(lead, 1, computed_mv[:, place])
        for place, lead in enumerate(LEADS)
        if lead in undoing.changed
    }


def write_rewritten(stored: StoredRecord, new_leads: Mapping[str, NewLead], comment: str, folder: Path) -> list[Path]:
    """Writes the record with `new_leads` in place of those of that name, and `comment` at the end of its header.

    All files appear in `folder` once they are complete, the header last; the annotations are copied.

    Raises:
      InputError: a file of that name is there.
      BadRecordError: a computed sample does not fit the format.
    """
    check_free(stored, folder)
    places = dict(zip(LEADS, stored.channels, strict=True))
    samples = [np.asarray(channel, np.int64) for channel in stored.record.e_d_signal]
    new_samples = list(samples)
    for lead, new in new_leads.items():
        if new.computed_mv is None:
            new_samples[places[lead]] = new.sign * samples[places[new.source]]
        else:
            new_samples[places[lead]] = _converted(stored.record, places[lead], new.computed_mv)
    header = _new_header(stored, new_leads, new_samples, comment)
    changed = {stored.record.file_name[places[lead]] for lead in new_leads}

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incomplete.", dir=folder) as temporary:
        draft = Path(temporary)
        for name in set(stored.record.file_name):
            if name in changed:
                _write_signals(stored, name, new_samples, draft)
            else:
                shutil.copyfile(stored.path.parent / name, draft / name)
        for companion in stored.companions:
            shutil.copyfile(companion, draft / companion.name)
        (draft / f"{stored.path.name}.hea").write_bytes(header.encode("latin-1"))
        _check_written(draft / stored.path.name, new_samples)
        for name in _output_names(stored):
            (draft / name).rename(folder / name)
    return [folder / name for name in _output_names(stored)]


def check_free(stored: StoredRecord, folder: Path) -> None:
    """Raises InputError where `folder` has a file of the record already."""
    for name in _output_names(stored):
        if (folder / name).exists():
            raise InputError(f"{folder / name} is already there", "give another --output; no file is overwritten")


def _output_names(stored: StoredRecord) -> list[str]:
    """The files of the record, its header last."""
    names = sorted({*stored.record.file_name, *(file.name for file in stored.companions)})
    return [*names, f"{stored.path.name}.hea"]


def filled_lines(header: str) -> list[tuple[int, str]]:
    """Number and text of the lines that are no comments: that of the record, then those of the channels."""
    lines = [(number, line.strip()) for number, line in enumerate(header.split("\n"))]
    filled = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not filled:
        raise BadRecordError("the header is empty")
    return filled


def _new_header(stored: StoredRecord, new_leads: Mapping[str, NewLead], samples: list[np.ndarray], comment: str) -> str:
    """The header with the lines of `new_leads` rewritten and a comment at its end."""
    _, *channel_lines = filled_lines(stored.header)
    text = stored.header.split("\n")
    states_checksums = any(stored.record.checksum)
    for lead, new in new_leads.items():
        channel = stored.channels[LEADS.index(lead)]
        source = stored.channels[LEADS.index(new.source)]
        number, place = channel_lines[channel]
        line_end = text[number][len(text[number].rstrip()) :]
        checksum = int(samples[channel].sum()) % 2**16 if states_checksums else 0
        first = int(samples[channel][0])
        text[number] = _signal_line(place, channel_lines[source][1], new.sign, first, checksum) + line_end
    return "\n".join(text).rstrip() + f"\n# {comment}\n"


_SIGNAL_LINE = re.compile(
    r"(?P<place>\S+\s+\S+)\s+(?P<gain>[^\s(/]+)(?:\((?P<baseline>-?\d+)\))?(?P<unit>/\S+)?\s+(?P<bits>\d+)\s+(?P<zero>-?\d+)"
    r"\s+-?\d+\s+-?\d+\s+(?P<rest>\d+\s+\S.*)"
)
"""WFDB header(5): file and format, gain(baseline)/unit, resolution and zero of the converter, first sample, checksum,
block size and name."""


def _signal_line(place: str, content: str, sign: int, first: int, checksum: int) -> str:
    """The line of a channel at the place of the line `place` that holds what `content` describes, with a sign."""
    here, there = _SIGNAL_LINE.fullmatch(place), _SIGNAL_LINE.fullmatch(content)
    if not here or not there:
        raise BadRecordError(f"a line of the header leaves fields out: {content if here else place}")
    baseline = f"({sign * int(there['baseline'])})" if there["baseline"] else ""
    gain = f"{there['gain']}{baseline}{there['unit'] or ''}"
    return f"{here['place']} {gain} {there['bits']} {sign * int(there['zero'])} {first} {checksum} {here['rest']}"


def _converted(record: wfdb.Record, channel: int, signal_mv: np.ndarray) -> np.ndarray:
    """Samples in units of the channel's converter."""
    physical = signal_mv * units_per_mv(record.units[channel])
    units = np.rint(physical * record.adc_gain[channel] + record.baseline[channel])
    limit = 2 ** (BITS[record.fmt[channel]] - 1)
    if np.nanmax(np.abs(units), initial=0) >= limit:
        raise BadRecordError(f"a sample of {record.sig_name[channel]} does not fit format {record.fmt[channel]}")
    return np.where(np.isnan(units), -limit, units).astype(np.int64)


def _write_signals(stored: StoredRecord, name: str, samples: list[np.ndarray], folder: Path) -> None:
    """One signal file, with the bytes that come before its samples."""
    record = stored.record
    channels = [channel for channel, file_name in enumerate(record.file_name) if file_name == name]
    part = copy.copy(record)
    for field in ("file_name", "fmt", "samps_per_frame"):
        setattr(part, field, [getattr(record, field)[channel] for channel in channels])
    part.e_d_signal = [samples[channel] for channel in channels]
    part.byte_offset = None
    part.wr_dat_files(expanded=True, write_dir=str(folder))
    num_leading = (record.byte_offset or [0] * record.n_sig)[channels[0]] or 0
    if num_leading:
        leading = (stored.path.parent / name).read_bytes()[:num_leading]
        (folder / name).write_bytes(leading + (folder / name).read_bytes())


def _check_written(path: Path, samples: list[np.ndarray]) -> None:
    """Reads the draft back: a record that is not what was meant is never handed out."""
    written = wfdb.rdrecord(str(path), physical=False, smooth_frames=False).e_d_signal
    for channel, (wanted, found) in enumerate(zip(samples, written, strict=True)):
        if not np.array_equal(wanted, found):
            raise BadRecordError(f"channel {channel} reads back with other samples than were written")
