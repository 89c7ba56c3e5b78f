"""Draws an ECG as recorders print it, with the truth about every pixel of the traces beside the picture."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ecgjax.errors import InputError
from ecgjax.images.grid_paper import blank_paper
from ecgjax.images.lettering import text_coverage
from ecgjax.images.page import (
    HEADER_LINE,
    PULSE_FOOT_MM,
    PULSE_MV,
    PULSE_S,
    SMALL_TEXT,
    Arrangement,
    Drawing,
    Format,
    LeadBox,
    Place,
    Style,
    arrange,
)
from ecgjax.images.pen import bar_coverage, lay_ink, line_coverage

_SEPARATOR_MM = (0.6, 6.0)
_HEADER_LEFT_MM, _HEADER_TOP_MM, _FOOTER_MM = 6.0, 5.0, 5.0


def render(
    signal_mv: np.ndarray, fs_hz: float, lead_names: Sequence[str], format: Format, style: Style, start_s: float = 0.0
) -> Drawing:
    """Draws a recording.

    Args:
      signal_mv: [time, lead]; NaN where there is none. A lead without a sample in its part of the page is left out.
      fs_hz: its rate.
      lead_names: of the columns of `signal_mv`, spelt as in the format.
      format: the arrangement; those of its leads that the recording lacks are left out.
      style: the look.
      start_s: of the recording, where the page begins.

    Raises:
      InputError: names and columns disagree, nothing is left to draw, or the page has no room.
    """
    signal_mv, names = np.asarray(signal_mv, float), list(lead_names)
    if signal_mv.ndim != 2 or signal_mv.shape[1] != len(names):
        raise InputError(
            f"{len(names)} leads and a signal of shape {signal_mv.shape}", "give [time, lead], a name each"
        )
    duration_s = len(signal_mv) / fs_hz
    if not 0 <= start_s < duration_s:
        raise InputError(f"the page begins at {start_s:g} s of {duration_s:g} s", "begin within the recording")
    arrangement = arrange(format, style, duration_s - start_s)
    traces = [_points_px(signal_mv, fs_hz, names, place, style, start_s) for place in arrangement.places]
    is_drawn = tuple(points is not None for points in traces)
    if not any(is_drawn):
        raise InputError(f"the recording has none of the leads of {format.name}", f"it has {', '.join(names)}")
    # The text of a header is a recording's own, its room is not.
    form, boxes = _form(arrangement, dataclasses.replace(style, header=()), is_drawn)
    rgb = form.copy()
    _write_header(rgb, style)
    shown = tuple(points for points in traces if points is not None)
    for points in shown:
        coverage, top, left = line_coverage(points, style.trace_mm * style.px_per_mm, rgb.shape[:2])
        lay_ink(rgb, coverage, top, left, style.palette.ink)
    boxes = tuple(dataclasses.replace(b, start_s=b.start_s + start_s, stop_s=b.stop_s + start_s) for b in boxes)
    scale, speed, gain = style.px_per_mm, style.paper_speed_mm_s, style.gain_mm_mv
    return Drawing(rgb, format.name, boxes, shown, scale, speed, gain, float(fs_hz), ())


@functools.lru_cache(maxsize=4)
def _form(arrangement: Arrangement, style: Style, is_drawn: tuple[bool, ...]) -> tuple[np.ndarray, tuple[LeadBox, ...]]:
    """All that the next recording shares: the page without traces, uint8 [y, x, 3], and where the leads stand."""
    rgb = blank_paper(style, arrangement.width_mm, arrangement.height_mm)
    boxes = []
    for place, drawn in zip(arrangement.places, is_drawn, strict=True):
        if place.column == 0 and style.calibration:
            _draw_pulse(rgb, place, style)
        if place.column and style.separators:
            _draw_bars(rgb, [(place.x0_mm, place.y_mm, *_SEPARATOR_MM)], style)
        if drawn:
            width_mm = (place.stop_s - place.start_s) * style.paper_speed_mm_s
            x0, x1, y = (_to_px(mm, style) for mm in (place.x0_mm, place.x0_mm + width_mm, place.y_mm))
            label_box = _write_label(rgb, place, arrangement.row_mm, style)
            boxes.append(LeadBox(place.lead, x0, x1, y, place.start_s, place.stop_s, label_box))
    if style.footer:
        scale = f"{style.paper_speed_mm_s:g} mm/s    {style.gain_mm_mv:g} mm/mV"
        x_px, y_px = _to_px(arrangement.places[0].x0_mm, style), _to_px(arrangement.height_mm - _FOOTER_MM, style)
        _write(rgb, scale, x_px, y_px, SMALL_TEXT * style.text_mm, style, above=True)
    rgb.setflags(write=False)
    return rgb, tuple(boxes)


def _to_px(mm: float, style: Style) -> float:
    return mm * style.px_per_mm - 0.5


def _points_px(
    signal_mv: np.ndarray, fs_hz: float, lead_names: list[str], place: Place, style: Style, start_s: float
) -> np.ndarray | None:
    """[sample, 2], or None where the lead has no sample in its part."""
    name = place.lead.removeprefix("-")
    if name not in lead_names:
        return None
    first, stop = (int(np.ceil((start_s + s) * fs_hz - 1e-6)) for s in (place.start_s, place.stop_s))
    samples_mv = signal_mv[first:stop, lead_names.index(name)]
    if not np.isfinite(samples_mv).any():
        return None
    up = 1 if name == place.lead else -1
    time_s = np.arange(first, first + len(samples_mv)) / fs_hz - start_s - place.start_s
    x_mm = place.x0_mm + time_s * style.paper_speed_mm_s
    y_mm = place.y_mm - up * samples_mv * style.gain_mm_mv
    return np.stack([x_mm, y_mm], axis=1) * style.px_per_mm - 0.5


def _draw_bars(rgb: np.ndarray, bars_mm: list[tuple[float, float, float, float]], style: Style) -> None:
    """Upright rectangles in one stroke of ink, each by its centre, width and height in millimetres."""
    bars = np.array(bars_mm) * style.px_per_mm
    ends = bars[:, 2:] / 2 + 1
    left, top = np.maximum(0, np.floor((bars[:, :2] - ends).min(axis=0))).astype(int)
    right, bottom = np.ceil((bars[:, :2] + ends).max(axis=0)).astype(int)
    cover = np.zeros((bottom - top, right - left), np.float32)
    for x, y, width, height in bars:
        across = bar_coverage(np.array([x - 0.5 - left]), width, right - left)
        down = bar_coverage(np.array([y - 0.5 - top]), height, bottom - top)
        np.maximum(cover, down[:, None] * across, out=cover)
    lay_ink(rgb, cover, top, left, style.palette.ink)


def _draw_pulse(rgb: np.ndarray, place: Place, style: Style) -> None:
    """Its foot ends where the row begins."""
    line, y, top = style.trace_mm, place.y_mm, place.y_mm - PULSE_MV * style.gain_mm_mv
    fall = place.x0_mm - PULSE_FOOT_MM
    rise = fall - PULSE_S * style.paper_speed_mm_s
    level = [(rise - PULSE_FOOT_MM, rise, y), (rise, fall, top), (fall, place.x0_mm, y)]
    bars = [((x0 + x1) / 2, at, x1 - x0 + line, line) for x0, x1, at in level]
    _draw_bars(rgb, [*bars, *((x, (y + top) / 2, line, y - top + line) for x in (rise, fall))], style)


def _write_label(
    rgb: np.ndarray, place: Place, row_mm: float, style: Style
) -> tuple[float, float, float, float] | None:
    """Writes the name of the lead and says where."""
    if style.labels == "none":
        return None
    above = style.labels == "above"
    away_mm = min(7.0, 0.25 * row_mm)
    x_px, y_px = (_to_px(mm, style) for mm in (place.x0_mm + 1.0, place.y_mm + (-away_mm if above else away_mm / 2)))
    return _write(rgb, place.lead, x_px, y_px, style.text_mm, style, above=above)


def _write_header(rgb: np.ndarray, style: Style) -> None:
    for k, line in enumerate(style.header):
        y_mm = _HEADER_TOP_MM + HEADER_LINE * style.text_mm * k
        x_px, y_px = _to_px(_HEADER_LEFT_MM, style), _to_px(y_mm, style)
        _write(rgb, line, x_px, y_px, SMALL_TEXT * style.text_mm, style, above=False)


def _write(
    rgb: np.ndarray, text: str, x_px: float, y_px: float, text_mm: float, style: Style, *, above: bool
) -> tuple[float, float, float, float]:
    """Writes from x on, above or below y; returns the left, upper, right and lower edge."""
    letters = text_coverage(text, style.font, text_mm * style.px_per_mm)
    height, width = letters.shape
    left, top = max(0, round(x_px)), max(0, round(y_px) - (height if above else 0))
    lay_ink(rgb, letters, top, left, style.palette.ink)
    return left - 0.5, top - 0.5, left + width - 0.5, top + height - 0.5
