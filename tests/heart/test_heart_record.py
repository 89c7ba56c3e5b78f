"""The half second that a network for hearts is shown: found in recordings, taken from datasets."""

import heart_run
import numpy as np
import pytest
import wfdb

from configs import activation_map
from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.heart.record import WINDOW, from_dataset, from_recording, qrs_onset
from ecgjax.preprocess import resample

CONFIG = activation_map.get_config("smoke")
ONSET_MS, DURATION_MS, PERIOD_MS = 260.0, 90.0, 900.0
GAINS = np.random.default_rng(3).normal(size=8) @ leads.LEADS_FROM_INDEPENDENT.T


def recording(num_beats, fs_hz=1000.0, seed=0, noise_mv=0.0, scale=None):
    """`[time, 12]`: P wave, QRS complex of one and a half sines from ONSET_MS on, T wave; each beat PERIOD_MS long."""
    time_ms = np.arange(0, PERIOD_MS)
    qrs = np.where((time_ms >= ONSET_MS) & (time_ms < ONSET_MS + DURATION_MS), 1.0, 0.0)
    qrs = qrs * np.sin(3 * np.pi * (time_ms - ONSET_MS) / DURATION_MS)
    waves = 0.08 * np.exp(-0.5 * ((time_ms - 130) / 20) ** 2) + 0.25 * np.exp(-0.5 * ((time_ms - 560) / 45) ** 2)
    beats = np.concatenate([(qrs + waves) * (1 if scale is None else scale[k]) for k in range(num_beats)])
    signal_mv = 0.4 + beats[:, None] * GAINS
    signal_mv += noise_mv * np.random.default_rng(seed).normal(size=signal_mv.shape)
    return signal_mv if fs_hz == 1000 else resample(signal_mv, 1000.0, fs_hz)


def write(folder, signal_mv, fs_hz):
    wfdb.wrsamp(
        "beat", fs=fs_hz, units=["mV"] * 12, sig_name=list(leads.LEADS), p_signal=np.asarray(signal_mv, float),
        fmt=["16"] * 12, write_dir=str(folder),
    )  # fmt: skip
    return folder / "beat"


@pytest.mark.parametrize("noise_mv", [0.0, 0.005])
def test_the_onset_is_found_within_a_few_milliseconds(noise_mv):
    signal_mv = recording(1, noise_mv=noise_mv)
    assert abs(qrs_onset(signal_mv, round(ONSET_MS + DURATION_MS / 2)) - ONSET_MS) <= 5


@pytest.mark.parametrize("fs_hz", [500, 1000])
def test_the_average_beat_starts_as_asked_and_from_zero(tmp_path, fs_hz):
    found = from_recording(write(tmp_path, recording(7, fs_hz), fs_hz), CONFIG, 0, 30.0)
    assert found.signal_mv.shape == (500, 12)
    assert found.onset_ms == 30
    assert found.origin.startswith("the average of ")
    assert found.origin.endswith(" beats, from 30 ms before the QRS complex")
    true_mv = recording(1)[round(ONSET_MS - 30) :][:500] - recording(1)[round(ONSET_MS) - 5]
    lag = np.argmax(np.correlate(found.signal_mv[:, 1], true_mv[:, 1], "full")) - 499
    assert abs(lag) <= 5
    error_mv = np.roll(found.signal_mv, -lag, axis=0)[20:470] - true_mv[20:470]
    # The complex begins and ends with a corner, which a rate of 500 Hz rounds off.
    assert np.sqrt(np.mean(error_mv**2)) < 0.02 * np.ptp(true_mv)
    assert abs(found.signal_mv[15:25].mean(axis=0)).max() < 0.02 * np.ptp(true_mv)


def test_a_beat_is_chosen_by_its_number(tmp_path):
    scale = np.array([1, 1, 1.5, 1, 1, 1, 1.0])
    path = write(tmp_path, recording(7, scale=scale), 1000)
    spans = [np.ptp(from_recording(path, CONFIG, beat, 20.0).signal_mv[:, 1]) for beat in (2, 3, 4)]
    assert spans[1] / spans[0] == pytest.approx(1.5, rel=0.02)
    assert spans[2] == pytest.approx(spans[0], rel=0.02)
    with pytest.raises(InputError, match=r"has 6 beats, not 7; give a smaller --beat"):
        from_recording(path, CONFIG, 7, 20.0)
    with pytest.raises(InputError, match=r"--before_ms is 300"):
        from_recording(path, CONFIG, 1, 300.0)


def test_half_a_second_is_a_beat_already(tmp_path):
    signal_mv = recording(1)[200:700]
    found = from_recording(write(tmp_path, signal_mv, 1000), CONFIG, 0, 20.0)
    assert found.onset_ms is None
    np.testing.assert_allclose(found.signal_mv, signal_mv, atol=2e-3)


def test_what_holds_no_beat_is_refused(tmp_path):
    short = write(tmp_path, recording(1)[:700], 1000)
    with pytest.raises(InputError, match=rf"lasts 0\.70 s; give {WINDOW.num_samples / 1000:g} s or more"):
        from_recording(short, CONFIG, 0, 20.0)
    with pytest.raises(InputError, match=r"no file .*none\.hea; restore the record"):
        from_recording(tmp_path / "none", CONFIG, 0, 20.0)


def test_a_prepared_record_comes_with_its_truth():
    with heart_run.installed("activation_map"):
        found = from_dataset(CONFIG, "made_hearts", "validation 3", None)
        with pytest.raises(InputError, match=r"made_hearts/default has no record 'x'; give one like 'train 0'"):
            from_dataset(CONFIG, "made_hearts", "x", None)
    made = heart_run.made_hearts("validation", 6)
    assert (found.name, found.origin) == ("validation 3", "made_hearts/default, validation")
    np.testing.assert_allclose(found.signal_mv, made.ecg[3] / 1000, rtol=1e-6)
    np.testing.assert_array_equal(found.activation_ms, made.labels["activation_ms"][3])
    np.testing.assert_allclose(found.vm_mv, made.labels["vm"][3] / 100, rtol=1e-6)
    np.testing.assert_array_equal(found.site_mm, made.labels["site_mm"][3])
