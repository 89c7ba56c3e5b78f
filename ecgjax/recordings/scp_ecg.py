"""SCP-ECG (EN 1064:2005), sections 1 to 6; not bimodal compression, which lowers the rate between beats."""

import dataclasses
import itertools
import struct
from pathlib import Path

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
from ecgjax.recordings.scp_huffman import Table, decode, read_tables

LEAD_OF_CODE = {
    0: "", 1: "I", 2: "II", 3: "V1", 4: "V2", 5: "V3", 6: "V4", 7: "V5", 8: "V6", 9: "V7", 10: "V2R", 11: "V3R",
    12: "V4R", 13: "V5R", 14: "V6R", 15: "V7R", 16: "X", 17: "Y", 18: "Z", 19: "CC5", 20: "CM5", 21: "LA", 22: "RA",
    23: "LL", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF", 65: "-aVR", 66: "V8", 67: "V9", 68: "V8R", 69: "V9R",
}  # fmt: skip
"""Identification of leads in section 3."""

_YEARS = {1: 1.0, 2: 1 / 12, 3: 7 / 365.25, 4: 1 / 365.25, 5: 1 / 8766}
_SECTION_HEADER = 16


@dataclasses.dataclass(frozen=True)
class _Lead:
    name: str
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class _Coded:
    """Section 5 or 6: nanovolts per unit, microseconds per sample, order of differences, and each lead's bytes."""

    nanovolts: int
    microseconds: int
    differences: int
    last_flag: int
    leads: list[bytes]


def is_scp(head: bytes) -> bool:
    """Whether the first bytes of a file are those of SCP-ECG: its section 0 comes first and says so."""
    return head[16:22] == b"SCPECG" and head[8:10] == bytes(2)


def read(path: Path, stated: Stated) -> Contents:
    """The leads of the long-term rhythm."""
    data = read_limited(path)
    check_file_holds(int.from_bytes(data[2:6], "little"), len(data), "record")
    sections = _sections(data)
    for needed, what in ((3, "leads"), (6, "rhythm data")):
        if not sections.get(needed):
            raise FormatError(f"it has no section {needed}, of the {what}")
    leads, subtracts = _lead_definitions(sections[3])
    coded = _coded(sections[6], len(leads))
    if coded.last_flag:
        raise FormatError("its rhythm is in bimodal compression, which is not supported")
    if not coded.nanovolts or not coded.microseconds:
        raise FormatError(f"a unit is {coded.nanovolts} nV and a sample lasts {coded.microseconds} us")
    check_size(max(lead.stop for lead in leads) - min(lead.start for lead in leads), len(leads))
    tables = read_tables(sections[2]) if sections.get(2) else None
    beats = _Beats.of(sections, len(leads), tables) if subtracts else None
    first = min(lead.start for lead in leads)
    channels = []
    for k, lead in enumerate(leads):
        samples = _decoded(coded.leads[k], tables, coded.differences, lead.stop - lead.start).astype(float)
        if beats is not None:
            beats.add(samples, k, lead.start, coded)
        whole = np.append(np.full(lead.start - first, np.nan), samples * coded.nanovolts / 1e6)
        channels.append(Channel(lead.name, "mV", 1e6 / coded.microseconds, whole))
    started, patient = _who_and_when(sections.get(1, b""))
    return Contents("SCP-ECG", channels, started, patient, [])


def _sections(data: bytes) -> dict[int, bytes]:
    """Number -> bytes after the section's header, by the pointers of section 0."""
    size = int.from_bytes(data[10:14], "little")
    pointers = data[6 + _SECTION_HEADER : 6 + size]
    if len(pointers) != size - _SECTION_HEADER or len(pointers) < 10:
        raise FormatError("its section of pointers does not fit the file")
    found = {}
    for number, length, start in struct.iter_unpack("<HII", pointers[: len(pointers) // 10 * 10]):
        if number == 0 or length <= _SECTION_HEADER:
            continue
        if not 0 < start <= len(data) - length + 1:
            raise FormatError(f"section {number} of {length} bytes at {start} is beyond its end")
        section = data[start - 1 : start - 1 + length]
        if int.from_bytes(section[2:4], "little") != number:
            raise FormatError(f"there is no section {number} where a pointer says so")
        found[number] = section[_SECTION_HEADER:]
    return found


def _lead_definitions(section: bytes) -> tuple[list[_Lead], bool]:
    """The leads, and whether a reference beat was subtracted."""
    num_leads, flags = section[0], section[1]
    check_size(1, num_leads)
    check_file_holds(2 + 9 * num_leads, len(section), "leads")
    leads = []
    for k in range(num_leads):
        start, stop, code = struct.unpack_from("<IIB", section, 2 + 9 * k)
        if not 0 < start <= stop:
            raise FormatError(f"lead {k + 1} goes from sample {start} to {stop}")
        leads.append(_Lead(LEAD_OF_CODE.get(code, f"SCP lead {code}"), start - 1, stop))
    return leads, bool(flags & 1)


def _coded(section: bytes, num_leads: int) -> _Coded:
    start = 6 + 2 * num_leads
    check_file_holds(start, len(section), "lengths")
    nanovolts, microseconds, differences, flag = struct.unpack_from("<HHBB", section)
    if differences > 2:
        raise FormatError(f"its samples are differences of order {differences}")
    sizes = struct.unpack_from(f"<{num_leads}H", section, 6)
    check_file_holds(start + sum(sizes), len(section), "samples")
    at = np.cumsum([start, *sizes])
    return _Coded(nanovolts, microseconds, differences, flag, [section[a:b] for a, b in itertools.pairwise(at)])


def _decoded(data: bytes, tables: list[Table] | None, differences: int, num_samples: int) -> np.ndarray:
    """int64 [time]; without tables a sample has two bytes."""
    if tables is None:
        check_file_holds(2 * num_samples, len(data), "samples of a lead")
        samples = np.frombuffer(data, "<i2", num_samples).astype(np.int64)
    else:
        # A code has a bit at least.
        check_file_holds(num_samples // 8, len(data), "codes of a lead")
        samples = decode(data, tables, num_samples)
    if differences == 1:
        return np.cumsum(samples)
    if differences == 2:
        # The first two are samples themselves: x[n] = d[n] + 2 x[n-1] - x[n-2].
        steps = samples.copy()
        steps[1:2] -= samples[:1]
        return np.cumsum(np.append(samples[:1], np.cumsum(steps[1:])))
    return samples


@dataclasses.dataclass(frozen=True)
class _Beats:
    """The reference beat in nV [lead][time], its fiducial point, and where it was subtracted [beat, (from, at, to)]."""

    reference_nv: list[np.ndarray]
    microseconds: int
    fiducial: int
    places: np.ndarray

    @classmethod
    def of(cls, sections: dict[int, bytes], num_leads: int, tables: list[Table] | None) -> "_Beats":
        """From sections 4 and 5."""
        if not sections.get(4) or not sections.get(5):
            raise FormatError("a reference beat was subtracted, and sections 4 and 5 do not say which and where")
        coded = _coded(sections[5], num_leads)
        length_ms, fiducial, num_beats = struct.unpack_from("<HHH", sections[4])
        check_file_holds(6 + 14 * num_beats, len(sections[4]), "beats")
        if not coded.microseconds or not fiducial:
            raise FormatError("its reference beat has no rate or no fiducial point")
        num_samples = length_ms * 1000 // coded.microseconds
        check_size(num_samples, num_leads)
        reference = [_decoded(data, tables, coded.differences, num_samples) * coded.nanovolts for data in coded.leads]
        rows = [struct.unpack_from("<HIII", sections[4], 6 + 14 * k) for k in range(num_beats)]
        places = np.array([row[1:] for row in rows if row[0] == 0], np.int64).reshape(-1, 3)
        return cls(reference, coded.microseconds, fiducial, places)

    def add(self, samples: np.ndarray, lead: int, start: int, coded: _Coded) -> None:
        """Puts the beat back into the residual `samples` [time] of a lead, in place."""
        if coded.microseconds != self.microseconds:
            raise FormatError("its reference beat is at another rate than its rhythm, which is not supported")
        reference = self.reference_nv[lead] / coded.nanovolts
        for first, fiducial, last in self.places:
            at = np.arange(max(first - 1 - start, 0), min(last - start, len(samples)))
            source = at + start + 1 - fiducial + self.fiducial - 1
            is_in = (source >= 0) & (source < len(reference))
            samples[at[is_in]] += reference[source[is_in]]


def _who_and_when(section: bytes) -> tuple[str, dict[str, float | str]]:
    """From the tagged fields of section 1; names are not looked at."""
    fields: dict[int, bytes] = {}
    at = 0
    while at + 3 <= len(section) and section[at] != 255:
        size = int.from_bytes(section[at + 1 : at + 3], "little")
        fields.setdefault(section[at], section[at + 3 : at + 3 + size])
        at += 3 + size
    started = ""
    if len(fields.get(25, b"")) == 4:
        time = fields.get(26, b"")
        clock = (time[0], time[1], time[2]) if len(time) == 3 else (0, 0, 0)
        year, month, day = struct.unpack("<HBB", fields[25])
        started = iso_time((year, month, day), clock)
    age = None
    if len(fields.get(4, b"")) == 3 and fields[4][2] in _YEARS:
        age = int.from_bytes(fields[4][:2], "little") * _YEARS[fields[4][2]]
    return started, described_patient(age, {b"\1": "M", b"\2": "F"}.get(fields.get(8, b""), ""))
