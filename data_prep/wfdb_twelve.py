"""A WFDB record with some of the twelve leads, and the same record with the others added.

What was recorded stays as it is to the last byte: signal files are copied, and lines of the header kept. Added leads
come as further channels, with samples in a signal file of their own.
"""

import dataclasses
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import wfdb

from data_prep.shards import GAIN, INT16, BadRecordError, to_units
from data_prep.wfdb_records import check_checksums, units_per_mv
from data_prep.wfdb_rewrite import companions, filled_lines, lead_channels, read_files
from ecgjax.errors import InputError
from ecgjax.leads import LEADS


@dataclasses.dataclass(frozen=True)
class PartialRecord:
    """A record as its files hold it.

    Attributes:
      path: without the extension.
      header: the text of the header file, a character a byte.
      record: what wfdb reads, `e_d_signal` in units of the converter.
      channel_of: lead -> its channel, for the leads that are there, in standard order.
    """

    path: Path
    header: str
    record: wfdb.Record
    channel_of: Mapping[str, int]

    @property
    def given(self) -> tuple[str, ...]:
        """The leads that are there."""
        return tuple(self.channel_of)

    @property
    def samples_per_frame(self) -> int:
        """Of the leads; other channels may have more or fewer."""
        return self.record.samps_per_frame[next(iter(self.channel_of.values()))]

    @property
    def fs_hz(self) -> float:
        """The rate of the leads."""
        return float(self.record.fs) * self.samples_per_frame

    @property
    def signal_mv(self) -> np.ndarray:
        """[time, 12]; zeros for leads that are not there."""
        physical = self.record.dac(expanded=True)
        signal_mv = np.zeros((self.record.sig_len * self.samples_per_frame, len(LEADS)))
        for lead, channel in self.channel_of.items():
            signal_mv[:, LEADS.index(lead)] = physical[channel] / units_per_mv(self.record.units[channel])
        return signal_mv


def read_partial(path: Path) -> PartialRecord:
    """Reads the record at `path` (no extension).

    Raises:
      BadRecordError: a file is missing, damaged or disagrees with its header; no lead is there, one is there twice,
        flat or lacks samples; leads differ in rate or are skewed.
    """
    header, record = read_files(path)
    found = lead_channels(record.sig_name or [])
    if not found:
        raise BadRecordError(f"none of its channels ({', '.join(record.sig_name or [])}) is one of the twelve leads")
    channel_of = {lead: found[lead] for lead in LEADS if lead in found}
    if len({record.samps_per_frame[channel] for channel in channel_of.values()}) > 1:
        raise BadRecordError("the leads differ in rate")
    if any(record.skew[channel] for channel in channel_of.values()):
        raise BadRecordError("the leads are skewed in time")
    for channel in channel_of.values():
        units_per_mv(record.units[channel])
    if not record.fs > 0:
        raise BadRecordError(f"the header gives a sampling rate of {record.fs} Hz")
    check_checksums(record, expanded=True)
    partial = PartialRecord(path, header, record, channel_of)
    signal_mv = partial.signal_mv
    for lead in partial.given:
        samples = signal_mv[:, LEADS.index(lead)]
        missing = int(np.isnan(samples).sum())
        if missing:
            raise BadRecordError(f"{missing} of {len(samples)} samples of lead {lead} are missing (NaN)")
        if np.ptp(samples) == 0:
            raise BadRecordError(f"lead {lead} is flat")
    return partial


def output_names(partial: PartialRecord) -> list[str]:
    """The files that the completed record will have, its header last."""
    beside = [file.name for file in companions(partial.path, partial.record)]
    names = sorted({*partial.record.file_name, *beside, _added_file(partial)})
    return [*names, f"{partial.path.name}.hea"]


def check_free(partial: PartialRecord, folder: Path) -> None:
    """Raises InputError where `folder` has a file of the record already, or the record a file like those added."""
    for name in output_names(partial):
        if (folder / name).exists():
            raise InputError(f"{folder / name} is already there", "give another --output; no file is overwritten")
    if _added_file(partial) in partial.record.file_name:
        raise InputError(f"{partial.path} has rebuilt leads already", "give the record as it was taken")


def write_twelve(partial: PartialRecord, signal_mv: np.ndarray, comments: Sequence[str], folder: Path) -> list[Path]:
    """Writes the record with the leads it lacks, from `signal_mv` `[time, 12]`, and `comments` at its header's end.

    Added leads have a unit of a microvolt. All files appear in `folder` once they are complete, the header last; the
    annotations are copied.

    Raises:
      InputError: a file of that name is there.
      BadRecordError: a sample is beyond 32.767 mV.
    """
    check_free(partial, folder)
    added = [lead for lead in LEADS if lead not in partial.channel_of]
    units, num_clipped = to_units(signal_mv[:, [LEADS.index(lead) for lead in added]])
    if num_clipped:
        raise BadRecordError(f"a rebuilt sample is beyond {INT16.max / GAIN} mV")
    frames = units.reshape(-1, partial.samples_per_frame, len(added)).transpose(0, 2, 1)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incomplete.", dir=folder) as temporary:
        draft = Path(temporary)
        (draft / _added_file(partial)).write_bytes(np.ascontiguousarray(frames, "<i2").tobytes())
        for name in {*partial.record.file_name, *(file.name for file in companions(partial.path, partial.record))}:
            shutil.copyfile(partial.path.parent / name, draft / name)
        header = _new_header(partial, added, units, comments)
        (draft / f"{partial.path.name}.hea").write_bytes(header.encode("latin-1"))
        _check_written(draft / partial.path.name, partial, units)
        for name in output_names(partial):
            (draft / name).rename(folder / name)
    return [folder / name for name in output_names(partial)]


def _added_file(partial: PartialRecord) -> str:
    return f"{partial.path.name}_rebuilt.dat"


def _new_header(partial: PartialRecord, added: Sequence[str], units: np.ndarray, comments: Sequence[str]) -> str:
    """The header with a line for each added lead after those of its channels, WFDB header(5), and the comments."""
    (record_line, _), *channel_lines = filled_lines(partial.header)
    text = partial.header.split("\n")
    line_end = "\r" if text[record_line].endswith("\r") else ""
    count = len(channel_lines) + len(added)
    text[record_line] = re.sub(r"^(\s*\S+\s+)\d+", rf"\g<1>{count}", text[record_line])
    frame = f"x{partial.samples_per_frame}" if partial.samples_per_frame > 1 else ""
    place = f"{_added_file(partial)} 16{frame} {GAIN:g}(0)/mV 16 0"
    lines = [
        f"{place} {samples[0]} {int(samples.sum(dtype=int)) % 2**16} 0 {lead}"
        for lead, samples in zip(added, units.T, strict=True)
    ]
    last = channel_lines[-1][0] + 1
    text[last:last] = [line + line_end for line in lines]
    notes = "".join(f"# {comment}{line_end}\n" for comment in comments)
    return "\n".join(text).rstrip() + f"{line_end}\n{notes}"


def _check_written(path: Path, partial: PartialRecord, units: np.ndarray) -> None:
    """Reads the draft back: a record that is not what was meant is never handed out."""
    written = wfdb.rdrecord(str(path), physical=False, smooth_frames=False)
    wanted = [*partial.record.e_d_signal, *units.T]
    if len(written.e_d_signal) != len(wanted):
        raise BadRecordError(f"it reads back with {len(written.e_d_signal)} channels instead of {len(wanted)}")
    for channel, (meant, found) in enumerate(zip(wanted, written.e_d_signal, strict=True)):
        if not np.array_equal(meant, found):
            raise BadRecordError(f"channel {channel} reads back with other samples than were written")
    check_checksums(written, expanded=True)
