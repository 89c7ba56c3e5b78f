"""The one tetrahedral mesh of every heart: what is joined to what, and where each node lies in the ventricles.

The left ventricle with the septum is a truncated ellipsoidal shell: rings of nodes from the apex to the base, in layers
from the endocardium to the epicardium. The right ventricle is a pocket on it: arches of nodes from the anterior to the
inferior insertion, whose ends and whose lowest row are nodes of the left ventricle's outer layer. Angles are about the
long axis, in degrees: 0 is lateral, 90 inferior, 150 septal and 270 anterior.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import numpy as np

from ecgjax.data.intracardiac import SITES

NUM_LAYERS = 4
"""Of the left ventricle; the right one has two, its endocardium and its epicardium."""

BASE_DEG = 106.0
"""Polar angle of the base, from the apex."""

_RING_SIZES = (1, 6, 12, 18, 24, 30, *10 * (32,))
_MEAN_AXES_MM = (28.5, 54.0)
"""Radius and half length of the middle of the wall, which space the rings evenly."""

_RV_APEX_RING = 4
# Where the right ventricle's free wall meets the left, and where it points, by polar angle.
_POLAR_DEG = (32.0, 51.0, 77.0, BASE_DEG)
_ANTERIOR_DEG = (150.0, 178.0, 204.0, 214.0)
_INFERIOR_DEG = (112.0, 112.0, 100.0, 106.0)
_BULGE_DEG = (128.0, 131.0, 146.0, 148.0)
_ARCH_CELLS = (8, 22)
"""Of the lowest and the highest arch."""


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Constant tables. Left ventricular nodes come first, layer by layer.

    Attributes:
      tets: int [tet, 4].
      ends: int [node, 2] the innermost and outermost node of the column through the wall.
      is_endo: bool [node] on the endocardium of either ventricle, both faces of the septum included.
      is_rv: bool [node] of the right ventricle's free wall.
      depth: [node] 0 at the endocardium to 1 at the epicardium, or at the septum's right face.
      theta, polar: [node] radians about and along the long axis; 0 in the right ventricle's free wall.
      height: [node] 0 at the apex to 1 at the base.
      arch: int [node, 2] the nodes in which a right ventricular node's arch ends, the anterior one first.
      turn: [node] radians along the arch, from 0 at the anterior insertion to pi.
      rise: [node] 0 at the lowest row of the right ventricle to 1 at its base.
      bulge: [node] radians about the long axis: where the arch points.
      sites: int [75, 2] whose mean each of `SITES` is.
    """

    tets: np.ndarray
    ends: np.ndarray
    is_endo: np.ndarray
    is_rv: np.ndarray
    depth: np.ndarray
    theta: np.ndarray
    polar: np.ndarray
    height: np.ndarray
    arch: np.ndarray
    turn: np.ndarray
    rise: np.ndarray
    bulge: np.ndarray
    sites: np.ndarray

    @property
    def num_nodes(self) -> int:
        return len(self.depth)


@functools.cache
def heart_mesh() -> Mesh:
    """The mesh, built once."""
    rings, theta, polar = _rings()
    num_columns = len(theta)
    columns = np.arange(num_columns)
    outer = (NUM_LAYERS - 1) * num_columns
    triangles = [t for a, b in itertools.pairwise(rings) for t in _stitch(_closed(a, theta), _closed(b, theta))]
    layers = [columns + layer * num_columns for layer in range(NUM_LAYERS)]
    tets = [tet for inner, above in itertools.pairwise(layers) for tet in _prisms(triangles, inner, above)]

    wall = _FreeWall(first_node=NUM_LAYERS * num_columns)
    chains = [_lowest_row(rings, theta, outer, wall)]
    upper = rings[_RV_APEX_RING + 1 :]
    chains += [_arch((row + 1) / len(upper), ring, theta, polar, outer, wall) for row, ring in enumerate(upper)]
    rv_triangles = [t for a, b in itertools.pairwise(chains) for t in _stitch(a, b)]
    tets += _prisms(rv_triangles, np.array(wall.endo), np.array(wall.epi))

    depth = np.repeat(np.arange(NUM_LAYERS) / (NUM_LAYERS - 1), num_columns)
    zeros = np.zeros(len(depth))
    lv = {
        "ends": np.tile(np.stack([columns, columns + outer], axis=1), (NUM_LAYERS, 1)),
        "is_endo": (depth == 0) | ((depth == 1) & np.tile(_is_septal(upper, theta, polar), NUM_LAYERS)),
        "is_rv": zeros > 0,
        "depth": depth,
        "theta": np.tile(theta, NUM_LAYERS),
        "polar": np.tile(polar, NUM_LAYERS),
        "height": np.tile(_height(polar), NUM_LAYERS),
        "arch": np.zeros((len(depth), 2), int),
        "turn": zeros,
        "rise": zeros,
        "bulge": zeros,
    }
    # A column of the free wall is two nodes: endocardium, epicardium.
    pairs = np.arange(len(wall.columns)) * 2 + len(depth)
    own = {
        name: np.array([getattr(c, name) for c in wall.columns]) for name in ("height", "arch", "turn", "rise", "bulge")
    }
    zeros = np.zeros(len(pairs))
    own |= {"ends": np.stack([pairs, pairs + 1], axis=1), "is_rv": zeros == 0, "theta": zeros, "polar": zeros}
    rv = {name: np.repeat(values, 2, axis=0) for name, values in own.items()}
    rv |= {"depth": np.tile([0.0, 1.0], len(pairs)), "is_endo": np.tile([True, False], len(pairs))}
    joined = {name: np.concatenate([lv[name], rv[name]]) for name in lv}
    return Mesh(tets=np.array(tets), sites=_sites(theta, polar, outer, wall), **joined)


def _rings() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Column numbers by ring, and the angles of each column in radians; rings are as far apart as their nodes."""
    fine = np.linspace(0, np.deg2rad(BASE_DEG), 2000)
    radius, half = _MEAN_AXES_MM
    length = np.cumsum(np.hypot(radius * np.cos(fine), half * np.sin(fine)))
    polar = np.interp(np.linspace(length[0], length[-1], len(_RING_SIZES)), length, fine)
    starts = np.concatenate([[0], np.cumsum(_RING_SIZES)])
    rings = [np.arange(a, b) for a, b in itertools.pairwise(starts)]
    theta = np.concatenate([2 * np.pi * (np.arange(n) + 0.5 * (j % 2)) / n for j, n in enumerate(_RING_SIZES)])
    return rings, theta, np.repeat(polar, _RING_SIZES)


def _height(polar: np.ndarray) -> np.ndarray:
    return (1 - np.cos(polar)) / (1 - np.cos(np.deg2rad(BASE_DEG)))


def _insertions(polar: float) -> tuple[float, float]:
    """Angles about the long axis of the inferior and of the anterior insertion, in radians as the polar angle."""
    inferior, anterior = (np.interp(np.rad2deg(polar), _POLAR_DEG, deg) for deg in (_INFERIOR_DEG, _ANTERIOR_DEG))
    return float(np.deg2rad(inferior)), float(np.deg2rad(anterior))


def _is_septal(upper: Sequence[np.ndarray], theta: np.ndarray, polar: np.ndarray) -> np.ndarray:
    """bool [column] behind the right ventricle's cavity, which is beside the rings `upper`."""
    is_septal = np.zeros(len(theta), bool)
    for ring in upper:
        inferior, anterior = _insertions(polar[ring[0]])
        is_septal[ring] = (theta[ring] >= inferior) & (theta[ring] <= anterior)
    return is_septal


_Chain = tuple[Sequence[int], Sequence[float]]
"""Vertices, and their increasing coordinates along it."""


def _closed(ring: np.ndarray, theta: np.ndarray) -> _Chain:
    """A ring as a chain that comes back to its first column."""
    if len(ring) == 1:
        return [int(ring[0])], [0.0]
    return [*ring.tolist(), int(ring[0])], [*theta[ring].tolist(), float(theta[ring[0]]) + 2 * np.pi]


def _stitch(one: _Chain, other: _Chain) -> list[tuple[int, int, int]]:
    """Triangles between two chains."""
    (a, at_a), (b, at_b) = one, other
    i = j = 0
    triangles = []
    while i < len(a) - 1 or j < len(b) - 1:
        if j == len(b) - 1 or (i < len(a) - 1 and at_a[i] + at_a[i + 1] <= at_b[j] + at_b[j + 1]):
            triangles.append((a[i], a[i + 1], b[j]))
            i += 1
        else:
            triangles.append((a[i], b[j], b[j + 1]))
            j += 1
    return triangles


def _prisms(triangles: Sequence[tuple[int, int, int]], inner: np.ndarray, outer: np.ndarray) -> list[tuple[int, ...]]:
    """Three tetrahedra a triangle between two layers; cut alike on both sides of a face, and no flat ones."""
    tets = []
    for triangle in triangles:
        a, b, c = sorted(triangle)
        for tet in (
            (inner[a], inner[b], inner[c], outer[c]),
            (inner[a], inner[b], outer[b], outer[c]),
            (inner[a], outer[a], outer[b], outer[c]),
        ):
            if len(set(tet)) == 4:
                tets.append(tuple(int(node) for node in tet))
    return tets


@dataclasses.dataclass(frozen=True)
class _Column:
    """A column of the right ventricle's free wall; names are the mesh's."""

    height: float
    arch: tuple[int, int]
    turn: float
    rise: float
    bulge: float


class _FreeWall:
    """Vertices of the right ventricle's free wall: nodes of its own columns, and those borrowed from the left one."""

    def __init__(self, first_node: int):
        self._next_node = first_node
        self.columns: list[_Column] = []
        self.endo: list[int] = []
        self.epi: list[int] = []

    def borrow(self, endo: int, epi: int) -> int:
        self.endo.append(endo)
        self.epi.append(epi)
        return len(self.endo) - 1

    def add(self, column: _Column) -> int:
        self.columns.append(column)
        self._next_node += 2
        return self.borrow(self._next_node - 2, self._next_node - 1)


def _nearest(ring: np.ndarray, theta: np.ndarray, angle: float) -> int:
    return int(ring[np.argmin(np.abs(np.angle(np.exp(1j * (theta[ring] - angle)))))])


def _lowest_row(rings: list[np.ndarray], theta: np.ndarray, outer: int, wall: _FreeWall) -> _Chain:
    """The ring's arc on which the pocket closes, from anterior to inferior."""
    ring, below = rings[_RV_APEX_RING], rings[_RV_APEX_RING - 1]
    inferior, anterior = np.deg2rad(_INFERIOR_DEG[0]), np.deg2rad(_ANTERIOR_DEG[0])
    arc = [int(c) for c in ring[::-1] if inferior <= theta[c] <= anterior]
    chain = [wall.borrow(outer + c, outer + _nearest(below, theta, theta[c])) for c in arc]
    return chain, np.linspace(0, 1, len(chain)).tolist()


def _arch(rise: float, ring: np.ndarray, theta: np.ndarray, polar: np.ndarray, outer: int, wall: _FreeWall) -> _Chain:
    """An arch at the level of a ring of the left ventricle, from the anterior to the inferior insertion."""
    level = float(polar[ring[0]])
    inferior, anterior = _insertions(level)
    front, back = _nearest(ring, theta, anterior), _nearest(ring, theta, inferior)
    # The free wall's epicardium meets the left ventricle's one node further out.
    step = 2 * np.pi / len(ring)
    front_epi, back_epi = _nearest(ring, theta, theta[front] + step), _nearest(ring, theta, theta[back] - step)
    lowest, highest = _ARCH_CELLS
    along = np.linspace(0, 1, 1 + round(lowest + (highest - lowest) * (1 - (1 - rise) ** 2)))
    # Half ellipses nearly twice as deep as wide: even steps of the angle would lie too far apart at the ends.
    turn = np.pi * along - 0.47 * np.sin(2 * np.pi * along)
    height = float(_height(np.array(level)))
    bulge = float(np.deg2rad(np.interp(np.rad2deg(level), _POLAR_DEG, _BULGE_DEG)))
    ends = outer + front, outer + back
    chain = [
        wall.borrow(ends[0], outer + front_epi),
        *(wall.add(_Column(height, ends, float(angle), rise, bulge)) for angle in turn[1:-1]),
        wall.borrow(ends[1], outer + back_epi),
    ]
    return chain, along.tolist()


_LV_SITES = {  # angle about the long axis, height
    **{1: (240, 0.9), 2: (190, 0.9), 3: (118, 0.9), 4: (64, 0.9), 5: (4, 0.9), 6: (274, 0.9)},
    **{7: (250, 0.62), 8: (193, 0.62), 9: (110, 0.62), 10: (60, 0.62), 11: (357, 0.62), 12: (280, 0.62)},
    **{13: (253, 0.3), 14: (145, 0.3), 15: (53, 0.3), 16: (313, 0.3), 17: (0, 0.0)},
}
_RV_SITES = {  # turn along the arch in degrees, height
    **{1: (38, 0.9), 2: (105, 0.9), 3: (147, 0.9)},
    **{6: (45, 0.65), 7: (105, 0.65), 8: (148, 0.65)},
    **{11: (60, 0.33), 12: (130, 0.33)},
}


def _sites(theta: np.ndarray, polar: np.ndarray, outer: int, wall: _FreeWall) -> np.ndarray:
    """[75, 2]: near where the one heart that the published dataset shows has them."""
    num_columns = len(theta)
    lv = {number: _lv_column(theta, polar, *place) for number, place in _LV_SITES.items()}
    middle = np.array([NUM_LAYERS // 2 - 1, NUM_LAYERS // 2]) * num_columns
    turn, height = (np.array([getattr(c, name) for c in wall.columns]) for name in ("turn", "height"))
    rv = {
        number: NUM_LAYERS * num_columns + 2 * int(np.argmin((turn - np.deg2rad(deg)) ** 2 + 9 * (height - level) ** 2))
        for number, (deg, level) in _RV_SITES.items()
    }
    # The right face of the septum is the outer layer across from a left ventricular site.
    across = {int(site[-2:]): lv[int(site[9:11])] for site in SITES if site.startswith("SEPTM")}
    table: dict[str, Sequence[int] | np.ndarray] = {}
    for number, column in lv.items():
        name = f"AHA{number:02}"
        table |= {name: [column] * 2, f"EPI_{name}": [column + outer] * 2, f"MID_{name}": column + middle}
    for number, endo in rv.items():
        name = f"RV{number:02}"
        table |= {name: [endo] * 2, f"EPI_{name}": [endo + 1] * 2, f"MID_{name}": [endo, endo + 1]}
    for number, column in across.items():
        table[f"RV{number:02}"] = [column + outer] * 2
    table |= {site: lv[int(site[9:11])] + middle for site in SITES if site.startswith("SEPTM")}
    return np.array([table[site] for site in SITES])


def _lv_column(theta: np.ndarray, polar: np.ndarray, deg: float, height: float) -> int:
    sine = np.sin(np.arccos(1 - height * (1 - np.cos(np.deg2rad(BASE_DEG)))))
    across = np.sin(polar) * np.exp(1j * theta) - sine * np.exp(1j * np.deg2rad(deg))
    return int(np.argmin(np.abs(across) ** 2 + 4 * (_height(polar) - height) ** 2))
