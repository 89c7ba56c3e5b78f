"""Medians without sorting are the same numbers."""

import jax
import numpy as np
import pytest

from ecgjax.medians import median


@pytest.mark.parametrize("number", [1, 2, 3, 125, 250])
def test_the_median_is_exact(number):
    values = np.random.default_rng(number).normal(size=(20, number)).astype(np.float32)
    np.testing.assert_array_equal(jax.jit(jax.vmap(median))(values), np.median(values, axis=1))


@pytest.mark.parametrize(
    "values",
    [(0.0, 0.0, 0.0, 0.0), (-1.0, -1.0, 2.0, 2.0), (-0.0, 0.0, 1e-30, 3e38), (-3e38, -2.0, -2.0, 5.0, 7.0)],
    ids=str,
)
def test_equal_and_extreme_values(values):
    np.testing.assert_array_equal(median(np.array(values, np.float32)), np.median(np.array(values, np.float32)))
