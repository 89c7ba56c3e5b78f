import functools

import jax
import numpy as np
import pytest

from ecgjax.data.intracardiac import REST_MV, activation_ms, apd90_ms
from ecgjax.simulate.activation.action_potential import draw_gradients, duration_ms, potential_mv
from ecgjax.simulate.activation.mesh import heart_mesh
from ecgjax.simulate.activation.population import ACTION_POTENTIAL
from ecgjax.simulate.draws import Draws

START_MS = np.array([20.0, 33.3, 41.75])
APD_MS = np.array([220.0, 280.0, 350.0])


@functools.cache
def wave(step_ms: float) -> np.ndarray:
    since = np.arange(0, 500, step_ms)[:, None] - START_MS
    notch = np.array([0.0, 0.5, 1.0]) * ACTION_POTENTIAL.notch
    return np.asarray(jax.jit(potential_mv)(since, APD_MS, ACTION_POTENTIAL.upstroke_ms, notch))


def test_it_crosses_zero_when_activated_and_lasts_as_long_as_asked():
    fine = wave(0.01)
    up = np.argmax(fine >= 0, axis=0) * 0.01
    np.testing.assert_allclose(up, START_MS, atol=0.05)
    np.testing.assert_allclose(activation_ms(wave(1.0)), START_MS, atol=0.25)
    np.testing.assert_allclose(apd90_ms(wave(1.0)), APD_MS, atol=4)


def test_shape():
    fine = wave(0.01)
    np.testing.assert_allclose(fine[0], REST_MV, atol=1e-3)
    np.testing.assert_allclose(fine[-1], REST_MV, atol=1)
    peak = fine.max(axis=0)
    assert ((peak > 20) & (peak < 35)).all()
    rising = fine[: np.argmax(fine, axis=0).max()]
    size = (peak - REST_MV)[None]
    crossed = [np.argmax(rising - REST_MV > share * size, axis=0) * 0.01 for share in (0.1, 0.9)]
    assert ((crossed[1] - crossed[0] > 1) & (crossed[1] - crossed[0] < 2)).all()


def test_duration_follows_cycle_length_and_conductance():
    bcl_ms, gkr = np.array([400.0, 600.0, 1000.0, 1200.0, 1000.0, 1000.0]), np.array([1.0, 1.0, 1.0, 1.0, 0.5, 1.5])
    short, middle, usual, long, weak, strong = jax.jit(duration_ms)(np.zeros(6), bcl_ms, gkr).tolist()
    assert short < middle < usual < long
    assert usual == pytest.approx(ACTION_POTENTIAL.apd_ms)
    assert short < 0.9 * usual
    assert strong < usual < weak


def test_gradients():
    mesh = heart_mesh()
    draw = jax.jit(jax.vmap(lambda key: draw_gradients(Draws(key, 0), mesh)))
    mean = np.asarray(draw(jax.random.split(jax.random.key(1), 64))).mean(axis=0)
    lv = ~mesh.is_rv
    assert mean[lv & (mesh.depth == 0)].mean() > mean[lv & (mesh.depth == 1)].mean() + 10
    assert mean[lv & (mesh.height > 0.8)].mean() > mean[lv & (mesh.height < 0.2)].mean() + 8
