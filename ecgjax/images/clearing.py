"""Takes what is no trace off the ink of a page: words, names of leads, bars between leads.

What is taken off may have hidden a trace: where it stood is marked, so that strokes are joined across it.
"""

import dataclasses

import cv2
import numpy as np

from ecgjax.images import labels, layout
from ecgjax.images.ink_runs import INK_EDGE

SPECK_MM = 0.6
"""Ink without a neighbour that is smaller than this belongs to no trace."""

TEXT_PIECES = 3
WIDEST_LETTER = 1.3
"""So many letters in a line are text, whatever they say; a letter is at most so much wider than high."""

BAR_MM = (1.3, 1.8)
"""The bars between leads are at most so wide, and reach at least so far up and down from the zero line."""

BAR_FILLED = (0.5, 0.65)
WHOLE_BAR, BAR_MOVED_MM = 0.8, 1.0
"""Share of it that must be dark: in each row, in all together, and of its width where it goes on; by how much it may
stand higher or lower than in other rows."""

BAR_REACH_MM = 1.5
"""How far from the start of a lead a bar may stand."""

LABEL_SLACK_MM = 1.0
"""How far names of leads may stand from where they should."""

BORDER_MM = 1.0

FRAMED_MM = (16.0, 8.0)
FRAME_PX, FRAMES_SHARE = 7, 0.001
"""What something coloured encloses is at most so wide and high if it is a name in a box, and no lead; how blurred the
box is, and how much of a page with boxes is hidden by them."""


@dataclasses.dataclass(frozen=True)
class TraceInk:
    """Ink of traces float32 [y, x] in 0..1, and bool [y, x], where other things may hide some."""

    ink: np.ndarray
    is_hidden: np.ndarray

    def without(self, is_dropped: np.ndarray, writing: labels.Writing) -> "TraceInk":
        """Less some connected pieces of ink, bool [piece], whose surroundings become hidden."""
        is_hidden = self.is_hidden.copy()
        for left, top, width, height, _ in writing.boxes[is_dropped]:
            is_hidden[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1] = True
        return TraceInk(np.where(is_dropped[writing.piece_of], 0, self.ink), is_hidden)


def without_text(page: TraceInk, writing: labels.Writing, px_per_mm: float) -> TraceInk:
    """Less words, specks and the border of the page."""
    is_speck = writing.boxes[:, 2:4].max(1) < SPECK_MM * px_per_mm
    is_dropped = np.zeros(len(writing.boxes), bool)
    for word in writing.words:
        is_label = any(score >= layout.READ for name, score in word.scores.items() if name != "I")
        pieces = list(word.pieces)
        size = writing.boxes[pieces, 2:4]
        is_text = len(pieces) >= TEXT_PIECES and np.mean(size[:, 0] < WIDEST_LETTER * size[:, 1]) > 0.8
        if is_text or is_label:
            is_dropped[pieces] = True
    is_speck[0] = False
    kept = page.without(is_dropped, writing)
    if page.is_hidden.mean() > FRAMES_SHARE:
        _, part_of, parts, _ = cv2.connectedComponentsWithStats((~page.is_hidden).astype(np.uint8), connectivity=4)
        is_small = (parts[:, 2:4] < np.array(FRAMED_MM) * px_per_mm).astype(np.uint8).min(1)
        inside = is_small[np.asarray(part_of, np.intp)] * (part_of > 0).astype(np.uint8)
        framed = cv2.dilate(inside, np.ones((FRAME_PX, FRAME_PX), np.uint8)) > 0
        kept.is_hidden[framed] = True
        kept.ink[framed] = 0
    kept.ink[is_speck[writing.piece_of]] = 0
    border = int(BORDER_MM * px_per_mm)
    for side in (np.s_[:border], np.s_[-border:], np.s_[:, :border], np.s_[:, -border:]):
        kept.ink[side] = 0
    return kept


def without_labels(page: TraceInk, writing: labels.Writing, placed: layout.Layout, px_per_mm: float) -> TraceInk:
    """Less what stands wholly where the names of leads stand, legible or not."""
    zone = layout.label_zone(writing, placed)
    if zone is None:
        return page
    left, top = writing.boxes[:, 0], writing.boxes[:, 1]
    right, bottom = left + writing.boxes[:, 2], top + writing.boxes[:, 3]
    is_name = np.zeros(len(writing.boxes), bool)
    slack = LABEL_SLACK_MM * px_per_mm
    for box in placed.boxes:
        x0, y0, x1, y1 = np.array(zone) + [box.x0_px, box.y_px] * 2 + np.array([-slack, -slack, slack, slack])
        is_name |= (left >= x0) & (right <= x1) & (top >= y0) & (bottom <= y1)
    is_name[0] = False
    return page.without(is_name, writing) if is_name.any() else page


def without_bars(page: TraceInk, placed: layout.Layout, px_per_mm: float) -> TraceInk:
    """Less the bars that stand between leads, at the same place in all rows."""
    thickest, half_height = (mm * px_per_mm for mm in BAR_MM)
    reach, tallest = int(BAR_REACH_MM * px_per_mm), int(2 * half_height)
    ink, is_hidden = page.ink.copy(), page.is_hidden.copy()
    for start in sorted({box.x0_px for box in placed.boxes if box.start_s > 0}):
        left = round(start) - reach
        zeros = [round(box.y_px) for box in placed.boxes if box.x0_px == start]
        parts = [ink[max(y - tallest, 0) : y + tallest, left : left + 2 * reach] >= INK_EDGE for y in zeros]
        parts = [part for part in parts if len(part) == 2 * tallest]
        if not parts:
            continue
        # Strokes of traces differ from row to row, bars do not; the grid's removal leaves gaps in them.
        middle = slice(tallest - int(half_height), tallest + int(half_height))
        filled = np.array([part[middle].mean(0) for part in parts])
        columns = np.flatnonzero((filled.min(0) > BAR_FILLED[0]) & (filled.mean(0) > BAR_FILLED[1]))
        if not len(columns) or columns[-1] - columns[0] > thickest:
            continue
        heights = np.flatnonzero(np.mean([part[:, columns] for part in parts], axis=(0, 2)) > BAR_FILLED[0])
        first, last = left + columns[0] - 1, left + columns[-1] + 1
        for y in zeros:
            top, bottom = y - tallest + heights[0] - 1, y - tallest + heights[-1] + 1
            # The zero line of one row may be a little off.
            inner = ink[max(y - tallest, 0) : y + tallest, first + 1 : last] >= INK_EDGE
            whole = np.flatnonzero(inner.mean(1) > WHOLE_BAR) + max(y - tallest, 0)
            near = whole[(whole > top - BAR_MOVED_MM * px_per_mm) & (whole < bottom + BAR_MOVED_MM * px_per_mm)]
            bar = slice(max(min(near.min(initial=top) - 1, top), 0), max(near.max(initial=bottom) + 1, bottom) + 1)
            ink[bar, first : last + 1] = 0
            is_hidden[bar, first - 1 : last + 2] = True
    return TraceInk(ink, is_hidden)
