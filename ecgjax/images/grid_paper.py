"""Millimetre paper."""

import functools

import numpy as np

from ecgjax.images.page import Palette, Style
from ecgjax.images.pen import bar_coverage


def blank_paper(style: Style, width_mm: float, height_mm: float) -> np.ndarray:
    """uint8 [y, x, 3]: paper whose first lines are its left and upper edge."""
    look = (style.palette, style.fine_mm, style.bold_mm)
    return _paper(*look, style.grid, style.px_per_mm, width_mm, height_mm).copy()


@functools.lru_cache(maxsize=4)
def _paper(
    palette: Palette,
    fine_mm: float,
    bold_mm: float,
    grid: bool,
    px_per_mm: float,
    width_mm: float,
    height_mm: float,
) -> np.ndarray:
    shape = round(height_mm * px_per_mm), round(width_mm * px_per_mm)
    colour = np.array(palette.paper, np.float32)
    paper = np.empty((*shape, 3), np.uint8)
    paper[:] = palette.paper
    if not grid:
        return paper
    # Rows differ by what lies across them only, and there are few kinds.
    down = np.stack([_lines(step, line, px_per_mm, shape[0]) for step, line in ((1, fine_mm), (5, bold_mm))], axis=1)
    across = [_lines(step, line, px_per_mm, shape[1]) for step, line in ((1, fine_mm), (5, bold_mm))]
    kinds, kind_of_row = np.unique(down, axis=0, return_inverse=True)
    rows = np.empty((len(kinds), shape[1], 3), np.uint8)
    for k, kind in enumerate(kinds):
        row = colour
        for along, line_colour, covered in zip(kind, (palette.fine, palette.bold), across, strict=True):
            row = row + np.maximum(along, covered)[:, None] * (np.array(line_colour, np.float32) - row)
        rows[k] = np.rint(row)
    return np.take(rows, kind_of_row, axis=0)


def _lines(step_mm: int, line_mm: float, px_per_mm: float, num_px: int) -> np.ndarray:
    """The share of each pixel of a row that lines cover; to 1/1024, of which nothing is seen."""
    count = int(num_px / px_per_mm / step_mm) + 2
    covered = bar_coverage(np.arange(count) * step_mm * px_per_mm - 0.5, line_mm * px_per_mm, num_px)
    return np.rint(covered * 1024) / 1024
