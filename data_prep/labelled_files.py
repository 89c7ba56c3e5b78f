"""The recordings of a folder, and the spellings under which a table may name them."""

import collections
import os
from collections.abc import Iterable
from pathlib import Path

_RECORDED = (
    *(".hea", ".edf", ".bdf", ".dcm", ".scp", ".xml", ".csv", ".tsv", ".npy", ".npz", ".mat", ".h5", ".hdf5"),
    *(".parquet", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pdf"),
)
_OF_HEADERS = (".dat", ".mat", ".flac")
"""Endings of the signal files of WFDB, by which a record may be named too."""


class Recordings:
    """Recordings by the spellings under which a table may name them."""

    def __init__(self, paths: Iterable[str]):
        self.paths = list(paths)
        self._of: dict[str, set[str]] = collections.defaultdict(set)
        for path in self.paths:
            stem = os.path.splitext(path)[0]
            base = os.path.basename(stem)
            spellings = {path, stem, os.path.basename(path), base}
            if base.isdigit():
                spellings.add(str(int(base)))
            for spelling in spellings:
                self._of[spelling.casefold()].add(path)

    def find(self, value: str) -> set[str]:
        """The recordings that a cell may mean; leading folders of other machines do not matter."""
        parts = value.strip().replace("\\", "/").removeprefix("./").casefold().split("/")
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            stem, ending = os.path.splitext(name)
            for spelling in (name, stem) if ending in (*_RECORDED, *_OF_HEADERS) else (name,):
                if spelling in self._of:
                    return self._of[spelling]
        return set()


def recordings_in(folder: Path) -> list[str]:
    """Paths in the folder of what may be recordings, a header standing for its signal files."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        headed = {name[:-4] for name in names if name.endswith(".hea")}
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            if name.startswith(".") or ending.lower() not in _RECORDED or (ending != ".hea" and stem in headed):
                continue
            found.append(os.path.relpath(os.path.join(place, name), folder).replace(os.sep, "/"))
    return found
