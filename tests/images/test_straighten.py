"""From a picture to a straight page with its scale."""

import cv2
import numpy as np
import pytest
from grids import grid_page, turned, with_trace

from ecgjax.errors import InputError
from ecgjax.images.straighten import straight_page

WIDTH, HEIGHT, PX_PER_MM = 800, 600, 4.0


def trace_height_px():
    x = np.arange(WIDTH)
    return 300 + 40 * np.sin(x / 40) + 30 * np.exp(-(((x % 100) - 50) ** 2) / 30)


def test_a_straight_page_stays_as_it_is_pixel_for_pixel():
    page = straight_page(with_trace(grid_page(WIDTH, HEIGHT, PX_PER_MM), trace_height_px(), 2.0, (0, 0, 0)))
    assert page.rgb.shape == (HEIGHT, WIDTH, 3)
    assert page.rgb.dtype == np.uint8
    assert page.ink.dtype == np.float32
    np.testing.assert_array_equal(page.to_original, np.eye(3))
    assert page.px_per_mm_x == pytest.approx(PX_PER_MM, rel=2e-4)
    assert page.px_per_mm_y == pytest.approx(PX_PER_MM, rel=2e-4)
    assert page.grid_strength > 0.9
    assert page.is_pitch_certain
    assert 0 <= page.ink.min() <= page.ink.max() <= 1


def test_a_stretched_page_has_a_scale_each_way():
    page = straight_page(cv2.resize(grid_page(WIDTH, HEIGHT, 5.0), (880, 600), interpolation=cv2.INTER_CUBIC))
    assert page.px_per_mm_x == pytest.approx(5.5, rel=1e-3)
    assert page.px_per_mm_y == pytest.approx(5.0, rel=1e-3)


@pytest.mark.parametrize(("angle_deg", "lean"), [(-12, (0.05, 0.1)), (7, (-0.1, 0.0)), (0.4, (0, 0))])
def test_a_turned_page_is_turned_back_with_its_trace(angle_deg, lean):
    straight = with_trace(grid_page(WIDTH, HEIGHT, PX_PER_MM), trace_height_px(), 2.0, (0, 0, 0))
    to_page = turned(angle_deg, lean, WIDTH, HEIGHT)
    borders = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (90, 90, 90)}
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    page = straight_page(cv2.warpPerspective(straight, to_page, (WIDTH, HEIGHT), flags=flags, **borders))
    points = np.array([[x, y] for x in (200.0, 400, 600) for y in (150.0, 300, 450)])
    original = cv2.perspectiveTransform(points[None], to_page @ page.to_original)[0] / PX_PER_MM
    off_mm = points / [page.px_per_mm_x, page.px_per_mm_y] - original
    assert np.abs(off_mm - off_mm.mean(axis=0)).max() < 0.05
    # The trace lies where that map says.
    rows, columns = np.nonzero(page.ink > 0.8)
    at = cv2.perspectiveTransform(np.stack([columns, rows], axis=1)[None].astype(float), to_page @ page.to_original)[0]
    inside = (at[:, 0] > 20) & (at[:, 0] < WIDTH - 20)
    error = np.abs(at[inside, 1] - np.interp(at[inside, 0], np.arange(WIDTH), trace_height_px()))
    assert inside.sum() > 500
    assert np.median(error) < 0.6
    assert np.mean(error < 3) > 0.97


def test_without_a_grid_there_is_no_scale():
    rgb = np.full((200, 400, 3), 255, np.uint8)
    rgb[98:101, 20:380] = 0
    page = straight_page(rgb)
    assert np.isnan([page.px_per_mm_x, page.px_per_mm_y]).all()
    assert page.grid_strength <= 0.3
    assert not page.is_pitch_certain
    assert page.ink[99, 30:370].min() > 0.95
    assert page.ink[:90].max() == 0


@pytest.mark.parametrize(
    ("rgb", "problem"),
    [
        (np.zeros((300, 300), np.uint8), "got uint8"),
        (np.zeros((300, 300, 3), np.float32), "got float32"),
        (np.zeros((20, 300, 3), np.uint8), "got 300 x 20"),
    ],
    ids=["grey", "float", "small"],
)
def test_what_is_no_picture_is_refused(rgb, problem):
    with pytest.raises(InputError, match=problem):
        straight_page(rgb)


@pytest.mark.parametrize(
    ("name", "px_per_mm"),
    [("00001_lr-0__box_plots", 1.714), ("00002_hr-0__box_plots__9", 3.426), ("00002_lr-0__Distortionless", 3.392)],
)
def test_pages_of_another_program(sample_data, name, px_per_mm):
    (path,) = (sample_data / "ecg-images").glob(f"{name}*.png")
    page = straight_page(np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]))
    assert page.px_per_mm_x == pytest.approx(px_per_mm, rel=2e-3)
    assert page.px_per_mm_y == pytest.approx(px_per_mm, rel=2e-3)
    assert page.grid_strength > 0.9
    assert 0.003 < (page.ink > 0.5).mean() < 0.05
    height = len(page.ink)
    # Nothing is drawn between the header and the first row.
    assert (page.ink[height // 6 : height // 4] > 0.4).mean() < 1e-3
