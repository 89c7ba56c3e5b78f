import numpy as np
import pytest

from ecgjax.images.fidelity import snr_db

FS_HZ = 500.0


def recording(num_leads=3, seed=0):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.standard_normal((2000, num_leads)), axis=0) * 0.05


def test_noise_of_known_power_gives_its_ratio():
    reference = recording()
    reference -= reference.mean(0)
    noise = np.random.default_rng(1).standard_normal(reference.shape)
    noise *= 0.1 * np.sqrt(np.mean(reference**2) / np.mean(noise**2))
    found = snr_db(reference + noise, reference, FS_HZ)
    assert found.snr_db == pytest.approx(20.0, abs=0.1)
    assert found.covered == 1
    assert found.gain == pytest.approx(1.0, abs=0.01)


def test_shift_and_offset_of_leads_do_not_count():
    reference = recording()
    late = np.pad(reference, ((30, 0), (0, 0)), constant_values=np.nan) + np.array([1.0, -2.0, 0.5])
    found = snr_db(late, reference, FS_HZ)
    assert found.shift_s == pytest.approx(30 / FS_HZ)
    assert found.snr_db > 200


def test_gain_is_that_of_the_signal():
    reference = recording()
    assert snr_db(1.05 * reference, reference, FS_HZ).gain == pytest.approx(1.05)


def test_missing_samples_lower_what_is_covered_only():
    reference = recording()
    signal = reference.copy()
    signal[500:1000, 0] = np.nan
    found = snr_db(signal, reference, FS_HZ)
    assert found.covered == pytest.approx(1 - 500 / reference.size)
    assert found.snr_db > 200


def test_nothing_read():
    reference = recording()
    found = snr_db(np.full_like(reference, np.nan), reference, FS_HZ)
    assert found.covered == 0
    assert found.snr_db == -np.inf
