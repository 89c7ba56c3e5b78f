"""What is ink on a page with a grid."""

import numpy as np
import pytest
from grids import grid_page, with_trace

from ecgjax.images.ink import evened, paper_brightness, trace_ink, without_edges

WIDTH, HEIGHT, PX_PER_MM = 1000, 400, 8.0
BLACK = np.array([20, 20, 20])


def page(**colours):
    """With a trace of 3 px, its share of ink, and its height a column."""
    x = np.arange(WIDTH)
    height_px = 200 + 60 * np.sin(x / 60) + 25 * np.sin(x / 17)
    blank = grid_page(WIDTH, HEIGHT, PX_PER_MM, **colours)
    return blank, height_px


def ink_of(rgb):
    return trace_ink(evened(rgb, paper_brightness(rgb)), (PX_PER_MM, PX_PER_MM))[0]


def centres(ink):
    """Mean height of the ink of each column."""
    rows = np.arange(len(ink))[:, None]
    return (ink * rows).sum(axis=0) / ink.sum(axis=0)


GRIDS = {
    "red": {},
    "dark green": {"fine": np.array([40, 90, 60]), "bold": np.array([20, 110, 60])},
    "grey": {"fine": np.array([190, 190, 190]), "bold": np.array([120, 120, 120])},
}


@pytest.mark.parametrize("ink_rgb", [(0, 0, 0), (30, 40, 130)], ids=["black", "blue"])
@pytest.mark.parametrize("name", GRIDS)
def test_the_trace_stays_and_the_grid_goes(name, ink_rgb):
    blank, height_px = page(**GRIDS[name])
    ink = ink_of(with_trace(blank, height_px, 3.0, ink_rgb))
    off_px = np.abs(np.arange(HEIGHT)[:, None] - height_px)
    assert np.median(ink[off_px < 0.5]) > 0.95
    assert ink[off_px > 4].mean() < 0.002
    error = np.abs(centres(np.where(off_px < 6, ink, 0)) - height_px)
    assert np.median(error) < 0.1
    assert np.quantile(error, 0.98) < 0.8


def test_coloured_boxes_shadows_and_the_dark_beside_the_page_go():
    blank, height_px = page()
    rgb = with_trace(blank, height_px, 3.0, (0, 0, 0))
    rgb[50:54, 50:900] = (255, 0, 0)
    rgb[60:110, 400:404] = (0, 128, 0)
    rgb[60:110, 500:504] = (0, 0, 0)
    shadow = np.linspace(1, 0.45, WIDTH)[:, None]
    rgb = (rgb * shadow).astype(np.uint8)
    rgb[:, :50] = 0
    ink = ink_of(rgb)
    assert ink[50:54, 60:890].mean() < 0.03
    assert ink[65:105, 400:404].mean() < 0.03
    assert ink[65:105, 500:504].mean() > 0.9
    assert ink[:, :44].max() == 0
    off_px = np.abs(np.arange(HEIGHT)[:, None] - height_px)
    assert np.median(ink[:, 60:][off_px[:, 60:] < 0.5]) > 0.9


def test_without_a_grid_all_that_is_dark_is_ink():
    rgb = np.full((200, 300, 3), 240, np.uint8)
    rgb[99:102] = 60
    ink, _ = trace_ink(evened(rgb, paper_brightness(rgb)), None)
    np.testing.assert_allclose(ink[99:102], 1, atol=0.02)
    assert np.delete(ink, np.s_[98:103], axis=0).max() == 0


def test_noise_is_not_ink():
    rng = np.random.default_rng(0)
    blank, height_px = page()
    rgb = with_trace(blank, height_px, 3.0, (0, 0, 0))
    ink = ink_of(np.clip(rgb + rng.normal(0, 8, rgb.shape), 0, 255).astype(np.uint8))
    off_px = np.abs(np.arange(HEIGHT)[:, None] - height_px)
    assert np.median(ink[off_px < 0.5]) > 0.9
    assert ink[off_px > 4].mean() < 0.004
    assert np.median(np.abs(centres(np.where(off_px < 6, ink, 0)) - height_px)) < 0.12


@pytest.mark.parametrize("name", GRIDS)
def test_a_trace_that_runs_level_for_long_is_no_line_of_the_grid(name):
    blank, _ = page(**GRIDS[name])
    # On a line of the grid and between two.
    for height_px in (160.0, 164.0):
        ink = ink_of(with_trace(blank, np.full(WIDTH, height_px), 3.0, (0, 0, 0)))
        assert np.median(ink[int(height_px)]) > 0.9


def test_edges_of_the_sheet_go_and_the_trace_stays():
    blank, height_px = page()
    ink = ink_of(with_trace(blank, height_px, 3.0, BLACK))
    edged = ink.copy()
    edged[6:8, 20:] = edged[392:394, :700] = edged[:, 5:7] = 1.0
    edged[6:8, 400:410] = 0.0
    cleared = without_edges(edged, (PX_PER_MM, PX_PER_MM))
    assert cleared[5:9, 30:-30].max() < 0.1
    assert cleared[391:395, 30:-30].max() < 0.1
    np.testing.assert_array_equal(cleared[50:350, 60:-60], ink[50:350, 60:-60])


def test_a_blank_page_has_no_edges():
    blank = np.zeros((100, 100), np.float32)
    np.testing.assert_array_equal(without_edges(blank, (PX_PER_MM, PX_PER_MM)), blank)
