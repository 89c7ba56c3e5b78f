"""From the picture of an ECG on paper to its leads in millivolts and seconds.

The page is straightened and scaled by its grid (`straighten.py`), writing is read (`labels.py`), leads are placed
(`layout.py`), rows traced (`tracing.py`). What stands on paper is relative to the zero line of its row, the foot of
the calibration pulse where there is one.
"""

import dataclasses

import cv2
import numpy as np

from ecgjax.errors import InputError
from ecgjax.images import labels, layout, tracing
from ecgjax.images.page import LeadBox
from ecgjax.images.straighten import StraightPage, straight_page
from ecgjax.leads import LEADS

WORKING_PX_PER_MM = (6.0, 12.0)
"""Resolutions outside of this range are brought into it by a whole factor."""

PALE_GAIN = 1.4
"""Where a line is narrower than a pixel its ink is paler than it should be."""

SPECK_MM = 0.6
"""Ink without a neighbour that is smaller than this belongs to no trace."""

TEXT_PIECES = 3
WIDEST_LETTER = 1.3
"""So many letters in a line are text, whatever they say; a letter is at most so much wider than high."""

BAR_MM = (1.3, 1.8)
"""The bars between leads are at most so wide, and reach at least so far up and down from the zero line."""

BAR_FILLED = (0.5, 0.65)
"""Share of it that must be dark: in each row, and in all together."""

BAR_REACH_MM = 1.5
"""How far from the start of a lead a bar may stand."""

LABEL_SLACK_MM = 1.0
"""How far names of leads may stand from where they should."""

BORDER_MM = 1.0

PULSE_BEFORE_MM, PULSE_ZONE_MM, PULSE_STROKE_MM = 10.0, 35.0, 0.3
"""A calibration pulse is looked for from so far before the first level ink, over so much; its fall spoils a trace by so
much to either side."""

BRIDGED_MM = 5.0
BRIDGED_CONFIDENCE = 0.3
"""The longest break in a line that is bridged, and how sure that is."""

IDENTITIES = ((("II", 1.0), ("I", -1.0), ("III", -1.0)), (("aVR", 1.0), ("aVL", 1.0), ("aVF", 1.0)))
"""Sums of leads that are zero at every instant (Einthoven, Goldberger), however the electrodes are exchanged."""

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
    ink, zoom = _at_working_scale(page.ink, (scale_x + scale_y) / 2)
    px_per_mm_x, px_per_mm_y = zoom * scale_x, zoom * scale_y
    px_per_mm = (px_per_mm_x + px_per_mm_y) / 2
    writing = labels.find_writing(ink, px_per_mm)
    traced_ink = _without_text(ink, writing, px_per_mm)
    # Strokes of a coarse picture are pale and break; those of a fine one are whole, and a gap is a gap.
    joining = px_per_mm if zoom > 1 else 0.0
    runs = tracing.find_runs(traced_ink, joining)
    line_px = tracing.pen_width_px(runs)
    rows_px, is_present = layout.find_rows(runs, line_px, px_per_mm)
    if not len(rows_px):
        raise InputError("there is no trace on the page", "give a picture of an ECG")
    x0_px, x1_px = layout.find_extent(is_present, px_per_mm)
    left = max(0, int(x0_px - PULSE_BEFORE_MM * px_per_mm))
    edge_runs = runs.between(left, left + int(PULSE_ZONE_MM * px_per_mm))
    is_break = np.zeros((len(rows_px), len(runs.top_px)), bool)
    edge = tracing.trace_rows(edge_runs, line_px, rows_px, px_per_mm, is_break[:, : len(edge_runs.top_px)])
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
    traced_ink, runs = _without_labels(traced_ink, runs, writing, placed, px_per_mm, joining)
    for box, row in zip(placed.boxes, placed.rows, strict=True):
        is_break[row, round(box.x0_px)] = True
    runs = _without_bars(traced_ink, runs, placed, px_per_mm, joining)
    traces = tracing.trace_rows(runs, line_px, rows_px, px_per_mm, is_break)
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


def _at_working_scale(ink: np.ndarray, px_per_mm: float) -> tuple[np.ndarray, float]:
    low, high = WORKING_PX_PER_MM
    if px_per_mm < low:
        zoom = float(np.ceil(low / px_per_mm))
        size = tuple(int(zoom * n) for n in ink.shape[::-1])
        return np.clip(PALE_GAIN * cv2.resize(ink, size, interpolation=cv2.INTER_CUBIC), 0, 1), zoom
    if px_per_mm > high:
        zoom = 1 / float(np.ceil(px_per_mm / high))
        size = tuple(round(zoom * n) for n in ink.shape[::-1])
        return cv2.resize(ink, size, interpolation=cv2.INTER_AREA), zoom
    return ink, 1.0


def _to_page(box: LeadBox, zoom: float) -> LeadBox:
    x0, x1, y = ((value + 0.5) / zoom - 0.5 for value in (box.x0_px, box.x1_px, box.y_px))
    return dataclasses.replace(box, x0_px=x0, x1_px=x1, y_px=y)


def _without_text(ink: np.ndarray, writing: labels.Writing, px_per_mm: float) -> np.ndarray:
    """Ink without words, specks and the border of the page."""
    largest = writing.boxes[:, 2:4].max(1)
    is_dropped = largest < SPECK_MM * px_per_mm
    is_dropped[0] = False
    for word in writing.words:
        is_label = any(score >= layout.READ for name, score in word.scores.items() if name != "I")
        pieces = list(word.pieces)
        size = writing.boxes[pieces, 2:4]
        is_text = len(pieces) >= TEXT_PIECES and np.mean(size[:, 0] < WIDEST_LETTER * size[:, 1]) > 0.8
        if is_text or is_label:
            is_dropped[pieces] = True
    kept = np.where(is_dropped[writing.piece_of], 0, ink)
    border = int(BORDER_MM * px_per_mm)
    kept[:border], kept[-border:], kept[:, :border], kept[:, -border:] = 0, 0, 0, 0
    return kept


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


def _without_labels(
    ink: np.ndarray,
    runs: tracing.Runs,
    writing: labels.Writing,
    placed: layout.Layout,
    px_per_mm: float,
    joining: float,
) -> tuple[np.ndarray, tracing.Runs]:
    """Ink and its runs without what stands wholly where the names of leads stand, legible or not."""
    zone = layout.label_zone(writing, placed)
    if zone is None:
        return ink, runs
    left, top = writing.boxes[:, 0], writing.boxes[:, 1]
    right, bottom = left + writing.boxes[:, 2], top + writing.boxes[:, 3]
    is_name = np.zeros(len(writing.boxes), bool)
    slack = LABEL_SLACK_MM * px_per_mm
    for box in placed.boxes:
        x0, y0, x1, y1 = np.array(zone) + [box.x0_px, box.y_px] * 2 + np.array([-slack, -slack, slack, slack])
        is_name |= (left >= x0) & (right <= x1) & (top >= y0) & (bottom <= y1)
    is_name[0] = False
    pieces = np.flatnonzero(is_name)
    if not len(pieces):
        return ink, runs
    columns = np.unique(np.concatenate([np.arange(left[k], right[k]) for k in pieces]))
    ink = ink.copy()
    ink[:, columns] = np.where(is_name[writing.piece_of[:, columns]], 0, ink[:, columns])
    return ink, runs.replaced(columns, tracing.find_runs(ink[:, columns], joining))


def _without_bars(
    ink: np.ndarray, runs: tracing.Runs, placed: layout.Layout, px_per_mm: float, joining: float
) -> tracing.Runs:
    """The runs of ink without the bars that stand between leads, at the same place in all rows."""
    thickest, half_height = (mm * px_per_mm for mm in BAR_MM)
    reach, tallest = int(BAR_REACH_MM * px_per_mm), int(2 * half_height)
    ink = ink.copy()
    cleared = []
    for start in sorted({box.x0_px for box in placed.boxes if box.start_s > 0}):
        left = round(start) - reach
        zeros = [round(box.y_px) for box in placed.boxes if box.x0_px == start]
        parts = [ink[max(y - tallest, 0) : y + tallest, left : left + 2 * reach] >= tracing.INK_EDGE for y in zeros]
        parts = [part for part in parts if len(part) == 2 * tallest]
        if not parts:
            continue
        # Strokes of traces differ from row to row, bars do not; the grid's removal leaves gaps in them.
        middle = slice(tallest - int(half_height), tallest + int(half_height))
        filled = np.array([part[middle].mean(0) for part in parts])
        columns = np.flatnonzero((filled.min(0) > BAR_FILLED[0]) & (filled.mean(0) > BAR_FILLED[1]))
        if not len(columns) or columns[-1] - columns[0] > thickest:
            continue
        heights = np.flatnonzero(np.mean([part[:, columns] for part in parts], axis=(0, 2)) > BAR_FILLED[0])
        bar = slice(left + columns[0] - 1, left + columns[-1] + 2)
        for y in zeros:
            ink[max(y - tallest + heights[0] - 1, 0) : y - tallest + heights[-1] + 2, bar] = 0
        cleared.append(np.arange(bar.start, bar.stop))
    if not cleared:
        return runs
    columns = np.concatenate(cleared)
    return runs.replaced(columns, tracing.find_runs(ink[:, columns], joining))


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
        first, last, most = known[0], known[-1], int(BAR_REACH_MM * px_per_mm)
        filled[max(0, first - most) : first] = filled[first]
        filled[last + 1 : last + 1 + most] = filled[last]
    is_bridged = np.isfinite(filled) & ~np.isfinite(y_px)
    return filled, np.where(is_bridged, BRIDGED_CONFIDENCE, confidence)


def _check_identities(signal_mv: np.ndarray, confidence: np.ndarray, lead_names: tuple[str, ...]) -> list[str]:
    """Lowers the confidence in leads that do not add up, in place, and says so."""
    warnings = []
    for identity in IDENTITIES:
        if not all(lead in lead_names for lead, _ in identity):
            continue
        index = [lead_names.index(lead) for lead, _ in identity]
        part = signal_mv[:, index] * [weight for _, weight in identity]
        part = part[np.isfinite(part).all(1)]
        if len(part) < 50:
            continue
        rest = float(np.std(part.sum(1)) / max(np.sqrt(np.mean(np.var(part, axis=0))), 1e-6))
        if rest > BROKEN:
            confidence[:, index] *= BROKEN_CONFIDENCE
            warnings.append(f"{', '.join(lead for lead, _ in identity)} do not add up ({100 * rest:.0f} % is left)")
    return warnings
