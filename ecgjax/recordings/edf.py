"""EDF, EDF+ and BDF (Kemp and Olivan, Clin Neurophysiol 2003, 114:1755; www.edfplus.info)."""

import re
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
)
from ecgjax.recordings.lead_names import electrodes_of, is_lead, lead_of

_FIXED_BYTES, _BYTES_A_SIGNAL = 256, 256
_FIELDS = {
    "label": 16, "transducer": 80, "unit": 8, "physical_min": 8, "physical_max": 8, "digital_min": 8,
    "digital_max": 8, "filter": 80, "samples": 8, "reserved": 32,
}  # fmt: skip
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def read(path: Path, stated: Stated) -> Contents:
    """The signals of the file; where some are leads of an ECG by their labels, only these."""
    size = path.stat().st_size
    with path.open("rb") as file:
        fixed = file.read(_FIXED_BYTES)
        num_signals = _integer(fixed[252:256], "number of signals")
        if not 0 < num_signals <= 4096:
            raise FormatError(f"its header says {num_signals} signals")
        check_file_holds(_FIXED_BYTES + num_signals * _BYTES_A_SIGNAL, size, "header")
        fields = _signal_fields(file.read(num_signals * _BYTES_A_SIGNAL), num_signals)
    bytes_a_sample = 3 if fixed[0] == 0xFF else 2
    samples = [_integer(text, "number of samples") for text in fields["samples"]]
    if min(samples) < 0:
        raise FormatError("a signal has fewer than no samples")
    start, bytes_a_record = _integer(fixed[184:192], "size of the header"), bytes_a_sample * sum(samples)
    if start != _FIXED_BYTES + num_signals * _BYTES_A_SIGNAL or not bytes_a_record:
        raise FormatError(f"its header says that it has {start} bytes and a record {bytes_a_record}")
    seconds = _number(fixed[244:252], "duration of a record")
    num_records = _integer(fixed[236:244], "number of records")
    notes = []
    if num_records == -1:
        num_records = (size - start) // bytes_a_record
        notes.append(f"number of records not stated, {num_records} by the size of the file")
    if num_records < 1:
        raise FormatError(f"its header says {num_records} records")
    check_file_holds(start + num_records * bytes_a_record, size, "records")
    if size > start + num_records * bytes_a_record:
        notes.append(f"{size - start - num_records * bytes_a_record} bytes after the last record left out")
    labels = [text.decode("latin-1").strip() for text in fields["label"]]
    signals = [k for k, label in enumerate(labels) if "Annotations" not in label and samples[k] and label != "Status"]
    wanted = _ecg_signals(labels, signals)
    if len(wanted) < len(signals):
        notes.append(f"{len(signals) - len(wanted)} signals of other kinds left out")
    if not wanted or not seconds > 0:
        raise FormatError(f"it holds {len(wanted)} signals in records of {seconds:g} s")
    check_size(num_records * max(samples[k] for k in wanted), len(wanted))
    records = np.memmap(path, np.uint8, "r", start, (num_records, bytes_a_record))
    at = np.cumsum([0, *samples]) * bytes_a_sample
    onsets = np.arange(num_records) * seconds
    if fixed[192:197] in (b"EDF+D", b"BDF+D"):
        onsets = _onsets(records, at, labels)
        notes.append("records with pauses between them, which are gaps")
    channels = []
    for k in wanted:
        physical = _physical(records[:, at[k] : at[k + 1]], fields, k, bytes_a_sample)
        fs_hz = samples[k] / seconds
        channels.append(Channel(labels[k], _unit(fields["unit"][k]), fs_hz, _placed(physical, onsets, fs_hz)))
    started, patient = _who_and_when(fixed)
    return Contents("BDF" if bytes_a_sample == 3 else "EDF", channels, started, patient, notes)


def _integer(text: bytes, what: str) -> int:
    if not re.fullmatch(rb"\s*[+-]?\d{1,9}\s*", text.replace(b"\0", b" ")):
        raise FormatError(f"the {what} is {text.decode('latin-1').strip()!r}")
    return int(text.replace(b"\0", b" "))


def _number(text: bytes, what: str) -> float:
    try:
        value = float(text.replace(b"\0", b" ").replace(b",", b"."))
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise FormatError(f"the {what} is {text.decode('latin-1').strip()!r}")
    return value


def _signal_fields(header: bytes, num_signals: int) -> dict[str, list[bytes]]:
    """Field -> its bytes for each signal."""
    found, start = {}, 0
    for name, width in _FIELDS.items():
        found[name] = [header[start + k * width : start + (k + 1) * width] for k in range(num_signals)]
        start += num_signals * width
    return found


def _unit(text: bytes) -> str:
    return text.decode("latin-1").strip(" \0")


def _ecg_signals(labels: list[str], signals: list[int]) -> list[int]:
    """Those of an ECG by their labels or, where no label is of one, all."""
    if electrodes_of([labels[k] for k in signals]):
        return signals
    leads = [k for k in signals if is_lead(lead_of(labels[k])[0])]
    named = [k for k in signals if "ECG" in labels[k].upper() or "EKG" in labels[k].upper()]
    return leads or named or signals


def _physical(stored: np.ndarray, fields: dict[str, list[bytes]], k: int, bytes_a_sample: int) -> np.ndarray:
    """float64 [record, sample] in the signal's unit."""
    low, high = _number(fields["physical_min"][k], "physical minimum"), _number(fields["physical_max"][k], "maximum")
    lowest = _integer(fields["digital_min"][k], "digital minimum")
    highest = _integer(fields["digital_max"][k], "digital maximum")
    if highest == lowest or high == low:
        raise FormatError("a signal has no range of values")
    if bytes_a_sample == 2:
        digital = np.ascontiguousarray(stored).view("<i2").astype(float)
    else:
        three = stored.reshape(len(stored), -1, 3).astype(np.int32)
        digital = ((three[..., 0] << 8 | three[..., 1] << 16 | three[..., 2] << 24) >> 8).astype(float)
    return (digital - lowest) * ((high - low) / (highest - lowest)) + low


def _placed(physical: np.ndarray, onsets: np.ndarray, fs_hz: float) -> np.ndarray:
    """[time] from [record, sample], each record at its onset."""
    first = np.rint((onsets - onsets[0]) * fs_hz).astype(np.int64)
    length = physical.shape[1]
    if np.array_equal(first, np.arange(len(first)) * length):
        return physical.ravel()
    if (np.diff(first) < length).any():
        raise FormatError("its records overlap in time")
    check_size(int(first[-1]) + length, 1)
    whole = np.full(int(first[-1]) + length, np.nan)
    whole[first[:, None] + np.arange(length)] = physical
    return whole


def _onsets(records: np.ndarray, at: np.ndarray, labels: list[str]) -> np.ndarray:
    """When each record begins, in s, from the first annotation of each."""
    keeper = next((k for k, label in enumerate(labels) if "Annotations" in label), None)
    if keeper is None:
        raise FormatError("it has pauses, but no annotations that say when")
    found = [
        re.match(rb"\+?(-?\d{1,9}(?:\.\d{1,9})?)\x14", bytes(row)) for row in records[:, at[keeper] : at[keeper + 1]]
    ]
    if None in found:
        raise FormatError("a record does not say when it begins")
    return np.array([float(match[1]) for match in found if match])


def _who_and_when(fixed: bytes) -> tuple[str, dict[str, float | str]]:
    """ISO text of the start and what is known of the patient; the year 1985 begins the century, by the format."""
    numbers = [int(text) for text in re.findall(rb"\d{1,2}", fixed[168:184])]
    started, year = "", 0
    if len(numbers) == 6:
        day, month, year, *time = numbers
        year += 1900 if year >= 85 else 2000
        started = iso_time((year, month, day), (time[0], time[1], time[2]))
    who = fixed[8:88].decode("latin-1").split()
    sex = who[1] if len(who) > 1 and who[1] in ("M", "F") else ""
    age = None
    born = re.fullmatch(r"(\d\d)-([A-Z]{3})-(\d{4})", who[2].upper()) if len(who) > 2 else None
    if born and started and born[2] in _MONTHS:
        birthday = (_MONTHS.index(born[2]) + 1, int(born[1]))
        age = float(year - int(born[3]) - ((numbers[1], numbers[0]) < birthday))
    return started, described_patient(age, sex)
