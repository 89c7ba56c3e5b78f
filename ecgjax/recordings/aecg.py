"""HL7 annotated ECG, the XML of the FDA (ANSI/HL7 V3 ECG R1-2004)."""

import re
import xml.etree.ElementTree as ET

import numpy as np

from ecgjax.recordings.contents import Channel, Contents, FormatError, check_size, described_patient, iso_time
from ecgjax.recordings.xml_tree import number_at, numbers_in

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}


def read(root: ET.Element) -> Contents:
    """The series of rhythm of an `AnnotatedECG`; derived series, such as median beats, are left out."""
    series = root.findall(".//component/series")
    rhythm = [one for one in series if _code(one) in ("RHYTHM", "")] or series
    if not rhythm:
        raise FormatError("it holds no series")
    sets = [one for one in rhythm[0].iter("sequenceSet")]
    notes = [f"{len(series) - 1} further series left out"] if len(series) > 1 else []
    if len(sets) > 1:
        notes.append(f"{len(sets) - 1} further sets of sequences left out")
    if not sets:
        raise FormatError("its series holds no sequences")
    channels = []
    fs_hz = None
    for sequence in sets[0].iter("sequence"):
        code, value = _code(sequence), sequence.find("value")
        if value is None:
            continue
        if code.startswith("TIME_"):
            fs_hz = _rate(value)
        else:
            channels.append((code, *_samples(value)))
    check_size(max((len(samples) for _, _, samples in channels), default=0), len(channels))
    patient = described_patient(*_subject(root))
    found = [Channel(code, unit, fs_hz, samples) for code, unit, samples in channels]
    return Contents("HL7 aECG", found, _started(rhythm[0]), patient, notes)


def _code(element: ET.Element) -> str:
    code = element.find("code")
    return "" if code is None else code.get("code", "")


def _rate(value: ET.Element) -> float:
    """From the increment of a GLIST."""
    increment = value.find("increment")
    if increment is None:
        raise FormatError("its time has no increment")
    seconds = number_at(increment.get("value", ""), "increment of time") * _SECONDS.get(increment.get("unit", "s"), 0.0)
    if not seconds > 0:
        raise FormatError(f"its time proceeds by {increment.get('value')} {increment.get('unit')}")
    return round(1 / seconds, 6)


def _samples(value: ET.Element) -> tuple[str, np.ndarray]:
    """Unit and samples of a SLIST_PQ: origin + scale * digits."""
    origin, scale = value.find("origin"), value.find("scale")
    if scale is None:
        raise FormatError("a sequence has no scale")
    unit = scale.get("unit", "")
    step = number_at(scale.get("value", ""), "scale of a sequence")
    zero = 0.0 if origin is None else number_at(origin.get("value") or "0", "origin of a sequence")
    if zero and origin is not None and origin.get("unit", unit) != unit:
        raise FormatError(f"a sequence has its origin in {origin.get('unit')} and its scale in {unit}")
    return unit, zero + step * numbers_in(value.findtext("digits") or "")


def _started(series: ET.Element) -> str:
    low = series.find("effectiveTime/low")
    match = re.match(r"(\d{4})(\d\d)(\d\d)(\d\d)?(\d\d)?(\d\d)?", "" if low is None else low.get("value", ""))
    if match is None:
        return ""
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    return iso_time((year, month, day), (hour, minute, second))


def _subject(root: ET.Element) -> tuple[float | None, str]:
    """Age, where both birth and record are dated, and the code of the sex."""
    person = root.find(".//subjectDemographicPerson")
    if person is None:
        return None, ""
    sex, birth = person.find("administrativeGenderCode"), person.find("birthTime")
    taken = root.find(".//series/effectiveTime/low")
    dates = [re.match(r"\d{8}", "" if one is None else one.get("value", "")) for one in (birth, taken)]
    age = None
    if dates[0] and dates[1]:
        age = float((int(dates[1][0]) - int(dates[0][0])) // 10_000)
    return age, "" if sex is None else sex.get("code", "")
