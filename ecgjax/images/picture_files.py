"""Pictures from files: scans and photographs, and the pages of PDF documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ecgjax.errors import InputError

PDF_SUFFIX = ".pdf"
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", PDF_SUFFIX)

PDF_PX_PER_INCH = 200.0
"""At which pages of a PDF are drawn: 8 pixels to a millimetre."""

_POINTS_PER_INCH = 72.0


def find_pictures(source: Path) -> list[Path]:
    """The file itself, or all pictures and PDF documents of a folder and below, by name.

    Raises:
      InputError: there is none.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"there is no {source}", "give a picture, a PDF or a folder of them")
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"no picture in {source} or below", f"give files that end in {', '.join(SUFFIXES)}")
    return found


def read_pictures(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The pages of a file, each uint8 [y, x, rgb] after its name: that of the file, and `_1`, `_2`... for several.

    Raises:
      InputError: it cannot be read.
    """
    if path.suffix.lower() == PDF_SUFFIX:
        yield from _pages(path)
        return
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read {path} ({' '.join(str(error).split())})", "give a picture or a PDF") from None
    # What is transparent is paper.
    paper = Image.new("RGBA", upright.size, "white")
    yield path.stem, np.array(Image.alpha_composite(paper, upright).convert("RGB"))


def _pages(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    document = _document(path)
    try:
        for k, page in enumerate(document, 1):
            picture = page.render(scale=PDF_PX_PER_INCH / _POINTS_PER_INCH).to_pil().convert("RGB")
            yield f"{path.stem}_{k}" if len(document) > 1 else path.stem, np.array(picture)
    finally:
        document.close()


def _document(path: Path) -> Any:
    try:
        import pypdfium2  # noqa: PLC0415 - only PDF documents need it
    except ImportError:
        raise InputError(f"{path} is a PDF", "run pip install pypdfium2, or give a picture of the page") from None
    try:
        return pypdfium2.PdfDocument(path)
    except (pypdfium2.PdfiumError, OSError) as error:
        raise InputError(f"cannot read {path} ({error})", "restore the file") from None
