"""Finds and reads the writing on a page: names of leads, paper speed and gain.

Letters are connected pieces of ink of the size of letters, words are letters side by side. A word is compared with the
words that matter, rendered in a few fonts, by normalised cross-correlation at equal height; what it is follows from the
arrangement of the page as a whole (`layout.py`).
"""

import dataclasses
import functools
import itertools

import cv2
import numpy as np
from scipy.sparse.csgraph import connected_components

from ecgjax.images.lettering import text_coverage
from ecgjax.leads import LEADS

FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")
SPEEDS_MM_S = (25.0, 50.0)
GAINS_MM_MV = (5.0, 10.0, 20.0)

SPELLINGS = {lead: (lead, lead.upper()) if lead.startswith("a") else (lead,) for lead in LEADS} | {"-aVR": ("-aVR",)}
SCALES = {f"{speed:g} mm/s": (f"{speed:g}mm/s", f"{speed:g} mm/s") for speed in SPEEDS_MM_S} | {
    f"{gain:g} mm/mV": (f"{gain:g}mm/mV", f"{gain:g} mm/mV") for gain in GAINS_MM_MV
}
VOCABULARY = SPELLINGS | SCALES
"""What a word may say -> how that is written."""

LETTER_HEIGHT_MM = (1.2, 8.0)
LONGEST_WORD_MM = 30.0
LETTER_GAP = 0.8
"""Over the height of letters, between those of one word."""

TEMPLATE_PX = 24
MARGIN_PX = 3
"""Height of a template, and the paper around it, which tells a single stroke from nothing."""

ASPECT_TOLERANCE = 1.35
"""A word this much wider or narrower than a template does not say the same."""

TEXT_INK = 0.4


@dataclasses.dataclass(frozen=True)
class Word:
    """Something written.

    Attributes:
      box_px: left, upper, right and lower edge.
      pieces: its connected pieces of ink, as numbered in `Writing.piece_of`.
      scores: what it may say -> correlation with that, of at least zero.
    """

    box_px: tuple[float, float, float, float]
    pieces: tuple[int, ...]
    scores: dict[str, float]

    @property
    def height_px(self) -> float:
        return self.box_px[3] - self.box_px[1]


@dataclasses.dataclass(frozen=True)
class Writing:
    """All that may be text on a page.

    Attributes:
      words: by place.
      piece_of: int32 [y, x], the connected piece of ink that a pixel belongs to, 0 for paper.
      boxes: int [piece, 5]: left, upper edge, width, height, and number of pixels of each piece.
    """

    words: tuple[Word, ...]
    piece_of: np.ndarray
    boxes: np.ndarray


@functools.cache
def _templates() -> list[tuple[str, np.ndarray]]:
    templates = {}
    for (meaning, spellings), font in itertools.product(VOCABULARY.items(), FONTS):
        for text in spellings:
            glyphs = text_coverage(text, font, 2.0 * TEMPLATE_PX)
            rows, columns = np.flatnonzero(glyphs.max(1) > TEXT_INK), np.flatnonzero(glyphs.max(0) > TEXT_INK)
            cut = glyphs[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            width = max(2, round(cut.shape[1] * TEMPLATE_PX / cut.shape[0]))
            small = cv2.resize(np.ascontiguousarray(cut), (width, TEMPLATE_PX), interpolation=cv2.INTER_AREA)
            templates[meaning, text, font] = _standardise(np.pad(small, MARGIN_PX))
    return [(meaning, template) for (meaning, _, _), template in templates.items()]


def _standardise(picture: np.ndarray) -> np.ndarray:
    """Mean zero, length one."""
    centred = picture - picture.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-6)


def _read(letters: np.ndarray) -> dict[str, float]:
    """What a picture of a word [y, x] may say."""
    height, width = letters.shape
    scores: dict[str, float] = {}
    resized: dict[int, np.ndarray] = {}
    for meaning, template in _templates():
        wide = template.shape[1] - 2 * MARGIN_PX
        # A stroke or two make an I: half a pixel more or less is much of that width.
        ratio = (width * TEMPLATE_PX / height + 1.5) / (wide + 1.5)
        if not 1 / ASPECT_TOLERANCE < ratio < ASPECT_TOLERANCE:
            continue
        if wide not in resized:
            small = cv2.resize(letters, (wide, TEMPLATE_PX), interpolation=cv2.INTER_AREA)
            resized[wide] = _standardise(np.pad(small, MARGIN_PX))
        scores[meaning] = max(scores.get(meaning, 0.0), float(np.vdot(resized[wide], template)))
    return scores


def find_writing(ink: np.ndarray, px_per_mm: float) -> Writing:
    """The words on a page, from its ink [y, x] in 0..1."""
    is_ink = (ink >= TEXT_INK).astype(np.uint8)
    _, piece_of, boxes, _ = cv2.connectedComponentsWithStats(is_ink, connectivity=8, ltype=cv2.CV_32S)
    width, height = boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT]
    low, high = (mm * px_per_mm for mm in LETTER_HEIGHT_MM)
    is_letter = (height >= low) & (height <= high) & (width <= LONGEST_WORD_MM * px_per_mm)
    # Hyphens and dots go with the letters beside them.
    is_letter[0] = False
    letters = np.flatnonzero(is_letter)
    words = []
    for group in _side_by_side(boxes[letters]):
        pieces = letters[group]
        left, top = boxes[pieces, 0].min(), boxes[pieces, 1].min()
        right = (boxes[pieces, 0] + boxes[pieces, 2]).max()
        bottom = (boxes[pieces, 1] + boxes[pieces, 3]).max()
        if right - left > LONGEST_WORD_MM * px_per_mm:
            continue
        part = slice(top, bottom), slice(left, right)
        alone = np.where(np.isin(piece_of[part], pieces), ink[part], 0).astype(np.float32)
        box = (left - 0.5, top - 0.5, right - 0.5, bottom - 0.5)
        words.append(Word(box, tuple(int(p) for p in pieces), _read(alone)))
    return Writing(tuple(words), piece_of, boxes)


def _side_by_side(boxes: np.ndarray) -> list[np.ndarray]:
    """Groups of boxes `[box, 5]` that stand in one line, close together."""
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom = left + boxes[:, 2], top + boxes[:, 3]
    higher = np.maximum(boxes[:, None, 3], boxes[None, :, 3])
    shared = np.minimum(bottom[:, None], bottom[None]) - np.maximum(top[:, None], top[None])
    gap = np.maximum(left[:, None], left[None]) - np.minimum(right[:, None], right[None])
    is_near = (shared > 0.5 * higher) & (gap < LETTER_GAP * higher)
    _, group_of = connected_components(is_near)
    return [np.flatnonzero(group_of == g) for g in range(group_of.max(initial=-1) + 1)]
