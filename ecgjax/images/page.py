"""A page with an ECG on it: how leads are arranged, what it looks like, and where everything stands.

Pixels are counted from the centre of the one at the upper left, x to the right and y down; (0, 0) is that centre.
"""

import dataclasses
import math
from typing import Literal

import numpy as np

from ecgjax.errors import InputError
from ecgjax.leads import LEADS

LETTER_MM = (279.4, 215.9)
A4_MM = (297.0, 210.0)

CABRERA = ("aVL", "I", "-aVR", "II", "aVF", "III", *LEADS[6:])
"""Limb leads by the angle from which they look at the heart; aVR is drawn upside down."""

Rgb = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Format:
    """Which leads stand where.

    Attributes:
      name: of the arrangement.
      rows: lead names by row and column. Columns show consecutive parts of the recording, rows of a column the same. A
        minus before a name: drawn upside down.
      rhythm_leads: below, one a row, over all columns.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    rhythm_leads: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        """Those of rhythm leads included."""
        return len(self.rows) + len(self.rhythm_leads)

    @property
    def num_columns(self) -> int:
        return max(map(len, self.rows), default=1)


def _in_columns(order: tuple[str, ...], num_rows: int) -> tuple[tuple[str, ...], ...]:
    return tuple(order[row::num_rows] for row in range(num_rows))


def _formats() -> dict[str, Format]:
    shapes: dict[str, tuple[int, tuple[str, ...]]] = {
        "3x4": (3, ()),
        "3x4+1": (3, ("II",)),
        "3x4+3": (3, ("II", "V1", "V5")),
        "6x2": (6, ()),
        "6x2+1": (6, ("II",)),
        "12x1": (12, ()),
    }
    formats = {"strip": strip_format("I")}
    for suffix, order in (("", LEADS), (" cabrera", CABRERA)):
        for name, (num_rows, rhythm_leads) in shapes.items():
            formats[name + suffix] = Format(name + suffix, _in_columns(order, num_rows), rhythm_leads)
    return formats


def strip_format(lead: str) -> Format:
    """One lead in one row."""
    return Format("strip", ((lead,),), ())


FORMATS = _formats()
"""Rows x columns + rhythm strips, with `cabrera` in the order of that name; `strip` is one row of lead I."""


@dataclasses.dataclass(frozen=True)
class Palette:
    """Colours: paper, its lines every millimetre and every five, and ink."""

    paper: Rgb
    fine: Rgb
    bold: Rgb
    ink: Rgb


PALETTES = {
    "red": Palette((255, 250, 248), (248, 200, 196), (226, 120, 116), (16, 16, 20)),
    "pink": Palette((255, 240, 242), (250, 205, 214), (240, 150, 170), (24, 20, 26)),
    "crimson": Palette((255, 255, 255), (246, 170, 170), (200, 20, 30), (0, 0, 0)),
    "salmon": Palette((253, 243, 236), (246, 205, 186), (232, 152, 120), (28, 22, 40)),
    "orange": Palette((255, 248, 236), (250, 214, 160), (236, 160, 70), (20, 18, 16)),
    "brown": Palette((250, 244, 232), (226, 204, 176), (184, 140, 96), (24, 18, 14)),
    "green": Palette((246, 252, 246), (190, 226, 192), (96, 176, 112), (10, 22, 16)),
    "blue": Palette((246, 249, 255), (196, 212, 244), (112, 146, 214), (12, 14, 40)),
    "blue ink": Palette((255, 250, 246), (248, 210, 200), (232, 150, 136), (30, 40, 130)),
    "grey": Palette((252, 252, 252), (214, 214, 214), (164, 164, 164), (10, 10, 10)),
    "dark grey": Palette((244, 244, 244), (178, 178, 178), (112, 112, 112), (0, 0, 0)),
}
"""Papers by name; in the greys nothing but darkness tells ink from grid."""


@dataclasses.dataclass(frozen=True)
class Style:
    """What a page looks like.

    Attributes:
      palette: its colours.
      page_mm: width and height; None: as wide as the recording and as high as the rows need.
      px_per_mm: resolution.
      paper_speed_mm_s: along the time axis, 25 or 50.
      gain_mm_mv: along the voltage axis, 5, 10 or 20.
      trace_mm, fine_mm, bold_mm: widths of the trace and of the lines every millimetre and every five.
      text_mm: size of the letters of lead labels; header and footer take four fifths of it.
      font: a font file that comes with matplotlib.
      labels: where the names of leads stand beside the start of the trace: above, below or none.
      grid: the millimetre grid.
      calibration: a pulse of 1 mV and 0.2 s before each row.
      separators: short strokes between the leads of a row.
      header: lines at the top left.
      footer: paper speed and gain at the bottom left.
    """

    palette: Palette
    page_mm: tuple[float, float] | None
    px_per_mm: float
    paper_speed_mm_s: float
    gain_mm_mv: float
    trace_mm: float
    fine_mm: float
    bold_mm: float
    text_mm: float
    font: str
    labels: Literal["above", "below", "none"]
    grid: bool
    calibration: bool
    separators: bool
    header: tuple[str, ...]
    footer: bool


CLINICAL = Style(
    palette=PALETTES["red"],
    page_mm=LETTER_MM,
    px_per_mm=8.0,
    paper_speed_mm_s=25.0,
    gain_mm_mv=10.0,
    trace_mm=0.3,
    fine_mm=0.13,
    bold_mm=0.26,
    text_mm=3.6,
    font="DejaVuSans.ttf",
    labels="above",
    grid=True,
    calibration=True,
    separators=True,
    header=(),
    footer=True,
)
"""The page of most recorders. Others differ in a field or two: `dataclasses.replace(CLINICAL, gain_mm_mv=20.0)`."""


@dataclasses.dataclass(frozen=True)
class LeadBox:
    """A lead in its place on the page.

    Attributes:
      lead: its name, with a minus where it is drawn upside down.
      x0_px, x1_px: where its time begins and ends.
      y_px: its zero line.
      start_s, stop_s: the part of the recording that is shown.
      label_box_px: left, upper, right and lower edge of its name, None where that is not written.
    """

    lead: str
    x0_px: float
    x1_px: float
    y_px: float
    start_s: float
    stop_s: float
    label_box_px: tuple[float, float, float, float] | None


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A picture and the truth about it.

    Attributes:
      rgb: uint8 [y, x, 3].
      layout: name of the format.
      boxes: the leads on it, rhythm strips last.
      trace_px: for each box float64 [sample, 2], x and y of its samples; NaN where the recording has none.
      px_per_mm, paper_speed_mm_s, gain_mm_mv: the scale; after a perspective the mean over the page.
      fs_hz: rate of the samples.
      damages: what was done to the picture since it was drawn.
    """

    rgb: np.ndarray
    layout: str
    boxes: tuple[LeadBox, ...]
    trace_px: tuple[np.ndarray, ...]
    px_per_mm: float
    paper_speed_mm_s: float
    gain_mm_mv: float
    fs_hz: float
    damages: tuple[str, ...]


_LEFT_MM, _RIGHT_MM = 5.0, 5.0
_HEAD_MM, _FOOT_MM = 10.0, 14.0
_HIGHEST_ROW_MM = 40.0

PULSE_S, PULSE_MV = 0.2, 1.0
"""Of the calibration pulse."""

PULSE_FOOT_MM = 2.5
"""The line before and after it."""

SMALL_TEXT = 0.8
"""Letters of header and footer, over those of lead labels."""

HEADER_LINE = 1.3 * SMALL_TEXT
"""From one line of the header to the next, over the size of lead labels."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a lead goes: as of a `LeadBox`, in millimetres from the left upper corner; column 0 begins a row."""

    lead: str
    column: int
    x0_mm: float
    y_mm: float
    start_s: float
    stop_s: float


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """Sizes of a page and of its rows, and where each lead goes, rhythm strips last."""

    width_mm: float
    height_mm: float
    row_mm: float
    places: tuple[Place, ...]


def arrange(format: Format, style: Style, duration_s: float) -> Arrangement:
    """Puts the leads of a recording on a page.

    As many whole seconds are shown as the page is wide enough for, or all if there are fewer. Zero lines and beginnings
    of rows lie on the lines of the paper.

    Raises:
      InputError: the page is too small.
    """
    left_mm = _LEFT_MM + 2 * PULSE_FOOT_MM + PULSE_S * style.paper_speed_mm_s
    head_mm = _HEAD_MM + HEADER_LINE * style.text_mm * len(style.header)
    if style.page_mm is None:
        row_s = duration_s
        row_mm = max(20.0, 3 * style.gain_mm_mv)
        width_mm = left_mm + row_s * style.paper_speed_mm_s + _RIGHT_MM
        height_mm = head_mm + format.num_rows * row_mm + _FOOT_MM
    else:
        width_mm, height_mm = style.page_mm
        longest_s = math.floor((width_mm - left_mm - _RIGHT_MM) / style.paper_speed_mm_s)
        row_s = min(duration_s, longest_s)
        spare_mm = width_mm - left_mm - longest_s * style.paper_speed_mm_s - _RIGHT_MM
        left_mm += math.floor(spare_mm / 10) * 5
        row_mm = min(_HIGHEST_ROW_MM, (height_mm - head_mm - _FOOT_MM) / format.num_rows)
    row_mm = math.floor(row_mm)
    if row_s <= 0 or row_mm < 5:
        raise InputError(
            f"a page of {width_mm:g} x {height_mm:g} mm has no room for {format.num_rows} rows", "give a larger page"
        )
    free_mm = height_mm - head_mm - _FOOT_MM - format.num_rows * row_mm
    first_mm = round((head_mm + free_mm / 2 + row_mm / 2) / 5) * 5
    places = []
    for row, leads in enumerate((*format.rows, *((lead,) for lead in format.rhythm_leads))):
        column_s = row_s / len(leads)
        for column, lead in enumerate(leads):
            start_s = column * column_s
            x0_mm = left_mm + start_s * style.paper_speed_mm_s
            places.append(Place(lead, column, x0_mm, first_mm + row * row_mm, start_s, start_s + column_s))
    return Arrangement(width_mm, height_mm, row_mm, tuple(places))
