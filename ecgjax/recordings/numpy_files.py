"""NPY and NPZ, whose headers are checked before anything is loaded and which never unpickle."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ecgjax.recordings.arrays import chosen, contents, member_of, record_of
from ecgjax.recordings.contents import MAX_SAMPLES, Contents, FormatError, Stated, check_file_holds

_MAX_BESIDE, _MAX_MEMBERS = 2**16, 10_000


def read(path: Path, stated: Stated) -> Contents:
    """One array, of several recordings one."""
    return _read_npz(path, stated) if zipfile.is_zipfile(path) else _read_npy(path, stated)


def _read_npy(path: Path, stated: Stated) -> Contents:
    """The array, mapped rather than loaded: of many records one is read."""
    with path.open("rb") as file:
        shape, is_fortran, dtype = _header(file)
        start = file.tell()
    _check(shape, dtype, path.stat().st_size - start)
    _, index = member_of(stated.member)
    mapped: np.ndarray = np.memmap(path, dtype, "r", start, shape, "F" if is_fortran else "C")
    record = record_of(shape, index)
    if record is not None:
        mapped = mapped[record]
    _check_size(mapped)
    return contents("NPY", np.array(mapped), stated, {})


def _read_npz(path: Path, stated: Stated) -> Contents:
    """One array of the archive, and the small ones beside it that say rate, unit and leads."""
    with zipfile.ZipFile(path) as archive:
        members = {
            info.filename.removesuffix(".npy"): info for info in archive.infolist() if info.filename.endswith(".npy")
        }
        if not members or len(members) > _MAX_MEMBERS:
            raise FormatError(f"it is an archive with {len(members)} arrays")
        headers = {}
        for name, info in members.items():
            with archive.open(info) as file:
                headers[name] = (*_header(file), info)
        shapes = {name: shape for name, (shape, _, dtype, _) in headers.items() if dtype.kind in "iuf"}
        wanted, index = member_of(stated.member)
        wanted = chosen(shapes, wanted)
        values = _loaded(archive, *headers[wanted])
        small = {
            name: _loaded(archive, *header)
            for name, header in headers.items()
            if name != wanted and header[3].file_size < _MAX_BESIDE
        }
    record = record_of(values.shape, index)
    return contents("NPZ", values if record is None else values[record], stated, small)


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and type."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(file, max_header_size=10_000)
    if dtype.hasobject:
        raise FormatError("it holds Python objects, which are never unpickled")
    if dtype.itemsize > 1024 or any(length < 0 for length in shape):
        raise FormatError(f"it holds {shape} of {dtype.itemsize} bytes")
    return shape, is_fortran, dtype


def _check(shape: tuple[int, ...], dtype: np.dtype, found: int) -> None:
    needed = dtype.itemsize
    for length in shape:
        needed *= length
    check_file_holds(needed, found, "samples")


def _check_size(values: np.ndarray) -> None:
    if values.size > MAX_SAMPLES or not values.size:
        raise FormatError(f"it holds {values.size} samples; at most {MAX_SAMPLES} are loaded")


def _loaded(
    archive: zipfile.ZipFile, shape: tuple[int, ...], is_fortran: bool, dtype: np.dtype, info: Any
) -> np.ndarray:
    with archive.open(info) as file:
        _header(file)
        size = dtype.itemsize
        for length in shape:
            size *= length
        if size > 8 * MAX_SAMPLES:
            raise FormatError(f"an array of shape {shape} is larger than {MAX_SAMPLES} samples")
        # The archive's own statement of a size may lie: only so much is ever decompressed.
        data = _read(file, size)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")


def _read(file: Any, size: int) -> bytes:
    """`size` bytes, growing with what comes rather than with what is announced."""
    found = io.BytesIO()
    while found.tell() < size:
        part = file.read(min(size - found.tell(), 2**20))
        if not part:
            break
        found.write(part)
    check_file_holds(size, found.tell(), "an array")
    return found.getvalue()
