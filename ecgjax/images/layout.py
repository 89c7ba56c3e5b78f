"""Where each lead stands on a page: rows of traces, calibration pulses, columns, and which lead is which.

Rows follow from the heights at which ink lies level, columns from the time axis, names from the labels, read jointly:
of the known formats with so many rows, the one wins that the labels agree with best, so that one illegible label does
no harm.
"""

import dataclasses
import itertools

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.signal import find_peaks

from ecgjax.errors import InputError
from ecgjax.images.ink_runs import Runs
from ecgjax.images.labels import SPELLINGS, Writing
from ecgjax.images.page import FORMATS, Format, LeadBox
from ecgjax.images.tracing import LEVEL_LINES, RowTraces, interpolate

ROW_BLUR_MM = 1.5
ROW_DISTANCE_MM = 6.0
ROW_SHARE = 0.35
"""Of the ink of the fullest row, what another must have."""

ROW_OVERLAP = 0.4
"""Share of its columns that a row must have in common with the next; with less, the two are one that has moved."""

EXTENT_MM = 6.0
EXTENT_SHARE = 0.5
"""Level ink counts as a trace where it fills this share of so many millimetres."""

PULSE_S, PULSE_MV = 0.2, 1.0
PULSE_MM = (3.5, 12.0)
PULSE_HEIGHT_MM = (3.5, 25.0)
PULSE_ZONE_MM = 22.0
"""Length and height of a calibration pulse, and how far from the start of a row it ends."""

PULSE_FOOT_MM = 2.5
FOOT_TOLERANCE_MM = 0.15
"""Length of the level ink after a pulse, where there is any, and how level it is."""

WHOLE_TOLERANCE_S = 0.2
"""Most recorders print whole seconds, and a recording may end far off its zero line."""

SCALE_TOLERANCE = 0.12
"""A pulse that is off any standard scale by more than this share is none."""

LABEL_ZONE_MM = (-9.0, 9.0)
"""Where the left edge of a label may be, from the start of its lead."""

READ = 0.75
"""Correlation from which a label counts as read."""

ORDER_MARGIN = 0.08
"""Mean correlation by which labels must favour an unusual order."""

LEGIBLE, LEAST_LABELS = 0.4, 3
"""Mean correlation from which the labels of a page count as legible, and how many tell where the others are."""

BEAT_BLUR_S = 0.02
SIMULTANEOUS_MARGIN, OPPOSITE = 0.15, 0.9
"""Blur of beats before they are compared, and what tells columns of the same time from consecutive ones."""

CERTAIN = 0.85
DOUBT = 0.15
"""Correlation, and margin over the expected name, from which a label overrules the format."""


@dataclasses.dataclass(frozen=True)
class Pulse:
    """A calibration pulse: its edges, its height, and its upper level in each row, NaN where a row has none."""

    rise_px: float
    fall_px: float
    height_px: float
    level_px: np.ndarray


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which lead stands where.

    Attributes:
      format: its name.
      boxes: the leads, rhythm strips last.
      rows: the row of each box.
      agreement: mean correlation of the labels with the names given, 0 where none is legible.
      warnings: what was assumed.
    """

    format: str
    boxes: tuple[LeadBox, ...]
    rows: tuple[int, ...]
    agreement: float
    warnings: tuple[str, ...]


def find_rows(runs: Runs, line_px: float, px_per_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Heights [row] at which traces run, downwards, and bool [row, column], where there is level ink near them.

    `runs` are those of a page without text.
    """
    with np.errstate(invalid="ignore"):
        is_level = np.isfinite(runs.centre_px) & (runs.bottom_px - runs.top_px < LEVEL_LINES * line_px)
    column, place = np.nonzero(is_level)
    if not len(column):
        return np.empty(0), np.empty((0, len(runs.top_px)), bool)
    y_px = runs.centre_px[column, place]
    counts = np.bincount(np.round(y_px).astype(int), minlength=int(y_px.max()) + 2).astype(float)
    density = gaussian_filter1d(counts, ROW_BLUR_MM * px_per_mm, mode="constant")
    peaks, _ = find_peaks(np.pad(density, 1), distance=ROW_DISTANCE_MM * px_per_mm)
    peaks = peaks - 1
    nearest = np.abs(y_px[:, None] - peaks).argmin(1)
    present = np.zeros((len(peaks), len(runs.top_px)), bool)
    is_close = np.abs(y_px - peaks[nearest]) < ROW_DISTANCE_MM * px_per_mm
    present[nearest[is_close], column[is_close]] = True
    order = list(range(len(peaks)))
    while True:
        size = present.sum(1)
        shares = [(present[a] & present[b]).sum() / max(min(size[a], size[b]), 1) for a, b in itertools.pairwise(order)]
        if not shares or min(shares) >= ROW_OVERLAP:
            break
        k = int(np.argmin(shares))
        kept, dropped = sorted(order[k : k + 2], key=lambda row: -size[row])
        present[kept] |= present[dropped]
        order.remove(dropped)
    size = present.sum(1)
    kept_rows = [row for row in order if size[row] >= ROW_SHARE * max(size[order])]
    return peaks[kept_rows].astype(float), present[kept_rows]


def find_extent(present: np.ndarray, px_per_mm: float) -> tuple[float, float]:
    """First and last column of the traces: the middle one of the rows' own; from bool [row, column], where ink is."""
    window = int(EXTENT_MM * px_per_mm)
    density = uniform_filter1d(present.astype(np.float32), window, axis=1, mode="constant")
    ends = []
    for row, dense in zip(present, density, strict=True):
        # Lone ink beyond the ends is none of the trace.
        columns = np.flatnonzero(row & (dense > EXTENT_SHARE))
        if len(columns):
            ends.append((columns[0], columns[-1]))
    first, last = np.median(ends, axis=0)
    return float(first), float(last)


def find_pulse(traces: RowTraces, px_per_mm: float) -> Pulse | None:
    """The calibration pulse in the traces of a page's left edge, as most rows show it."""
    found = [_pulse_of(row, px_per_mm, traces.line_px) for row in traces.y_px]
    seen = [pulse for pulse in found if pulse is not None]
    if len(seen) < max(1, len(found) / 3):
        return None
    rise, fall, height, _ = np.median(seen, axis=0)
    agrees = [p is not None and abs(p[2] - height) < SCALE_TOLERANCE * height for p in found]
    level = np.array([p[3] if ok and p is not None else np.nan for p, ok in zip(found, agrees, strict=True)])
    return Pulse(float(rise), float(fall), float(height), level)


def _pulse_of(y_px: np.ndarray, px_per_mm: float, line_px: float) -> tuple[float, ...] | None:
    """Rise, fall, height and upper level of the pulse that a row [column] begins with."""
    y = interpolate(y_px[None].astype(float), PULSE_MM[0] * px_per_mm)[0]
    known = np.flatnonzero(np.isfinite(y))
    if len(known) < 4 * px_per_mm:
        return None
    y = y[known[0] : known[-1] + 1]
    first = int(known[0])
    lag = max(2, round(line_px) + 1)
    steps = y[lag:] - y[:-lag]
    falls, _ = find_peaks(np.nan_to_num(steps), height=PULSE_HEIGHT_MM[0] * px_per_mm, distance=lag)
    for fall in falls:
        # The plateau before the fall, back to where it leaves its level.
        level = np.nanmedian(y[max(0, fall - lag - int(2 * px_per_mm)) : max(1, fall - lag // 2)])
        is_flat = np.abs(y[: fall + 1] - level) < 0.35 * px_per_mm
        leaves = np.flatnonzero(~is_flat[: max(1, fall - lag)])
        rise = int(leaves[-1]) + 1 if len(leaves) else 0
        length_mm = (fall + lag / 2 - rise) / px_per_mm
        if not PULSE_MM[0] <= length_mm <= PULSE_MM[1]:
            continue
        before = y[max(0, rise - lag - int(px_per_mm)) : max(0, rise - lag)]
        after = y[fall + lag + 1 : fall + lag + 1 + int(0.5 * px_per_mm)]
        zero = np.nanmedian(before) if np.isfinite(before).sum() >= 3 else np.nanmedian(after)
        height = zero - level
        if PULSE_HEIGHT_MM[0] <= height / px_per_mm <= PULSE_HEIGHT_MM[1]:
            down = _crossing(y[fall : fall + lag + 2], level + height / 2) + fall
            up = _crossing(-y[max(0, rise - lag - 1) : rise + 1], -(level + height / 2)) + max(0, rise - lag - 1)
            up = up if np.isfinite(up) else rise - line_px / 2
            if np.isfinite(down):
                return first + float(up), first + float(down), float(height), float(level)
    return None


def whole_seconds(x0_px: float, x1_px: float, px_per_s: float) -> float:
    """The end of the time axis, moved to whole seconds if it is that near."""
    seconds = (x1_px - x0_px) / px_per_s
    whole = round(seconds)
    return x0_px + whole * px_per_s if abs(seconds - whole) < WHOLE_TOLERANCE_S else x1_px


def _crossing(rising: np.ndarray, level: float) -> float:
    """Where values pass `level` upwards, between samples; NaN if they do not."""
    after = np.flatnonzero((rising[1:] > level) & (rising[:-1] <= level))
    if not len(after):
        return np.nan
    k = after[0]
    # The columns of a vertical stroke all have their centre at half its height.
    return float(k + (level - rising[k]) / (rising[k + 1] - rising[k]))


def start_after(pulse: Pulse, traces: RowTraces, zero_px: np.ndarray, px_per_mm: float) -> float:
    """Where the time axis begins after a pulse: at once, or after a foot on the zero line if most rows have one."""
    first, stop = (int(pulse.fall_px + mm * px_per_mm) for mm in (0.4, 0.9 * PULSE_FOOT_MM))
    away = np.abs(traces.y_px[:, first:stop] - zero_px[:, None])
    is_level = np.mean(away < FOOT_TOLERANCE_MM * px_per_mm, axis=1) > 0.8
    has_foot = is_level.sum() > 0.6 * np.isfinite(pulse.level_px).sum()
    return pulse.fall_px + (PULSE_FOOT_MM * px_per_mm if has_foot else 0.0)


def nearest_scale(value: float, standard: tuple[float, ...]) -> float | None:
    """The standard value that `value` is, None if it is none of them."""
    ratio = np.abs(np.log(value / np.array(standard)))
    return standard[int(ratio.argmin())] if ratio.min() < np.log1p(SCALE_TOLERANCE) else None


def printed_scale(writing: Writing, unit: str) -> float | None:
    """The number before `unit` that is written on the page."""
    best, score = None, READ
    for word in writing.words:
        for meaning, correlation in word.scores.items():
            if meaning.endswith(" " + unit) and correlation > score:
                best, score = float(meaning.split()[0]), correlation
    return best


def _evidence(writing: Writing, rows_px: np.ndarray, starts_px: np.ndarray, px_per_mm: float) -> np.ndarray:
    """[row, column, lead]: how well a word beside the start of a lead fits its name; all labels above or all below."""
    names = list(SPELLINGS)
    spacing = np.min(np.diff(rows_px), initial=30 * px_per_mm)
    best = np.zeros((2, len(rows_px), len(starts_px), len(names)))
    for word in writing.words:
        # A minus is small and easily lost: which way up the lead stands is for the format to say.
        scores = np.array([max(word.scores.get(n, 0.0), word.scores.get(n.removeprefix("-"), 0.0)) for n in names])
        if not scores.any():
            continue
        dx = (word.box_px[0] - starts_px) / px_per_mm
        middle = (word.box_px[1] + word.box_px[3]) / 2
        dy = middle - rows_px
        is_beside = (dx > LABEL_ZONE_MM[0]) & (dx < LABEL_ZONE_MM[1])
        for side, is_row in enumerate(((dy < 0) & (dy > -0.7 * spacing), (dy >= 0) & (dy < 0.7 * spacing))):
            cells = np.ix_(np.flatnonzero(is_row), np.flatnonzero(is_beside))
            best[side][cells] = np.maximum(best[side][cells], scores)
    # A bar may be an I, a separator or a stroke of a trace: longer names decide which side is meant.
    weight = np.array([0.2 if name == "I" else 1.0 for name in names])
    totals = (best**2 * weight).max(-1).sum((1, 2))
    return best[int(totals.argmax())]


def arrange_leads(
    writing: Writing,
    rows_px: np.ndarray,
    zero_px: np.ndarray,
    extent_px: tuple[float, float],
    px_per_s: float,
    px_per_mm: float,
) -> Layout:
    """The leads of a page.

    Args:
      writing: its words.
      rows_px: [row] their heights.
      zero_px: [row] their zero lines.
      extent_px: where the time axis begins and ends.
      px_per_s, px_per_mm: the scale.

    Raises:
      InputError: no format has so many rows.
    """
    num_rows = len(rows_px)
    fitting = [f for f in FORMATS.values() if f.num_rows == num_rows]
    if not fitting:
        known = ", ".join(sorted({str(f.num_rows) for f in FORMATS.values()}, key=int))
        raise InputError(f"there are {num_rows} rows of traces on the page", f"pages of {known} rows can be read")
    names = list(SPELLINGS)
    x0, x1 = extent_px
    best: tuple[float, Format, np.ndarray] | None = None
    for format in fitting:
        starts = x0 + (x1 - x0) * np.arange(format.num_columns) / format.num_columns
        evidence = _evidence(writing, rows_px, starts, px_per_mm)
        cells = [evidence[r, c, names.index(lead)] for r, row in enumerate(format.rows) for c, lead in enumerate(row)]
        cells += [evidence[len(format.rows) + k, 0, names.index(lead)] for k, lead in enumerate(format.rhythm_leads)]
        score = float(np.mean(cells)) if num_rows > 1 else 0.0
        # The usual order unless the labels say otherwise.
        if best is None or (score > best[0] + ORDER_MARGIN and score >= LEGIBLE):
            best = score, format, evidence
    assert best is not None
    agreement, format, evidence = best
    warnings = []
    seconds = (x1 - x0) / px_per_s
    grid = [[(r, c, lead) for c, lead in enumerate(row)] for r, row in enumerate(format.rows)]
    cells = [cell for row in grid for cell in row]
    cells += [(len(format.rows) + k, -1, lead) for k, lead in enumerate(format.rhythm_leads)]
    boxes, rows = [], []
    for r, c, expected in cells:
        found = evidence[r, max(c, 0)]
        lead, read = names[int(found.argmax())], float(found.max())
        margin = read - found[names.index(expected)]
        # Strokes of traces and bars look like the numerals one to three.
        is_certain = "V" in lead and read >= CERTAIN and margin > DOUBT
        if lead != expected and (is_certain or (num_rows == 1 and read >= READ)):
            warnings.append(f"row {r + 1} is labelled {lead} where {format.name} has {expected}")
        else:
            lead = expected
        share0, share1 = (0.0, 1.0) if c < 0 else (c / format.num_columns, (c + 1) / format.num_columns)
        left, right = (x0 + share * (x1 - x0) for share in (share0, share1))
        boxes.append(LeadBox(lead, left, right, float(zero_px[r]), share0 * seconds, share1 * seconds, None))
        rows.append(r)
    if agreement < LEGIBLE:
        warnings.append(f"labels are not legible: the standard order of {format.name} is assumed")
    return Layout(format.name, tuple(boxes), tuple(rows), agreement, tuple(warnings))


def label_zone(writing: Writing, layout: Layout) -> tuple[float, float, float, float] | None:
    """Where the names of leads stand, from their start and zero line: left, upper, right and lower edge.

    None if too few are legible to tell.
    """
    found = []
    for word in writing.words:
        for box in layout.boxes:
            if len(box.lead) > 1 and word.scores.get(box.lead, 0.0) >= LEGIBLE:
                edges = np.array(word.box_px) - [box.x0_px, box.y_px] * 2
                found.append((*edges, word.scores[box.lead]))
    near = [f[:4] for f in found if abs(f[0]) < 2 * abs(f[2] - f[0]) and abs(f[1]) < 8 * abs(f[3] - f[1])]
    if len(near) < LEAST_LABELS:
        return None
    edges = np.array(near)
    middle = np.median(edges, axis=0)
    height = middle[3] - middle[1]
    alike = edges[np.abs(edges[:, 1] - middle[1]) < height / 2]
    if len(alike) < LEAST_LABELS:
        return None
    return float(middle[0]), float(middle[1]), float(alike[:, 2].max()), float(middle[3])


def is_simultaneous(layout: Layout, y_px: np.ndarray, px_per_s: float) -> bool:
    """Whether all columns show the same part of the recording, as some programs print them, and not one after another.

    A rhythm strip tells by whether the beats of a column are those above it or those of the strip's beginning. Without
    one, aVR is opposite to I and II at every instant, if they are of the same time. `y_px` are centre-lines
    [row, column] that were placed one after another.
    """
    starts = sorted({box.x0_px for box in layout.boxes})
    if len(starts) < 2:
        return False
    width = int(min(np.diff(starts)))
    whole = [row for box, row in zip(layout.boxes, layout.rows, strict=True) if box.x1_px - box.x0_px > 1.5 * width]
    rows = sorted(set(layout.rows) - set(whole))

    def part(row: int, start: float) -> np.ndarray:
        return y_px[row, round(start) : round(start) + width].astype(float)

    if whole:
        blur = BEAT_BLUR_S * px_per_s

        def activity(of: list[int], start: float) -> np.ndarray:
            slopes = [np.abs(np.nan_to_num(np.diff(part(row, start)))) for row in of]
            total = sum(np.minimum(s / max(float(np.percentile(s, 98)), 1e-6), 1) for s in slopes)
            return gaussian_filter1d(np.asarray(total, float), blur)

        first = activity(whole[:1], starts[0])
        above, same = [], []
        for start in starts[1:]:
            beats = activity(rows, start)
            below = activity(whole[:1], start)
            length = min(len(beats), len(below), len(first))
            above.append(_correlation(beats[:length], below[:length]))
            same.append(_correlation(beats[:length], first[:length]))
        return bool(np.mean(same) > np.mean(above) + SIMULTANEOUS_MARGIN)
    at = {box.lead: part(row, box.x0_px) for box, row in zip(layout.boxes, layout.rows, strict=True)}
    column = {box.lead: box.x0_px for box in layout.boxes}
    if not {"I", "II", "aVR"} <= set(at) or column["I"] != column["II"] or column["aVR"] == column["I"]:
        return False
    length = min(len(at[lead]) for lead in ("I", "II", "aVR"))
    opposite = -(at["I"][:length] + at["II"][:length]) / 2
    return bool(_correlation(at["aVR"][:length], opposite) > OPPOSITE)


def made_simultaneous(layout: Layout) -> Layout:
    """With every column from the beginning of the recording."""
    boxes = tuple(dataclasses.replace(b, start_s=0.0, stop_s=b.stop_s - b.start_s) for b in layout.boxes)
    warning = "all columns show the same part of the recording"
    return dataclasses.replace(layout, boxes=boxes, warnings=(*layout.warnings, warning))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < 3 or np.std(first[known]) == 0 or np.std(second[known]) == 0:
        return 0.0
    return float(np.corrcoef(first[known], second[known])[0, 1])
