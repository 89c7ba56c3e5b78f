"""What happens to paper and to pictures of it, each with a dial, and where every point of the page ends up.

In the order in which it happens: writing and stains, a photocopy, folds and a curl, then the camera: how it is held,
light, focus, resolution, noise and compression.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from ecgjax.errors import InputError
from ecgjax.images.fields import drawn_field, lit
from ecgjax.images.page import Drawing, LeadBox
from ecgjax.images.paper_marks import draw_stains, draw_strokes
from ecgjax.images.warp import Crease, Warp


@dataclasses.dataclass(frozen=True)
class Damage:
    """How much of each; zero is none, except where another value is named.

    Attributes:
      strokes: words, underlinings and rings in ink.
      stains: of coffee.
      photocopy: how much of the grey between paper and ink is lost; with it come speckles and a black edge.
      creases: folds.
      crease_mm: how far paper beside a fold is displaced.
      crease_depth: the share of light that a fold takes.
      curl_mm: how much lower the left and right edge appear than the middle.
      rotation_deg: clockwise.
      perspective: how far corners are displaced, a share of the shorter edge.
      background: grey of what the page lies on, where it is seen.
      shadow: the share of light that the darkest corner lacks.
      blur_mm: standard deviation of the point spread.
      resolution: pixels along an edge over those that were drawn; 1 leaves it.
      noise: standard deviation in grey levels of 255.
      jpeg_quality: 1 to 100; 0 for no compression.
    """

    strokes: int
    stains: int
    photocopy: float
    creases: int
    crease_mm: float
    crease_depth: float
    curl_mm: float
    rotation_deg: float
    perspective: float
    background: int
    shadow: float
    blur_mm: float
    resolution: float
    noise: float
    jpeg_quality: int


NONE = Damage(0, 0, 0.0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 255, 0.0, 0.0, 1.0, 0.0, 0)
"""Leaves a page as it was drawn; single damages are `dataclasses.replace(NONE, rotation_deg=3.0)`."""

Ranges = Mapping[str, tuple[float, float]]

LEVELS: Mapping[str, Ranges] = {
    "none": {},
    "light": {
        "strokes": (0, 1), "rotation_deg": (-1, 1), "perspective": (0, 0.004), "background": (120, 255),
        "shadow": (0, 0.15), "blur_mm": (0, 0.05), "noise": (1, 4), "jpeg_quality": (75, 95),
    },
    "medium": {
        "strokes": (0, 3), "stains": (0, 1), "photocopy": (-0.6, 0.2), "creases": (0, 3), "crease_mm": (0.05, 0.3),
        "crease_depth": (0.05, 0.25), "curl_mm": (-0.6, 0.6), "rotation_deg": (-3, 3), "perspective": (0, 0.015),
        "background": (40, 255), "shadow": (0.1, 0.35), "blur_mm": (0.03, 0.09), "resolution": (0.7, 1),
        "noise": (3, 7), "jpeg_quality": (50, 85),
    },
    "heavy": {
        "strokes": (2, 6), "stains": (0, 3), "photocopy": (-0.8, 0.5), "creases": (2, 7), "crease_mm": (0.1, 0.6),
        "crease_depth": (0.15, 0.45), "curl_mm": (-1.5, 1.5), "rotation_deg": (-8, 8), "perspective": (0.01, 0.04),
        "background": (20, 255), "shadow": (0.3, 0.6), "blur_mm": (0.06, 0.14), "resolution": (0.35, 0.7),
        "noise": (6, 12), "jpeg_quality": (25, 60),
    },
}  # fmt: skip
"""Between what each dial is drawn. A range from below zero: none as often as its share there."""

_SIGNED = ("rotation_deg", "curl_mm")

STRIP_RANGES: Ranges = {
    "photocopy": (0, 0), "curl_mm": (0, 0), "rotation_deg": (-0.05, 0.05), "perspective": (0, 0),
    "background": (255, 255),
}  # fmt: skip
"""For strips: thirty times as wide as high, one is not held askew by more and still whole."""

_SPARE_GRAIN = 2**18

_EFFECTS = ("strokes", "stains", "photocopy", "creases", "perspective", "shadow", "noise")
"""Each draws from a stream of its own, so that turning one dial leaves the others as they were."""


def random_damage(seed: int, level: str, *, strip: bool = False) -> Damage:
    """Draws the dials of a level; those of a strip without paper around it where `strip`.

    Raises:
      InputError: there is no such level.
    """
    if level not in LEVELS:
        raise InputError(f"no damage {level!r}", f"choose from {', '.join(LEVELS)}")
    ranges = dict(LEVELS[level])
    if strip:
        ranges |= {name: span for name, span in STRIP_RANGES.items() if name in ranges}
    rng = np.random.default_rng([seed, len(_EFFECTS)])
    drawn: dict[str, Any] = {}
    for field in dataclasses.fields(Damage):
        share = rng.random()
        if field.name in ranges:
            low, high = ranges[field.name]
            value = low + share * (high - low)
            if field.name not in _SIGNED:
                value = max(0.0, value)
            drawn[field.name] = min(int(low + share * (high - low + 1)), int(high)) if field.type is int else value
    return dataclasses.replace(NONE, **drawn)


def damage(drawing: Drawing, options: Damage, seed: int) -> Drawing:
    """The drawing with damage, its truth moved along.

    The zero line of a box becomes the straight line from its beginning to its end; `y_px` is that of its middle. A
    label's box is the upright one around the moved one.
    """
    rgb, move, names = damage_picture(drawing.rgb, drawing.px_per_mm, options, seed)
    stretch = [_length(move, box) / (box.x1_px - box.x0_px) for box in drawing.boxes]
    return dataclasses.replace(
        drawing,
        rgb=rgb,
        boxes=tuple(_moved(move, box) for box in drawing.boxes),
        trace_px=tuple(move(trace) for trace in drawing.trace_px),
        px_per_mm=drawing.px_per_mm * float(np.mean(stretch)),
        damages=(*drawing.damages, *names),
    )


PointMap = Callable[[np.ndarray], np.ndarray]
"""[..., 2], x and y in pixels, before -> after."""


def damage_picture(
    picture: np.ndarray, px_per_mm: float, options: Damage, seed: int
) -> tuple[np.ndarray, PointMap, tuple[str, ...]]:
    """As `damage` for a picture alone, uint8 [y, x] or [y, x, 3]: the new one, where points go, and what was done.

    For a strip, `px_per_mm` is its pixels per second over 25.
    """
    rng = {name: np.random.default_rng([seed, k]) for k, name in enumerate(_EFFECTS)}
    picture = picture.copy()
    draw_stains(picture, rng["stains"], options.stains, px_per_mm)
    draw_strokes(picture, rng["strokes"], options.strokes, px_per_mm)
    if options.photocopy:
        picture = _photocopied(picture, options.photocopy, rng["photocopy"], px_per_mm)
    warp = _warp(picture, px_per_mm, options, rng)
    if warp is not None:
        picture = warp.draw(picture, max(1, round(px_per_mm / 2)), options.background)
    if options.shadow:
        picture = lit(picture, _light(options.shadow, rng["shadow"], picture.shape[1], picture.shape[0]))
    if options.blur_mm:
        picture = cv2.GaussianBlur(picture, (0, 0), options.blur_mm * px_per_mm)
    before = picture.shape[1], picture.shape[0]
    if options.resolution != 1:
        after = tuple(max(1, round(length * options.resolution)) for length in before)
        picture = cv2.resize(picture, after, interpolation=cv2.INTER_AREA)
    zoom = np.array([picture.shape[1], picture.shape[0]]) / before
    if options.noise:
        picture = cv2.add(picture, _grain(picture.shape, options.noise, rng["noise"]), dtype=cv2.CV_8U)
    if options.jpeg_quality:
        picture = _compressed(picture, options.jpeg_quality)

    def move(points_px: np.ndarray) -> np.ndarray:
        moved = np.asarray(points_px, float) if warp is None else warp.move(points_px)
        return (moved + 0.5) * zoom - 0.5

    names = tuple(
        field.name
        for field in dataclasses.fields(Damage)
        if field.name not in ("crease_mm", "crease_depth", "background")
        and getattr(options, field.name) != getattr(NONE, field.name)
    )
    return picture, move, names


def _photocopied(picture: np.ndarray, loss: float, rng: np.random.Generator, px_per_mm: float) -> np.ndarray:
    """Grey, steep, with specks of toner and, from the lid that stood open, a black edge."""
    grey = np.asarray(picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    threshold, steepness = rng.uniform(0.55, 0.75), 1 / max(1 - loss, 0.05)
    level = 0.5 + (np.arange(256) / 255 - threshold) * steepness
    level = (1 - loss) * np.arange(256) / 255 + loss * level.clip(0, 1)
    grey = np.asarray(cv2.LUT(grey, np.rint(255 * level).astype(np.uint8)))
    height, width = grey.shape
    count = rng.poisson(0.02 * loss * height * width / px_per_mm**2)
    for x, y in rng.uniform(0, 1, (count, 2)) * (width, height):
        cv2.circle(
            grey, (int(x * 16), int(y * 16)), int(rng.uniform(0.05, 0.25) * px_per_mm * 16), 40, -1, cv2.LINE_AA, 4
        )
    knots_mm = rng.uniform(0.5, 3.0) + 0.02 * np.abs(rng.normal(0, 0.4, height // 8 + 2)).cumsum()
    edge_px = px_per_mm * np.interp(np.arange(height), 8 * np.arange(len(knots_mm)), knots_mm)
    grey[np.arange(width) < edge_px[:, None]] = 12
    return grey if picture.ndim == 2 else cv2.merge([grey] * 3)


def _warp(
    picture: np.ndarray, px_per_mm: float, options: Damage, rng: Mapping[str, np.random.Generator]
) -> Warp | None:
    """None where nothing moves."""
    height, width = picture.shape[:2]
    creases = tuple(_crease(rng["creases"], width, height, px_per_mm, options) for _ in range(options.creases))
    turns = bool(options.rotation_deg or options.perspective)
    if not (creases or turns or options.curl_mm):
        return None
    if not turns:
        return Warp((width, height), creases, options.curl_mm * px_per_mm, np.eye(3), (width, height))
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - 0.5
    angle = np.deg2rad(options.rotation_deg)
    turned = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned += rng["perspective"].uniform(-1, 1, (4, 2)) * options.perspective * min(width, height)
    low, high = turned.min(axis=0), turned.max(axis=0)
    after = (turned - low - 0.5).astype(np.float32)
    homography = np.asarray(cv2.getPerspectiveTransform(corners.astype(np.float32), after))
    picture_width, picture_height = np.ceil(high - low).astype(int).tolist()
    return Warp((width, height), creases, options.curl_mm * px_per_mm, homography, (picture_width, picture_height))


def _crease(rng: np.random.Generator, width: int, height: int, px_per_mm: float, options: Damage) -> Crease:
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]) + rng.normal(0, 0.05)
    width_px = rng.uniform(1.5, 5.0) * px_per_mm
    return Crease(
        at_px=(rng.uniform(0.05, 0.95) * width, rng.uniform(0.05, 0.95) * height),
        normal=(float(np.cos(angle)), float(np.sin(angle))),
        width_px=width_px,
        length_px=rng.uniform(0.15, 1.0) * width,
        shift_px=min(options.crease_mm * px_per_mm, width_px / 3) * rng.uniform(0.5, 1),
        depth=options.crease_depth * rng.uniform(-1, 1),
    )


def _light(shadow: float, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """float32 [y, x]: brighter towards one side, uneven, and the soft edge of something in the way."""
    angle, edge = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2)
    x, y = np.linspace(-0.5, 0.5, 65)[None, :], np.linspace(-0.5, 0.5, 65)[:, None]
    along = np.cos(angle) * x + np.sin(angle) * y + 0.5
    bumps = drawn_field(rng, (4, 5), 65, 65)
    dark = 0.5 * along + 0.2 * bumps + 0.3 / (1 + np.exp(-(along - edge + 0.1 * bumps) / 0.03))
    dark = (dark - dark.min()) / (dark.max() - dark.min())
    return cv2.resize((1 - shadow * dark).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)


def _grain(shape: tuple[int, ...], deviation: float, rng: np.random.Generator) -> np.ndarray:
    """int16 of `shape`, normally distributed."""
    # Each row is cut at random from one long row: a number for each pixel would take most of the time of a page.
    length = math.prod(shape[1:])
    stock = np.rint(deviation * rng.standard_normal(length + _SPARE_GRAIN, np.float32)).astype(np.int16)
    rows = np.lib.stride_tricks.sliding_window_view(stock, length)
    return rows[rng.integers(0, len(rows), shape[0])].reshape(shape)


def _compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if picture.ndim == 2:
        return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, settings)[1], cv2.IMREAD_GRAYSCALE))
    stored = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)[1]
    return cv2.cvtColor(np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


def _ends(move: PointMap, box: LeadBox) -> np.ndarray:
    return move(np.array([(box.x0_px, box.y_px), (box.x1_px, box.y_px)]))


def _length(move: PointMap, box: LeadBox) -> float:
    begin, end = _ends(move, box)
    return float(np.hypot(*(end - begin)))


def _moved(move: PointMap, box: LeadBox) -> LeadBox:
    begin, end = _ends(move, box)
    label = box.label_box_px
    if label is not None:
        corners = move(np.array([(label[i], label[j]) for i in (0, 2) for j in (1, 3)]))
        label = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    x0, x1, y = float(begin[0]), float(end[0]), float(begin[1] + end[1]) / 2
    return dataclasses.replace(box, x0_px=x0, x1_px=x1, y_px=y, label_box_px=label)
