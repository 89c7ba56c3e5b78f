"""Ink on pixels: how much of each pixel a pen covers, exactly enough for lines of any width to stand where they should.

A trace is the graph of a function of time, so what a round pen covers of a narrow upright column is one interval.
"""

import numpy as np

_LEAST_RADIUS = 4.0
"""Of the pen, in the columns that a pixel is cut into; with fewer its outline would be coarse."""


def bar_coverage(centre_px: np.ndarray, width_px: float, num_px: int) -> np.ndarray:
    """float32 [num_px]: the share of each pixel of a row within half a width of one of the centres."""
    low, high = np.asarray(centre_px) - width_px / 2, np.asarray(centre_px) + width_px / 2
    steps = np.zeros(num_px + 2)
    _add_steps(steps, low, 1.0)
    _add_steps(steps, high, -1.0)
    return np.cumsum(steps)[:num_px].clip(0, 1).astype(np.float32)


def _add_steps(steps: np.ndarray, at_px: np.ndarray, weight: float) -> None:
    """Adds to the differences of the coverage of neighbouring pixels what a step at each place makes of them."""
    v = np.clip(at_px + 0.5, 0, len(steps) - 2)
    whole = v.astype(int)
    np.add.at(steps, whole, weight * (whole + 1 - v))
    np.add.at(steps, whole + 1, weight * (v - whole))


def line_coverage(points_px: np.ndarray, width_px: float, shape: tuple[int, int]) -> tuple[np.ndarray, int, int]:
    """What a round pen covers that follows a polyline.

    Args:
      points_px: [point, 2], x and y; x does not fall. NaN lifts the pen.
      width_px: of the pen.
      shape: height and width of the picture.

    Returns:
      float32 [y, x] in 0..1 for the part of the picture where anything is covered, and the row and column in the
      picture at which that part begins; an empty part where nothing is.
    """
    height, width = shape
    per_px = int(np.clip(np.ceil(2 * _LEAST_RADIUS / width_px), 4, 16))
    low, high, first = _covered(points_px, width_px / 2, per_px)
    # Whole pixels of the picture only.
    start, stop = max(0, first), min(width * per_px, first + len(low))
    start, stop = start - start % per_px, stop + -stop % per_px
    pad = (max(0, first - start), max(0, stop - first - len(low)))
    low, high = (
        np.pad(x[max(0, start - first) : max(0, stop - first)], pad, constant_values=np.nan) for x in (low, high)
    )
    low, high = np.clip(low + 0.5, 0, height), np.clip(high + 0.5, 0, height)
    drawn = np.flatnonzero(high > low)
    if not len(drawn):
        return np.zeros((0, 0), np.float32), 0, 0
    low, high = low[drawn], high[drawn]
    top, bottom = int(low.min()), int(np.ceil(high.max()))
    num_columns = (stop - start) // per_px
    column = drawn // per_px
    index, weight = [], []
    for edge, sign in ((low, 1.0), (high, -1.0)):
        whole = edge.astype(int)
        at = (whole - top) * num_columns + column
        index += [at, at + num_columns]
        weight += [sign * (whole + 1 - edge), sign * (edge - whole)]
    size = (bottom - top + 2) * num_columns
    steps = np.bincount(np.concatenate(index), np.concatenate(weight), size).astype(np.float32)
    coverage = np.cumsum(steps.reshape(-1, num_columns), axis=0)[: bottom - top]
    coverage *= 1 / per_px
    return coverage, top, start // per_px


def _covered(points_px: np.ndarray, radius_px: float, per_px: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Least and greatest y that a disc along a polyline covers in each column of 1/per_px, and the first column."""
    u, y = (points_px[:, 0] + 0.5) * per_px, points_px[:, 1]
    is_there = np.isfinite(y)
    if not is_there.any():
        return np.zeros(0), np.zeros(0), 0
    reach = int(radius_px * per_px)
    first = int(np.floor(u[is_there][0])) - reach
    num_columns = int(np.floor(u[is_there][-1])) + reach + 1 - first
    low, high = np.full(num_columns, np.inf), np.full(num_columns, -np.inf)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], is_there, [False]])))
    for begin, end in ends.reshape(-1, 2):
        run_u, run_y = u[begin:end], y[begin:end]
        start, stop = int(np.floor(run_u[0])), int(np.floor(run_u[-1])) + 1
        at_centre = np.interp(np.arange(start, stop) + 0.5, run_u, run_y)
        least, greatest = at_centre.copy(), at_centre.copy()
        at_edge = np.interp(np.arange(start + 1, stop), run_u, run_y)
        for part in (slice(1, None), slice(None, -1)):
            np.minimum(least[part], at_edge, out=least[part])
            np.maximum(greatest[part], at_edge, out=greatest[part])
        column = np.floor(run_u).astype(int) - start
        np.minimum.at(least, column, run_y)
        np.maximum.at(greatest, column, run_y)
        # The middle of a column is as far away as its number says, the extremes within it by up to a half more.
        for spans, further in (((at_centre, at_centre), 0.0), ((least, greatest), 0.5)):
            for k in range(-reach, reach + 1):
                half_px = np.sqrt(max(0.0, radius_px**2 - ((abs(k) + further) / per_px) ** 2))
                if half_px == 0 and k:
                    continue
                part = slice(start - first + k, stop - first + k)
                np.minimum(low[part], spans[0] - half_px, out=low[part])
                np.maximum(high[part], spans[1] + half_px, out=high[part])
    return low, high, first


def lay_ink(rgb: np.ndarray, coverage: np.ndarray, top: int, left: int, ink: tuple[int, int, int]) -> None:
    """Colours `rgb` [y, x, 3] in place with `ink` where `coverage` [y, x] says, whose corner is at (top, left)."""
    part = rgb[top : top + coverage.shape[0], left : left + coverage.shape[1]]
    y, x = np.nonzero(coverage[: part.shape[0], : part.shape[1]] > 0.5 / 255)
    share = coverage[y, x, None]
    under = part[y, x]
    part[y, x] = np.rint(under + share * (np.array(ink, np.float32) - under)).astype(np.uint8)
