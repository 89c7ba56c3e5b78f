"""XML as a tree of names and text, with no entity, no document type of its own and no file ever followed."""

import warnings
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.parsers import expat

import numpy as np

from ecgjax.recordings.contents import FormatError, read_limited

_MAX_DEPTH, _MAX_ELEMENTS = 64, 1_000_000


def read_tree(path: Path) -> ET.Element:
    """The root element; names come without their namespaces.

    Raises:
      FormatError: it is not well formed, declares entities, or is too deep or too large.
    """
    data = read_limited(path)
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="\x01")
    parser.buffer_text = True
    depth = count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > _MAX_DEPTH or count > _MAX_ELEMENTS:
            raise FormatError(f"its elements are deeper than {_MAX_DEPTH} or more than {_MAX_ELEMENTS}")
        builder.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def doctype(name: str, system: str | None, public: str | None, has_subset: int) -> None:
        del name, system, public
        if has_subset:
            raise FormatError("it brings a document type of its own, which is refused")

    def entity(*declaration: object) -> None:
        raise FormatError("it declares an entity, which is refused")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = doctype, entity
    try:
        parser.Parse(data, True)
        return builder.close()
    except expat.ExpatError as error:
        raise FormatError(f"it is not well formed ({error})") from None


def _local(name: str) -> str:
    return name.rpartition("\x01")[2]


def text_at(element: ET.Element, path: str) -> str:
    """The text of the element at `path`, stripped; "" where there is none."""
    return (element.findtext(path) or "").strip()


def number_at(text: str, what: str) -> float:
    """A finite number; raises FormatError for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise FormatError(f"the {what} is {text[:40]!r}")
    return value


def numbers_in(text: str) -> np.ndarray:
    """float64 of numbers with spaces between; raises FormatError for anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, float, sep=" ") if text.strip() else np.zeros(0)
        except (ValueError, DeprecationWarning):
            raise FormatError("its samples are not all numbers") from None
