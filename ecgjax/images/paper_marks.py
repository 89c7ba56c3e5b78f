"""What people leave on paper: writing and stains. Pictures are uint8 [y, x] or [y, x, 3] and changed in place."""

import cv2
import numpy as np

from ecgjax.images.fields import drawn_field

_PENS = ((20, 30, 120), (15, 15, 15), (40, 40, 160), (170, 20, 30))
_SUBPIXEL_BITS = 4


def draw_strokes(picture: np.ndarray, rng: np.random.Generator, count: int, px_per_mm: float) -> None:
    """So many words, underlinings and rings by a ball-point pen."""
    height_mm, width_mm = np.array(picture.shape[:2]) / px_per_mm
    for _ in range(count):
        at_mm = rng.uniform((0.04, 0.08), (0.75, 0.95)) * (width_mm, height_mm)
        size_mm = min(rng.uniform(3.0, 6.0), height_mm / 4)
        kind = rng.choice(3, p=(0.7, 0.15, 0.15))
        stroke_mm = (_word, _underline, _ring)[kind](rng, size_mm) + at_mm
        colour = _PENS[rng.integers(len(_PENS))]
        value = colour if picture.ndim == 3 else (float(np.dot(colour, (0.299, 0.587, 0.114))),)
        points = np.rint((stroke_mm * px_per_mm - 0.5) * 2**_SUBPIXEL_BITS).astype(np.int32)
        thickness = max(1, round(rng.uniform(0.25, 0.5) * px_per_mm))
        cv2.polylines(picture, [points[:, None]], False, value, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _word(rng: np.random.Generator, size_mm: float) -> np.ndarray:
    """[point, 2]: a run of letters like loops, each of its own height, leaning to the right."""
    letters = int(rng.integers(3, 11))
    phase = np.arange(0, letters, 1 / 24)
    knots = np.arange(letters + 1)
    tall = np.interp(phase, knots, rng.choice([0.5, 0.6, 1.3, 1.5], letters + 1, p=(0.4, 0.3, 0.15, 0.15)))
    broad = np.interp(phase, knots, rng.uniform(0.1, 0.5, letters + 1))
    turn = 2 * np.pi * phase
    y = -size_mm * tall * (0.5 - 0.5 * np.cos(turn)) + 0.1 * size_mm * np.sin(turn / 7 + rng.uniform(0, 6))
    x = size_mm * (0.62 * phase + broad * np.sin(turn + rng.uniform(-0.4, 0.4))) - 0.25 * y
    return np.stack([x, y], axis=1)


def _underline(rng: np.random.Generator, size_mm: float) -> np.ndarray:
    x = np.linspace(0, size_mm * rng.uniform(4, 9), 30)
    y = size_mm * (rng.uniform(-0.02, 0.02) * x / size_mm + 0.06 * np.sin(x / size_mm + rng.uniform(0, 6)))
    return np.stack([x, y], axis=1)


def _ring(rng: np.random.Generator, size_mm: float) -> np.ndarray:
    turn = np.linspace(0, rng.uniform(1.95, 2.3) * np.pi, 60) + rng.uniform(0, 6)
    grow = 1 + 0.03 * turn
    return size_mm * np.stack([3.2 * grow * np.cos(turn), 1.9 * grow * np.sin(turn)], axis=1)


def draw_stains(picture: np.ndarray, rng: np.random.Generator, count: int, px_per_mm: float) -> None:
    """So many drops of coffee, darker at the rim."""
    height, width = picture.shape[:2]
    for _ in range(count):
        radius = rng.uniform(0.06, 0.2) * min(height, width, 215 * px_per_mm)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        left, top = max(0, int(x - 1.4 * radius)), max(0, int(y - 1.4 * radius))
        part = picture[top : int(y + 1.4 * radius) + 1, left : int(x + 1.4 * radius) + 1]
        rows, columns = np.arange(part.shape[0])[:, None] + top - y, np.arange(part.shape[1]) + left - x
        bumps = drawn_field(rng, (5, 5), part.shape[1], part.shape[0])
        distance = np.hypot(rows, columns) / radius + 0.12 * bumps
        inside = 1 / (1 + np.exp((distance - 1) * 40))
        rim = np.exp(-(((distance - 0.97) / 0.05) ** 2))
        strength = rng.uniform(0.08, 0.22) * (inside * (0.7 + 0.3 * bumps) + 1.2 * rim)
        absorbed = np.array([0.35, 0.6, 1.0]) if picture.ndim == 3 else np.array(0.6)
        left_over = 1 - (strength[..., None] * absorbed if picture.ndim == 3 else strength * absorbed)
        part[:] = np.rint(part * left_over.clip(0, 1))
