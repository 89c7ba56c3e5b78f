import numpy as np
import pytest

from ecgjax.images import tracing
from ecgjax.images.ink_runs import find_runs, pen_width_px
from ecgjax.images.pen import line_coverage

PX_PER_MM = 8.0
LINE_PX = 2.4
SHAPE = (600, 900)


def drawn(*lines):
    """Ink [y, x] of lines, each y at every quarter of a column."""
    ink = np.zeros(SHAPE, np.float32)
    for y in lines:
        x = np.arange(len(y)) / 4
        known = np.isfinite(y)
        for stretch in np.split(np.arange(len(y)), np.flatnonzero(~known)):
            piece = stretch[known[stretch]]
            if len(piece) > 1:
                cover, top, left = line_coverage(np.stack([x, y], 1)[piece], LINE_PX, SHAPE)
                part = ink[top : top + cover.shape[0], left : left + cover.shape[1]]
                np.maximum(part, cover, out=part)
    return ink


def traced(ink, rows_px, is_break=None, is_hidden=None):
    is_hidden = np.zeros(ink.shape, bool) if is_hidden is None else is_hidden
    runs = find_runs(ink, PX_PER_MM, is_hidden, is_broken=True)
    rows = np.array(rows_px, float)
    breaks = np.zeros((len(rows), ink.shape[1]), bool) if is_break is None else is_break
    return tracing.trace_rows(runs, pen_width_px(runs), rows, PX_PER_MM, breaks, is_hidden)


def beats(zero, height, every=180.0, wide=4.0, at=60.0):
    """Spikes upwards of `height` on the level `zero`, at every quarter of a column."""
    x = np.arange(4 * (SHAPE[1] - 1)) / 4
    away = np.abs((x - at) % every)
    away = np.minimum(away, every - away)
    return zero - height * np.exp(-((away / wide) ** 2)) - 6 * np.sin(x / 50)


def error(found, line):
    """Largest error on the level, root mean square error of all, in pixels."""
    off = found[: len(line) // 4] - line[: 4 * (len(line) // 4) : 4]
    return np.abs(off), np.sqrt(np.nanmean(off**2))


def test_pen_width():
    runs = find_runs(drawn(beats(200, 0)), PX_PER_MM, None, is_broken=True)
    assert pen_width_px(runs) == pytest.approx(LINE_PX, abs=0.15)


def test_level_line_is_found_to_a_twentieth_of_a_pixel():
    line = beats(200.3, 0)
    off, _ = error(traced(drawn(line), [200]).y_px[0], line)
    assert np.nanmax(off[5:-5]) < 0.1
    assert np.nanmean(off) < 0.05


def test_peaks_keep_their_height_behind_a_box():
    line = beats(300.0, 160)
    ink, is_hidden = drawn(line), np.zeros(SHAPE, bool)
    is_hidden[200:240] = True
    ink[is_hidden] = 0
    off, _ = error(traced(ink, [300], is_hidden=is_hidden).y_px[0], line)
    peaks = np.arange(60, SHAPE[1] - 5, 180)
    assert np.nanmax(off[peaks]) < LINE_PX
    assert np.isfinite(off[peaks]).all()


@pytest.mark.parametrize("wide", [3.0, 6.0])
def test_steep_peaks_keep_their_height_and_place(wide):
    line = beats(300, 150, wide=wide)
    found = traced(drawn(line), [300]).y_px[0]
    _, rms = error(found, line)
    assert rms < 1.5
    assert np.nanmin(found) == pytest.approx(line.min(), abs=1.5)
    assert abs(np.nanargmin(found) - np.argmin(line) / 4) <= 1 or found[round(np.argmin(line) / 4)] < line.min() + 3


def test_peak_that_crosses_the_row_above_leaves_both_rows_whole():
    upper, lower = beats(150, 0), beats(330, 240, wide=5.0)
    found = traced(drawn(upper, lower), [150, 330])
    off, rms = error(found.y_px[1], lower)
    assert rms < 3
    off, _ = error(found.y_px[0], upper)
    assert np.nanmean(off > 3) < 0.05
    assert found.confidence[0].min() < 0.5
    assert found.confidence[1].mean() > 0.9


def test_short_breaks_are_crossed_without_inventing_a_line():
    line = beats(200, 60)
    line[4 * 300 : 4 * 320] = np.nan
    found = traced(drawn(line), [200])
    assert np.isnan(found.y_px[0, 305:315]).all()
    assert (found.confidence[0, 305:315] == 0).all()
    assert np.isfinite(found.y_px[0, 330:]).all()


def test_a_row_without_ink_does_not_take_its_neighbours():
    found = traced(drawn(beats(150, 50)), [150, 350])
    assert np.isfinite(found.y_px[0, 5:-5]).all()
    assert np.isfinite(found.y_px[1]).mean() < 0.02


def test_leads_side_by_side_may_begin_at_any_height():
    line = beats(200, 0)
    line[4 * 450 :] += 60
    line[4 * 450 - 1] = np.nan
    is_break = np.zeros((1, SHAPE[1]), bool)
    is_break[0, 450] = True
    off, _ = error(traced(drawn(line), [200], is_break).y_px[0], line)
    assert np.nanmax(np.delete(off, np.arange(446, 454))[5:-5]) < 0.5


def test_gaps_up_to_a_length_are_bridged():
    values = np.array([[np.nan, 0.0, np.nan, 2.0, np.nan, np.nan, 5.0, np.nan]])
    np.testing.assert_allclose(tracing.interpolate(values, 1), [[np.nan, 0, 1, 2, np.nan, np.nan, 5, np.nan]])
    np.testing.assert_allclose(tracing.interpolate(values, 9), [[np.nan, 0, 1, 2, 3, 4, 5, np.nan]])
