"""Drawn pages against their truth."""

import dataclasses

import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.images.lettering import text_coverage
from ecgjax.images.page import CLINICAL, FORMATS, PALETTES, Palette
from ecgjax.images.pen import bar_coverage, lay_ink, line_coverage
from ecgjax.images.render import render
from ecgjax.leads import LEADS

FS_HZ = 500.0
PLAIN = dataclasses.replace(
    CLINICAL, grid=False, labels="none", calibration=False, separators=False, footer=False, px_per_mm=4.0,
    palette=Palette((255, 255, 255), (255, 0, 0), (255, 0, 0), (0, 0, 0)),
)  # fmt: skip
"""Nothing on white but the traces."""


def waves(num_samples: int = 5000) -> np.ndarray:
    """[time, 12] in mV, slow enough that no trace is steep, and small enough that none meets another."""
    time_s = np.arange(num_samples) / FS_HZ
    return np.stack([0.5 * np.sin(2 * np.pi * (0.4 + 0.1 * k) * time_s + k) for k in range(12)], axis=1)


def centre_of_ink(rgb: np.ndarray, x: int, y_px: float, reach: int) -> float:
    rows = np.arange(round(y_px) - reach, round(y_px) + reach + 1)
    dark = 255.0 - rgb[rows, x].mean(axis=-1)
    return float((rows * dark).sum() / dark.sum())


@pytest.mark.parametrize(
    ("name", "px_per_mm"), [("3x4+1", 2.0), ("3x4+1", 8.0), ("6x2", 3.7), ("12x1", 4.0), ("3x4+3 cabrera", 2.6)]
)
def test_ink_is_where_the_truth_says(name, px_per_mm):
    drawing = render(waves(), FS_HZ, LEADS, FORMATS[name], dataclasses.replace(PLAIN, px_per_mm=px_per_mm))
    off = []
    for trace, box in zip(drawing.trace_px, drawing.boxes, strict=True):
        for x in range(int(box.x0_px) + 6, int(box.x1_px) - 6, 23):
            y = np.interp(x, *trace.T)
            off.append(centre_of_ink(drawing.rgb, x, y, max(3, round(px_per_mm))) - y)
    assert np.abs(off).max() < 0.3
    assert abs(np.mean(off)) < 0.02


@pytest.mark.parametrize(("speed", "gain", "scale"), [(25.0, 10.0, 8.0), (50.0, 5.0, 6.0), (25.0, 20.0, 2.5)])
def test_the_scale_is_exact(speed, gain, scale):
    style = dataclasses.replace(PLAIN, paper_speed_mm_s=speed, gain_mm_mv=gain, px_per_mm=scale)
    drawing = render(waves(), FS_HZ, LEADS, FORMATS["3x4+1"], style)
    assert (drawing.px_per_mm, drawing.paper_speed_mm_s, drawing.gain_mm_mv) == (scale, speed, gain)
    for trace, box in zip(drawing.trace_px, drawing.boxes, strict=True):
        assert box.x1_px - box.x0_px == pytest.approx((box.stop_s - box.start_s) * speed * scale)
        first = round(box.start_s * FS_HZ)
        lead_mv = waves()[first : first + len(trace), LEADS.index(box.lead)]
        np.testing.assert_allclose(box.y_px - trace[:, 1], lead_mv * gain * scale, atol=1e-9)
        np.testing.assert_allclose(trace[:, 0] - box.x0_px, np.arange(len(trace)) / FS_HZ * speed * scale, atol=1e-9)


def test_columns_show_consecutive_seconds_from_the_start_asked_for():
    drawing = render(waves(6000), FS_HZ, LEADS, FORMATS["3x4+1 cabrera"], PLAIN, start_s=1.5)
    box = {(box.lead, round(box.stop_s - box.start_s)): box for box in drawing.boxes}
    assert [box[lead, 2].start_s for lead in ("aVL", "II", "V1", "V4")] == [1.5, 4.0, 6.5, 9.0]
    assert box["II", 10].stop_s == 11.5
    inverted = drawing.boxes.index(box["-aVR", 2])
    trace = drawing.trace_px[inverted]
    lead_mv = (trace[:, 1] - box["-aVR", 2].y_px) / drawing.px_per_mm / 10
    np.testing.assert_allclose(lead_mv, waves(6000)[750:2000, LEADS.index("aVR")], atol=1e-9)


def test_a_pulse_of_a_millivolt_and_a_fifth_of_a_second_stands_before_each_row():
    style = dataclasses.replace(PLAIN, calibration=True, px_per_mm=8.0)
    signal_mv = np.full((5000, 1), 0.2)
    drawing = render(signal_mv, FS_HZ, ("II",), FORMATS["3x4+1"], style)
    assert [box.lead for box in drawing.boxes] == ["II", "II"]
    box = drawing.boxes[-1]
    left = drawing.rgb[:, : int(box.x0_px) - 1].min(axis=-1) < 128
    near = slice(round(box.y_px) - 120, round(box.y_px) + 40)
    rows = np.flatnonzero(left[near].sum(axis=1) > 16) + near.start
    foot, top = (part.mean() for part in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)[::-1])
    assert foot - top == pytest.approx(10 * drawing.px_per_mm, abs=0.6)
    columns = np.flatnonzero(left[near].sum(axis=0) > 60)
    rise, fall = (part.mean() for part in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1))
    assert fall - rise == pytest.approx(0.2 * 25 * drawing.px_per_mm, abs=0.6)


def test_missing_leads_and_samples_are_left_out():
    signal_mv = waves()
    signal_mv[:, LEADS.index("V2")] = np.nan
    signal_mv[:1250, LEADS.index("I")] = np.nan
    signal_mv[2000:3000, LEADS.index("II")] = np.nan
    drawing = render(signal_mv, FS_HZ, LEADS, FORMATS["3x4+1"], PLAIN)
    assert [box.lead for box in drawing.boxes] == [
        "aVR", "V1", "V4", "II", "aVL", "V5", "III", "aVF", "V3", "V6", "II",
    ]  # fmt: skip
    trace, box = drawing.trace_px[-1], drawing.boxes[-1]
    gap = np.isnan(trace[:, 1])
    assert np.flatnonzero(gap).tolist() == list(range(2000, 3000))
    assert np.isfinite(trace[:, 0]).all()
    near = slice(round(box.y_px) - 30, round(box.y_px) + 30)
    inked = np.flatnonzero((drawing.rgb[near, :, 0] < 128).any(axis=0))
    assert not np.any((inked > trace[2000, 0] + 1) & (inked < trace[2999, 0] - 1))
    few = render(signal_mv[:, 6:9], FS_HZ, LEADS[6:9], FORMATS["12x1"], PLAIN)
    assert [box.lead for box in few.boxes] == ["V1", "V3"]


@pytest.mark.parametrize("palette", sorted(PALETTES))
def test_lines_of_the_paper_are_a_millimetre_apart_and_lighter_than_ink(palette):
    style = dataclasses.replace(PLAIN, grid=True, palette=PALETTES[palette], px_per_mm=7.3, page_mm=(270.0, 60.0))
    rgb = render(np.zeros((5000, 1)), FS_HZ, ("I",), FORMATS["strip"], style).rgb
    line = rgb[3, :, :].sum(axis=-1).astype(float)
    spectrum = np.abs(np.fft.rfft(line - line.mean(), 2**17))
    frequency = np.fft.rfftfreq(2**17)
    band = (frequency > 0.8 / 7.3) & (frequency < 1.1 / 7.3)
    assert frequency[band][spectrum[band].argmax()] == pytest.approx(1 / 7.3, rel=1e-3)
    assert min(PALETTES[palette].bold) > max(PALETTES[palette].ink) - 60
    fives = [rgb[3, round(5 * k * 7.3)].sum() for k in range(1, 50)]
    ones = [rgb[3, round((5 * k + 1) * 7.3)].sum() for k in range(1, 50)]
    assert np.mean(fives) < np.mean(ones) < sum(PALETTES[palette].paper)


@pytest.mark.parametrize("labels", ["above", "below"])
def test_names_stand_in_their_boxes(labels):
    style = dataclasses.replace(PLAIN, labels=labels)
    quiet = np.zeros((5000, 12))
    drawing = render(quiet, FS_HZ, LEADS, FORMATS["3x4+1"], style)
    bare = render(quiet, FS_HZ, LEADS, FORMATS["3x4+1"], PLAIN)
    ink = (drawing.rgb != bare.rgb).any(axis=-1)
    for box in drawing.boxes:
        left, upper, right, lower = (round(edge + 0.5) for edge in box.label_box_px)
        assert ink[upper:lower, left:right].mean() > 0.1
        assert (lower < box.y_px) == (labels == "above")
        ink[upper:lower, left:right] = False
    assert not ink.any()
    assert all(box.label_box_px is None for box in bare.boxes)


def test_header_and_footer_are_written_and_the_next_page_is_clean():
    plain = render(waves(), FS_HZ, LEADS, FORMATS["3x4+1"], PLAIN)
    written = render(waves(), FS_HZ, LEADS, FORMATS["3x4+1"], dataclasses.replace(PLAIN, footer=True, header=("ID 7",)))
    again = render(waves(), FS_HZ, LEADS, FORMATS["3x4+1"], PLAIN)
    np.testing.assert_array_equal(plain.rgb, again.rgb)
    assert (written.rgb[:50, :100] < 128).any()
    assert (written.rgb[-35:, :250] < 128).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lead_names": ("I", "II")}, r"2 leads and a signal of shape \(5000, 12\); give \[time, lead\], a name each"),
        ({"lead_names": tuple("abcdefghijkl")}, "none of the leads of 3x4; it has a, b, c"),
        ({"signal_mv": np.full((5000, 12), np.nan)}, "none of the leads"),
        ({"start_s": 10.0}, "the page begins at 10 s of 10 s; begin within the recording"),
        ({"style": dataclasses.replace(CLINICAL, font="None.ttf")}, "no font 'None.ttf'"),
    ],
)
def test_bad_input_is_refused(change, message):
    given = {
        "signal_mv": waves(), "fs_hz": FS_HZ, "lead_names": LEADS, "format": FORMATS["3x4"], "style": CLINICAL,
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        render(**{**given, **change})


def test_coverage_of_a_level_line_is_its_width():
    points = np.array([[5.0, 10.3], [40.0, 10.3]])
    for width_px, off_px in ((0.4, 0.31), (1.0, 1e-5), (2.6, 0.05)):
        coverage, top, left = line_coverage(points, width_px, (20, 60))
        column = coverage[:, 25 - left]
        assert column.sum() == pytest.approx(width_px, abs=1e-5)
        assert (column * (np.arange(len(column)) + top)).sum() / column.sum() == pytest.approx(10.3, abs=off_px)


def test_coverage_of_a_slanted_line_is_its_width_across():
    points = np.array([[5.0, 5.0], [55.0, 155.0]])
    coverage, _, _ = line_coverage(points, 2.0, (160, 60))
    area = np.hypot(50, 150) * 2.0 + np.pi
    assert coverage.sum() == pytest.approx(area, rel=0.02)
    assert coverage.max() <= 1 + 1e-6


def test_a_trace_that_leaves_the_picture_is_cut_at_its_edge():
    x = np.arange(-10.0, 70.0)
    points = np.stack([x, np.where(x < 30, 10.0, -500.0)], axis=1)
    coverage, top, left = line_coverage(points, 2.0, (20, 60))
    assert (top, left) == (0, 0)
    assert coverage.shape[0] <= 20
    assert coverage.shape[1] == 60
    assert (coverage[:, 45:] == 0).all()
    nowhere = line_coverage(points + np.array([0, 900]), 2.0, (20, 60))[0]
    assert nowhere.size == 0
    rgb = np.full((20, 60, 3), 255, np.uint8)
    lay_ink(rgb, nowhere, 0, 0, (0, 0, 0))
    assert (rgb == 255).all()


def test_bars_and_letters():
    share = bar_coverage(np.array([3.25]), 1.5, 8)
    np.testing.assert_allclose(share, [0, 0, 0, 1, 0.5, 0, 0, 0], atol=1e-6)
    small, large = (text_coverage("aVR", "DejaVuSans.ttf", size) for size in (10.0, 20.0))
    assert large.shape[0] == pytest.approx(2 * small.shape[0], abs=2)
    assert large.max() == 1
