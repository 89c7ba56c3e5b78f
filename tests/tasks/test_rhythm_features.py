"""What is measured of a recording: R peaks, intervals, waves, noise."""

import numpy as np
import pytest
from made_rhythms import beats_mv, made_rhythms

from ecgjax.data.rhythms import FS_HZ
from ecgjax.tasks.rhythm_features import feature_names, features, find_r, intervals, measured, sample_entropy

RNG = np.random.default_rng(0)
STEADY = 0.5 + 0.8 * np.arange(24)


def noisy(signal_mv, sd_mv=0.02):
    return signal_mv + sd_mv * np.random.default_rng(1).normal(size=len(signal_mv))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("fs_hz", [100.0, 300.0])
def test_r_peaks_are_found_whichever_way_the_lead_is_held(sign, fs_hz):
    beat_s = 0.5 + np.cumsum(np.random.default_rng(2).uniform(0.45, 1.2, 20))
    signal_mv = noisy(sign * beats_mv(beat_s, 20.0))[:: round(FS_HZ / fs_hz)]
    expected = beat_s[beat_s < 19.9]
    found = find_r(signal_mv, fs_hz)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found / fs_hz, expected, atol=0.015)


def test_intervals_of_known_rows():
    steady = intervals(np.full(20, 0.8))
    assert steady["rr_median_s"] == pytest.approx(0.8)
    assert steady["rr_cv"] == pytest.approx(0, abs=1e-12)
    assert steady["rr_regular"] == 1
    row = np.tile([1.0, 0.6, 1.4], 8)
    early = intervals(row)
    assert early["rr_early"] == early["rr_late"] == pytest.approx(1 / 3)
    assert early["rr_late_after_early"] == pytest.approx(8 / 23)
    assert early["rr_rmssd"] == pytest.approx(np.sqrt(np.mean(np.diff(row) ** 2)))
    assert early["rr_pnn50"] == 1
    bigeminy = intervals(np.tile([0.6, 1.0], 10))
    assert bigeminy["rr_memory"] == pytest.approx(-0.95, abs=0.06)
    assert bigeminy["rr_alternating"] > 1.7
    assert all(np.isfinite(list(intervals(np.array([0.8, 0.7, 0.9])).values())))


def test_sample_entropy_is_higher_the_less_follows_from_what_came_before():
    rng = np.random.default_rng(3)
    steady, wild = 0.8 + 0.005 * rng.normal(size=60), rng.uniform(0.5, 1.1, 60)
    patterned = np.tile([0.6, 1.0], 30)
    assert sample_entropy(steady, 0.03) < sample_entropy(wild, 0.03)
    assert sample_entropy(patterned, 0.03) < sample_entropy(rng.permutation(patterned), 0.03)


def test_waves_of_atria_and_noise_show_in_their_features():
    with_p, without = (features(noisy(beats_mv(STEADY, 20.0, p_mv)), FS_HZ) for p_mv in (0.15, 0.0))
    assert with_p["p_size"] > 2 * without["p_size"]
    assert with_p["p_coherence"] > 0.6 > without["p_coherence"]
    time_s = np.arange(20 * 300) / FS_HZ
    waves = features(noisy(beats_mv(STEADY, 20.0, 0.0) + 0.1 * np.sin(2 * np.pi * 6.3 * time_s)), FS_HZ)
    assert waves["atrial_hz"] == pytest.approx(6.25, abs=0.26)
    assert waves["atrial_size"] > 3 * without["atrial_size"]
    loud = features(noisy(beats_mv(STEADY, 20.0), 0.5), FS_HZ)
    assert loud["noise_fast"] > 5 * with_p["noise_fast"]
    assert loud["beat_likeness"] < with_p["beat_likeness"]


def test_a_wide_beat_among_others_is_seen():
    place = np.arange(6000)[:, None] / FS_HZ - (STEADY[5::6] - 0.2)
    wide = -1.2 * np.exp(-0.5 * (place / 0.02) ** 2).sum(axis=1)
    plain = beats_mv(np.delete(STEADY, np.s_[5::6]), 20.0)
    found, without = features(noisy(plain + wide), FS_HZ), features(noisy(plain), FS_HZ)
    assert found["beat_widest"] > 1.25 > without["beat_widest"]
    assert found["beat_unlike"] > 0.1 > without["beat_unlike"]


def test_measured_recordings_have_a_column_for_every_feature():
    split = made_rhythms("NA~")
    table, names = measured(split), feature_names()
    assert table.shape == (3, len(names))
    count = split.labels["num_samples"][1]
    found = features(split.ecg[1, :count, 0] / 1000, FS_HZ)
    assert set(found) == set(names)
    np.testing.assert_allclose(table[1], [found[name] for name in names])


def test_a_recording_without_beats_has_only_its_noise():
    for signal_mv in (np.zeros(3000), 1e-3 * RNG.normal(size=400)):
        found = features(signal_mv, FS_HZ)
        assert all(np.isfinite(value) for value in found.values())
    assert {name.split("_")[0] for name in features(np.zeros(3000), FS_HZ)} == {"noise"}
