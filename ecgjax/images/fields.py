"""Quantities that vary slowly over a picture, worked out at a few points of it."""

from collections.abc import Callable

import cv2
import numpy as np


def smooth_field(
    function: Callable[[np.ndarray], np.ndarray], width_px: int, height_px: int, step_px: int
) -> np.ndarray:
    """float32 [y, x] or [y, x, k]: `function` of points [..., 2] of a picture, linear between every `step_px`."""
    # One cell more on each side, since resizing does not go on beyond the outermost centres.
    x, y = ((np.arange(-(-n // step_px) + 2) - 0.5) * step_px - 0.5 for n in (width_px, height_px))
    coarse = np.ascontiguousarray(function(np.stack(np.meshgrid(x, y), axis=-1)), np.float32)
    fine = cv2.resize(coarse, (len(x) * step_px, len(y) * step_px), interpolation=cv2.INTER_LINEAR)
    return fine[step_px : step_px + height_px, step_px : step_px + width_px]


def drawn_field(rng: np.random.Generator, cells: tuple[int, int], width_px: int, height_px: int) -> np.ndarray:
    """float32 [y, x]: a random smooth surface of about -1..1 with so many bumps down and across."""
    coarse = rng.uniform(-1, 1, cells).astype(np.float32)
    return cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)


def lit(picture: np.ndarray, light: np.ndarray) -> np.ndarray:
    """uint8 `picture` [y, x] or [y, x, 3] times `light` [y, x]."""
    light = light if picture.ndim == 2 else cv2.merge([light] * 3)
    return cv2.multiply(picture, np.ascontiguousarray(light), dtype=cv2.CV_8U)
