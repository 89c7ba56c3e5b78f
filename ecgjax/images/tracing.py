"""From ink to the centre-line of every trace on a page, below a pixel.

A column of pixels meets a trace in one vertical run of ink: short where the trace is level, tall where it is steep. The
path through the runs that belongs to a row is found by dynamic programming over all columns; what the pen drew follows
from the upper and lower edges of its runs, which are the trace dilated and eroded by the pen.
"""

import dataclasses

import numpy as np
from scipy.ndimage import minimum_filter1d

from ecgjax.images.ink_runs import Runs, visible_above

TIP_EXCESS = 0.3
"""Line widths by which a tip must stand out from the centre of the ink around it."""

REFINEMENTS = 8
REFINEMENT_STEP = 0.7
LEAST_WEIGHT = 0.5
"""Rounds of fitting a line to the edges of its ink, the share of the misfit that each takes away, and the weight of
leaving a point where it is, against one for an edge that it makes."""

CANDIDATES = 6
"""Runs in a column that are considered for one row."""

SKIPS = (1, 2, 4, 7, 12, 20)
"""Columns that a path may advance at once: more than one passes over a break in the ink."""

GAP_COST_MM = 0.4
HIDDEN_SHARE = 0.1
SKIP_COST_MM = 0.9
ABSENT_COST_MM = 1.0
PALE_COST_MM = 0.1
"""Costs per millimetre: of a jump in height between adjoining runs, and the share of it where ink may be hidden, of a
break passed over, of a row without any ink, of ink that is barely there."""

ABSENT_ENTRY_MM = 2.0
"""Cost of leaving the ink and coming back."""

LEVEL_LINES = 3.0
"""Runs of ink of at most so many line widths count as level."""

SHARED_CONFIDENCE = 0.4
"""Where two rows share their ink."""

TALL_REWARD = 0.06
TALLEST_MM = 15.0
"""What a millimetre of ink in one column is worth, so that a path takes the tip of a peak, not a line across it."""

FARTHEST_ROWS = 1.2
FARTHEST_MM = 30.0
"""Ink farther from a row than this, in distances between rows or in millimetres, whichever is more, is none of it."""

OWN_COST_MM = 0.8
OWN_RANGE, MOST_RANGES = 0.75, 1.5
"""Share of the distance between rows at which ink so far from its row is as dear as none."""


@dataclasses.dataclass(frozen=True)
class RowTraces:
    """What was drawn in each row, float32 [row, column].

    Attributes:
      y_px: centre-line; NaN where there is none.
      confidence: 0..1, one for a clean line, less where ink is pale, missing or shared with a neighbour.
      line_px: the width of the pen.
    """

    y_px: np.ndarray
    confidence: np.ndarray
    line_px: float


def _candidates(runs: Runs, rows_px: np.ndarray) -> np.ndarray:
    """Indices [row, column, candidate] of the runs nearest to each row, tall ones first."""
    with np.errstate(invalid="ignore"):
        tall = np.nan_to_num(runs.bottom_px - runs.top_px)
        distance = _distance(runs.top_px[None], runs.bottom_px[None], rows_px[:, None, None]) - 2 * tall
    kept = min(CANDIDATES, runs.top_px.shape[1])
    return np.argpartition(distance, kept - 1, axis=2)[:, :, :kept]


def _distance(top_px: np.ndarray, bottom_px: np.ndarray, y_px: np.ndarray) -> np.ndarray:
    return np.maximum(np.maximum(top_px - y_px, y_px - bottom_px), 0)


def follow_rows(
    runs: Runs, rows_px: np.ndarray, px_per_mm: float, is_break: np.ndarray, is_hidden: np.ndarray
) -> np.ndarray:
    """The run of every column that belongs to each row: int [row, column], -1 where none does.

    Args:
      runs: of the page, without text.
      rows_px: [row] heights of the rows, increasing.
      px_per_mm: the scale.
      is_break: bool [row, column], where another lead begins: it may begin at any height.
      is_hidden: bool [y, column], where ink may be hidden.
    """
    num_rows, num_columns = len(rows_px), len(runs.top_px)
    which = _candidates(runs, rows_px)
    column = np.arange(num_columns)[None, :, None]
    top, bottom = (edge[column, which] / px_per_mm for edge in (runs.top_px, runs.bottom_px))
    rows_mm = rows_px[:, None, None] / px_per_mm
    spacing_mm = np.min(np.diff(rows_px), initial=30 * px_per_mm) / px_per_mm
    own = OWN_COST_MM * np.minimum(_distance(top, bottom, rows_mm) / (OWN_RANGE * spacing_mm), MOST_RANGES) ** 2
    with np.errstate(invalid="ignore"):
        own -= TALL_REWARD * np.clip(np.nan_to_num(bottom - top), 0, TALLEST_MM)
    own[_distance(top, bottom, rows_mm) > max(FARTHEST_ROWS * spacing_mm, FARTHEST_MM)] = np.inf
    own += PALE_COST_MM * (1 - np.minimum(runs.darkness[column, which], 1))
    # A last candidate stands for a row that is not drawn here, and waits at the row's height.
    absent = np.full((num_rows, num_columns, 1), ABSENT_COST_MM)
    own = np.concatenate([np.where(np.isfinite(top), own, np.inf), absent], 2) / px_per_mm
    waiting = np.broadcast_to(rows_mm, absent.shape)
    top, bottom = np.concatenate([top, waiting], 2), np.concatenate([bottom, waiting], 2)
    num_breaks = np.cumsum(is_break, axis=1)
    steps = []
    hiding = np.flatnonzero(is_hidden.any(0))
    bare = visible_above(is_hidden[:, hiding])
    edges = [np.clip(np.nan_to_num(edge * px_per_mm), 0, len(is_hidden)).astype(int) for edge in (top, bottom)]
    for skip in SKIPS:
        with np.errstate(invalid="ignore"):
            gap = np.maximum(top[:, skip:, None, :] - bottom[:, :-skip, :, None], 0)
            gap = np.maximum(gap, top[:, :-skip, :, None] - bottom[:, skip:, None, :])
            first = np.searchsorted(hiding, skip)
            which_bare, at = np.arange(first, len(hiding))[None, :, None], hiding[first:]
            to_top, to_bottom = (bare[which_bare, edge[:, at]][:, :, None, :] for edge in edges)
            from_top, from_bottom = (bare[which_bare, edge[:, at - skip]][..., None] for edge in edges)
            seen = np.maximum(np.maximum(to_top - from_bottom, from_top - to_bottom), 0) / px_per_mm
            whole = gap[:, at - skip]
            gap[:, at - skip] = np.where(seen < whole, seen + HIDDEN_SHARE * (whole - seen), whole)
            step = np.nan_to_num(GAP_COST_MM * gap, nan=np.inf, posinf=np.inf)
        # From and to a stretch without ink any height goes.
        step[:, :, -1, :-1] = step[:, :, :-1, -1] = ABSENT_ENTRY_MM / 2
        step += SKIP_COST_MM * (skip - 1) / px_per_mm
        step[num_breaks[:, skip:] > num_breaks[:, :-skip]] = 0 if skip == 1 else np.inf
        steps.append(step)
    return _cheapest(own.astype(np.float32), [step.astype(np.float32) for step in steps], which)


def _cheapest(own: np.ndarray, steps: list[np.ndarray], which: np.ndarray) -> np.ndarray:
    num_rows, num_columns, num_states = own.shape
    total = np.full((num_columns, num_rows, num_states), np.inf, np.float32)
    origin = np.zeros((num_columns, num_rows, num_states), np.int32)
    total[0] = own[:, 0]
    steps = [np.ascontiguousarray(step.transpose(1, 0, 3, 2)) for step in steps]
    own = np.ascontiguousarray(own.transpose(1, 0, 2))
    reach = np.full((num_rows, num_states, len(SKIPS), num_states), np.inf, np.float32)
    flat = reach.reshape(num_rows, num_states, -1)
    for c in range(1, num_columns):
        for s, skip in enumerate(SKIPS):
            if skip <= c:
                np.add(steps[s][c - skip], total[c - skip][:, None, :], out=reach[:, :, s])
        best = flat.argmin(2)
        origin[c] = best
        total[c] = flat.min(2) + own[c]
    chosen = np.full((num_rows, num_columns), -1)
    for row in range(num_rows):
        c, state = num_columns - 1, int(total[-1, row].argmin())
        while c >= 0:
            chosen[row, c] = which[row, c, state] if state < which.shape[2] else -1
            if c == 0:
                break
            s, state = divmod(int(origin[c, row, state]), num_states)
            c -= SKIPS[s]
    return chosen


def centre_line(top_px: np.ndarray, bottom_px: np.ndarray, centre_px: np.ndarray, line_px: float) -> np.ndarray:
    """What a round pen of width `line_px` drew, from the edges and the centre of its ink; each [row, column].

    The centre of the ink is right where the trace goes straight on, however steep. At the tip of a narrow peak it is
    too low, and in a narrow valley too high: there the trace ends half a line before the ink.
    """
    radius = line_px / 2
    width = 2 * int(np.ceil(radius + 0.5)) + 1
    tips = []
    for pair in ((top_px, centre_px), (-bottom_px, -centre_px)):
        edge, centre = (np.where(np.isfinite(values), values, np.inf) for values in pair)
        is_tip = edge <= minimum_filter1d(edge, width, axis=1)
        lowest = minimum_filter1d(centre, width, axis=1)
        excess = np.where(is_tip & np.isfinite(edge), lowest, 0) - np.where(
            is_tip & np.isfinite(edge), edge + radius, 0
        )
        tips.append(excess)
    peak, valley = tips
    is_peak = (peak > TIP_EXCESS * line_px) & (peak >= valley)
    is_valley = (valley > TIP_EXCESS * line_px) & (valley > peak)
    return np.where(is_peak, top_px + radius, np.where(is_valley, bottom_px - radius, centre_px))


def refine(y_px: np.ndarray, top_px: np.ndarray, bottom_px: np.ndarray, line_px: float) -> np.ndarray:
    """Moves a centre-line until a round pen that follows it makes the edges of the ink; each [row, column].

    A pen as wide as a few columns rounds the corners of what it draws. Each edge is the work of one point of the line,
    which is moved by what the edge misses.
    """
    radius = line_px / 2
    offsets = np.linspace(-radius, radius, 2 * int(np.ceil(2 * radius)) + 1)
    reach = np.sqrt(np.maximum(radius**2 - offsets**2, 0))
    wide = int(np.ceil(radius)) + 1
    num_rows, num_columns = y_px.shape
    width = num_columns + 2 * wide
    place = (np.arange(num_rows)[:, None] * width + wide + np.arange(num_columns)).ravel()
    is_known = np.isfinite(y_px)
    line = np.pad(interpolate(y_px, np.inf), ((0, 0), (wide, wide)), mode="edge")
    for _ in range(REFINEMENTS):
        shift, weight = np.zeros(line.size), np.full(line.size, LEAST_WEIGHT)
        slopes = np.diff(line, axis=1, append=line[:, -1:]).ravel()
        for edge, sign in ((top_px, 1), (bottom_px, -1)):
            heights = []
            for offset, half in zip(offsets, reach, strict=True):
                whole = int(np.floor(offset))
                at = place + whole
                heights.append(sign * (line.ravel()[at] + (offset - whole) * slopes[at]) - half)
            contact = np.nan_to_num(np.array(heights), nan=np.inf).argmin(0)
            made = np.take_along_axis(np.array(heights), contact[None], 0)[0]
            misfit = np.nan_to_num(np.clip(edge.ravel() - sign * made, -line_px, line_px))
            whole = np.floor(offsets[contact]).astype(int)
            part = offsets[contact] - whole
            sure = np.isfinite(edge.ravel()).astype(float)
            for at, share in ((place + whole, (1 - part) * sure), (place + whole + 1, part * sure)):
                shift += np.bincount(at, share * misfit, line.size)
                weight += np.bincount(at, share, line.size)
        line = line + REFINEMENT_STEP * (shift / weight).reshape(line.shape)
        # The pen stays within its ink.
        inner = line[:, wide : wide + num_columns]
        np.copyto(inner, np.fmin(np.fmax(inner, top_px), bottom_px))
    return np.where(is_known, line[:, wide : wide + num_columns], np.nan)


def interpolate(values: np.ndarray, longest: float) -> np.ndarray:
    """Rows [row, column] with gaps (NaN) of at most `longest` columns bridged by straight lines."""
    filled = values.copy()
    columns = np.arange(values.shape[1])
    for row in filled:
        known = np.flatnonzero(np.isfinite(row))
        if not len(known):
            continue
        missing = np.setdiff1d(np.arange(known[0], known[-1]), known, assume_unique=True)
        after = np.searchsorted(known, missing)
        missing = missing[known[after] - known[after - 1] - 1 <= longest]
        row[missing] = np.interp(missing, columns[known], row[known])
    return filled


def _settle_shared(chosen: np.ndarray, top_px: np.ndarray, bottom_px: np.ndarray, line_px: float) -> np.ndarray:
    """Divides runs that two neighbouring rows claim; edges [row, column] are changed in place.

    Returns:
      bool [row, column]: where it was so.
    """
    is_shared = np.zeros(chosen.shape, bool)
    for upper in range(len(chosen) - 1):
        both = (chosen[upper] == chosen[upper + 1]) & (chosen[upper] >= 0)
        if not both.any():
            continue
        pair = slice(upper, upper + 2)
        is_shared[pair] |= both
        expected_top = interpolate(np.where(both, np.nan, top_px[pair]), np.inf)
        expected_bottom = interpolate(np.where(both, np.nan, bottom_px[pair]), np.inf)
        edges = np.flatnonzero(np.diff(both.astype(np.int8), prepend=0, append=0))
        for first, after in edges.reshape(-1, 2):
            span = slice(first, after)
            below = np.max(bottom_px[upper, span] - expected_bottom[1, span])
            above = np.max(expected_top[0, span] - top_px[upper, span])
            is_level = np.max(expected_bottom[:, span] - expected_top[:, span], axis=1) < LEVEL_LINES * line_px
            if below > max(above, 2 * line_px) and is_level[1]:
                top_px[upper + 1, span], bottom_px[upper + 1, span] = np.nan, np.nan
            elif above > 2 * line_px and is_level[0]:
                top_px[upper, span], bottom_px[upper, span] = np.nan, np.nan
            else:
                # Two strokes side by side: each has the outer edge of the two, and the height that its slope gives it.
                top, bottom = top_px[upper, span].copy(), bottom_px[upper, span].copy()
                bottom_px[upper, span] = np.minimum(top + line_px + _steepness(top), bottom)
                top_px[upper + 1, span] = np.maximum(bottom - line_px - _steepness(bottom), top)
    return is_shared


def _steepness(edge_px: np.ndarray) -> np.ndarray:
    """Pixels of height from one column to the next along an edge [column]."""
    return np.abs(np.gradient(edge_px)) if len(edge_px) > 1 else np.zeros(len(edge_px))


def trace_rows(
    runs: Runs, line_px: float, rows_px: np.ndarray, px_per_mm: float, is_break: np.ndarray, is_hidden: np.ndarray
) -> RowTraces:
    """The trace of every row over the whole width of the page.

    Args:
      runs: vertical runs of ink, without text.
      line_px: width of the pen.
      rows_px: [row] heights of the rows, increasing.
      px_per_mm: the scale.
      is_break: bool [row, column], where another lead begins.
      is_hidden: bool [y, column], where ink may be hidden.
    """
    chosen = follow_rows(runs, rows_px, px_per_mm, is_break, is_hidden)
    column = np.arange(len(runs.top_px))
    is_there = chosen >= 0
    top, bottom, centre, darkness = (
        np.where(is_there, values[column, chosen], np.nan)
        for values in (runs.top_px, runs.bottom_px, runs.centre_px, runs.darkness)
    )
    is_shared = _settle_shared(chosen, top, bottom, line_px)
    centre = np.where(is_shared, (top + bottom) / 2, centre)
    y_px = refine(centre_line(top, bottom, centre, line_px), top, bottom, line_px)
    confidence = np.where(is_shared, SHARED_CONFIDENCE, np.minimum(darkness, 1))
    confidence = np.where(np.isfinite(y_px), confidence, 0)
    return RowTraces(y_px.astype(np.float32), confidence.astype(np.float32), line_px)
