"""From the picture of one line back to the recording: as published, and below a pixel.

As published (Brisk et al., J Electrocardiol 2019, 57S:S65-69) the trace is the uppermost dark pixel of every column, so
that steep strokes are read at their upper end. `trace` follows the centre of the pen instead.
"""

import cv2
import numpy as np

from ecgjax.errors import InputError
from ecgjax.images import ink_runs, tracing
from ecgjax.images.strip import HEIGHT_PX, PAPER_SPEED_MM_S, PX_PER_S

METHODS = ("trace", "threshold", "otsu")
"""Ours; the published one, whose pixels are dark below a fixed threshold; and that with a threshold for each strip."""

DARK = 0.2
"""The fixed threshold, over white."""

OTSU_SHARE = 0.85
"""Of Otsu's threshold: paper is most of a strip, and its shades must not pass for ink."""

STEEP = 0.5
"""Darkness of a steep thin stroke, which lies between two columns, over that of a level one."""

LEAST_CONTRAST = 0.15
"""Between paper and ink, over white: below it nothing is drawn."""

PAPER_S = 0.1
"""What is darker than its surroundings over more than this, in seconds, is a shade of the paper and no stroke."""

JUMP, DETOUR = 1.0, 0.05
"""Costs of a pixel of height between the runs of neighbouring columns, and between their centres."""

LEAST_WIDTH_PX = 4
"""Narrower ink that touches nothing is a speck."""

COVERED = 0.5
"""Ink of which wider pieces stand above or below so large a share is writing."""

LEAST_TRACED = 0.5
"""Share of the columns that must hold a trace."""


def read_strip(grey: np.ndarray, px_per_s: float, method: str, fs_hz: float) -> np.ndarray:
    """float32 `[time]` at `fs_hz`, shares of the height, from a strip uint8 [y, x] of `px_per_s` columns to a second.

    Raises:
      InputError: the method is unknown, or there is no line from one end to the other.
    """
    if method not in METHODS:
        raise InputError(f"unknown reading {method!r}", f"use one of {', '.join(METHODS)}")
    if method == "trace":
        share = _centre_line(grey, px_per_s)
        first_s = 0.5 / px_per_s
    else:
        size = (max(round(grey.shape[1] * PX_PER_S / px_per_s), 2), HEIGHT_PX)
        published = cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if grey.shape[::-1] != size else grey
        share = _uppermost(published, _threshold(published, method))
        # A point between each pair doubles the rate.
        share = np.stack([share, (share + np.append(share[1:], share[-1])) / 2], axis=1).ravel()
        first_s = 0.0
    duration_s = grey.shape[1] / px_per_s
    time_s = np.arange(round(duration_s * fs_hz)) / fs_hz
    # The first sample stands on the left edge, half a pixel before the middle of the first column.
    drawn_s = first_s + np.arange(len(share)) * duration_s / len(share)
    return np.interp(time_s, drawn_s, share).astype(np.float32)


def _threshold(grey: np.ndarray, method: str) -> float:
    if method == "threshold":
        return DARK * 255
    return OTSU_SHARE * float(cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0])


def _uppermost(grey: np.ndarray, threshold: float) -> np.ndarray:
    """float `[column]`: shares of the height where the first pixel from above is darker; gaps are bridged."""
    is_dark = grey < threshold
    share = np.where(is_dark.any(axis=0), 1 - is_dark.argmax(axis=0) / len(grey), np.nan)
    return _without_gaps(share)


def _centre_line(grey: np.ndarray, px_per_s: float) -> np.ndarray:
    """float `[column]`: shares of the height at the centre of the pen."""
    ink = _ink(grey, px_per_s)
    runs = ink_runs.find_runs(_line(ink), px_per_s / PAPER_SPEED_MM_S, None, is_broken=True)
    line_px = ink_runs.pen_width_px(runs)
    if not np.isfinite(line_px):
        raise InputError("there is no line on the strip", "give a picture of one lead")
    top_px, bottom_px, centre_px = _followed(runs)
    centre = tracing.centre_line(top_px, bottom_px, centre_px, line_px)
    y_px = tracing.refine(centre, top_px, bottom_px, line_px)[0]
    return _without_gaps(1 - (y_px + 0.5) / len(grey))


def _ink(grey: np.ndarray, px_per_s: float) -> np.ndarray:
    """float32 [y, x] in 0..1: how dark it is against the paper around it, 1 for the line wherever it is drawn."""
    # An odd number of pixels, so that the middle one falls on a pixel.
    reach = round(PAPER_S * px_per_s) | 1
    paper = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    darkness = cv2.blur(paper, (reach, reach)).astype(np.float32) - grey
    darkness = np.maximum(darkness, 0)
    solid = STEEP * np.median(darkness.max(axis=0))
    if solid < STEEP * LEAST_CONTRAST * 255:
        raise InputError("there is nothing dark on the strip", "give a picture of one lead on light paper")
    return np.minimum(darkness / np.float32(solid), 1)


def _line(ink: np.ndarray) -> np.ndarray:
    """The ink without pieces that stand above or below wider ones."""
    # With its fringes, so that strokes do not fall apart.
    is_ink = cv2.dilate((ink >= ink_runs.INK_EDGE).astype(np.uint8), np.ones((3, 3), np.uint8))
    number, pieces, statistics, _ = cv2.connectedComponentsWithStats(is_ink, connectivity=8)
    if number <= 2:
        return ink
    left, width = statistics[:, cv2.CC_STAT_LEFT], statistics[:, cv2.CC_STAT_WIDTH]
    is_covered, kept = np.zeros(ink.shape[1], bool), np.zeros(number, bool)
    for piece in 1 + np.argsort(-width[1:], kind="stable"):
        columns = slice(left[piece], left[piece] + width[piece])
        if width[piece] >= LEAST_WIDTH_PX and is_covered[columns].mean() < COVERED:
            kept[piece] = True
            is_covered[columns] = True
    return np.where(kept[pieces], ink, 0)


def _followed(runs: ink_runs.Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges and centre [1, column] of one run of each column: those of the path that jumps least; NaN without ink."""
    is_run = np.isfinite(runs.top_px)
    inked = np.flatnonzero(is_run.any(axis=1))
    top, bottom, centre = (values[inked] for values in (runs.top_px, runs.bottom_px, runs.centre_px))
    chosen = np.zeros(len(inked), int)
    total, origins = np.where(np.isfinite(top[0]), 0.0, np.inf), [np.zeros(top.shape[1], int)]
    for c in range(1, len(inked)):
        if not is_run[inked[c], 1:].any() and not is_run[inked[c - 1], 1:].any():
            origins.append(np.zeros(top.shape[1], int))
            continue
        with np.errstate(invalid="ignore"):
            gap = np.maximum(top[c][:, None] - bottom[c - 1], top[c - 1] - bottom[c][:, None])
            cost = total + JUMP * np.maximum(gap, 0) + DETOUR * np.abs(centre[c][:, None] - centre[c - 1])
        cost = np.nan_to_num(cost, nan=np.inf)
        best = cost.argmin(axis=1)
        origins.append(best)
        total = np.where(np.isfinite(top[c]), cost[np.arange(len(best)), best], np.inf)
    chosen[-1] = total.argmin()
    for c in range(len(inked) - 1, 0, -1):
        chosen[c - 1] = origins[c][chosen[c]]
    found = np.full((3, 1, len(is_run)), np.nan)
    for values, of_runs in zip(found, (top, bottom, centre), strict=True):
        values[0, inked] = of_runs[np.arange(len(inked)), chosen]
    return found[0], found[1], found[2]


def _without_gaps(share: np.ndarray) -> np.ndarray:
    """`[column]` with gaps bridged by straight lines, and the ends prolonged."""
    known = np.isfinite(share)
    if known.mean() < LEAST_TRACED:
        raise InputError(f"only {known.mean():.0%} of the strip holds a line", "give a clearer picture")
    columns = np.arange(len(share))
    return np.interp(columns, columns[known], share[known])
