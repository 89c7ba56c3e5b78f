"""The straightened page with what was read off it drawn on it, to check by eye."""

import cv2
import numpy as np

from ecgjax.images.digitize import Digitised
from ecgjax.images.lettering import text_coverage
from ecgjax.images.page import CLINICAL
from ecgjax.images.pen import lay_ink, line_coverage

TRACED, ZERO = (0, 70, 230), (120, 120, 120)
"""Colours of traces and names that were found, and of the lines at 0 mV."""

_LEAST_HEIGHT_PX = 1600


def traced_page(digitised: Digitised) -> np.ndarray:
    """uint8 [y, x, rgb]: the page, paled, with the lines that were found, their names and where each has 0 mV."""
    page, traces = digitised.page.rgb, digitised.trace_px
    zoom = max(1, round(_LEAST_HEIGHT_PX / page.shape[0]))
    rgb = cv2.resize(255 - (255 - page) // 2, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    width_px = rgb.shape[1] / 1000
    for box in digitised.boxes:
        ends = (np.array([[box.x0_px, box.y_px], [box.x1_px, box.y_px]]) + 0.5) * zoom - 0.5
        lay_ink(rgb, *line_coverage(ends, width_px, rgb.shape[:2]), ZERO)
    column_px = (np.arange(len(traces)) + 0.5) * rgb.shape[1] / len(traces) - 0.5
    for y_px in traces.T:
        points = np.stack([column_px, (y_px + 0.5) * zoom - 0.5], axis=1)
        lay_ink(rgb, *line_coverage(points, width_px, rgb.shape[:2]), TRACED)
    for box in digitised.boxes:
        letters = text_coverage(box.lead, CLINICAL.font, rgb.shape[1] / 60)
        top = max(0, round(box.y_px * zoom - 0.06 * rgb.shape[0]))
        lay_ink(rgb, letters, top, max(0, round(box.x0_px * zoom + 0.02 * rgb.shape[1])), TRACED)
    return rgb
