"""Which files a command line means: files, WFDB records by name, folders and patterns."""

import collections
import dataclasses
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ecgjax.errors import InputError
from ecgjax.recordings import tables, wfdb_files
from ecgjax.recordings.load import format_of, one_line, shown

_ENDINGS = (
    *(".hea", ".edf", ".bdf", ".dcm", ".scp", ".xml", ".npy", ".npz", ".mat", ".h5", ".hdf5", ".parquet"),
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pdf"),
)
_TABLES = (".csv", ".tsv", ".txt")
"""Folders hold other tables, too: labels, lists of records."""

_BESIDE = ("_confidence.hea", "_overlay.png")
"""What is written beside a record that was digitised, after the record's name."""

_HEAD_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Input:
    """A file to be read.

    Attributes:
      name: tells it from all others; a relative path without `..`, and without an ending if that leaves it unique.
      path: of a WFDB record its header.
    """

    name: str
    path: Path


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a command is to work on.

    Attributes:
      files: by name within each folder, else as they were given.
      left_out: ending -> how many files of folders are no recordings.
      is_single: whether one file was meant and no folder or pattern, so that a bad one ends the command.
    """

    files: tuple[Input, ...]
    left_out: dict[str, int]
    is_single: bool


def find_inputs(given: Sequence[str]) -> Inputs:
    """The recordings among the files, records, folders (with all below) and patterns of a command line.

    Raises:
      InputError: a folder or pattern holds none.
    """
    paths: dict[Path, None] = {}
    left_out: collections.Counter[str] = collections.Counter()
    folders, is_single = [], len(given) == 1
    for text in given:
        path = Path(text)
        if path.is_dir():
            folders.append(path)
            is_single = False
            found = list(_recordings(_all_files(path), left_out))
            _check_any(found, f"no recording in {shown(path)} or below")
        elif not _exists(path) and glob.has_magic(text):
            is_single = False
            matches = sorted(map(Path, glob.iglob(text, recursive=True)))
            inner = [file for match in matches if match.is_dir() for file in _all_files(match)]
            found = list(_recordings([*(match for match in matches if match.is_file()), *inner], left_out))
            _check_any(found, f"no recording fits {shown(path)}")
        else:
            header = wfdb_files.header_of(path)
            is_of_record = header is not None and (not path.is_file() or path.name in _signal_files(header))
            found = [header if header is not None and is_of_record else path]
        paths |= dict.fromkeys(Path(os.path.normpath(one)) for one in found)
    root = folders[0] if len(given) == 1 and folders else _common_folder(paths)
    return Inputs(_named(list(paths), root), dict(left_out), is_single)


def _exists(path: Path) -> bool:
    try:
        return path.exists() or wfdb_files.header_of(path) is not None
    except (OSError, ValueError):
        return False


def _check_any(found: list[Path], problem: str) -> None:
    if not found:
        raise InputError(problem, "give files of ECGs, or folders of them")


def _all_files(folder: Path) -> list[Path]:
    """All files in a folder and below, sorted, without hidden ones."""
    found = []
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _recordings(files: Iterable[Path], left_out: collections.Counter[str]) -> Iterator[Path]:
    """Those that are recordings, records of WFDB as their headers; counts what is left out but for their parts."""
    files = list(files)
    headers = {path for path in files if path.suffix.lower() == ".hea"}
    # A pattern may name signal files alone.
    of_signals = {path: wfdb_files.header_of(path) for path in files if path.suffix.lower() == ".dat"}
    headers |= {header for header in of_signals.values() if header is not None}
    parts = {header.with_name(name) for header in headers for name in (*_signal_files(header), *_segments(header))}
    parts |= {header.with_name(header.stem + ending) for header in headers for ending in _BESIDE}
    stems = {header.with_suffix("") for header in headers}
    for path in sorted({*files, *headers}):
        if path in parts or (path not in headers and path.with_suffix("") in stems):
            continue
        if _is_recording(path):
            yield path
        else:
            left_out[path.suffix.lower() or "no ending"] += 1


def _is_recording(path: Path) -> bool:
    """As far as its ending and its first bytes tell."""
    ending = path.suffix.lower()
    try:
        if ending in _ENDINGS:
            return path.is_file()
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    if ending in _TABLES:
        return tables.is_table(head) and tables.begins_with_numbers(head)
    return not ending and format_of(head) is not None


def _header_lines(header: Path) -> list[str]:
    """The words of a header's first lines that are no comments."""
    try:
        with header.open("rb") as file:
            text = file.read(16 * _HEAD_BYTES).decode("latin-1")
    except OSError:
        return []
    return [line for line in map(str.strip, text.split("\n")) if line and not line.startswith("#")]


def _signal_files(header: Path) -> set[str]:
    return _names_in(_header_lines(header)[1:])


def _segments(header: Path) -> set[str]:
    """Headers of the segments of a record that has any."""
    lines = _header_lines(header)
    is_segmented = bool(lines) and "/" in lines[0].split()[0]
    return {f"{name}.hea" for name in _names_in(lines[1:])} if is_segmented else set()


def _names_in(lines: list[str]) -> set[str]:
    """The first words of lines, as far as they are names of files of the same folder."""
    words = {line.split()[0] for line in lines}
    return {word for word in words if word.isprintable() and word == Path(word).name and len(word) < 200}


def _common_folder(paths: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths]))


def _named(paths: list[Path], root: Path) -> tuple[Input, ...]:
    relative = [Path(os.path.relpath(os.path.abspath(path), os.path.abspath(root))) for path in paths]
    short = [path.with_suffix("").as_posix() if path.suffix else path.as_posix() for path in relative]
    count = collections.Counter(short)
    return tuple(
        Input(one_line(name if count[name] == 1 else full.as_posix(), 500), path)
        for name, full, path in zip(short, relative, paths, strict=True)
    )
