"""MATLAB files: levels 4 and 5 through SciPy, level 7.3 as the HDF5 that it is."""

import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from ecgjax.recordings.arrays import chosen, contents, member_of, record_of
from ecgjax.recordings.contents import MAX_SAMPLES, Contents, FormatError, Stated, check_size

_COMPRESSED = 15
_MAX_BYTES = 8 * MAX_SAMPLES
_NUMBERS = ("double", "single", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "logical")


def read(path: Path, stated: Stated) -> Contents:
    """One variable of the file, and the small ones beside it that say rate, unit and leads."""
    import scipy.io  # noqa: PLC0415 - other formats do not need it

    _check_elements(path)
    found = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(str(path))}
    shapes = {name: shape for name, (shape, kind) in found.items() if kind in _NUMBERS and len(shape) < 4}
    wanted, index = member_of(stated.member)
    wanted = chosen(shapes, wanted)
    sizes = {name: int(np.prod(np.array(shape, float))) for name, (shape, _) in found.items()}
    check_size(sizes[wanted], 1)
    beside = [name for name, (_, kind) in found.items() if sizes[name] < 4096 and kind in (*_NUMBERS, "char", "cell")]
    loaded = scipy.io.loadmat(str(path), variable_names=[wanted, *beside])
    values = np.asarray(loaded.pop(wanted))
    record = record_of(values.shape, index)
    values = values if record is None else values[record]
    return contents("MAT", values, stated, {name: loaded[name] for name in beside if name in loaded})


def _check_elements(path: Path) -> None:
    """Refuses level 5 files whose elements are beyond the end, or swell beyond the bound when decompressed."""
    size = path.stat().st_size
    order: Literal["big", "little"]
    with path.open("rb") as file:
        head = file.read(128)
        if not head.startswith(b"MATLAB 5.0"):
            return
        order = "big" if head[126:128] == b"MI" else "little"
        while len(tag := file.read(8)) == 8:
            kind, length = int.from_bytes(tag[:4], order), int.from_bytes(tag[4:], order)
            if file.tell() + length > size:
                raise FormatError("a variable is longer than the file")
            if kind == _COMPRESSED:
                _check_swelling(file.read(length))
            else:
                file.seek(length, 1)


def _check_swelling(data: bytes) -> None:
    inflate, total = zlib.decompressobj(), 0
    while data and total <= _MAX_BYTES:
        try:
            total += len(inflate.decompress(data, 2**20))
        except zlib.error as error:
            raise FormatError(f"a compressed variable is damaged ({error})") from None
        data = inflate.unconsumed_tail
    if total > _MAX_BYTES:
        raise FormatError(f"a compressed variable has more than {_MAX_BYTES >> 20} MB")
