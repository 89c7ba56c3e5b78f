"""From a picture of an ECG on paper to a straight page with its scale."""

import dataclasses

import cv2
import numpy as np

from ecgjax.errors import InputError
from ecgjax.images.grid import find_grid
from ecgjax.images.ink import evened, paper_brightness, trace_ink, without_edges
from ecgjax.images.paper_map import PaperMap, placement

MAX_PX_PER_MM = 10.0
"""Finer pictures are made smaller; a trace is then still three pixels wide."""

MIN_SIDE_PX = 64
STRAIGHT_PX = 0.75
"""A page whose corners are nearer than this to where they belong stays as it is, pixel for pixel."""


@dataclasses.dataclass(frozen=True)
class StraightPage:
    """A page as if it had been laid on a scanner.

    Attributes:
      rgb: uint8 [y, x, rgb]; shadows taken out, paper white.
      ink: float32 [y, x], 0 for paper and its grid to 1 for the middle of a stroke of a trace or of text.
      is_hidden: bool [y, x], where something coloured may hide ink.
      px_per_mm_x, px_per_mm_y: from the grid; NaN without one.
      grid_strength: share of the picture whose grid agrees with that, 0..1.
      is_pitch_certain: lines every 1 mm and every 5 mm were told apart. If False though there is a grid, only one kind
        was seen, and told by the size of the page: the scale may be five times too large or small.
      to_original: 3x3 homography from its pixels (x, y, 1) to those of the picture; exact but where the paper is bent,
        which is straightened too.
    """

    rgb: np.ndarray
    ink: np.ndarray
    is_hidden: np.ndarray
    px_per_mm_x: float
    px_per_mm_y: float
    grid_strength: float
    is_pitch_certain: bool
    to_original: np.ndarray


def straight_page(rgb: np.ndarray) -> StraightPage:
    """Takes rotation, perspective, shadows and the grid out of a picture, uint8 [y, x, rgb].

    Raises InputError if it is no picture, or one too small to hold a page.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InputError(
            f"expected a picture of uint8 [y, x, rgb], got {rgb.dtype} {list(rgb.shape)}", "convert it to RGB"
        )
    if min(rgb.shape[:2]) < MIN_SIDE_PX:
        raise InputError(
            f"expected a picture of {MIN_SIDE_PX} pixels or more on each side, got {rgb.shape[1]} x {rgb.shape[0]}",
            "scan it at a higher resolution",
        )
    even = evened(rgb, paper_brightness(rgb))
    red, green, blue = cv2.split(even)
    grid, strength = find_grid(cv2.min(cv2.min(red, green), blue))
    if grid is None:
        return StraightPage(even, *trace_ink(even, None), np.nan, np.nan, strength, False, np.eye(3))
    scale = _if_straight(grid.to_mm, rgb.shape)
    to_original = np.eye(3)
    if scale is None:
        px_per_mm, low_mm, size_px = placement(grid.to_mm, rgb.shape)
        smaller = min(1.0, MAX_PX_PER_MM / px_per_mm)
        px_per_mm *= smaller
        size_px = int(np.ceil(smaller * size_px[0])), int(np.ceil(smaller * size_px[1]))
        to_straight = grid.to_mm.scaled(px_per_mm, -px_per_mm * low_mm)
        even = to_straight.straightened(even, size_px, cv2.INTER_CUBIC, 255)
        to_original = np.linalg.inv(to_straight.homography)
        scale = px_per_mm, px_per_mm
    to_original /= to_original[2, 2]
    ink, is_hidden = trace_ink(even, scale)
    ink = without_edges(ink, scale)
    return StraightPage(even, ink, is_hidden, *scale, strength, grid.is_pitch_certain, to_original)


def _if_straight(to_mm: PaperMap, shape: tuple[int, ...]) -> tuple[float, float] | None:
    """Pixels per millimetre along x and y if the picture needs no change, None if it does."""
    height, width = shape[:2]
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
    mm = to_mm(corners)
    along_x, along_y = (np.polyfit(mm[:, axis], corners[:, axis], 1) for axis in (0, 1))
    off_px = np.stack([np.polyval(along_x, mm[:, 0]), np.polyval(along_y, mm[:, 1])], axis=1) - corners
    if to_mm.bend is not None or np.abs(off_px).max() > STRAIGHT_PX or max(along_x[0], along_y[0]) > MAX_PX_PER_MM:
        return None
    return float(along_x[0]), float(along_y[0])
