"""HDF5, and with it MATLAB 7.3: one dataset, and the small ones beside it."""

from pathlib import Path
from typing import Any

import numpy as np

from ecgjax.recordings.arrays import chosen, contents, member_of, record_of
from ecgjax.recordings.contents import MAX_SAMPLES, Contents, FormatError, Stated, check_size

_MAX_OBJECTS, _MAX_BESIDE, _MAX_DEPTH = 10_000, 4096, 8


def read(path: Path, stated: Stated) -> Contents:
    """A dataset of numbers; links to other files are not followed."""
    import h5py  # type: ignore[import-untyped]  # noqa: PLC0415 - other formats do not need it

    with h5py.File(path, "r") as file:
        is_matlab = b"MATLAB 7.3" in path.open("rb").read(128)
        datasets: dict[str, Any] = {}
        _collect(h5py, file, "", datasets, 0)
        numbers = {name: each for name, each in datasets.items() if each.dtype.kind in "iuf"}
        wanted, index = member_of(stated.member)
        wanted = chosen({name: each.shape for name, each in numbers.items()}, wanted and wanted.strip("/"))
        dataset = numbers[wanted]
        shape = dataset.shape
        if dataset.external or dataset.is_virtual:
            raise FormatError(f"its dataset {wanted} lies in other files, which are not opened")
        # MATLAB writes the dimensions in reverse, so its records are the last here.
        record = record_of(shape[::-1] if is_matlab else shape, index)
        of_record = shape if record is None else shape[:-1] if is_matlab else shape[1:]
        check_size(int(np.prod(np.array(of_record, float))), 1)
        if dataset.chunks and np.prod(np.array(dataset.chunks, float)) > MAX_SAMPLES:
            raise FormatError(f"its chunks of {dataset.chunks} are larger than {MAX_SAMPLES} samples")
        values = dataset[()] if record is None else dataset[..., record] if is_matlab else dataset[record]
        folder = wanted.rpartition("/")[0]
        small = {
            name.rpartition("/")[2]: each[()]
            for name, each in datasets.items()
            if name != wanted and name.rpartition("/")[0] == folder and _is_small(each)
        }
        small |= {name: value for name, value in dataset.attrs.items() if np.size(value) < _MAX_BESIDE}
    format_ = "MAT" if is_matlab else "HDF5"
    return contents(format_, values.T if is_matlab else values, stated, small)


def _collect(h5py: Any, group: Any, prefix: str, found: dict[str, Any], depth: int) -> None:
    """All datasets below a group, by their paths."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink) or depth > _MAX_DEPTH or len(found) > _MAX_OBJECTS:
            continue
        each = group.get(name)
        if isinstance(each, h5py.Dataset) and each.shape is not None:
            found[prefix + name] = each
        elif isinstance(each, h5py.Group) and not name.startswith("#"):
            _collect(h5py, each, f"{prefix}{name}/", found, depth + 1)


def _is_small(dataset: Any) -> bool:
    return (
        dataset.size < _MAX_BESIDE and not dataset.external and not dataset.is_virtual and dataset.dtype.itemsize < 1024
    )
