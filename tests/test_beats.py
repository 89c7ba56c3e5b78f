"""The average beat: found where beats are, and indifferent to rewiring."""

import jax
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.beats import POWER_METRIC, BeatWindow, _power, average_beat, find_beats, first_places

WINDOW = BeatWindow(fs_hz=100.0, before_s=0.4, after_s=0.56, max_beats=24)
BEATS_AT = np.array([60, 150, 255, 330, 420, 515, 600, 700, 780, 890])


def synthetic_record(noise_mv=0.0):
    """Sharp QRS complexes and slow T waves of random directions."""
    rng = np.random.default_rng(0)
    time = np.arange(1000)
    qrs, t_wave = rng.normal(size=(2, 9))
    potentials = np.zeros((1000, 9))
    for beat in BEATS_AT:
        potentials += np.exp(-(((time - beat) / 2.0) ** 2))[:, None] * qrs
        potentials += 0.3 * np.exp(-(((time - beat - 28) / 7.0) ** 2))[:, None] * t_wave
    potentials += noise_mv * rng.normal(size=potentials.shape)
    return (potentials @ leads.LEADS_FROM_ELECTRODES.T).astype(np.float32)


def test_every_beat_is_found_once():
    peaks, is_beat = find_beats(synthetic_record(0.02), WINDOW)
    found = np.asarray(peaks)[np.asarray(is_beat)]
    np.testing.assert_allclose(found, BEATS_AT, atol=2)


@pytest.mark.parametrize("metric", [POWER_METRIC, np.eye(12, dtype=np.float32)])
def test_power_is_the_quadratic_form_of_its_metric(metric):
    signal_mv = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    np.testing.assert_allclose(
        _power(signal_mv, metric), np.einsum("tl,lm,tm->t", signal_mv, metric, signal_mv), rtol=1e-4
    )


def test_average_beat_is_the_beat():
    record = synthetic_record()
    beat, num_beats = average_beat(record, WINDOW)
    # Around 255, whose neighbours lie outside the window.
    np.testing.assert_allclose(beat[20:76], record[255 - 20 : 255 + 36], atol=0.02)
    np.testing.assert_allclose(num_beats, len(BEATS_AT), rtol=0.05)


EXCHANGES = [*(p for p in leads.PLACEMENTS if not p.uses_neutral), leads.swap(("RA", "V1")), leads.swap(("LL", "V4"))]


@pytest.mark.parametrize("placement", EXCHANGES, ids=lambda p: p.name)
def test_average_beat_of_a_rewired_record_is_the_rewired_average_beat(placement):
    record = synthetic_record(0.02)
    rewired, _ = average_beat(placement.apply(record).astype(np.float32), WINDOW)
    np.testing.assert_allclose(rewired, placement.apply(np.asarray(average_beat(record, WINDOW)[0])), atol=1e-4)


def test_a_single_artefact_hardly_shows():
    record, disturbed = synthetic_record(), synthetic_record()
    disturbed[250:262, :] += 3 * np.random.default_rng(1).normal(size=(12, 12)).astype(np.float32)
    difference = np.abs(np.asarray(average_beat(disturbed, WINDOW)[0] - average_beat(record, WINDOW)[0]))
    # Without weights, a tenth of the artefact would remain.
    assert difference.max() < 0.1


def test_a_flat_record_has_no_beat():
    beat, num_beats = jax.jit(lambda s: average_beat(s, WINDOW))(np.zeros((1000, 12), np.float32))
    assert not np.any(beat)
    assert num_beats == 0


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("num_samples", [5, 64, 200])
def test_first_places_are_those_of_numpy(num_samples, share):
    is_there = np.random.default_rng(0).random((6, num_samples)) < share
    places, is_found = jax.jit(jax.vmap(lambda one: first_places(one, 7)))(is_there)
    for one, its_places, its_found in zip(is_there, places, is_found, strict=True):
        expected = np.flatnonzero(one)[:7]
        assert its_found.tolist() == [True] * len(expected) + [False] * (7 - len(expected))
        assert its_places.tolist() == [*expected, *[0] * (7 - len(expected))]
