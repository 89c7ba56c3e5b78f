"""Pictures of pages as files that print at true size, and their truth as JSON."""

import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ecgjax.images.page import Drawing

PICTURE_TYPES = ("png", "jpg", "pdf")

_MM_PER_INCH = 25.4
_JPEG_QUALITY = 95
# Upward prediction suits pages, whose rows are mostly like the one above, and the first level suits hurry.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)
_PNG_HEADER_BYTES = 33


def picture_bytes(rgb: np.ndarray, px_per_mm: float, kind: str) -> bytes:
    """A file of `rgb` uint8 [y, x, 3], of one of `PICTURE_TYPES`."""
    if kind == "png":
        stored = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _PNG)[1].tobytes()
        per_metre = round(1000 * px_per_mm)
        density = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
        chunk = struct.pack(">I", len(density) - 4) + density + struct.pack(">I", zlib.crc32(density))
        return stored[:_PNG_HEADER_BYTES] + chunk + stored[_PNG_HEADER_BYTES:]
    file = io.BytesIO()
    per_inch = px_per_mm * _MM_PER_INCH
    if kind == "jpg":
        Image.fromarray(rgb).save(file, "JPEG", quality=_JPEG_QUALITY, dpi=(per_inch, per_inch))
    else:
        Image.fromarray(rgb).save(file, "PDF", quality=_JPEG_QUALITY, resolution=per_inch)
    return file.getvalue()


def truth(drawing: Drawing) -> dict[str, Any]:
    """All that a drawing knows of itself, for JSON: sizes, scale, boxes with their traces; pixels to a hundredth."""
    height, width = drawing.rgb.shape[:2]
    boxes = []
    for box, trace in zip(drawing.boxes, drawing.trace_px, strict=True):
        label = box.label_box_px
        boxes.append(
            {
                "lead": box.lead,
                "x0_px": box.x0_px,
                "x1_px": box.x1_px,
                "y_px": box.y_px,
                "start_s": box.start_s,
                "stop_s": box.stop_s,
                "label_box_px": None if label is None else list(label),
                "trace_px": [[x, y] if math.isfinite(y) else [x, None] for x, y in np.round(trace, 2).tolist()],
            }
        )
    return {
        "layout": drawing.layout,
        "width_px": width,
        "height_px": height,
        "px_per_mm": drawing.px_per_mm,
        "paper_speed_mm_s": drawing.paper_speed_mm_s,
        "gain_mm_mv": drawing.gain_mm_mv,
        "fs_hz": drawing.fs_hz,
        "damages": list(drawing.damages),
        "boxes": boxes,
    }


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file, or nothing."""
    unfinished = path.with_name(f".incomplete.{path.name}")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
