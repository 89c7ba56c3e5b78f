"""From the picture of an ECG on paper to its leads in millivolts and seconds.

The page is straightened and scaled by its grid (`straighten.py`), writing is read (`labels.py`), leads are placed
(`layout.py`), rows traced (`tracing.py`). What stands on paper is relative to the zero line of its row, the foot of
the calibration pulse where there is one.
"""

import dataclasses

import cv2
import numpy as np

from ecgjax.errors import InputError
from ecgjax.images import clearing, labels, layout, tracing
from ecgjax.images.ink_runs import Runs, find_runs, pen_width_px
from ecgjax.images.page import LeadBox
from ecgjax.images.straighten import StraightPage, straight_page
from ecgjax.leads import IDENTITIES, LEADS

WORKING_PX_PER_MM = (6.0, 12.0)
"""Resolutions outside of this range are brought into it by a whole factor."""

PALE_GAIN = 1.4
"""Where a line is narrower than a pixel its ink is paler than it should be."""

PULSE_BEFORE_MM, PULSE_ZONE_MM, PULSE_STROKE_MM = 10.0, 35.0, 0.3
"""A calibration pulse is looked for from so far before the first level ink, over so much; its fall spoils a trace by so
much to either side."""

BRIDGED_MM = 5.0
LEVEL_MM = 0.7
BRIDGED_CONFIDENCE = 0.3
"""The longest break in a line that is bridged, how level its end must be to be drawn out, and how sure both is."""

TRACED_TOGETHER = IDENTITIES[:2]
"""Of leads that stand one above another on most pages."""

BROKEN = 0.6
"""Share of the leads' own deviation that such a sum may reach on a page that was read rightly."""

BROKEN_CONFIDENCE = 0.3
ASSUMED_CONFIDENCE = 0.5
"""Factors of the confidence where leads contradict each other, and where their names are assumed."""

PLAUSIBLE_S = (4.0, 16.0)
"""What a page shows whose grid may be five times as fine or as coarse as it seems."""

LEAST_TRACED = 0.3
"""Share of the time axis that must be legible."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How to digitise; what is None is found on the page.

    Attributes:
      fs_hz: rate of the recording.
      paper_speed_mm_s: along the time axis.
      gain_mm_mv: along the voltage axis.
    """

    fs_hz: float
    paper_speed_mm_s: float | None
    gain_mm_mv: float | None


FIND_ALL = Options(fs_hz=500.0, paper_speed_mm_s=None, gain_mm_mv=None)
"""Nothing is known beforehand."""


@dataclasses.dataclass(frozen=True)
class Digitised:
    """A recording from paper.

    Attributes:
      signal_mv: float32 [time, lead]; NaN where a lead is not drawn or not legible. Time begins with the page's axis.
      confidence: float32 [time, lead], 0..1.
      fs_hz: the rate.
      lead_names: the twelve leads in standard order; for a strip the one that it shows.
      layout: name of the format.
      paper_speed_mm_s, gain_mm_mv: the scale.
      speed_from, gain_from: how it was found: given, calibration pulse, printed or assumed.
      px_per_mm: mean resolution of the picture, NaN without a grid.
      boxes: where the leads stand on the straightened page.
      warnings: what was assumed or does not fit.
      trace_px: float32 [column, row], the centre-line of each row on the straightened page, by its columns.
      page: the straightened page.
    """

    signal_mv: np.ndarray
    confidence: np.ndarray
    fs_hz: float
    lead_names: tuple[str, ...]
    layout: str
    paper_speed_mm_s: float
    gain_mm_mv: float
    speed_from: str
    gain_from: str
    px_per_mm: float
    boxes: tuple[LeadBox, ...]
    warnings: tuple[str, ...]
    trace_px: np.ndarray
    page: StraightPage


def digitize(rgb: np.ndarray, options: Options) -> Digitised:
    """Reads a picture, uint8 [y, x, rgb].

    Raises:
      InputError: there is no trace, no scale or no known arrangement on it.
    """
    return digitize_page(straight_page(rgb), options)


def digitize_page(page: StraightPage, options: Options) -> Digitised:
    """Reads a straightened page; as `digitize`."""
    has_grid = np.isfinite(page.px_per_mm_x) and np.isfinite(page.px_per_mm_y)
    # Without a grid sizes of letters and lines are judged as on a page of usual width.
    scale_x, scale_y = (page.px_per_mm_x, page.px_per_mm_y) if has_grid else (page.ink.shape[1] / 280.0,) * 2
    ink, is_hidden, zoom = _at_working_scale(page, (scale_x + scale_y) / 2)
    px_per_mm_x, px_per_mm_y = zoom * scale_x, zoom * scale_y
    px_per_mm = (px_per_mm_x + px_per_mm_y) / 2
    writing = labels.find_writing(ink, px_per_mm)
    found = clearing.without_text(clearing.TraceInk(ink, is_hidden), writing, px_per_mm)
    # Strokes of a coarse picture are pale and break; those of a fine one are whole, and a gap is a gap.
    runs = find_runs(found.ink, px_per_mm, found.is_hidden, is_broken=zoom > 1)
    line_px = pen_width_px(runs)
    rows_px, is_present = layout.find_rows(runs, line_px, px_per_mm)
    if not len(rows_px):
        raise InputError("there is no trace on the page", "give a picture of an ECG")
    x0_px, x1_px = layout.find_extent(is_present, px_per_mm)
    left = max(0, int(x0_px - PULSE_BEFORE_MM * px_per_mm))
    edge_runs = runs.between(left, left + int(PULSE_ZONE_MM * px_per_mm))
    is_break = np.zeros((len(rows_px), len(runs.top_px)), bool)
    part = slice(left, left + len(edge_runs.top_px))
    edge = tracing.trace_rows(edge_runs, line_px, rows_px, px_per_mm, is_break[:, part], found.is_hidden[:, part])
    pulse = layout.find_pulse(edge, px_per_mm)
    speed, speed_from, gain, gain_from, warnings = _scale(pulse, writing, options, has_grid, (px_per_mm_x, px_per_mm_y))
    if has_grid:
        px_per_s, px_per_mv = speed * px_per_mm_x, gain * px_per_mm_y
    elif pulse is None:
        raise InputError("there is neither a grid nor a calibration pulse on the page", "nothing gives its scale")
    else:
        px_per_s, px_per_mv = (pulse.fall_px - pulse.rise_px) / layout.PULSE_S, pulse.height_px
    zero_px = rows_px.copy()
    if pulse is not None:
        zero_px = np.where(np.isfinite(pulse.level_px), pulse.level_px + layout.PULSE_MV * px_per_mv, rows_px)
        x0_px = left + layout.start_after(pulse, edge, zero_px, px_per_mm_x)
        stroke = left + pulse.fall_px + np.array([-1, 1]) * (line_px / 2 + PULSE_STROKE_MM * px_per_mm)
        runs = runs.replaced(np.arange(*np.clip(np.round(stroke).astype(int), 0, len(runs.top_px))), None)
    x1_px = layout.whole_seconds(x0_px, x1_px, px_per_s)
    seconds = (x1_px - x0_px) / px_per_s
    if has_grid and pulse is None and not page.is_pitch_certain and not PLAUSIBLE_S[0] < seconds < PLAUSIBLE_S[1]:
        raise InputError(f"by its grid the page shows {seconds:.1f} s", "give a picture whose grid is clearer")
    placed = layout.arrange_leads(writing, rows_px, zero_px, (x0_px, x1_px), px_per_s, px_per_mm)
    cleared = clearing.without_bars(clearing.without_labels(found, writing, placed, px_per_mm), placed, px_per_mm)
    runs = _renewed(runs, found, cleared, px_per_mm, zoom > 1)
    for box, row in zip(placed.boxes, placed.rows, strict=True):
        is_break[row, round(box.x0_px)] = True
    traces = tracing.trace_rows(runs, line_px, rows_px, px_per_mm, is_break, cleared.is_hidden)
    if layout.is_simultaneous(placed, traces.y_px, px_per_s):
        placed = layout.made_simultaneous(placed)
    signal, confidence, names = _assemble(traces, placed, options.fs_hz, px_per_s, px_per_mv, px_per_mm)
    contradictions = _check_identities(signal, confidence, names)
    if placed.agreement < layout.LEGIBLE and len(rows_px) > 1:
        confidence *= ASSUMED_CONFIDENCE
    if np.isfinite(traces.y_px[:, int(x0_px) : int(x1_px)]).mean() < LEAST_TRACED:
        raise InputError("less than a third of the traces is legible", "give a clearer picture")
    return Digitised(
        signal_mv=signal,
        confidence=confidence,
        fs_hz=options.fs_hz,
        lead_names=names,
        layout=placed.format,
        paper_speed_mm_s=speed,
        gain_mm_mv=gain,
        speed_from=speed_from,
        gain_from=gain_from,
        px_per_mm=float((page.px_per_mm_x + page.px_per_mm_y) / 2),
        boxes=tuple(_to_page(box, zoom) for box in placed.boxes),
        warnings=(*warnings, *placed.warnings, *contradictions),
        trace_px=np.ascontiguousarray(((traces.y_px + 0.5) / zoom - 0.5).T.astype(np.float32)),
        page=page,
    )


def _at_working_scale(page: StraightPage, px_per_mm: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Ink, where it may be hidden, and by how much both are larger than the page."""
    low, high = WORKING_PX_PER_MM
    ink, is_hidden = page.ink, cv2.dilate(page.is_hidden.astype(np.uint8), np.ones((3, 1), np.uint8))
    if px_per_mm < low:
        zoom = float(np.ceil(low / px_per_mm))
        size = tuple(int(zoom * n) for n in ink.shape[::-1])
        ink = np.clip(PALE_GAIN * cv2.resize(ink, size, interpolation=cv2.INTER_CUBIC), 0, 1)
        return ink, cv2.resize(is_hidden, size, interpolation=cv2.INTER_NEAREST) > 0, zoom
    if px_per_mm > high:
        zoom = 1 / float(np.ceil(px_per_mm / high))
        size = tuple(round(zoom * n) for n in ink.shape[::-1])
        is_hidden = cv2.resize(is_hidden, size, interpolation=cv2.INTER_NEAREST)
        return cv2.resize(ink, size, interpolation=cv2.INTER_AREA), is_hidden > 0, zoom
    return ink, is_hidden > 0, 1.0


def _renewed(
    runs: Runs, before: clearing.TraceInk, after: clearing.TraceInk, px_per_mm: float, is_broken: bool
) -> Runs:
    """The runs of ink, found again in columns where some of it was taken off."""
    columns = np.flatnonzero((after.is_hidden != before.is_hidden).any(0) & np.isfinite(runs.top_px).any(1))
    if not len(columns):
        return runs
    again = find_runs(after.ink[:, columns], px_per_mm, after.is_hidden[:, columns], is_broken)
    return runs.replaced(columns, again)


def _to_page(box: LeadBox, zoom: float) -> LeadBox:
    x0, x1, y = ((value + 0.5) / zoom - 0.5 for value in (box.x0_px, box.x1_px, box.y_px))
    return dataclasses.replace(box, x0_px=x0, x1_px=x1, y_px=y)


def _scale(
    pulse: layout.Pulse | None,
    writing: labels.Writing,
    options: Options,
    has_grid: bool,
    px_per_mm_xy: tuple[float, float],
) -> tuple[float, str, float, str, tuple[str, ...]]:
    """Paper speed and gain, how they were found, and what is doubtful about them."""
    warnings = []
    found = []
    measured: tuple[float | None, float | None] = (None, None)
    if pulse is not None and has_grid:
        length_mm = (pulse.fall_px - pulse.rise_px) / px_per_mm_xy[0]
        measured = length_mm / layout.PULSE_S, pulse.height_px / px_per_mm_xy[1]
    for what, given, value, standard, unit in (
        ("paper speed", options.paper_speed_mm_s, measured[0], labels.SPEEDS_MM_S, "mm/s"),
        ("gain", options.gain_mm_mv, measured[1], labels.GAINS_MM_MV, "mm/mV"),
    ):
        printed = layout.printed_scale(writing, unit)
        by_pulse = None if value is None else layout.nearest_scale(value, standard)
        if given is not None:
            found.append((given, "given"))
        elif by_pulse is not None:
            found.append((by_pulse, "calibration pulse"))
            if printed is not None and printed != by_pulse:
                warnings.append(f"{what}: {printed:g} {unit} is printed, the calibration pulse says {by_pulse:g}")
        elif printed is not None:
            found.append((printed, "printed"))
        else:
            usual = 25.0 if unit == "mm/s" else 10.0
            found.append((usual, "assumed"))
            warnings.append(f"{what}: {usual:g} {unit} is assumed")
    return *found[0], *found[1], tuple(warnings)


def _assemble(
    traces: tracing.RowTraces,
    placed: layout.Layout,
    fs_hz: float,
    px_per_s: float,
    px_per_mv: float,
    px_per_mm: float,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Signal and confidence [time, lead] and the names of the leads."""
    shown = [box.lead.removeprefix("-") for box in placed.boxes]
    names = LEADS if len(placed.boxes) > 1 else tuple(shown)
    num_samples = round(max(box.stop_s for box in placed.boxes) * fs_hz)
    signal = np.full((num_samples, len(names)), np.nan, np.float32)
    confidence = np.zeros((num_samples, len(names)), np.float32)
    # The longest last, so that it wins.
    order = sorted(range(len(shown)), key=lambda k: placed.boxes[k].stop_s - placed.boxes[k].start_s)
    for k in order:
        box, row, lead = placed.boxes[k], placed.rows[k], names.index(shown[k])
        left, right = max(0, round(box.x0_px)), round(box.x1_px)
        y, sure = _bridged(traces.y_px[row, left:right], traces.confidence[row, left:right], px_per_mm)
        first, stop = (min(int(np.ceil(s * fs_hz - 1e-6)), num_samples) for s in (box.start_s, box.stop_s))
        x = box.x0_px + (np.arange(first, stop) / fs_hz - box.start_s) * px_per_s - left
        columns = np.arange(len(y))
        sign = -1 if box.lead.startswith("-") else 1
        signal[:, lead], confidence[:, lead] = np.nan, 0
        signal[first:stop, lead] = sign * (box.y_px - np.interp(x, columns, y)) / px_per_mv
        is_there = np.isfinite(signal[first:stop, lead])
        confidence[first:stop, lead] = np.where(is_there, np.interp(x, columns, sure), 0)
    return signal, confidence, names


def _bridged(y_px: np.ndarray, confidence: np.ndarray, px_per_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """A lead's line and confidence [column] with short breaks bridged, and its ends drawn out over what a bar hid."""
    filled = tracing.interpolate(y_px[None], BRIDGED_MM * px_per_mm)[0]
    known = np.flatnonzero(np.isfinite(filled))
    if len(known):
        first, last, most = known[0], known[-1], int(clearing.BAR_REACH_MM * px_per_mm)
        level = int(LEVEL_MM * px_per_mm)
        if np.ptp(filled[first : first + level]) < LEVEL_MM * px_per_mm:
            filled[max(0, first - most) : first] = filled[first]
        if np.ptp(filled[max(0, last + 1 - level) : last + 1]) < LEVEL_MM * px_per_mm:
            filled[last + 1 : last + 1 + most] = filled[last]
    is_bridged = np.isfinite(filled) & ~np.isfinite(y_px)
    return filled, np.where(is_bridged, BRIDGED_CONFIDENCE, confidence)


def _check_identities(signal_mv: np.ndarray, confidence: np.ndarray, lead_names: tuple[str, ...]) -> list[str]:
    """Lowers the confidence in leads that do not add up, in place, and says so."""
    warnings = []
    for identity in TRACED_TOGETHER:
        if not identity.keys() <= set(lead_names):
            continue
        index = [lead_names.index(lead) for lead in identity]
        part = signal_mv[:, index] * list(identity.values())
        part = part[np.isfinite(part).all(1)]
        if len(part) < 50:
            continue
        rest = float(np.std(part.sum(1)) / max(np.sqrt(np.mean(np.var(part, axis=0))), 1e-6))
        if rest > BROKEN:
            confidence[:, index] *= BROKEN_CONFIDENCE
            warnings.append(f"{', '.join(identity)} do not add up ({100 * rest:.0f} % is left)")
    return warnings
