"""GE MUSE XML: `RestingECG`, samples of 16 bits in base64."""

import base64
import binascii
import re
import xml.etree.ElementTree as ET

import numpy as np

from ecgjax.recordings.contents import Channel, Contents, FormatError, check_size, described_patient, iso_time
from ecgjax.recordings.xml_tree import number_at, text_at

_YEARS = {"YEARS": 1.0, "MONTHS": 1 / 12, "WEEKS": 7 / 365.25, "DAYS": 1 / 365.25}


def read(root: ET.Element) -> Contents:
    """The leads of the waveform of type Rhythm; III, aVR, aVL and aVF follow from the others."""
    waveforms = root.findall("Waveform")
    rhythm = [one for one in waveforms if text_at(one, "WaveformType").lower() == "rhythm"]
    if not rhythm:
        raise FormatError(f"none of its {len(waveforms)} waveforms is of the type Rhythm")
    fs_hz = number_at(text_at(rhythm[0], "SampleBase"), "sample base")
    exponent = number_at(text_at(rhythm[0], "SampleExponent") or "0", "exponent of the rate")
    if abs(exponent) > 6:
        raise FormatError(f"the exponent of the rate is {exponent:g}")
    leads = rhythm[0].findall("LeadData")
    check_size(1, len(leads))
    channels = [_channel(lead, fs_hz * 10.0**exponent) for lead in leads]
    check_size(max(len(channel.samples) for channel in channels), len(channels))
    return Contents("GE MUSE XML", channels, _started(root), _patient(root), [])


def _channel(lead: ET.Element, fs_hz: float) -> Channel:
    name = text_at(lead, "LeadID")
    try:
        data = base64.b64decode("".join(text_at(lead, "WaveFormData").split()), validate=True)
    except (binascii.Error, ValueError):
        raise FormatError(f"the samples of lead {name[:20]} are not in base64") from None
    if (bits := text_at(lead, "LeadSampleSize")) not in ("", "2"):
        raise FormatError(f"a sample has {bits[:20]} bytes, not 2")
    said = int(number_at(text_at(lead, "LeadSampleCountTotal") or str(len(data) // 2), "number of samples"))
    if len(data) != 2 * said:
        raise FormatError(f"lead {name[:20]} has {len(data) // 2} samples, its header says {said}")
    scale = number_at(text_at(lead, "LeadAmplitudeUnitsPerBit"), "amplitude per bit")
    return Channel(name, text_at(lead, "LeadAmplitudeUnits"), fs_hz, np.frombuffer(data, "<i2") * scale)


def _started(root: ET.Element) -> str:
    date = re.fullmatch(r"(\d\d)-(\d\d)-(\d{4})", text_at(root, "TestDemographics/AcquisitionDate"))
    time = re.fullmatch(r"(\d\d):(\d\d):(\d\d)", text_at(root, "TestDemographics/AcquisitionTime"))
    if date is None:
        return ""
    clock = (int(time[1]), int(time[2]), int(time[3])) if time else (0, 0, 0)
    return iso_time((int(date[3]), int(date[1]), int(date[2])), clock)


def _patient(root: ET.Element) -> dict[str, float | str]:
    age = text_at(root, "PatientDemographics/PatientAge")
    unit = text_at(root, "PatientDemographics/AgeUnits").upper() or "YEARS"
    years = float(age) * _YEARS[unit] if age.isdecimal() and len(age) < 6 and unit in _YEARS else None
    return described_patient(years, text_at(root, "PatientDemographics/Gender"))
