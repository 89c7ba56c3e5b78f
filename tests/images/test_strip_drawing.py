"""The bare line of one lead."""

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ecgjax.errors import InputError
from ecgjax.images.strip import HEIGHT_PX, LINE_PX, PX_PER_S, draw_strip, strip_drawing, strip_points_px

FS_HZ = 300.0


def recording(seconds: float) -> np.ndarray:
    time_s = np.arange(round(seconds * FS_HZ)) / FS_HZ
    return 0.4 * np.sin(2 * np.pi * 1.1 * time_s) + np.exp(-((time_s % 0.9 - 0.4) ** 2) / 0.001)


@pytest.mark.parametrize("seconds", [9.0, 30.0, 60.95])
def test_size_and_extent(seconds):
    strip = draw_strip(recording(seconds), FS_HZ, HEIGHT_PX, PX_PER_S, LINE_PX)
    assert strip.shape == (150, round(seconds * 150 + 0.3))
    assert strip.dtype == np.uint8
    assert (strip.min(axis=0) < 200).mean() > 0.999
    assert strip[0].min() < 128
    assert strip[-1].min() < 128
    assert np.median(strip) == 255


@pytest.mark.parametrize(("height_px", "px_per_s"), [(150, 150.0), (300, 300.0), (75, 75.0), (60, 37.5)])
def test_ink_is_where_the_truth_says(height_px, px_per_s):
    signal_mv = 0.4 * np.sin(2 * np.pi * 0.5 * np.arange(3000) / FS_HZ)
    strip = draw_strip(signal_mv, FS_HZ, height_px, px_per_s, LINE_PX)
    points = strip_points_px(signal_mv, FS_HZ, height_px, px_per_s)
    assert points[:, 1].min() == -0.5
    assert points[:, 1].max() == height_px - 0.5
    np.testing.assert_allclose(np.diff(points[:, 0]), px_per_s / FS_HZ)
    rows = np.arange(height_px)[:, None]
    dark = 255.0 - strip[:, 3:-3]
    # Where the pen is put down and lifted its ink is round.
    columns = np.arange(3, strip.shape[1] - 3)
    true_y = np.interp(columns, *points.T)
    inside = (true_y > 3) & (true_y < height_px - 4)
    centre = (dark * rows).sum(axis=0)[inside] / dark.sum(axis=0)[inside]
    assert np.abs(centre - true_y[inside]).max() < 0.3


def test_units_and_offset_do_not_matter():
    signal_mv = recording(5.0)
    np.testing.assert_array_equal(
        draw_strip(signal_mv, FS_HZ, 150, 150.0, 1.4), draw_strip(8 + 1000 * signal_mv, FS_HZ, 150, 150.0, 1.4)
    )


def test_the_drawing_knows_its_scale():
    signal_mv = recording(5.0)
    drawing = strip_drawing(signal_mv, FS_HZ, "I", 150, 150.0, 1.4)
    box, trace = drawing.boxes[0], drawing.trace_px[0]
    per_mv = drawing.px_per_mm * drawing.gain_mm_mv
    np.testing.assert_allclose((box.y_px - trace[:, 1]) / per_mv, signal_mv, atol=1e-9)
    assert (box.x1_px - box.x0_px) / (drawing.px_per_mm * drawing.paper_speed_mm_s) == pytest.approx(5.0)


def test_a_level_recording_is_a_line_in_the_middle_and_gaps_are_refused():
    strip = draw_strip(np.full(600, 3.0), FS_HZ, 150, 150.0, 1.4)
    assert np.unique(np.nonzero(strip < 250)[0]).tolist() == [74, 75]
    assert np.isfinite(strip_drawing(np.full(600, 3.0), FS_HZ, "I", 150, 150.0, 1.4).boxes[0].y_px)
    with pytest.raises(InputError, match=r"not of shape \(600,\) with 2 samples missing; give \[time\] in mV"):
        draw_strip(np.r_[np.zeros(598), np.nan, np.nan], FS_HZ, 150, 150.0, 1.4)
    with pytest.raises(InputError, match="one lead"):
        draw_strip(np.zeros((600, 2)), FS_HZ, 150, 150.0, 1.4)


def test_a_strip_looks_as_matplotlib_draws_it():
    signal_mv = recording(4.0)
    figure = Figure(figsize=(6.0, 1.5), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1200), ylim=(signal_mv.min(), signal_mv.max()))
    axes.set_axis_off()
    axes.plot(signal_mv, color="black", linewidth=LINE_PX * 72 / 100, solid_joinstyle="round")
    canvas = FigureCanvasAgg(figure)
    with rc_context({"path.simplify": False}):
        canvas.draw()
    expected = np.asarray(canvas.buffer_rgba())[..., 0].astype(float)
    strip = draw_strip(signal_mv, FS_HZ, HEIGHT_PX, PX_PER_S, LINE_PX).astype(float)
    assert strip.shape == expected.shape
    assert np.abs(strip - expected).mean() < 0.04 * (255 - expected).mean()
