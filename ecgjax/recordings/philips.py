"""Philips Sierra XML (`restingecgdata`, 1.03 and 1.04): samples in base64, plain or compressed by the scheme XLI.

XLI packs each lead on its own: differences of the second order, 64 added, high bytes before low ones, then LZW with
codes of ten bits. The limb leads that follow from I and II are stored as what their laws leave over.
"""

import base64
import binascii
import re
import struct
import xml.etree.ElementTree as ET

import numpy as np

from ecgjax.leads import LEADS
from ecgjax.recordings.contents import (
    Channel,
    Contents,
    FormatError,
    check_file_holds,
    check_size,
    described_patient,
    iso_time,
)
from ecgjax.recordings.xml_tree import number_at

_CODE_BITS = 10
_END = 2**_CODE_BITS - 1
_USUAL_UV = 5.0


def read(root: ET.Element) -> Contents:
    """The leads of `parsedwaveforms`."""
    waveforms, facts = root.find(".//parsedwaveforms"), root.find(".//signalcharacteristics")
    if waveforms is None or facts is None:
        raise FormatError("it has no parsedwaveforms or no signalcharacteristics")
    fs_hz = number_at((facts.findtext("samplingrate") or "").strip(), "rate")
    milliseconds = number_at(waveforms.get("durationperchannel", ""), "duration")
    num_samples = int(milliseconds * fs_hz / 1000)
    names = (waveforms.get("leadlabels") or " ".join(LEADS)).split()
    count = waveforms.get("numberofleads") or str(len(names))
    names = names[: int(number_at(count, "number of leads"))]
    check_size(num_samples, len(names))
    notes = []
    said = facts.findtext("resolution") or facts.findtext("signalresolution")
    if said is None:
        notes.append(f"resolution not stated, taken for {_USUAL_UV:g} uV")
    microvolts = _USUAL_UV if said is None else number_at(said.strip(), "resolution")
    if waveforms.get("dataencoding", "Base64").lower() != "base64":
        raise FormatError(f"its samples are encoded as {waveforms.get('dataencoding', '')[:20]!r}, not in base64")
    try:
        data = base64.b64decode("".join((waveforms.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("its samples are not in base64") from None
    method = waveforms.get("compressmethod") or waveforms.get("compression") or ""
    if method.upper() == "XLI":
        leads = _xli(data, len(names), num_samples)
    elif method in ("", "Uncompressed") and waveforms.get("compressflag", "False") != "True":
        check_file_holds(2 * num_samples * len(names), len(data), "samples")
        leads = list(np.frombuffer(data, "<i2", num_samples * len(names)).reshape(len(names), num_samples).astype(int))
    else:
        raise FormatError(f"its samples are compressed by {method[:20]!r}, which is not supported")
    stored = dict(zip(names, leads, strict=False))
    if len(stored) != len(names):
        raise FormatError(f"its leads are {' '.join(names)[:80]}")
    whole = _with_laws(stored)
    channels = [Channel(name, "uV", fs_hz, samples * microvolts) for name, samples in whole.items()]
    return Contents("Philips XML", channels, _started(root), _patient(root), notes)


def _xli(data: bytes, num_leads: int, num_samples: int) -> list[np.ndarray]:
    leads, at = [], 0
    for _ in range(num_leads):
        check_file_holds(at + 8, len(data), "compressed leads")
        size, _, start = struct.unpack_from("<ihh", data, at)
        if size < 0:
            raise FormatError(f"a compressed lead has {size} bytes")
        check_file_holds(at + 8 + size, len(data), "compressed leads")
        packed = np.frombuffer(_lzw(data[at + 8 : at + 8 + size], 2 * num_samples), np.uint8).reshape(2, num_samples)
        values = (packed[0].astype(np.uint16) << 8 | packed[1]).view(np.int16).astype(np.int64)
        steps = values.copy()
        # x[n] = 2 x[n-1] - x[n-2] - s[n], and the value stored at n is 64 more than s[n+1].
        steps[2:] = -np.append(start, values[2:-1] - 64)[: max(num_samples - 2, 0)]
        steps[1:2] -= values[:1]
        whole = np.cumsum(np.append(steps[:1], np.cumsum(steps[1:])))
        leads.append(whole.astype(np.int16).astype(np.int64))
        at += 8 + size
    return leads


def _lzw(data: bytes, size: int) -> bytes:
    """`size` bytes from codes of ten bits, the first bit the highest; the last code ends them."""
    words = [bytes([k]) for k in range(256)]
    found = bytearray()
    previous = b""
    buffer = num_bits = 0
    for byte in data:
        buffer, num_bits = (buffer << 8 | byte) & 0xFFFFF, num_bits + 8
        if num_bits < _CODE_BITS:
            continue
        num_bits -= _CODE_BITS
        code = buffer >> num_bits & _END
        if code == _END or len(found) >= size:
            break
        if code < len(words):
            word = words[code]
        elif code == len(words) and previous:
            word = previous + previous[:1]
        else:
            raise FormatError(f"a compressed lead has the code {code}, of {len(words)}")
        if previous and len(words) < _END:
            words.append(previous + word[:1])
        found += word
        previous = word
    check_file_holds(size, len(found), "a compressed lead")
    return bytes(found[:size])


def _with_laws(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With III, aVR, aVL and aVF as leads, where they are stored as what is left of them."""
    if not {"I", "II"} <= stored.keys():
        return stored
    one, two = stored["I"], stored["II"]
    three = two - one
    if "III" in stored and np.abs(stored["III"]).sum() >= np.abs(three - stored["III"]).sum():
        return stored
    three = three - stored.get("III", 0)
    laws = {"III": three, "aVR": -((one + two) // 2), "aVL": (one - three) // 2, "aVF": (two + three) // 2}
    return {
        name: three if name == "III" else laws[name] - samples if name in laws else samples
        for name, samples in stored.items()
    }


def _started(root: ET.Element) -> str:
    taken = root.find(".//dataacquisition")
    text = "" if taken is None else f"{taken.get('date', '')} {taken.get('time', '')}"
    match = re.match(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d))?", text)
    if match is None:
        return ""
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    return iso_time((year, month, day), (hour, minute, second))


def _patient(root: ET.Element) -> dict[str, float | str]:
    person = root.find(".//generalpatientdata")
    if person is None:
        return {}
    years = (person.findtext("age/years") or "").strip()
    return described_patient(float(years) if re.fullmatch(r"\d{1,3}", years) else None, person.findtext("sex") or "")
