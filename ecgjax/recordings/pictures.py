"""Pictures and PDF pages, through the digitiser."""

from pathlib import Path

from ecgjax.recordings.contents import Channel, Contents, FormatError, Stated

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
MAX_PIXELS = 50_000_000


def read(path: Path, stated: Stated) -> Contents:
    """The first page that shows an ECG."""
    _check_size(path)
    from ecgjax.images.digitize import FIND_ALL, digitize  # noqa: PLC0415 - OpenCV, which other formats do not need
    from ecgjax.images.picture_files import read_pictures  # noqa: PLC0415

    pages = read_pictures(path)
    _, rgb = next(pages)
    found = digitize(rgb, FIND_ALL)
    notes = [f"digitised from a picture of the layout {found.layout}", *found.warnings]
    channels = [
        Channel(name, "mV", found.fs_hz, samples)
        for name, samples in zip(found.lead_names, found.signal_mv.T, strict=True)
    ]
    return Contents("picture", channels, "", {}, notes)


def _check_size(path: Path) -> None:
    """Refuses what would be more than MAX_PIXELS once it is drawn."""
    from ecgjax.images.picture_files import PDF_PX_PER_INCH, PDF_SUFFIX  # noqa: PLC0415

    if path.suffix.lower() == PDF_SUFFIX:
        import pypdfium2  # noqa: PLC0415

        document = pypdfium2.PdfDocument(path)
        try:
            if not len(document):
                raise FormatError("it has no pages")
            width, height = (length * PDF_PX_PER_INCH / 72 for length in document[0].get_size())
        finally:
            document.close()
    else:
        from PIL import Image  # noqa: PLC0415

        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise FormatError(f"it has {width:.0f} x {height:.0f} pixels; at most {MAX_PIXELS // 10**6} million are read")
