"""Hearts to draw on: points, triangles or tetrahedra between them, and the 75 sites."""

import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ecgjax.data.intracardiac import NUM_SITES, SITES
from ecgjax.errors import InputError
from ecgjax.heart.vtk_file import read_tetrahedra

_FACES = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])
"""Corners of a tetrahedron that make its faces, each opposite to the corner of its row."""


@dataclasses.dataclass(frozen=True)
class Heart:
    """What fields are drawn on.

    Attributes:
      points_mm: [point, 3].
      corners: [cell, 4] of tetrahedra, or [cell, 3] of triangles whose corners turn left seen from outside the tissue.
      site_mm: [75, 3], the places of SITES in the same frame.
    """

    points_mm: np.ndarray
    corners: np.ndarray
    site_mm: np.ndarray

    def axes(self) -> np.ndarray:
        """Rows: unit vectors to the front, to the left and to the base of this heart, from its sites alone."""
        return heart_axes(self.site_mm)

    def surface(self, is_opened: bool) -> np.ndarray:
        """Triangles `[triangle, 3]` that bound the tissue; opened, without what lies before its middle."""
        corners = self.corners
        if is_opened:
            to_front = self.axes()[0]
            middle = (self.points_mm @ to_front).mean()
            corners = corners[(self.points_mm[corners] @ to_front).mean(axis=1) < middle]
        return boundary(self.points_mm, corners) if corners.shape[1] == 4 else corners


def read_heart(mesh: Path, points: Path) -> Heart:
    """The heart of a VTK file of tetrahedra and a CSV file of sites.

    Raises:
      InputError: a file is absent, damaged or of another kind.
    """
    points_mm, corners = read_tetrahedra(mesh)
    return Heart(points_mm, corners, read_sites(points))


def read_sites(path: Path) -> np.ndarray:
    """Places `[75, 3]` of SITES, from a CSV file with three coordinates and a name a line, in any order.

    Raises:
      InputError: the file is absent, or a site is missing, unknown, there twice or without a place.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row][1:]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error})", "give the points.csv of the mesh") from None
    found: dict[str, list[float]] = {}
    for row in rows:
        try:
            place, name = [float(cell) for cell in row[:3]], row[3].strip().strip("'\"")
        except (ValueError, IndexError):
            raise InputError(f"{path}: {','.join(row)!r} is no site", "give x,y,z,name in mm on each line") from None
        if name in found or name not in SITES or not np.isfinite(place).all():
            reason = "twice" if name in found else "no site" if name not in SITES else "without a place"
            raise InputError(f"{path}: {name} is {reason}", f"give each of the {NUM_SITES} sites once")
        found[name] = place
    missing = [name for name in SITES if name not in found]
    if missing:
        raise InputError(
            f"{path} has {len(found)} of {NUM_SITES} sites, {missing[0]} is missing", "give the points.csv of the mesh"
        )
    return np.array([found[name] for name in SITES])


def boundary(points_mm: np.ndarray, tetrahedra: np.ndarray) -> np.ndarray:
    """Faces `[triangle, 3]` that belong to one tetrahedron alone; corners turn left seen from outside."""
    edges = points_mm[tetrahedra[:, 1:]] - points_mm[tetrahedra[:, :1]]
    turned = np.where((np.linalg.det(edges) < 0)[:, None], tetrahedra[:, [0, 1, 3, 2]], tetrahedra)
    faces = turned[:, _FACES].reshape(-1, 3)
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return faces[first[count == 1]]


def heart_axes(site_mm: np.ndarray) -> np.ndarray:
    """[3, 3]: unit vectors to the front, the left and the base of a heart whose sites are at `site_mm` `[75, 3]`.

    From the apex to the basal ring of the left ventricle; from its inferior segments to its anterior ones.
    """
    to_base = _middle(site_mm, "AHA", range(1, 7)) - _middle(site_mm, "AHA", [17])
    to_base /= np.linalg.norm(to_base)
    to_front = _middle(site_mm, "AHA", (1, 7, 13)) - _middle(site_mm, "AHA", (4, 10, 15))
    to_front -= to_front @ to_base * to_base
    to_front /= np.linalg.norm(to_front)
    return np.stack([to_front, np.cross(to_base, to_front), to_base])


def _middle(site_mm: np.ndarray, side: str, numbers: Iterable[int]) -> np.ndarray:
    return site_mm[[SITES.index(f"{side}{i:02}") for i in numbers]].mean(axis=0)
