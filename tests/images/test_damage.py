"""Damaged pages: the truth goes where the picture goes."""

import dataclasses

import cv2
import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.images.damage import LEVELS, NONE, Damage, damage, damage_picture, random_damage
from ecgjax.images.page import CLINICAL, FORMATS, Drawing, LeadBox
from ecgjax.images.render import render
from ecgjax.leads import LEADS

PX_PER_MM = 5.0
MARKS_PX = np.array([(x, y) for x in (60.0, 301.5, 640.25) for y in (50.0, 210.75, 420.0)])


def marked_page() -> Drawing:
    """Black dots on white, which are the samples of a trace."""
    y, x = np.mgrid[:480, :700]
    dots = np.zeros((480, 700))
    for centre in MARKS_PX:
        dots = np.maximum(dots, np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 2.5**2)))
    rgb = np.repeat((255 * (1 - dots)).round().astype(np.uint8)[..., None], 3, axis=2)
    box = LeadBox("I", 60.0, 640.0, 210.0, 0.0, 4.64, (55.0, 45.0, 65.0, 55.0))
    return Drawing(rgb, "strip", (box,), (MARKS_PX,), PX_PER_MM, 25.0, 10.0, 100.0, ())


def found_px(rgb: np.ndarray, near_px: np.ndarray) -> np.ndarray:
    """Centre of the dark spot around each point, above the brightness of its surroundings."""
    found = []
    for x, y in np.rint(near_px).astype(int):
        part = rgb[y - 12 : y + 13, x - 12 : x + 13].astype(float).mean(axis=-1)
        dark = (np.median(part) - part - 40).clip(0)
        rows, columns = np.mgrid[-12:13, -12:13]
        found.append([x + (dark * columns).sum() / dark.sum(), y + (dark * rows).sum() / dark.sum()])
    return np.array(found)


@pytest.mark.parametrize(
    "change",
    [
        {"rotation_deg": 4.0},
        {"rotation_deg": -7.0, "perspective": 0.05},
        {"curl_mm": 3.0},
        {"curl_mm": -2.0, "rotation_deg": 2.0, "perspective": 0.02},
        {"creases": 6, "crease_mm": 0.8, "crease_depth": 0.1},
        {"resolution": 0.6},
        {"blur_mm": 0.2, "noise": 4.0, "jpeg_quality": 80, "shadow": 0.3},
        {"creases": 3, "crease_mm": 0.5, "crease_depth": 0.2, "rotation_deg": 3.0, "curl_mm": 1.0, "resolution": 0.75},
    ],
    ids="+".join,
)
def test_marks_are_where_the_truth_says(change):
    damaged = damage(marked_page(), dataclasses.replace(NONE, **change), seed=3)
    np.testing.assert_allclose(found_px(damaged.rgb, damaged.trace_px[0]), damaged.trace_px[0], atol=0.35)
    for name in set(change) - {"crease_mm", "crease_depth"}:
        assert name in damaged.damages


def test_boxes_and_scale_move_with_the_page():
    whole = marked_page()
    half = damage(whole, dataclasses.replace(NONE, resolution=0.5), seed=0)
    assert half.px_per_mm == pytest.approx(2.5)
    assert half.boxes[0].x1_px - half.boxes[0].x0_px == pytest.approx(290)
    assert half.boxes[0].label_box_px == pytest.approx((27.25, 22.25, 32.25, 27.25))
    turned = damage(whole, dataclasses.replace(NONE, rotation_deg=5.0), seed=0)
    assert turned.px_per_mm == pytest.approx(PX_PER_MM, rel=1e-3)
    assert turned.rgb.shape[0] > whole.rgb.shape[0]
    box = turned.boxes[0]
    assert box.x1_px - box.x0_px == pytest.approx(580 * np.cos(np.deg2rad(5)), rel=1e-3)


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_a_seed_gives_one_picture_and_a_level_stays_within_its_ranges(level):
    page = marked_page()
    seed = 2
    options = random_damage(seed, level)
    for name, (low, high) in LEVELS[level].items():
        assert max(low, 0 if name not in {"rotation_deg", "curl_mm"} else low) <= getattr(options, name) <= high
    one, same = damage(page, options, seed), damage(page, random_damage(seed, level), seed)
    np.testing.assert_array_equal(one.rgb, same.rgb)
    np.testing.assert_array_equal(one.trace_px[0], same.trace_px[0])
    if level == "none":
        assert options == NONE
        np.testing.assert_array_equal(one.rgb, page.rgb)
        np.testing.assert_array_equal(one.trace_px[0], page.trace_px[0])
    else:
        assert not np.array_equal(one.rgb, damage(page, options, seed + 10).rgb)


def test_a_strip_stays_whole_at_every_level():
    strip = np.full((150, 1500), 255, np.uint8)
    for seed in range(6):
        options = random_damage(seed, "heavy", strip=True)
        picture, move, _ = damage_picture(strip, 6.0, options, seed)
        assert picture.ndim == 2
        corners = move(np.array([(0, 0), (1499, 0), (0, 149), (1499, 149)]))
        assert (corners > -2).all()
        assert (corners[:, 0] < picture.shape[1] + 2).all()
        assert abs(picture.shape[1] / 1500 - options.resolution) < 0.01


def test_turning_one_dial_leaves_the_others():
    page = render(np.zeros((5000, 12)), 500.0, LEADS, FORMATS["3x4"], dataclasses.replace(CLINICAL, px_per_mm=3.0))
    written = damage(page, dataclasses.replace(NONE, strokes=3), seed=5).rgb
    both = damage(page, dataclasses.replace(NONE, strokes=3, stains=2), seed=5).rgb
    ink = (written != page.rgb).any(axis=-1)
    assert 0.0002 < ink.mean() < 0.05
    assert (both[ink].sum(axis=-1) < page.rgb[ink].sum(axis=-1)).mean() > 0.95
    assert (both != written).any(axis=-1).mean() > 0.001


def test_what_single_damages_do():
    page = render(np.zeros((5000, 12)), 500.0, LEADS, FORMATS["3x4"], dataclasses.replace(CLINICAL, px_per_mm=3.0))

    def after(**change: float) -> np.ndarray:
        return damage(page, dataclasses.replace(NONE, **change), seed=1).rgb.astype(float)

    plain = page.rgb.astype(float)
    assert np.ptp(after(photocopy=0.5), axis=-1).max() == 0
    shaded = cv2.resize(after(shadow=0.5) / plain, (16, 12), interpolation=cv2.INTER_AREA)
    assert shaded.min() == pytest.approx(0.5, abs=0.08)
    assert shaded.max() == pytest.approx(1.0, abs=0.05)
    noise = after(noise=5.0) - plain
    assert noise[plain < 245].std() == pytest.approx(5.0, rel=0.1)
    assert after(rotation_deg=5.0, background=70)[2, 2] == pytest.approx(70)
    sharp, soft = (np.abs(np.diff(picture, axis=1)).mean() for picture in (plain, after(blur_mm=0.3)))
    assert soft < 0.6 * sharp


def test_missing_samples_stay_missing_and_unknown_levels_are_refused():
    page = marked_page()
    trace = MARKS_PX.copy()
    trace[2, 1] = np.nan
    options = Damage(
        **{**dataclasses.asdict(NONE), "rotation_deg": 2.0, "creases": 2, "crease_mm": 0.3, "curl_mm": 1.0}
    )
    moved = damage(dataclasses.replace(page, trace_px=(trace,)), options, 1).trace_px[0]
    assert np.isnan(moved[:, 1]).tolist() == np.isnan(trace[:, 1]).tolist()
    with pytest.raises(InputError, match="no damage 'severe'; choose from none, light, medium, heavy"):
        random_damage(0, "severe")
