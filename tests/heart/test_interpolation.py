"""From sites to points: exact where values are known, and faithful to simple fields."""

import numpy as np
import pytest

from ecgjax.heart.interpolation import METHODS, interpolated, shepard, smooth

RNG = np.random.default_rng(0)
SITE_MM = RNG.uniform(0, 100, (75, 3))
POINTS_MM = np.concatenate([RNG.uniform(0, 100, (200, 3)), SITE_MM])


@pytest.mark.parametrize("method", list(METHODS))
def test_exact_at_sites_and_constant_between(method):
    values = RNG.normal(50, 20, (3, 75))
    found = interpolated(values, SITE_MM, POINTS_MM, method)
    np.testing.assert_allclose(found[:, 200:], values, atol=1e-8)
    np.testing.assert_allclose(METHODS[method](SITE_MM, POINTS_MM).sum(axis=1), 1, atol=1e-10)


def test_the_smooth_one_keeps_linear_fields():
    slope = np.array([0.3, -1.2, 2.0])
    found = smooth(SITE_MM, POINTS_MM) @ (SITE_MM @ slope + 7)
    np.testing.assert_allclose(found, POINTS_MM @ slope + 7, atol=1e-8)


def test_shepard_weighs_by_the_inverse_square_of_the_distance():
    site_mm, points_mm = np.array([[0.0, 0, 0], [3.0, 0, 0]]), np.array([[1.0, 0, 0], [3.0, 0, 0]])
    np.testing.assert_allclose(shepard(site_mm, points_mm), [[0.8, 0.2], [0, 1]])
    assert (shepard(SITE_MM, POINTS_MM) >= 0).all()


def test_distances_on_a_sphere_are_met_better_than_by_shepard():
    points_mm = RNG.normal(size=(400, 3))
    points_mm *= 40 / np.linalg.norm(points_mm, axis=1, keepdims=True)
    arc_mm = 40 * np.arccos(points_mm @ points_mm[0] / 1600 * (1 - 1e-12))
    errors = {
        method: np.abs(interpolated(arc_mm[:75], points_mm[:75], points_mm, method) - arc_mm).mean()
        for method in METHODS
    }
    assert errors["smooth"] < 0.5 * errors["shepard"]


@pytest.mark.parametrize("method", list(METHODS))
def test_silent_sites_leave_their_surroundings_without_value(method):
    values = np.stack([SITE_MM[:, 0], SITE_MM[:, 0], np.full(75, np.nan)])
    values[1, :10] = np.nan
    found = interpolated(values, SITE_MM, POINTS_MM, method)
    nearest = np.linalg.norm(POINTS_MM[:, None] - SITE_MM, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(np.isnan(found[1]), nearest < 10)
    assert not np.isnan(found[0]).any()
    assert np.isnan(found[2]).all()
    if method == "smooth":
        np.testing.assert_allclose(found[1, nearest >= 10], POINTS_MM[nearest >= 10, 0], atol=1e-8)


def test_too_few_sites_give_nothing():
    values = np.full(75, np.nan)
    values[:4] = 1.0
    assert np.isnan(interpolated(values, SITE_MM, POINTS_MM, "smooth")).all()
