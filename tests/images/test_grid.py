"""The grid of a picture: its pitch, turn and view, and no grid where there is none."""

import cv2
import numpy as np
import pytest
from grids import grid_page, turned

from ecgjax.images.grid import find_grid
from ecgjax.images.ink import evened, paper_brightness

WIDTH, HEIGHT = 720, 560


def found(rgb):
    return find_grid(evened(rgb, paper_brightness(rgb)).min(axis=2))


def off_mm(grid, to_page, px_per_mm, width=WIDTH, height=HEIGHT):
    """How far places of the grid are from the truth, up to whole lines of 5 mm."""
    points = np.array([[x, y] for x in (0, width / 2, width) for y in (0, height / 2, height)], float)
    page = points if to_page is None else cv2.perspectiveTransform(points[None], to_page)[0]
    off = grid.to_mm(points) - page / px_per_mm
    return np.abs(off - 5 * np.round(np.median(off, axis=0) / 5)).max()


@pytest.mark.parametrize(("px_per_mm", "width", "height"), [(1.75, 490, 380), (3.0, 720, 560), (7.874, 1500, 1200)])
def test_pitch_is_found_at_any_resolution(px_per_mm, width, height):
    grid, strength = found(grid_page(width, height, px_per_mm))
    assert strength > 0.9
    assert off_mm(grid, None, px_per_mm, width, height) < 0.03


@pytest.mark.parametrize(("angle_deg", "lean"), [(-15, (0, 0)), (0.3, (0.1, 0.1)), (4, (0, 0)), (15, (0.12, -0.08))])
def test_turned_pages_and_pages_seen_from_the_side(angle_deg, lean):
    to_page = turned(angle_deg, lean, WIDTH, HEIGHT)
    grid, strength = found(grid_page(WIDTH, HEIGHT, 4.0, to_page=to_page))
    assert strength > 0.9
    assert grid.is_pitch_certain
    assert off_mm(grid, to_page, 4.0) < 0.05


def test_lines_of_one_kind_are_told_by_the_size_of_the_page_and_said_to_be():
    for lines in ({"has_bold": False}, {"has_fine": False}):
        grid, _ = found(grid_page(WIDTH, HEIGHT, 4.0, **lines))
        assert not grid.is_pitch_certain
        assert (grid.has_fine, grid.has_bold) == ("has_fine" not in lines, "has_bold" not in lines)
        assert np.ptp(grid.to_mm(np.array([[0.0, 0], [100, 0]]))[:, 0]) == pytest.approx(25, rel=1e-3)


def test_bent_paper_is_followed():
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    sag_px = 6 * np.cos(2.5 * (x / WIDTH - 0.5)).astype(np.float32)
    bent = cv2.remap(grid_page(WIDTH, HEIGHT + 20, 4.0), x, y + sag_px, cv2.INTER_CUBIC)
    grid, strength = found(bent)
    assert strength > 0.9
    points = np.array([[x, y] for x in (60.0, 360, 660) for y in (60.0, 280, 500)])
    page = points + np.stack([0 * points[:, 0], 6 * np.cos(2.5 * (points[:, 0] / WIDTH - 0.5))], axis=1)
    off = grid.to_mm(points) - page / 4
    assert np.abs(off - np.median(off, axis=0)).max() < 0.06
    np.testing.assert_allclose(grid.to_mm.inverse(grid.to_mm(points)), points, atol=1e-3)


def picture_without_grid(kind):
    rng = np.random.default_rng(0)
    page = np.full((600, 800, 3), 250, np.uint8)
    if kind == "noise":
        page = rng.integers(0, 256, page.shape, np.uint8)
    if kind == "landscape":
        coarse = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
        page = cv2.resize(coarse, (800, 600), interpolation=cv2.INTER_CUBIC)
        page = cv2.add(page, rng.integers(0, 20, page.shape, np.uint8))
    if kind == "text":
        for row in range(30, 600, 14):
            text = "".join(rng.choice(list("the quick brown fox jumps"), 70))
            cv2.putText(page, text, (20, row), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1)
    if kind == "strip":
        x = np.arange(0, 800, 0.5)
        y = 300 - 80 * np.exp(-(((x % 90) - 45) ** 2) / 12)
        cv2.polylines(page, [np.stack([x, y], axis=1).round().astype(np.int32)], False, (0, 0, 0), 2, cv2.LINE_AA)
    if kind == "ruled":
        page[::20] = 120
    return page


@pytest.mark.parametrize("kind", ["blank", "noise", "landscape", "text", "strip", "ruled"])
def test_there_is_no_grid_where_there_is_none(kind):
    grid, strength = found(picture_without_grid(kind))
    assert grid is None
    assert strength <= 0.3
