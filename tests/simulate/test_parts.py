"""The parts of the simulator against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.simulate import heart as hearts
from ecgjax.simulate import vectors
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import CONDUCTIONS, HEART, INFARCTS, SUBJECT, TORSO
from ecgjax.simulate.recorder import draw_noise
from ecgjax.simulate.rhythm import num_beats
from ecgjax.simulate.torso import Torso, lead_field

RADIUS_CM = 13.0


def _sphere(points):
    points = np.asarray(points, np.float32)
    points = points / np.linalg.norm(points, axis=-1, keepdims=True)
    return Torso(jnp.float32(RADIUS_CM), jnp.zeros(3), jnp.asarray(RADIUS_CM * points))


def test_a_central_dipole_is_seen_as_three_times_that_in_free_space():
    """On an isolated sphere a central dipole p writes 3 p cos(angle) / (4 pi sigma R^2)."""
    points = np.random.default_rng(0).normal(size=(9, 3))
    torso = _sphere(points)
    field = lead_field(torso, jnp.zeros((1, 3)))[0]
    direction = np.asarray(torso.electrode_cm) / RADIUS_CM
    expected = 1000 * 3 * direction / (4 * np.pi * TORSO.conductivity_ms_per_cm * RADIUS_CM**2)
    np.testing.assert_allclose(field, expected, rtol=1e-4, atol=1e-4)


def test_the_field_of_an_eccentric_dipole_is_the_series_of_spherical_harmonics():
    """Radial dipole at distance b: sum over n of (2n+1) b^(n-1) P_n(cos) / (4 pi sigma R^(n+1))."""
    b = 5.0
    torso = _sphere(np.random.default_rng(1).normal(size=(9, 3)))
    field = lead_field(torso, jnp.array([[0.0, 0.0, b]]))[0, :, 2]
    cosine = np.asarray(torso.electrode_cm)[:, 2] / RADIUS_CM
    series = sum(
        (2 * n + 1) * b ** (n - 1) / RADIUS_CM ** (n + 1) * np.polynomial.legendre.Legendre.basis(n)(cosine)
        for n in range(1, 80)
    )
    expected = 1000 * series / (4 * np.pi * TORSO.conductivity_ms_per_cm)
    np.testing.assert_allclose(field, expected, rtol=2e-3, atol=1e-3)


def test_draws_never_repeat_and_run_out_loudly():
    draws = Draws(jax.random.key(0), 4)
    first, second = draws.normal(50), draws.normal(5, 10)
    assert len(np.unique(np.concatenate([first, second.ravel()]))) == 100
    with pytest.raises(ValueError, match="draws.py"):
        draws.uniform(1000)


def test_noise_has_the_size_asked_for():
    fs_hz = 500.0
    time_s = jnp.arange(5000) / fs_hz

    def record(key):
        key_draws, key_noise = jax.random.split(key)
        return draw_noise(Draws(key_draws, num_beats(10.0)), key_noise, time_s, fs_hz, 0.25, 0.0)

    noise = np.asarray(jax.jit(jax.vmap(record))(jax.random.split(jax.random.key(2), 16)))
    assert np.isfinite(noise).all()
    # Second differences leave the muscle alone: neither wander nor mains is left at this rate.
    fast = 1.4826 * np.median(np.abs(np.diff(noise, n=4, axis=1)), axis=1)
    assert np.median(fast[:, 0]) > 1.5 * np.median(fast[:, 3])
    assert 0.01 < np.median(noise.std(axis=1)) < 0.15


def test_tables_are_complete():
    assert len(SUBJECT.conduction) == len(CONDUCTIONS) == len(HEART.conduction_qrs_ms)
    assert len(SUBJECT.infarct) == len(INFARCTS)
    np.testing.assert_allclose([sum(SUBJECT.conduction), sum(SUBJECT.infarct)], 1, atol=1e-9)
    shape = (len(vectors.WAVES), 3)
    for table in (vectors.MEAN, vectors.PER_DECADE, vectors.MALE, vectors.RESIDUAL_SD, vectors.OFFSET):
        assert np.shape(table) == shape
    assert np.shape(vectors.MODES)[1:] == shape
    assert all(np.shape(change) == shape for change in vectors.CHANGES.values())
    assert set(CONDUCTIONS[1:]) <= set(vectors.CHANGES)
    assert set(vectors.WAVES) <= set(hearts.KERNELS)
