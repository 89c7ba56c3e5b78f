import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slab import slab

from ecgjax.simulate.activation.eikonal import NEVER_MS, metric, solve, travel_coefficients, updates_of

SLAB = (21, 21, 4), (5.0, 5.0, 2.5)
ALONG, ACROSS = 0.6, 0.27


def inverse_d(angle_deg: float, along: float, across: float) -> np.ndarray:
    fibre = np.array([np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg)), 0.0])
    return np.linalg.inv(across**2 * np.eye(3) + (along**2 - across**2) * np.outer(fibre, fibre))


@functools.cache
def medium(counts: tuple[int, int, int], spacing_mm: tuple[float, float, float]):
    """Nodes, tetrahedra, and a function from a metric, stimuli and what conducts to times [node]."""
    node_mm, tets = slab(counts, spacing_mm)
    updates = updates_of(tets, len(node_mm))

    @jax.jit
    def run(metric_one, start_ms, conducts):
        metrics = jnp.broadcast_to(metric_one, (len(node_mm), 3, 3))
        return solve(updates, travel_coefficients(updates, node_mm, metrics), start_ms, conducts)

    def times(metric_one: np.ndarray, start_ms: np.ndarray, conducts: np.ndarray | None = None) -> np.ndarray:
        conducts = np.ones(len(node_mm), bool) if conducts is None else conducts
        return np.asarray(run(metric_one.astype(np.float32), start_ms.astype(np.float32), conducts))

    return node_mm, tets, times


def point_error(counts, spacing_mm, angle_deg: float, across: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean relative error of a stimulus in the middle, away from it, and the times and the true times."""
    node_mm, _, times = medium(counts, spacing_mm)
    one = inverse_d(angle_deg, ALONG, across)
    away = node_mm - np.array([50.3, 50.3, 2.8])
    true_ms = np.sqrt(np.einsum("ni,ij,nj->n", away, one, away))
    found = times(one, np.where(np.linalg.norm(away, axis=1) < 10, true_ms, NEVER_MS))
    far = true_ms > 25
    return float((found / true_ms - 1)[far].mean()), found, true_ms


@pytest.mark.parametrize("across", [ALONG, ACROSS])
@pytest.mark.parametrize("angle_deg", [0, 30, 45, 110])
def test_a_plane_wave_is_exact(angle_deg, across):
    node_mm, _, times = medium(*SLAB)
    one = inverse_d(angle_deg, ALONG, across)
    direction = np.array([0.8, 0.6, 0.0])
    # The slowness of a plane wave in this direction: n / sqrt(n . D n).
    true_ms = node_mm @ (direction / np.sqrt(direction @ np.linalg.inv(one) @ direction))
    on_side = ((node_mm[:, :2] == 0) | (node_mm[:, :2] == node_mm[:, :2].max(axis=0))).any(axis=1)
    found = times(one, np.where(on_side, true_ms, NEVER_MS))
    np.testing.assert_allclose(found, true_ms, atol=2e-3)


@pytest.mark.parametrize(("angle_deg", "across"), [(0, ALONG), (30, ACROSS), (90, ACROSS)])
def test_a_point_source_and_its_convergence(angle_deg, across):
    coarse, found, true_ms = point_error(*SLAB, angle_deg, across)
    # Interpolation between the corners of a face never makes a convex front early.
    assert (found - true_ms).min() > -1e-2
    assert coarse < 0.04
    finer, _, _ = point_error((41, 41, 7), (2.5, 2.5, 1.25), angle_deg, across)
    assert finer < 0.6 * coarse


def test_times_scale_with_slowness_and_are_no_steeper():
    node_mm, tets, times = medium(*SLAB)
    one = inverse_d(30, ALONG, ACROSS)
    start_ms = np.where(np.arange(len(node_mm)) == 700, 0.0, NEVER_MS)
    found = times(one, start_ms)
    assert found[700] == 0
    assert np.sort(found)[1] > 0
    np.testing.assert_allclose(times(4 * one, start_ms), 2 * found, rtol=1e-4)
    for a, b in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]:
        edge = node_mm[tets[:, a]] - node_mm[tets[:, b]]
        travel = np.sqrt(np.einsum("ni,ij,nj->n", edge, one, edge))
        assert (np.abs(found[tets[:, a]] - found[tets[:, b]]) <= travel + 2e-3).all()


def test_a_barrier_is_gone_around_and_what_it_encloses_never_fires():
    node_mm, _, times = medium(*SLAB)
    one = inverse_d(0, ALONG, ALONG)
    start_ms = np.where(node_mm[:, 0] == 0, 0.0, NEVER_MS)
    half = (node_mm[:, 0] == 50) & (node_mm[:, 1] < 50)
    free, blocked = times(one, start_ms), times(one, start_ms, ~half)
    assert (blocked[half] == NEVER_MS).all()
    assert (blocked >= free - 1e-3).all()
    behind = (node_mm[:, 0] == 60) & (node_mm[:, 1] == 0)
    assert (blocked[behind] > free[behind] + 50).all()
    whole = times(one, start_ms, node_mm[:, 0] != 50)
    assert (whole[node_mm[:, 0] >= 50] == NEVER_MS).all()
    assert (whole[node_mm[:, 0] < 50] < NEVER_MS).all()


def test_the_metric_has_the_three_velocities():
    x, z = np.eye(3, dtype=np.float32)[[0, 2]]
    is_endo = np.array([False, True])
    wall, surface = np.asarray(jax.jit(metric)(np.stack([z, z]), np.stack([x, x]), is_endo, 0.6, 0.2, 1.2))
    np.testing.assert_allclose(np.diag(wall), [1 / 0.36, 25, 25], rtol=1e-5)
    np.testing.assert_allclose(np.diag(surface), [1 / 1.44, 1 / 1.44, 25], rtol=1e-5)
