"""The formats of XML, told apart by their root elements."""

from pathlib import Path

from ecgjax.recordings import aecg, muse, philips
from ecgjax.recordings.contents import Contents, FormatError, Stated
from ecgjax.recordings.xml_tree import read_tree

_READERS = {"AnnotatedECG": aecg.read, "RestingECG": muse.read, "restingecgdata": philips.read}


def read(path: Path, stated: Stated) -> Contents:
    """What the reader of the root element finds."""
    root = read_tree(path)
    if root.tag not in _READERS:
        raise FormatError(f"its root element is {root.tag[:40]!r}")
    return _READERS[root.tag](root)
