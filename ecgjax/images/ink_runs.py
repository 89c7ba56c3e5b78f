"""Vertical runs of ink: what each column of pixels shows of the traces of a page.

Where something hides the ink (a coloured box, a bar, a letter), what lies above and below may be one stroke.
"""

import dataclasses

import numpy as np

INK_EDGE = 0.5
"""Share of a line's darkness at which its edge lies."""

STROKE_GAP_MM = 1.6
STROKE_MM = (0.5, 3.0)
"""The longest gap in a steep stroke, the least length of its pieces, and of two of them together."""

HIDDEN_GAP_PX = 2.0
HIDDEN_GAP_MM = 7.0
"""What of a gap may be bare paper if the rest of it is hidden, and its longest."""

FRINGE = 2
"""Pixels beyond the edge that count for the centre of a run."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """Vertical runs of ink, float32 [column, run], infinite where a column has fewer.

    Attributes:
      top_px, bottom_px: their edges, below a pixel.
      centre_px: the mean height of their ink.
      darkness: of the darkest pixel.
    """

    top_px: np.ndarray
    bottom_px: np.ndarray
    centre_px: np.ndarray
    darkness: np.ndarray

    def between(self, first: int, stop: int) -> "Runs":
        """Those of a stretch of columns."""
        return Runs(*(values[first:stop] for values in dataclasses.astuple(self)))

    def replaced(self, columns: np.ndarray, runs: "Runs | None") -> "Runs":
        """With other runs in some columns, or none."""
        places = max(self.top_px.shape[1], 0 if runs is None else runs.top_px.shape[1])
        changed = []
        for field in dataclasses.fields(self):
            old = getattr(self, field.name)
            values = np.pad(old, ((0, 0), (0, places - old.shape[1])), constant_values=np.inf)
            values[columns] = np.inf
            if runs is not None:
                new = getattr(runs, field.name)
                values[columns, : new.shape[1]] = new
            changed.append(values)
        return Runs(*changed)


def find_runs(ink: np.ndarray, px_per_mm: float, is_hidden: np.ndarray | None, is_broken: bool) -> Runs:
    """The vertical runs of ink [y, x] in 0..1.

    Pieces of one steep stroke that something hidden parts are one run; so are those that a short gap parts if
    `is_broken`, as strokes of coarse pictures are.
    """
    columns = np.ascontiguousarray(ink.T)
    is_ink = np.zeros((columns.shape[0], columns.shape[1] + 2), np.int8)
    is_ink[:, 1:-1] = columns >= INK_EDGE
    steps = np.diff(is_ink, axis=1)
    column, first = np.nonzero(steps == 1)
    _, after = np.nonzero(steps == -1)
    height = columns.shape[1]
    if not len(column):
        empty = np.full((columns.shape[0], 1), np.inf, np.float32)
        return Runs(empty, empty, empty, empty)

    def crossing(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
        """How far beyond the centre of the last pixel inside the ink falls to the edge's level."""
        dark = columns[column, inside]
        pale = np.where((outside >= 0) & (outside < height), columns[column, np.clip(outside, 0, height - 1)], 0)
        return (dark - INK_EDGE) / np.maximum(dark - pale, 1e-6)

    top = first - crossing(first, first - 1)
    bottom = after - 1 + crossing(after - 1, after)
    start = column * height + np.maximum(first - FRINGE, 0)
    stop = column * height + np.minimum(after + FRINGE, height - 1)
    bounds = np.stack([start, stop], 1).ravel()
    flat = columns.ravel()
    darkness = np.maximum.reduceat(flat, bounds)[::2]
    moment = np.add.reduceat((columns * np.arange(height, dtype=np.float32)).ravel(), bounds)[::2]
    mass = np.add.reduceat(flat, bounds)[::2]
    length = bottom - top
    least, together = (mm * px_per_mm for mm in STROKE_MM)
    gap = top[1:] - bottom[:-1]
    is_joined = (column[1:] == column[:-1]) & (gap < STROKE_GAP_MM * px_per_mm * is_broken)
    if is_hidden is not None:
        hides = np.asarray(is_hidden.any(0))
        bare = visible_above(is_hidden[:, hides])
        pair = np.flatnonzero((column[1:] == column[:-1]) & hides[column[1:]])
        at, gap = (np.cumsum(hides) - 1)[column[1:][pair]], gap[pair]
        visible = bare[at, first[1:][pair]] - bare[at, after[:-1][pair]]
        is_joined[pair] |= (visible < HIDDEN_GAP_PX) & (gap < HIDDEN_GAP_MM * px_per_mm)
    is_joined &= (np.minimum(length[1:], length[:-1]) > least) & (length[1:] + length[:-1] > together)
    heads = np.flatnonzero(np.concatenate([[True], ~is_joined]))
    top, bottom = np.minimum.reduceat(top, heads), np.maximum.reduceat(bottom, heads)
    centre = np.add.reduceat(moment, heads) / np.maximum(np.add.reduceat(mass, heads), 1e-6)
    column, darkness = column[heads], np.maximum.reduceat(darkness, heads)
    place = np.arange(len(column)) - np.searchsorted(column, column)
    runs = np.full((4, columns.shape[0], int(place.max()) + 1), np.inf, np.float32)
    runs[:, column, place] = top, bottom, centre, darkness
    return Runs(*runs)


def pen_width_px(runs: Runs) -> float:
    """Width of the pen: that of most runs, which are level; NaN without ink."""
    is_run = np.isfinite(runs.top_px)
    heights = runs.bottom_px[is_run] - runs.top_px[is_run]
    return float(np.percentile(heights, 30)) if len(heights) else np.nan


def visible_above(is_hidden: np.ndarray) -> np.ndarray:
    """Int [column, y]: of the pixels above each edge between pixels, how many can be seen; from bool [y, x]."""
    return np.pad(np.cumsum(~is_hidden.T, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
