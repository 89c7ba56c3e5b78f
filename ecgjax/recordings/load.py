"""One entry for files of any format: what a file is, it shows by its first bytes; only what is left, by its name."""

import importlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from ecgjax.errors import InputError
from ecgjax.recordings import normalise, scp_ecg, tables, wfdb_files
from ecgjax.recordings.apart import read_apart
from ecgjax.recordings.contents import Contents, FormatError, Stated
from ecgjax.recordings.recording import Recording

FORMATS = (
    "WFDB, EDF, BDF, DICOM, SCP-ECG, HL7 aECG, GE MUSE XML, Philips XML, CSV, TSV, NPY, NPZ, MAT, HDF5, Parquet, PNG, "
    "JPEG, TIFF or PDF"
)
_HEAD_BYTES = 4096
_REMEDY = "restore the file, or state what it lacks"


def load(
    path: str | Path,
    *,
    fs_hz: float | None = None,
    units: str | None = None,
    lead_names: Sequence[str] | None = None,
    member: str | None = None,
) -> Recording:
    """The recording in a file of any known format, in mV.

    A WFDB record is given by its header, one of its signal files or its name without an ending. What a table or an
    array does not say is stated: its rate, its units, the leads of its columns, and, of several variables, the member;
    `name[3]` or `[3]` is one record of an array of records.

    Raises:
      InputError: the file is missing, damaged or of no known format, or something has to be stated.
    """
    path = Path(path)
    stated = Stated(fs_hz, units, None if lead_names is None else tuple(lead_names), member)
    path, format_ = _find(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return normalise.to_recording(_contents(path, format_, stated), stated, path.stem)
    except FormatError as error:
        raise InputError(f"{shown(path)}: expected {format_}, {one_line(str(error))}", _REMEDY) from None
    except InputError as error:
        problem, _, remedy = one_line(str(error), 400).rpartition("; ")
        raise InputError(f"{shown(path)}: {problem}", remedy) from None
    except Exception as error:  # a damaged file makes libraries raise whatever their parsing happens to meet
        reason = one_line(f"{type(error).__name__}: {error}")
        raise InputError(f"{shown(path)}: expected {format_}, it cannot be read ({reason})", _REMEDY) from None


_MODULES = {
    "WFDB": "wfdb_files",
    "EDF": "edf",
    "DICOM": "dicom",
    "SCP-ECG": "scp_ecg",
    "XML of HL7 aECG, GE MUSE or Philips": "xml_files",
    "a table": "tables",
    "NPY": "numpy_files",
    "NPZ": "numpy_files",
    "MAT": "mat",
    "HDF5": "hdf5",
    "Parquet": "parquet",
    "a picture of an ECG": "pictures",
}
"""Format -> the module with its reader, imported once it is needed."""


_APART = ("HDF5",)
"""Formats whose library crashes on some damaged files, and would take this process with it."""


def _contents(path: Path, format_: str, stated: Stated) -> Contents:
    """What the reader of the format finds."""
    module = _MODULES[format_]
    if format_ in _APART:
        return read_apart(module, path, stated)
    found: Contents = importlib.import_module(f"ecgjax.recordings.{module}").read(path, stated)
    return found


def _find(path: Path) -> tuple[Path, str]:
    """The file to read and its format."""
    try:
        if not path.is_file():
            header = None if path.is_dir() else wfdb_files.header_of(path)
            if header is None:
                kind = "is a folder" if path.is_dir() else "is not there"
                raise InputError(f"{shown(path)} {kind}", f"give a file: {FORMATS}")
            return header, "WFDB"
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot open {shown(path)} ({one_line(str(error))})", "give a file that can be read"
        ) from None
    if not head:
        raise InputError(f"{shown(path)} is empty", f"give a file: {FORMATS}")
    format_ = format_of(head)
    if format_ is not None:
        return path, format_
    header = wfdb_files.header_of(path)
    if header is not None and path.suffix.lower() in _SIGNAL_SUFFIXES:
        return header, "WFDB"
    format_ = _BY_SUFFIX.get(path.suffix.lower())
    if format_ is None and path.suffix.lower() not in _SIGNAL_SUFFIXES and tables.is_table(head):
        format_ = "a table"
    if format_ is None:
        raise InputError(
            f"{shown(path)} is of no known format, it begins with {head[:8].hex(' ')}", f"give a file: {FORMATS}"
        )
    return path, format_


_SIGNAL_SUFFIXES = (".hea", ".dat", ".mat", ".flac", "")
"""Of files of a WFDB record with its header beside."""

_BY_SUFFIX = {".mat": "MAT", ".edf": "EDF", ".bdf": "EDF", ".scp": "SCP-ECG", ".csv": "a table", ".tsv": "a table"}
"""Of files that do not begin as they should: the reader says why not. Level 4 of MAT has no mark at all."""


def format_of(head: bytes) -> str | None:
    """The format that the first bytes of a file are the mark of."""
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[512:520] == b"\x89HDF\r\n\x1a\n":
        return "HDF5"
    if scp_ecg.is_scp(head):
        return "SCP-ECG"
    if re.match(rb"(\xef\xbb\xbf)?\s*<|\xff\xfe<\0|\xfe\xff\0<", head):
        return "XML of HL7 aECG, GE MUSE or Philips"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a picture of an ECG"
    return next((format_ for mark, format_ in _MARKS if head.startswith(mark)), None)


_MARKS = (
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"MATLAB 5.0 MAT-file", "MAT"),
    (b"\x93NUMPY", "NPY"),
    (b"PK\x03\x04", "NPZ"),
    (b"PAR1", "Parquet"),
    (b"0       ", "EDF"),
    (b"\xffBIOSEMI", "EDF"),
    *(
        (mark, "a picture of an ECG")
        for mark in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"%PDF-")
    ),
)


def one_line(text: str, most: int = 200) -> str:
    """Printable and on one line."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))[:most]


def shown(path: Path) -> str:
    """A path on one line."""
    return one_line(str(path), 500)
