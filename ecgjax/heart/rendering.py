"""A heart seen from a side, drawn without perspective: triangles from the back to the front, coloured by a field."""

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize

from ecgjax.heart.mesh import Heart

UNKNOWN = "#c9ced4"
"""Colour of what has no value."""

_AMBIENT = 0.65
"""Share of the light that comes from everywhere; the rest comes from the viewer's side."""

_LIGHT = np.array([-0.3, 0.4, 0.87])
"""Where the light comes from: to the right, up and towards the viewer."""


@dataclasses.dataclass(frozen=True)
class View:
    """Where a heart is seen from.

    Attributes:
      name: in a sentence.
      toward: the viewer's direction from the heart, to its front, left and base.
      is_opened: without its front half, so that the inner walls show.
    """

    name: str
    toward: tuple[float, float, float]
    is_opened: bool = False


VIEWS = (
    View("from the front", (1.0, 0.0, 0.0)),
    View("from the left", (0.0, 1.0, 0.0)),
    View("from behind", (-1.0, 0.0, 0.0)),
    View("opened, from the front", (1.0, 0.0, 0.0), is_opened=True),
)


@dataclasses.dataclass(frozen=True)
class Scene:
    """A heart projected once, to be coloured many times.

    Attributes:
      polygons: [triangle, 3, 2] in mm, from the back to the front.
      corners: [triangle, 3] points of the heart; fine triangles of one coarse triangle share them.
      shares: [triangle, 3] weights of the corners at the triangle's middle.
      light: [triangle] from 0 to 1.
      limits: left, right, lowest and highest, equally far apart from every side of a heart.
    """

    polygons: np.ndarray
    corners: np.ndarray
    shares: np.ndarray
    light: np.ndarray
    limits: tuple[float, float, float, float]

    def colours(self, field: np.ndarray, colour_map: Colormap, norm: Normalize) -> np.ndarray:
        """`[triangle, 4]` for a field `[point]`."""
        values = (field[self.corners] * self.shares).sum(axis=1)
        shaded = colour_map.with_extremes(bad=UNKNOWN)(norm(np.ma.masked_invalid(values)))
        shaded[:, :3] *= self.light[:, None]
        return shaded

    def draw(self, axes: Axes, field: np.ndarray, colour_map: Colormap, norm: Normalize) -> PolyCollection:
        """Puts the heart on `axes`; set_facecolor with other `colours` changes the field."""
        colours = self.colours(field, colour_map, norm)
        # Edges of the same colour close the seams between triangles.
        drawn = PolyCollection(
            list(self.polygons), facecolors=colours, edgecolors="face", linewidths=0.3, rasterized=True
        )
        axes.add_collection(drawn)
        left, right, lowest, highest = self.limits
        axes.set(xlim=(left, right), ylim=(lowest, highest), aspect="equal")
        axes.set_axis_off()
        return drawn


def scene(heart: Heart, view: View, min_triangles: int) -> Scene:
    """`heart` from a view; for smooth bands of colour triangles are split until there are `min_triangles`."""
    axes = heart.axes()
    base, toward = axes[2], np.array(view.toward) @ axes
    camera = np.stack([np.cross(base, toward), base, toward])
    triangles = heart.surface(view.is_opened)
    normals = _normals(heart.points_mm, triangles)
    num_splits = max(0, int(np.ceil(np.log(min_triangles / max(len(triangles), 1)) / np.log(4))))
    coarse, shares = _split(num_splits)
    corners = np.repeat(triangles, len(coarse), axis=0)
    fine = np.einsum("kca,tad->tkcd", coarse, heart.points_mm[triangles] @ camera.T).reshape(-1, 3, 3)
    share = np.tile(shares, (len(triangles), 1))
    normal = (normals[corners] * share[:, :, None]).sum(axis=1) @ camera.T
    facing = np.cross(fine[:, 1] - fine[:, 0], fine[:, 2] - fine[:, 0])[:, 2] > 0
    # An opened heart shows triangles from both sides; their light is that of the side that is seen.
    normal = np.where(facing[:, None], normal, -normal)
    length = np.maximum(np.linalg.norm(normal, axis=1), 1e-9)
    light = _AMBIENT + (1 - _AMBIENT) * np.clip(normal @ (_LIGHT / np.linalg.norm(_LIGHT)) / length, 0, 1)
    seen = np.flatnonzero(facing | view.is_opened)
    order = seen[np.argsort(fine[seen, :, 2].mean(axis=1), kind="stable")]
    upright = heart.points_mm @ axes.T
    middle = (upright.min(axis=0) + upright.max(axis=0)) / 2
    across, up = middle @ axes @ camera[0], middle[2]
    reach = np.hypot(*(upright - middle)[:, :2].T).max()
    half = np.ptp(upright[:, 2]) / 2
    limits = (across - reach, across + reach, up - half, up + half)
    return Scene(fine[order, :, :2], corners[order], share[order], light[order], limits)


def _normals(points_mm: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """`[point, 3]`: sums over the triangles around a point, weighed by area."""
    a, b, c = np.moveaxis(points_mm[triangles], 1, 0)
    each = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    return np.stack([np.bincount(triangles.ravel(), side, len(points_mm)) for side in each.T], axis=1)


def _split(num_splits: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners `[part, corner, 3]` of the parts of a triangle and their middles `[part, 3]`, in its own coordinates."""
    parts = np.eye(3)[None]
    for _ in range(num_splits):
        a, b, c = np.moveaxis(parts, 1, 0)
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        parts = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return parts, parts.mean(axis=1)
