"""Letters as pixels."""

import functools
import os

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ecgjax.errors import InputError


@functools.lru_cache(maxsize=64)
def _font(name: str, size_px: float) -> ImageFont.FreeTypeFont:
    path = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", name)
    try:
        return ImageFont.truetype(path, size_px)
    except OSError:
        raise InputError(f"there is no font {name!r} in {os.path.dirname(path)}", "give one of its files") from None


@functools.lru_cache(maxsize=1024)
def text_coverage(text: str, font: str, size_px: float) -> np.ndarray:
    """float32 [y, x] in 0..1: the ink of `text`, cut to its outline; one of the fonts of matplotlib, `size_px` an em.

    Raises:
      InputError: there is no such font.
    """
    face = _font(font, max(size_px, 1.0))
    left, top, right, bottom = face.getbbox(text)
    picture = Image.new("L", (max(1, int(np.ceil(right - left))), max(1, int(np.ceil(bottom - top)))))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=face)
    coverage = np.asarray(picture, np.float32) / 255
    coverage.setflags(write=False)
    return coverage
