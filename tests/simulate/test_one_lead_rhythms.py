"""Recordings of a hand-held device: reproducible, of any length, and with the waves where the rhythm puts them."""

import dataclasses

import jax
import numpy as np
import pytest

from ecgjax.data.rhythms import CLASSES, FS_HZ
from ecgjax.simulate import one_lead_rhythms
from ecgjax.simulate.one_lead_rhythms import CHUNK, CLASS_SHARES, SECONDS, Waves, draw_class, generate
from ecgjax.simulate.rhythm_events import KINDS, Events
from ecgjax.tasks.rhythm_features import features

SEED = 5
NUMBERS = np.arange(1000, 1000 + CHUNK)


@pytest.fixture(scope="module")
def recordings():
    return generate(SEED, NUMBERS)


def test_a_recording_depends_on_its_number_alone(recordings):
    others = generate(SEED, NUMBERS[[7, 3]])
    for found, row in zip(others, (7, 3), strict=True):
        np.testing.assert_allclose(found.signal_mv, recordings[row].signal_mv, atol=1e-5)
        assert (found.rhythm, found.kind) == (recordings[row].rhythm, recordings[row].kind)


def test_classes_lengths_and_kinds(recordings):
    assert [recording.rhythm for recording in recordings] == [draw_class(SEED, int(n)) for n in NUMBERS]
    for recording in recordings:
        assert SECONDS[0] * FS_HZ <= len(recording.signal_mv) <= SECONDS[1] * FS_HZ
        assert recording.rhythm in ("~", KINDS[recording.kind][0])
        assert np.isfinite(recording.signal_mv).all()
        assert 0.1 < np.ptp(recording.signal_mv) < 30
    lengths = np.array([len(recording.signal_mv) / FS_HZ for recording in recordings])
    assert 0.55 < np.mean(lengths == 30) < 0.85
    classes = [draw_class(SEED, number) for number in range(2000)]
    for name in CLASSES:
        assert classes.count(name) / 2000 == pytest.approx(CLASS_SHARES[name], abs=0.04)


def test_noise_hides_the_beats_of_noisy_recordings_only(recordings):
    def likeness(is_noisy):
        return [
            features(recording.signal_mv, FS_HZ).get("beat_likeness", 0)
            for recording in recordings[:48]
            if (recording.rhythm == "~") == is_noisy
        ]

    assert np.median(likeness(True)) < 0.75
    assert np.percentile(likeness(False), 10) > 0.8


def test_the_device_passes_its_band():
    time_s = np.arange(60 * 300) / FS_HZ
    for tone_hz, low, high in ((0.05, 0.0, 0.05), (5.0, 0.95, 1.0), (100.0, 0.05, 0.2)):
        found = one_lead_rhythms._recorded(np.sin(2 * np.pi * tone_hz * time_s))[3000:-3000]
        assert low <= np.sqrt(2) * found.std() <= high


def test_every_wave_stands_where_its_event_is():
    """Hearts whose waves are single bumps, recorded without noise, band or breathing."""
    names = [field.name for field in dataclasses.fields(Waves)]
    bumps = {"p": (-0.16, 0.02, 0.2), "qrs": (0.0, 0.01, 1.0), "t": (0.26, 0.03, 0.3), "p_ectopic": (-0.1, 0.02, -0.2)}
    bumps |= {"ventricular": (0.0, 0.04, -1.2), "ventricular_t": (0.28, 0.04, 0.5)}
    at_s = one_lead_rhythms._WAVE_S
    shapes = {name: size * np.exp(-0.5 * ((at_s - at) / width) ** 2) for name, (at, width, size) in bumps.items()}
    scalars = {"qrs_s": 0.0, "ventricular_s": 0.0, "f_wave_mv": 0.0}
    waves = Waves(**{name: np.asarray({**shapes, **scalars}[name]) for name in names})
    beat_s = np.array([1.0, 2.0013, 2.7, 4.1, 5.0])
    events = Events(
        p_s=np.array([1.0, 2.0013, 3.3, 4.1, 5.0]),
        p_is_ectopic=np.array([False, True, False, False, False]),
        qrs_s=beat_s,
        is_ventricular=np.array([False, False, True, False, False]),
    )
    time_s = np.arange(1800) / FS_HZ
    found = one_lead_rhythms._beating(np.random.default_rng(0), waves, events, time_s)

    def bump(name, place_s):
        at, width, size = bumps[name]
        return size * np.exp(-0.5 * ((time_s - place_s - at) / width) ** 2)

    for place_s, name in ((1.0, "qrs"), (2.0013, "qrs"), (4.1, "qrs"), (2.7, "ventricular")):
        at = np.abs(time_s - place_s) < 0.02
        np.testing.assert_allclose(found[at], bump(name, place_s)[at], atol=0.15)
    for place_s, name in ((1.0, "p"), (2.0013, "p_ectopic"), (3.3, "p")):
        at = np.abs(time_s - place_s - bumps[name][0]) < 0.03
        np.testing.assert_allclose(found[at], bump(name, place_s)[at], atol=0.02)
    # T follows the rate: its middle is where the cube root of the interval puts it.
    after = (time_s > 4.15) & (time_s < 4.6)
    rr_s = 0.75 * np.median(np.diff(beat_s, prepend=0.2)) + 0.25 * 1.4
    assert time_s[after][np.argmax(found[after])] - 4.1 == pytest.approx(0.26 * np.cbrt(rr_s), abs=0.005)


def test_hearts_differ(recordings):
    waves = jax.device_get(one_lead_rhythms._waves(jax.random.key(SEED), NUMBERS.astype(np.uint32)))
    assert len({float(size) for size in np.ptp(waves["qrs"], axis=1)}) == CHUNK
    assert 0.2 < np.median(np.ptp(waves["qrs"], axis=1)) < 1.5
    assert 0.02 < np.median(np.abs(waves["p"]).max(axis=1)) < 0.2
    assert np.all(waves["ventricular_s"] > 0.12)
