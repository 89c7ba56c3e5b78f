"""VTK files: what is written is read back, and damaged ones are refused by name."""

import base64
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.heart.vtk_file import read_tetrahedra, write_series, write_vtu

POINTS_MM = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.5], [1, 1, 1]])
TETRAHEDRA = np.array([[0, 1, 2, 3], [1, 2, 3, 4]])
LEGACY = """# vtk DataFile Version 2.0
a title
ASCII
DATASET UNSTRUCTURED_GRID
POINTS 5 double
0 0 0 1 0 0 0 1 0
0 0 1.5 1 1 1
CELLS 2 10
4 0 1 2 3
4 1 2 3 4
CELL_TYPES 2
10
10
"""
TYPES = {"Float32": "<f4", "Int32": "<i4", "UInt8": "u1"}


def decoded(path):
    """Name -> array of every array of a `.vtu` file, by VTK's description of compressed binary data."""
    root = ElementTree.parse(path).getroot()
    assert root.attrib["compressor"] == "vtkZLibDataCompressor"
    arrays = {}
    for element in root.iter("DataArray"):
        head = base64.b64decode(element.text[:24])
        blocks, size, last, packed = struct.unpack("<4I", head)
        data = zlib.decompress(base64.b64decode(element.text[24:]))
        assert (blocks, last, len(data)) == (1, 0, size)
        assert packed == len(base64.b64decode(element.text[24:]))
        array = np.frombuffer(data, TYPES[element.attrib["type"]])
        arrays[element.attrib["Name"]] = array.reshape(-1, int(element.attrib.get("NumberOfComponents", 1))).squeeze()
    return root.find(".//Piece").attrib, arrays


def test_a_legacy_file_is_read(tmp_path):
    path = tmp_path / "mesh.vtk"
    path.write_text(LEGACY)
    points_mm, corners = read_tetrahedra(path)
    np.testing.assert_array_equal(points_mm, POINTS_MM)
    np.testing.assert_array_equal(corners, TETRAHEDRA)


@pytest.mark.parametrize("corners", [TETRAHEDRA, TETRAHEDRA[:, :3]], ids=["tetrahedra", "triangles"])
def test_a_grid_is_written_and_read_back(tmp_path, corners):
    path = tmp_path / "map.vtu"
    field = np.array([1.25, np.nan, -3, 0, 1e6])
    write_vtu(path, POINTS_MM, corners, {"activation_ms": field})
    piece, arrays = decoded(path)
    assert piece == {"NumberOfPoints": "5", "NumberOfCells": "2"}
    np.testing.assert_array_equal(arrays["activation_ms"], field.astype(np.float32))
    np.testing.assert_allclose(arrays["Points"], POINTS_MM)
    np.testing.assert_array_equal(arrays["connectivity"].reshape(corners.shape), corners)
    np.testing.assert_array_equal(arrays["offsets"], np.arange(1, 3) * corners.shape[1])
    np.testing.assert_array_equal(arrays["types"], {4: 10, 3: 5}[corners.shape[1]])


def test_a_series_lists_its_times_and_files(tmp_path):
    fields = np.arange(15.0).reshape(3, 5)
    write_series(tmp_path / "vm.pvd", POINTS_MM, TETRAHEDRA, {"vm_mv": fields}, [0, 10, 20])
    sets = [element.attrib for element in ElementTree.parse(tmp_path / "vm.pvd").iter("DataSet")]
    assert [entry["timestep"] for entry in sets] == ["0", "10", "20"]
    for entry, field in zip(sets, fields, strict=True):
        np.testing.assert_array_equal(decoded(tmp_path / entry["file"])[1]["vm_mv"], field)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (LEGACY.replace("ASCII", "BINARY"), "no unstructured grid in legacy ASCII VTK"),
        ("", "no unstructured grid in legacy ASCII VTK"),
        (LEGACY.split("0 0 1.5", maxsplit=1)[0], "POINTS has 9 of 15 numbers"),
        (LEGACY.split("4 1 2", maxsplit=1)[0], "CELLS has 5 of 10 numbers"),
        (LEGACY.split("CELL_TYPES", maxsplit=1)[0], "no section CELL_TYPES"),
        (LEGACY.replace("1.5", "high"), "holds what is no number"),
        (LEGACY.replace("10\n10\n", "10\n12\n"), "other cells than tetrahedra"),
        (LEGACY.replace("4 1 2 3 4", "4 1 2 3 5"), "names a point that is not there"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, broken, message):
    path = tmp_path / "mesh.vtk"
    path.write_text(broken)
    with pytest.raises(InputError, match=message) as error:
        read_tetrahedra(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.vtk"):
        read_tetrahedra(tmp_path / "none.vtk")
