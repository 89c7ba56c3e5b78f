"""How much of each pixel of a straight page is ink of a trace or of text, whatever paper and grid are below it.

A pixel is taken as a mixture of what the paper with its grid would show there and of the colour of the ink; the share
of ink is the one that comes nearest in all three channels (least squares). Anti-aliased edges keep their share.
"""

import itertools

import cv2
import numpy as np

PAPER_PART = 130
"""The longer side of a picture over what is wider than lines, letters and strokes of ink: 2 mm of a page."""

LINE_BLOCK_MM = 100.0
LINE_SAMPLES = 64
LINE_QUANTILE = 0.65
"""Of the samples along a line: crossing lines and ink, which are darker than it, are the smaller part of them."""

DARK_PAPER = 0.2, 0.38
"""Of the brightness of the page: below the first it is no paper, above the second it is."""

LINE_TOLERANCE = np.uint8(30)
"""Levels of 255 by which a line may be darker than its like."""

FAINT = 8.0, 40.0
NOISE_WIDTHS = 3.0
"""What is less dark against its paper than this many standard deviations of noise, in levels of 255 between these
limits, is taken for paper."""

COLOUR_TOLERANCE = 0.06
COLOUR_PENALTY = 3.0
HIDING_COLOUR = 0.22
"""What is more colourful than ink can be, by more than the first, loses its share of ink as many times as fast; by more
than the last, it hides whatever ink is below it."""

PRIOR_WEIGHT = 0.15
"""Of the ink beside a dark line, against what is seen on it; white paper weighs 3."""

DARKEST_SHARE = 0.0015
"""Of a page, at least so much is solid ink."""

MAX_STROKE_MM = 2.2
"""What is broader is no stroke."""

EDGE_MM, EDGE_LINE_MM, EDGE_GAP_MM = 5.0, 40.0, 2.0
"""What lies outermost within the first and is straight for as long as the second, but for gaps as long as the third, is
an edge of the sheet."""

MAX_GAIN = 2.5
"""By which thin strokes are made darker."""


def paper_brightness(rgb: np.ndarray) -> np.ndarray:
    """What the paper would show without grid and ink: uint8 [y, x, rgb], as smooth as shadows and creases are."""
    height, width = rgb.shape[:2]
    factor = max(1, round(max(height, width) / 1000))
    small = cv2.resize(rgb, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    size = max(5, round(max(small.shape[:2]) / PAPER_PART) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (size, size))
    small = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE)
    small = cv2.blur(small, (size, size))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def evened(rgb: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """The picture with its paper white, uint8 [y, x, rgb]; so is what is too dark to be paper."""
    even = cv2.divide(rgb, np.maximum(paper, 1), scale=255)
    brightness = paper[::16, ::16].max(axis=2)
    # Beside the paper, the noise of a dark background would be as strong as ink.
    dark, bright = (share * float(np.quantile(brightness, 0.9)) for share in DARK_PAPER)
    if brightness.min() >= bright:
        return even
    trust = np.clip((np.arange(256) - dark) / (bright - dark), 0, 1)
    darkness = cv2.multiply(255 - even, cv2.LUT(paper, np.rint(255 * trust).astype(np.uint8)), scale=1 / 255)
    return 255 - darkness


def trace_ink(even: np.ndarray, px_per_mm: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray]:
    """Share of ink, float32 [y, x] in 0..1, of a straight page with white paper; `px_per_mm` (x, y), None: no grid.

    Second, bool [y, x], where coloured boxes and marks may hide ink.
    """
    height, width = even.shape[:2]
    empty = np.full_like(even, 255) if px_per_mm is None else _empty_page(even, px_per_mm)
    stroke_px = max(3.0, 2.5 * max(even.shape) / PAPER_PART if px_per_mm is None else MAX_STROKE_MM * min(px_per_mm))
    # Noise brightens as much as it darkens, ink darkens alone.
    brighter = cv2.subtract(np.ascontiguousarray(even[::5, ::3]), np.ascontiguousarray(empty[::5, ::3]))
    noise = 1.5 * float(np.median(brighter[brighter > 0])) if (brighter > 0).mean() > 0.15 else 0.0
    faint = float(np.clip(NOISE_WIDTHS * noise, *FAINT))
    red, green, blue = cv2.split(cv2.subtract(empty, even))
    at = np.flatnonzero(cv2.max(cv2.max(red, green), blue).ravel() > faint)
    ink_rgb = _ink_colour(even, empty)
    paper = empty.reshape(-1, 3)[at].T.astype(np.float32) / 255
    seen = even.reshape(-1, 3)[at].T.astype(np.float32) / 255
    range_rgb = paper - ink_rgb[:, None]
    weight = (range_rgb**2).sum(axis=0)
    weighted = ((paper - seen) * range_rgb).sum(axis=0)
    share = weighted / (weight + 1e-3)
    excess = (seen - paper + share * range_rgb).max(axis=0)
    is_hidden = np.zeros(height * width, bool)
    is_hidden[at] = excess > HIDING_COLOUR
    loss = COLOUR_PENALTY * np.maximum(excess - COLOUR_TOLERANCE, 0)
    ink = np.zeros(height * width, np.float32)
    ink[at] = np.clip(share - loss, 0, 1)
    if px_per_mm is not None:
        is_dark = weight < 5 * PRIOR_WEIGHT
        if is_dark.any():
            prior = _beside(ink.reshape(height, width), empty, at, weight, px_per_mm)[is_dark]
            dark = weighted[is_dark] - loss[is_dark] * weight[is_dark] + PRIOR_WEIGHT * prior
            ink[at[is_dark]] = np.clip(dark / (weight[is_dark] + PRIOR_WEIGHT), 0, 1)
    return _solid(_strokes(ink.reshape(height, width), stroke_px)), is_hidden.reshape(height, width)


def without_edges(ink: np.ndarray, px_per_mm: tuple[float, float]) -> np.ndarray:
    """The ink [y, x] without the edges of the sheet, which are dark where it lies on something darker."""
    is_ink = (ink > 0.25).astype(np.uint8)
    rows, columns = (np.flatnonzero(is_ink.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return ink
    cleared = ink.copy()
    for line, scale, across, found in ((1, px_per_mm[0], px_per_mm[1], rows), (0, px_per_mm[1], px_per_mm[0], columns)):
        length, reach = round(EDGE_LINE_MM * scale), round(EDGE_MM * across)
        thick = cv2.dilate(is_ink, np.ones((3, 1) if line else (1, 3), np.uint8))
        gap = round(EDGE_GAP_MM * scale)
        thick = cv2.morphologyEx(thick, cv2.MORPH_CLOSE, np.ones((1, gap) if line else (gap, 1), np.uint8))
        straight = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, length) if line else (length, 1), np.uint8))
        grown = cv2.dilate(straight, np.ones((5, 5), np.uint8)).astype(bool)
        inner = slice(found[0] + reach, max(found[-1] + 1 - reach, found[0] + reach))
        grown[(inner, slice(None)) if line else (slice(None), inner)] = False
        cleared[grown] = 0
    return cleared


def _empty_page(even: np.ndarray, px_per_mm: tuple[float, float]) -> np.ndarray:
    """Paper and grid without ink, uint8 [y, x, rgb], from what most of each line shows."""
    height, width = even.shape[:2]
    upright = _repeated(_lines(even, px_per_mm[1]), px_per_mm[0])
    level = _repeated(_lines(even.transpose(1, 0, 2), px_per_mm[0]), px_per_mm[1]).transpose(1, 0, 2)
    upright = cv2.resize(upright, (width, height))
    level = cv2.resize(np.ascontiguousarray(level), (width, height))
    above = cv2.min(upright, level)
    below = cv2.multiply(upright, level, scale=1 / 255)
    # Where lines cross, opaque ones show the darker of both, others darken each other.
    pick = np.s_[1::7, 2::5]
    deeper = above[pick].astype(np.float32) - below[pick]
    crosses = deeper > 12
    if crosses.sum() < 50:
        return above
    depth = np.median((above[pick].astype(np.float32) - even[pick])[crosses] / deeper[crosses])
    depth = float(np.clip(depth, 0, 1.5))
    return cv2.addWeighted(above, 1 - depth, below, depth, 0)


def _lines(even: np.ndarray, px_per_mm: float) -> np.ndarray:
    """Colour that most of each column has, in blocks of rows one below the other: uint8 [block, x, rgb]."""
    height = len(even)
    num = max(1, round(height / (LINE_BLOCK_MM * px_per_mm)))
    edges = np.linspace(0, height, num + 1).astype(int)
    rng = np.random.default_rng(0)
    blocks = []
    for top, bottom in itertools.pairwise(edges):
        rows = np.sort(rng.choice(np.arange(top, bottom), min(LINE_SAMPLES, bottom - top), replace=False))
        samples = np.sort(np.ascontiguousarray(even[rows]), axis=0)
        blocks.append(samples[int(LINE_QUANTILE * len(rows))])
    return np.stack(blocks)


def _repeated(lines: np.ndarray, px_per_mm: float) -> np.ndarray:
    """Lines [block, x, rgb] no darker than others 5, 10 and 15 mm away: a trace that runs level for long is no line."""
    nearby = cv2.erode(lines, np.ones((1, 3), np.uint8))
    nearby = np.pad(nearby, ((0, 0), (round(15 * px_per_mm) + 1,) * 2, (0, 0)), constant_values=255)
    middle, length = round(15 * px_per_mm) + 1, lines.shape[1]
    starts = [middle + round(away_mm * px_per_mm) for away_mm in (-15, -10, -5, 5, 10, 15)]
    others = np.sort(np.stack([nearby[:, start : start + length] for start in starts]), axis=0)
    darkest = np.maximum(others[1], LINE_TOLERANCE) - LINE_TOLERANCE
    # A frame around the page may be.
    edge = max(1, round(px_per_mm))
    darkest[:, :edge] = darkest[:, -edge:] = 0
    return np.maximum(lines, darkest)


def _beside(
    ink: np.ndarray, empty: np.ndarray, at: np.ndarray, weight: np.ndarray, px_per_mm: tuple[float, float]
) -> np.ndarray:
    """Share of ink around pixels `at`, weighted by how well it is seen there.

    Along rows and along columns: of these two ways, the one that leaves the line counts most.
    """
    known = cv2.LUT(cv2.cvtColor(empty, cv2.COLOR_RGB2GRAY), np.rint(np.arange(256) ** 2 / 255).astype(np.uint8))
    known.ravel()[at] = np.minimum(85 * weight, 255)
    seen = cv2.multiply(cv2.convertScaleAbs(ink, alpha=255), known, scale=1 / 255)
    over_x, over_y = ((max(3, round(0.7 * scale) | 1)) for scale in px_per_mm)
    total, sizes = (
        sum(cv2.blur(plane, size).ravel()[at].astype(np.float32) for size in ((over_x, 1), (1, over_y)))
        for plane in (seen, known)
    )
    return total / np.maximum(sizes, 1)


def _strokes(ink: np.ndarray, stroke_px: float) -> np.ndarray:
    """Without what is broader than a stroke: the dark beside the paper, stains, holes."""
    factor = max(1, int(stroke_px / 5))
    height, width = ink.shape
    small = cv2.resize(ink, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    size = max(3, round(stroke_px / factor))
    solid = cv2.erode((small > 0.6).astype(np.uint8), np.ones((size, size)), borderValue=1)
    if not solid.any():
        return ink
    broad = cv2.dilate(solid, np.ones((size + 4, size + 4)))
    return np.where(cv2.resize(broad, (width, height), interpolation=cv2.INTER_NEAREST) > 0, 0, ink)


def _solid(ink: np.ndarray) -> np.ndarray:
    """Thin or pale strokes brought to 1 in their middle, as most of them have it."""
    some = np.ascontiguousarray(ink[:, ::3])
    middle = some[1:-1]
    is_crest = (middle > 0.25) & (middle >= some[:-2]) & (middle >= some[2:])
    # A stroke goes on, a speck of noise does not.
    crest = middle[is_crest & (cv2.blur(some, (3, 3))[1:-1] > 0.2)]
    if len(crest) == 0:
        return ink
    gain = float(np.clip(1 / np.median(crest), 1, MAX_GAIN))
    return np.minimum(ink * gain, 1)


def _ink_colour(even: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Of strokes that darken most in the channel they darken least, for else it is a colour: float32 [rgb], 0..1.

    Thin strokes are paler than the ink they are made of, which has one channel without light.
    """
    sample, below = (np.ascontiguousarray(picture[::3, ::2]) for picture in (even, empty))
    red, green, blue = cv2.split(cv2.subtract(below, sample))
    darker = cv2.min(cv2.min(red, green), blue)
    ink_rgb = np.median(sample[darker >= np.quantile(darker, 1 - DARKEST_SHARE)], axis=0)
    return ((ink_rgb - ink_rgb.min()) / 255).astype(np.float32)
