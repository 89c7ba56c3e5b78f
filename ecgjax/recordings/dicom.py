"""DICOM waveforms: 12-lead, general and ambulatory ECG (PS3.3 A.34 and C.10.9)."""

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
from ecgjax.recordings.lead_names import is_lead, lead_of
from ecgjax.recordings.scp_ecg import LEAD_OF_CODE

_DEFLATED = "1.2.840.10008.1.2.1.99"
_TYPES = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def read(path: Path, stated: Stated) -> Contents:
    """The channels of the multiplex groups of the file; of several groups those with the most samples at a rate."""
    import pydicom  # noqa: PLC0415 - other formats do not need it
    from pydicom.filebase import DicomBytesIO  # noqa: PLC0415

    data = read_limited(path)
    meta = pydicom.filereader.read_file_meta_info(str(path))
    if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED:
        raise FormatError("it is deflated, which is not supported: write it as Explicit VR Little Endian")
    dataset = pydicom.dcmread(DicomBytesIO(data))
    groups = list(dataset.get("WaveformSequence") or [])
    if not groups:
        raise FormatError("it holds no waveform")
    is_big = not dataset.original_encoding[1]
    # Beside the rhythm a file may hold median beats, which are a group of their own.
    notes = []
    rhythm = [group for group in groups if group.get("WaveformOriginality") != "DERIVED"] or groups
    largest = max(rhythm, key=lambda group: int(group.NumberOfWaveformSamples))
    kept = [group for group in rhythm if _shape_of(group) == _shape_of(largest)]
    if len(kept) < len(groups):
        notes.append(f"{len(groups) - len(kept)} of {len(groups)} multiplex groups left out: other length or derived")
    channels = [channel for group in kept for channel in _channels(group, is_big)]
    return Contents("DICOM", channels, _started(dataset), _patient(dataset), notes)


def _shape_of(group: Any) -> tuple[int, float]:
    return int(group.NumberOfWaveformSamples), float(group.SamplingFrequency)


def _channels(group: Any, is_big: bool) -> list[Channel]:
    num_samples, num_channels = int(group.NumberOfWaveformSamples), int(group.NumberOfWaveformChannels)
    check_size(num_samples, num_channels)
    kind = _TYPES.get(str(group.WaveformSampleInterpretation))
    if kind is None:
        raise FormatError(f"its samples are {str(group.WaveformSampleInterpretation)[:20]}, not linear")
    dtype = np.dtype(kind).newbyteorder(">" if is_big else "<")
    data = bytes(group.WaveformData)
    check_file_holds(num_samples * num_channels * dtype.itemsize, len(data), "samples")
    stored = np.frombuffer(data, dtype, num_samples * num_channels).reshape(num_samples, num_channels)
    padding = group.get("WaveformPaddingValue")
    missing = np.frombuffer(bytes(padding), dtype, 1)[0] if isinstance(padding, bytes) and len(padding) else padding
    definitions = group.ChannelDefinitionSequence
    if len(definitions) != num_channels:
        raise FormatError(f"{num_channels} channels have {len(definitions)} definitions")
    return [
        _channel(definition, samples, missing, float(group.SamplingFrequency))
        for definition, samples in zip(definitions, stored.T, strict=True)
    ]


def _channel(definition: Any, stored: np.ndarray, missing: Any, fs_hz: float) -> Channel:
    """Stored samples times sensitivity and its correction, plus the baseline, which is in units of the result."""
    samples = stored.astype(float)
    unit = ""
    if definition.get("ChannelSensitivity") is not None:
        factor = float(definition.ChannelSensitivity) * float(definition.get("ChannelSensitivityCorrectionFactor") or 1)
        samples = samples * factor + float(definition.get("ChannelBaseline") or 0)
        units = definition.get("ChannelSensitivityUnitsSequence")
        unit = str(units[0].CodeValue) if units else ""
    if missing is not None:
        samples[stored == missing] = np.nan
    return Channel(_lead_name(definition), unit, fs_hz, samples)


def _lead_name(definition: Any) -> str:
    """By the meaning of its code, its label, or the code itself, whose last number is that of SCP-ECG (CID 3001)."""
    sources = definition.get("ChannelSourceSequence")
    meaning = str(sources[0].get("CodeMeaning") or "") if sources else ""
    number = re.search(r"[-:](\d{1,3})$", str(sources[0].get("CodeValue") or "") if sources else "")
    # As in `Lead I (Einthoven)` and `aVR, augmented voltage, right`.
    names = [re.sub(r"\s*[(,].*", "", meaning), str(definition.get("ChannelLabel") or "")]
    names.append(LEAD_OF_CODE.get(int(number[1]), "") if number else "")
    return next((name for name in names if is_lead(lead_of(name)[0])), names[0] or names[1])


def _started(dataset: Any) -> str:
    text = str(dataset.get("AcquisitionDateTime") or "")
    if not text:
        text = f"{dataset.get('AcquisitionDate') or dataset.get('StudyDate') or ''}{dataset.get('StudyTime') or ''}"
    match = re.match(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d))?", text)
    if match is None:
        return ""
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    return iso_time((year, month, day), (hour, minute, second))


def _patient(dataset: Any) -> dict[str, float | str]:
    age = re.fullmatch(r"(\d{1,3})([DWMY])", str(dataset.get("PatientAge") or ""))
    return described_patient(float(age[1]) * _YEARS[age[2]] if age else None, str(dataset.get("PatientSex") or ""))
