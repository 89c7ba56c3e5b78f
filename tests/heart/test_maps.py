"""Figures of maps: scales, what is grey, and the projection."""

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize

from ecgjax.heart.maps import (
    TIMES,
    activation_columns,
    activation_on_heart,
    difference_norm,
    time_norm,
)
from ecgjax.heart.rendering import UNKNOWN, VIEWS, View, scene
from ecgjax.heart.template import mean_heart

HEART = mean_heart()
FIRST = scene(HEART, VIEWS[0], 1).limits
SPANS_MM = (FIRST[1] - FIRST[0], FIRST[3] - FIRST[2])
TRUE_MS = 20 + np.linalg.norm(HEART.site_mm - HEART.site_mm[0], axis=1) / 0.7


def test_one_scale_holds_both_maps():
    norm = time_norm(np.array([30.0, np.nan, 44.0]), np.array([12.0, 50, 60]))
    assert norm.vmin <= 12
    assert norm.vmax >= 60
    assert np.isfinite(time_norm(np.full(3, np.nan)).vmax)


def test_differences_are_symmetric_and_small_ones_not_magnified():
    norm = difference_norm(np.array([1.0, 2, np.nan]), np.array([1.5, 1, 90]))
    assert (norm.vmin, norm.vmax) == (-5, 5)
    assert difference_norm(np.zeros(75), np.full(75, 30.0)).vmax == pytest.approx(30)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_triangles_come_from_the_back_to_the_front_and_are_lit(view):
    seen = scene(HEART, view, 8000)
    assert len(seen.polygons) > 2000
    assert seen.light.min() >= 0.5
    assert seen.light.max() <= 1
    np.testing.assert_allclose(seen.shares.sum(axis=1), 1)
    axes = HEART.axes()
    toward = np.array(view.toward) @ axes
    left, right, lowest, highest = seen.limits
    assert (seen.polygons.min(axis=(0, 1)) >= (left - 1e-9, lowest - 1e-9)).all()
    assert (seen.polygons.max(axis=(0, 1)) <= (right + 1e-9, highest + 1e-9)).all()
    assert (right - left, highest - lowest) == pytest.approx(SPANS_MM)
    depth = ((HEART.points_mm @ toward)[seen.corners] * seen.shares).sum(axis=1)
    assert (np.diff(depth) > -1e-9).all()


def test_the_left_ventricle_is_to_the_right_of_a_viewer_in_front():
    seen = scene(HEART, VIEWS[0], 1)
    field = (HEART.points_mm - HEART.points_mm.mean(axis=0)) @ HEART.axes()[1]
    leftness = (field[seen.corners] * seen.shares).sum(axis=1)
    assert np.corrcoef(leftness, seen.polygons.mean(axis=1)[:, 0])[0, 1] > 0.999


def test_what_has_no_value_is_grey():
    seen = scene(HEART, View("from the front", (1, 0, 0)), 1)
    field = np.where(np.arange(len(HEART.points_mm)) % 2, np.nan, 1.0)
    colours = seen.colours(field, TIMES, Normalize(0, 2))
    is_unknown = np.isnan((field[seen.corners] * seen.shares).sum(axis=1))
    grey = np.array(matplotlib.colors.to_rgb(UNKNOWN))
    np.testing.assert_allclose(colours[is_unknown, :3], seen.light[is_unknown, None] * grey)
    assert (np.abs(colours[~is_unknown, :3] - seen.light[~is_unknown, None] * grey).max(axis=1) > 0.1).all()


@pytest.mark.parametrize("is_known", [True, False], ids=["truth", "no truth"])
def test_a_map_has_a_row_for_truth_prediction_and_difference(is_known):
    true_ms = TRUE_MS.copy()
    true_ms[3] = np.nan
    figure = activation_on_heart(HEART, true_ms if is_known else None, TRUE_MS + 2, "title", min_triangles=1)
    drawn = [axes for axes in figure.axes if any(isinstance(c, PolyCollection) for c in axes.collections)]
    assert len(drawn) >= (12 if is_known else 4)
    assert figure.get_suptitle() == "title"


def test_columns_say_what_each_site_is_off_by():
    true_ms = TRUE_MS.copy()
    true_ms[3] = np.nan
    texts = [text.get_text() for axes in activation_columns(true_ms, TRUE_MS + 2, "x").axes for text in axes.texts]
    assert sorted(set(texts)) == ["+2.0", "never"]
    assert texts.count("never") == 1
    texts = [text.get_text() for axes in activation_columns(None, TRUE_MS, "x").axes for text in axes.texts]
    assert len(texts) == 75
