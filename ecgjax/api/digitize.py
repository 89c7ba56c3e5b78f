"""`ecgjax.digitize`: recordings from pictures of ECGs on paper."""

import dataclasses
from pathlib import Path

import numpy as np

from ecgjax.errors import InputError
from ecgjax.images.digitize import FIND_ALL, Digitised
from ecgjax.images.digitize import digitize as digitize_picture
from ecgjax.images.picture_files import read_pictures
from ecgjax.recordings.contents import Channel, Contents, FormatError, Stated
from ecgjax.recordings.normalise import to_recording
from ecgjax.recordings.recording import Recording

FS_HZ = FIND_ALL.fs_hz
"""Rate of the recordings."""


def digitize(
    picture: str | Path | np.ndarray,
    *,
    page: int = 1,
    fs_hz: float = FS_HZ,
    paper_speed_mm_s: float | None = None,
    gain_mm_mv: float | None = None,
) -> Recording:
    """The recording on a page: a picture file, a page of a PDF or TIFF (from 1), or pixels uint8 `[y, x, rgb]`.

    Samples that are not drawn are NaN, such as those of a lead outside the 2.5 s that the page has of it. Paper speed
    and gain are found on the page unless they are given.

    >>> import ecgjax
    >>> ecgjax.digitize("scan.pdf", page=2).lead_names  # doctest: +SKIP
    ('I', 'II', 'III', 'aVR', 'aVL', 'aVF', 'V1', 'V2', 'V3', 'V4', 'V5', 'V6')

    Raises:
      InputError: the file cannot be read, or there is no trace, no scale or no known arrangement on the page.
    """
    for name, value in (("fs_hz", fs_hz), ("paper_speed_mm_s", paper_speed_mm_s), ("gain_mm_mv", gain_mm_mv)):
        if value is not None and not value > 0:
            raise InputError(f"{name} is {value:g}", "give a positive number")
    options = dataclasses.replace(FIND_ALL, fs_hz=fs_hz, paper_speed_mm_s=paper_speed_mm_s, gain_mm_mv=gain_mm_mv)
    if isinstance(picture, np.ndarray):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise InputError(f"expected pixels uint8 [y, x, rgb], got {picture.dtype} {picture.shape}", "convert them")
        return as_recording(digitize_picture(picture, options), "page")
    path = Path(picture)
    number = 0
    for number, (name, rgb) in enumerate(read_pictures(path), 1):
        if number == page:
            return as_recording(digitize_picture(rgb, options), name)
    raise InputError(
        f"{path} has {number} page{'s' * (number != 1)}, and page {page} was asked for", "give one of them"
    )


def as_recording(result: Digitised, name: str) -> Recording:
    """What was read off a page, with what had to be assumed there.

    Raises:
      InputError: it holds no samples.
    """
    channels = [
        Channel(lead, "mV", result.fs_hz, samples)
        for lead, samples in zip(result.lead_names, result.signal_mv.T, strict=True)
    ]
    notes = [f"digitised from a picture of the layout {result.layout}", *result.warnings]
    try:
        return to_recording(Contents("picture", channels, "", {}, notes), Stated(None, None, None, None), name)
    except FormatError as error:
        raise InputError(f"{name}: {error}", "give a clearer picture") from None
