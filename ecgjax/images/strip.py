"""One lead as one black line on white, nothing else: the picture of Brisk et al. (J Electrocardiol 2019, 57S:S65-69).

Between its least and greatest sample a recording fills the picture from the lower to the upper edge, so that voltages
are lost and only shapes remain.
"""

import math

import numpy as np

from ecgjax.errors import InputError
from ecgjax.images.page import Drawing, LeadBox
from ecgjax.images.pen import line_coverage

HEIGHT_PX, PX_PER_S, LINE_PX = 150, 150.0, 1.4
"""Of the original, whose half a minute is 4,500 pixels wide."""

PAPER_SPEED_MM_S = 25.0
"""By which pixels of a strip, which has no scale of its own, are taken for millimetres."""


def draw_strip(signal_mv: np.ndarray, fs_hz: float, height_px: int, px_per_s: float, line_px: float) -> np.ndarray:
    """uint8 [y, x]: a recording `[time]` of any length, white 255; `line_px` is the width of the line.

    Raises:
      InputError: as `strip_points_px`.
    """
    width_px = math.ceil(len(signal_mv) / fs_hz * px_per_s - 1e-6)
    strip = np.full((height_px, width_px), 255, np.uint8)
    points = strip_points_px(signal_mv, fs_hz, height_px, px_per_s)
    coverage, top, left = line_coverage(points, line_px, strip.shape)
    strip[top : top + len(coverage), left : left + coverage.shape[1]] = (255.5 - 255 * coverage).astype(np.uint8)
    return strip


def strip_points_px(signal_mv: np.ndarray, fs_hz: float, height_px: int, px_per_s: float) -> np.ndarray:
    """float64 [time, 2]: x and y of each sample in its strip, from the centre of the upper left pixel.

    Raises:
      InputError: the recording `[time]` has fewer than two samples or one that is no number.
    """
    signal_mv = np.asarray(signal_mv, float)
    if signal_mv.ndim != 1 or len(signal_mv) < 2 or not np.isfinite(signal_mv).all():
        raise InputError(
            f"a strip is of one lead without gaps, not of shape {signal_mv.shape} with "
            f"{np.count_nonzero(~np.isfinite(signal_mv))} samples missing",
            "give [time] in mV",
        )
    low, high = signal_mv.min(), signal_mv.max()
    share = (signal_mv - low) / (high - low) if high > low else np.full(len(signal_mv), 0.5)
    return np.stack([np.arange(len(signal_mv)) * (px_per_s / fs_hz), (1 - share) * height_px], axis=1) - 0.5


def strip_drawing(
    signal_mv: np.ndarray, fs_hz: float, lead: str, height_px: int, px_per_s: float, line_px: float
) -> Drawing:
    """The strip of a recording `[time]` with its truth; millimetres as if its paper had run at 25 mm/s.

    Raises:
      InputError: as `strip_points_px`.
    """
    strip = draw_strip(signal_mv, fs_hz, height_px, px_per_s, line_px)
    points = strip_points_px(signal_mv, fs_hz, height_px, px_per_s)
    low, high = float(np.min(signal_mv)), float(np.max(signal_mv))
    px_per_mm = px_per_s / PAPER_SPEED_MM_S
    px_per_mv = height_px / (high - low) if high > low else 0.0
    zero_px = (height_px if high > low else height_px / 2) - 0.5 + low * px_per_mv
    stop_s = len(points) / fs_hz
    box = LeadBox(lead, -0.5, stop_s * px_per_s - 0.5, zero_px, 0.0, stop_s, None)
    rgb = np.repeat(strip[:, :, None], 3, axis=2)
    gain = px_per_mv / px_per_mm
    return Drawing(rgb, "line", (box,), (points,), px_per_mm, PAPER_SPEED_MM_S, gain, float(fs_hz), ())
