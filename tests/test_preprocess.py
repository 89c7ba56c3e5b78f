"""Filters against scipy's own and what they promise."""

import numpy as np
import pytest
import scipy.signal

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.preprocess import Preprocess, bandpass, resample, wavelet_denoise


def options(**changes):
    fields = {"fs_hz": 100.0, "filter": "bandpass", "low_hz": 0.5, "high_hz": 40.0, "normalise": "none"}
    return Preprocess(**fields | changes)


def sine(frequency_hz, fs_hz=100.0, seconds=10.0):
    time = np.arange(int(fs_hz * seconds)) / fs_hz
    return np.repeat(np.sin(2 * np.pi * frequency_hz * time)[:, None], 12, axis=1)


def test_band_pass_keeps_the_band_and_removes_the_rest():
    middle = slice(300, 700)
    np.testing.assert_allclose(bandpass(sine(10), 100, 0.5, 40)[middle], sine(10)[middle], atol=0.02)
    for frequency_hz in (0.05, 49):
        assert np.abs(bandpass(sine(frequency_hz), 100, 0.5, 40)[middle]).max() < 0.05


def test_resampling_keeps_a_slow_wave_in_place():
    for from_hz in (250.0, 257.0, 360.0, 500.0, 1000.0):
        resampled = resample(sine(5, from_hz), from_hz, 100.0)
        assert abs(len(resampled) - 1000) <= 1
        np.testing.assert_allclose(resampled[100:900], sine(5)[100:900], atol=0.01)


def test_resampling_agrees_with_scipy_fourier_resampling():
    rng = np.random.default_rng(0)
    slow = scipy.signal.sosfiltfilt(
        scipy.signal.butter(4, 20, fs=500, output="sos"), rng.normal(size=(5000, 12)), axis=0
    )
    expected = scipy.signal.resample(slow, 1000, axis=0)
    np.testing.assert_allclose(resample(slow, 500.0, 100.0)[50:-50], expected[50:-50], atol=0.01)


def test_filtering_commutes_with_every_exchange():
    signal = np.random.default_rng(0).normal(size=(500, 9)) @ leads.LEADS_FROM_ELECTRODES.T
    for placement in leads.PLACEMENTS:
        before = bandpass(placement.apply(signal), 100, 0.5, 40)
        np.testing.assert_allclose(before, placement.apply(bandpass(signal, 100, 0.5, 40)), atol=1e-9)


def test_wavelet_removes_noise_from_a_spiky_signal():
    rng = np.random.default_rng(0)
    clean = np.zeros((1000, 12))
    clean[50::100] = 1.0
    clean = scipy.ndimage.gaussian_filter1d(clean, 2.0, axis=0) * 5
    noisy = clean + 0.05 * rng.normal(size=clean.shape)
    # The approximation, the mean level, is dropped with the wander.
    error = wavelet_denoise(noisy) - (clean - clean.mean(axis=0))
    assert error.std() < 0.8 * 0.05


def test_z_score_and_flat_leads():
    signal = np.random.default_rng(0).normal(2.0, 3.0, size=(500, 12)).astype(np.float32)
    signal[:, 4] = 1.0
    normalised = np.asarray(options(normalise="zscore").normalised(signal))
    varied = np.delete(normalised, 4, axis=1)
    np.testing.assert_allclose(varied.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(varied.std(axis=0), 1, atol=1e-4)
    assert not normalised[:, 4].any()


def test_records_in_a_batch_are_treated_as_alone():
    signal = np.random.default_rng(0).normal(size=(3, 500, 12))
    for name in ("bandpass", "wavelet_bandpass"):
        together = options(filter=name).apply(signal, 500.0)
        alone = np.stack([options(filter=name).apply(record, 500.0) for record in signal])
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_short_records_are_filtered():
    assert options().apply(np.zeros((30, 12)), 100.0).shape == (30, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filter": "bandpas"}, "unknown preprocess.filter 'bandpas'.*use one of none, bandpass"),
        ({"normalise": "minmax"}, "unknown preprocess.normalise"),
        ({"high_hz": 60.0}, "does not lie between 0 and half of 100.0 Hz"),
    ],
)
def test_impossible_options_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        options(**changes)
