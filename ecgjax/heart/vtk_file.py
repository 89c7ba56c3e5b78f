"""Unstructured grids in VTK's own formats: legacy files are read, XML files (`.vtu`) written.

Formats: VTK user's guide, "VTK File Formats", sections "Simple Legacy Formats" and "XML File Formats".
"""

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ecgjax.errors import InputError

CELL_TYPES = {3: 5, 4: 10}
"""Corners of a cell -> VTK's number for it: triangle, tetrahedron."""

_TYPE_NAMES = {"f4": "Float32", "i4": "Int32", "u1": "UInt8"}


def read_tetrahedra(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points `[point, 3]` and corners `[cell, 4]` of a legacy ASCII file that holds an unstructured grid.

    Raises:
      InputError: the file is absent, of another format, holds other cells than tetrahedra, or is cut short.
    """
    try:
        lines = path.read_text(encoding="latin-1").split("\n", 4)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})", "give a legacy VTK file") from None
    kinds = [line.strip().upper() for line in lines[2:4]]
    if not lines[0].startswith("# vtk DataFile") or kinds != ["ASCII", "DATASET UNSTRUCTURED_GRID"]:
        raise InputError(f"{path} is no unstructured grid in legacy ASCII VTK", "convert it, for example in ParaView")
    words = lines[4].split() if len(lines) > 4 else []
    points, words = _section(path, words, "POINTS", 3)
    cells, words = _section(path, words, "CELLS", 5)
    types, _ = _section(path, words, "CELL_TYPES", 1)
    corners = cells.astype(int)
    if np.any(corners[:, 0] != 4) or np.any(types != CELL_TYPES[4]) or len(types) != len(cells):
        raise InputError(f"{path} holds other cells than tetrahedra", "give a tetrahedral mesh")
    corners = corners[:, 1:]
    if not np.isfinite(points).all() or corners.min() < 0 or corners.max() >= len(points):
        raise InputError(f"a cell of {path} names a point that is not there", "restore the file")
    return points, corners


def _section(path: Path, words: list[str], name: str, width: int) -> tuple[np.ndarray, list[str]]:
    """The rows of a section, its head `NAME rows ...`, and the words after it."""
    if words[:1] != [name] or len(words) < 3 or not words[1].isdigit() or not int(words[1]):
        raise InputError(f"{path} has no section {name} where one is due", "restore the file: it may be cut short")
    rows, head = int(words[1]), 2 if name == "CELL_TYPES" else 3
    numbers = words[head : head + rows * width]
    if len(numbers) < rows * width:
        raise InputError(
            f"{path} is cut short: {name} has {len(numbers)} of {rows * width} numbers", "fetch the file again"
        )
    try:
        return np.array(numbers, float).reshape(rows, width), words[head + rows * width :]
    except ValueError as error:
        raise InputError(f"{name} of {path} holds what is no number ({error})", "restore the file") from None


def write_vtu(path: Path, points_mm: np.ndarray, corners: np.ndarray, fields: Mapping[str, np.ndarray]) -> None:
    """Writes triangles or tetrahedra that ParaView opens: `[point, 3]`, `[cell, 3 or 4]`, and fields `[point]`."""
    _write(path, _grid(points_mm, corners), fields)


def write_series(
    path: Path,
    points_mm: np.ndarray,
    corners: np.ndarray,
    fields: Mapping[str, np.ndarray],
    times_ms: Sequence[float],
) -> None:
    """As `write_vtu`, with fields `[time, point]`: a `.pvd` file, and a grid for each time in a folder of its name."""
    grid, folder = _grid(points_mm, corners), path.with_suffix("")
    folder.mkdir()
    root = ElementTree.Element("VTKFile", {"type": "Collection", "version": "0.1"})
    frames = ElementTree.SubElement(root, "Collection")
    for k, time_ms in enumerate(times_ms):
        name = f"{k:04}.vtu"
        _write(folder / name, grid, {field: values[k] for field, values in fields.items()})
        ElementTree.SubElement(frames, "DataSet", {"timestep": f"{time_ms:g}", "file": f"{folder.name}/{name}"})
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _grid(points_mm: np.ndarray, corners: np.ndarray) -> ElementTree.Element:
    """The part of a file that says where points and cells are."""
    num_cells, num_corners = corners.shape
    size = {"NumberOfPoints": str(len(points_mm)), "NumberOfCells": str(num_cells)}
    piece = ElementTree.Element("Piece", size)
    _add(ElementTree.SubElement(piece, "Points"), "Points", points_mm.astype("<f4"))
    cells = ElementTree.SubElement(piece, "Cells")
    _add(cells, "connectivity", corners.ravel().astype("<i4"))
    _add(cells, "offsets", np.arange(num_corners, num_cells * num_corners + 1, num_corners).astype("<i4"))
    _add(cells, "types", np.full(num_cells, CELL_TYPES[num_corners], "u1"))
    return piece


def _write(path: Path, grid: ElementTree.Element, fields: Mapping[str, np.ndarray]) -> None:
    form = {"type": "UnstructuredGrid", "version": "1.0", "byte_order": "LittleEndian", "header_type": "UInt32"}
    root = ElementTree.Element("VTKFile", form | {"compressor": "vtkZLibDataCompressor"})
    piece = ElementTree.SubElement(ElementTree.SubElement(root, "UnstructuredGrid"), "Piece", grid.attrib)
    values = ElementTree.SubElement(piece, "PointData")
    for name, field in fields.items():
        _add(values, name, field.astype("<f4"))
    piece.extend(grid)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _add(parent: ElementTree.Element, name: str, array: np.ndarray) -> None:
    """Adds an array as one zlib block in base64, after a head that says how long it is and was."""
    form = {"type": _TYPE_NAMES[array.dtype.str[1:]], "Name": name, "format": "binary"}
    if array.ndim > 1:
        form["NumberOfComponents"] = str(array.shape[1])
    packed = zlib.compress(array.tobytes())
    # The third number is the length of a last block that is shorter than the others: there is none.
    head = struct.pack("<4I", 1, array.nbytes, 0, len(packed))
    ElementTree.SubElement(parent, "DataArray", form).text = (
        base64.b64encode(head) + base64.b64encode(packed)
    ).decode()
