"""QRS peaks and ST levels of beats that are known in closed form."""

import jax
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.beat_levels import qrs_and_st
from ecgjax.beats import BeatWindow

PEAKS_MV = np.array([0.5, 0.8, -0.3, -0.9, 1.1, 1.6, 1.2, 0.9])
ST_MV = np.array([0.0, 0.1, 0.2, 0.3, 0.1, -0.1, -0.2, 0.05])


def beat(window, peaks_mv, st_mv, level_mv=0.0, half_s=0.05):
    """A triangle of 100 ms in I, II and V1..V6, and a step to the ST level at its end."""
    time_s = (np.arange(window.num_samples) - window.num_before) / window.fs_hz
    triangle = np.clip(1 - np.abs(time_s) / half_s, 0, None)
    independent = level_mv + triangle[:, None] * peaks_mv + (time_s >= half_s - 1e-9)[:, None] * st_mv
    return (independent @ leads.LEADS_FROM_INDEPENDENT.T).astype(np.float32)


@pytest.mark.parametrize("fs_hz", [100.0, 250.0, 500.0])
def test_peaks_and_levels_stand_against_the_level_before_the_complex(fs_hz):
    window = BeatWindow(fs_hz=fs_hz, before_s=0.4, after_s=0.56, max_beats=10)
    true = beat(window, PEAKS_MV, ST_MV)
    rebuilt = beat(window, 0.7 * PEAKS_MV, 0.5 * ST_MV, level_mv=0.3)
    qrs_mv, st_mv = map(np.asarray, jax.jit(qrs_and_st, static_argnums=2)(true, rebuilt, window))
    peaks, st = leads.LEADS_FROM_INDEPENDENT @ PEAKS_MV, leads.LEADS_FROM_INDEPENDENT @ ST_MV
    clear = np.abs(peaks) > np.abs(st) + 0.05
    np.testing.assert_allclose(qrs_mv[clear, 0], peaks[clear], atol=1e-5)
    np.testing.assert_allclose(qrs_mv[clear, 1], 0.7 * peaks[clear], atol=1e-5)
    np.testing.assert_allclose(st_mv[:, 0], st, atol=1e-5)
    np.testing.assert_allclose(st_mv[:, 1], 0.5 * st, atol=1e-5)


def test_the_rebuilt_peak_may_come_at_another_instant_but_not_with_the_other_sign():
    window = BeatWindow(fs_hz=500.0, before_s=0.4, after_s=0.56, max_beats=10)
    true = beat(window, PEAKS_MV, 0 * ST_MV)
    later = np.roll(true, 5, axis=0)
    found = jax.jit(qrs_and_st, static_argnums=2)
    np.testing.assert_allclose(*np.asarray(found(true, later, window)[0]).T, atol=1e-5)
    turned = np.asarray(found(true, -true, window)[0])
    assert np.all(np.abs(turned[:, 1]) < 0.02)


def test_a_record_without_a_beat_has_no_peak():
    window = BeatWindow(fs_hz=100.0, before_s=0.4, after_s=0.56, max_beats=10)
    nothing = np.zeros((window.num_samples, 12), np.float32)
    qrs_mv, st_mv = jax.jit(qrs_and_st, static_argnums=2)(nothing, nothing, window)
    assert not np.any(qrs_mv)
    assert not np.any(st_mv)
