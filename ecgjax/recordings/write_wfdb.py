"""Recordings as WFDB records (header(5), signal(5)), written without wfdb, which takes seconds to import, or CSV."""

import datetime
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgjax.errors import InputError
from ecgjax.recordings.load import one_line
from ecgjax.recordings.recording import Recording

UNITS_PER_MV = 1000
"""Of a recording that fits: a step is a microvolt."""

_LARGEST, _MISSING = 2**15 - 2, -(2**15)


def record_name(name: str) -> str:
    """A name with what WFDB does not allow in that of a record replaced."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"


def check_free(*paths: Path) -> None:
    """Raises InputError where one of the files is there."""
    for path in paths:
        if path.exists() or path.is_symlink():
            raise InputError(f"{path} is already there", "give another --output; no file is overwritten")


def write_wfdb(recording: Recording, folder: Path, name: str, comments: Sequence[str]) -> list[Path]:
    """Writes NAME.dat and NAME.hea to `folder`, both or none, and returns their paths.

    Samples are of 16 bits and a microvolt each, coarser where the voltages need it; what was not recorded is marked as
    invalid. Age, sex and time of the recording go into the header, as do the `comments`.

    Raises:
      InputError: a file of that name is there.
    """
    name = record_name(name)
    written = [folder / f"{name}.dat", folder / f"{name}.hea"]
    check_free(*written)
    is_known = np.isfinite(recording.signal_mv)
    peak_mv = float(np.max(np.abs(recording.signal_mv), where=is_known, initial=0.0))
    gain = UNITS_PER_MV if peak_mv * UNITS_PER_MV <= _LARGEST else float(f"{_LARGEST / peak_mv * 0.999:.3g}")
    units = np.rint(np.where(is_known, recording.signal_mv, 0) * np.float64(gain)).astype("<i2")
    units[~is_known] = _MISSING
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incomplete.", dir=folder) as draft:
        units.tofile(Path(draft, written[0].name))
        Path(draft, written[1].name).write_bytes(_header(recording, name, units, gain, comments))
        for path in written:
            Path(draft, path.name).rename(path)
    return written


def _header(recording: Recording, name: str, units: np.ndarray, gain: float, comments: Sequence[str]) -> bytes:
    lines = [f"{name} {units.shape[1]} {recording.fs_hz:.10g} {len(units)}{_begin(recording.started)}"]
    sums = units.sum(axis=0, dtype=np.int64) % 2**16
    for lead, first, total in zip(recording.lead_names, units[0], sums, strict=True):
        lines.append(f"{name}.dat 16 {gain:g}(0)/mV 16 0 {first} {total} 0 {one_line(lead)}")
    known = {key: recording.patient[key] for key in ("age_years", "sex") if key in recording.patient}
    if "age_years" in known:
        lines.append(f"# Age: {float(known['age_years']):.0f}")
    if "sex" in known:
        lines.append(f"# Sex: {str(known['sex'])[:1].upper()}")
    lines += [f"# {one_line(comment, 2000)}" for comment in comments]
    return "\n".join([*lines, ""]).encode("latin-1", "replace")


def _begin(started: str) -> str:
    try:
        time = datetime.datetime.fromisoformat(started)
    except ValueError:
        return ""
    return f" {time:%H:%M:%S} {time.day:02}/{time.month:02}/{time.year:04}"


def write_csv(recording: Recording, path: Path) -> Path:
    """Writes `time_s` and a column a lead, in mV and named so; what was not recorded is left empty.

    Raises:
      InputError: the file is there.
    """
    check_free(path)
    titles = ["time_s", *(f"{one_line(lead).replace(',', ' ')} (mV)" for lead in recording.lead_names)]
    draft = path.with_name(f".incomplete.{path.name}")
    with draft.open("w") as file:
        file.write(",".join(titles) + "\n")
        for k, row in enumerate(recording.signal_mv.tolist()):
            cells = (f"{value:.4f}" if math.isfinite(value) else "" for value in row)
            file.write(f"{k / recording.fs_hz:.6f},{','.join(cells)}\n")
    draft.rename(path)
    return path
