"""What networks are shown of a recording: scaled where it was recorded, zero where it was not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made_rhythms import PREPROCESS, made_rhythms, view

from ecgjax.data.rhythms import FS_HZ
from ecgjax.errors import InputError

COUNT, TIME = 4321, 6000


def record(seed=0):
    rng = np.random.default_rng(seed)
    time_s = np.arange(TIME) / FS_HZ
    signal_mv = 0.3 + np.sin(2 * np.pi * 1.5 * time_s) + 0.1 * rng.normal(size=TIME)
    signal_mv[COUNT:] = 0
    return {"signal_mv": jnp.asarray(signal_mv, jnp.float32)[:, None], "num_samples": jnp.int32(COUNT)}


@pytest.mark.parametrize("scaling", ["zscore", "mv", "range"])
def test_scaled_over_what_was_recorded_and_zero_after_it(scaling):
    given = record()
    shown = np.asarray(view(scaling=scaling).evaluation_signal(given))
    assert shown.shape == (TIME, 2)
    np.testing.assert_array_equal(shown[:, 1], np.arange(TIME) < COUNT)
    assert not shown[COUNT:].any()
    inside, raw = shown[:COUNT, 0], np.asarray(given["signal_mv"])[:COUNT, 0]
    expected = {
        "zscore": (raw - raw.mean()) / raw.std(),
        "mv": raw,
        "range": (raw - raw.min()) / np.ptp(raw),
    }[scaling]
    np.testing.assert_allclose(inside, expected, atol=2e-5)


@pytest.mark.parametrize("scaling", ["zscore", "range"])
def test_a_flat_recording_stays_finite(scaling):
    flat = {"signal_mv": jnp.full((TIME, 1), 0.2), "num_samples": jnp.int32(COUNT)}
    assert np.isfinite(view(scaling=scaling).evaluation_signal(flat)).all()


def test_without_changes_training_shows_what_evaluation_shows():
    shown = view().training_signal(jax.random.key(0), record())
    np.testing.assert_array_equal(shown, view().evaluation_signal(record()))


def trained(seeds, **options):
    shown = view(**{"scaling": "mv", **options})
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    return np.asarray(jax.jit(jax.vmap(lambda key: shown.training_signal(key, record())))(keys))


def test_noise_and_wander_are_shares_of_the_recordings_deviation():
    raw = np.asarray(record()["signal_mv"])[:COUNT, 0]
    for option, fast in (("noise", True), ("wander", False)):
        added = trained(100, **{option: 0.2})[:, :COUNT, 0] - raw
        level = np.sqrt(np.mean(added**2))
        expected = 0.2 * raw.std() * (1 if fast else np.sqrt(0.5))
        assert abs(level / expected - 1) < 0.15
        steps = np.sqrt(np.mean(np.diff(added, axis=1) ** 2)) / level
        assert steps > 1.3 if fast else steps < 0.03


def test_gain_flip_and_gap():
    raw = np.asarray(record()["signal_mv"])[:COUNT, 0]
    factor = trained(100, gain=0.3)[:, :COUNT, 0] @ raw / (raw @ raw)
    assert abs(np.log(factor).std() / 0.3 - 1) < 0.2
    factor = trained(100, flip=0.3)[:, :COUNT, 0] @ raw / (raw @ raw)
    np.testing.assert_allclose(np.abs(factor), 1, rtol=1e-4)
    assert abs((factor < 0).mean() - 0.3) < 0.1
    shown = trained(100, mask_s=2.0)
    blank = (shown[:, :COUNT, 0] == 0).sum(axis=1)
    assert 0.6 < blank.mean() / FS_HZ < 1.1
    assert blank.max() <= 2 * FS_HZ
    np.testing.assert_array_equal(shown[..., 1].sum(axis=1), COUNT)


def test_a_stretch_changes_the_pace_and_the_length_together():
    shown = trained(60, stretch=0.1)
    length = shown[..., 1].sum(axis=1)
    assert length.max() <= TIME
    assert abs(np.log(length / COUNT).std() / 0.1 - 1) < 0.25
    for row, count in zip(shown[:, :, 0], length.astype(int), strict=True):
        crossings = np.count_nonzero(np.diff(np.sign(np.convolve(row[:count] - 0.3, np.ones(60), "valid"))))
        assert abs(crossings - 2 * 1.5 * COUNT / FS_HZ) <= 2
        assert not row[count:].any()


def test_records_of_more_leads_are_refused():
    split = made_rhythms("NA")
    view().check(split)
    with pytest.raises(InputError, match="records of cinc2017/default have 2 leads; use simulated_rhythms or cinc2017"):
        view().check(dataclasses.replace(split, ecg=np.repeat(split.ecg, 2, axis=2)))


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="unknown rhythm.scaling 'x'; use one of zscore, mv, range"):
        view(scaling="x")
    for option in ("noise", "wander", "gain", "stretch", "flip", "mask_s"):
        with pytest.raises(InputError, match=f"rhythm.{option} is -1"):
            view(**{option: -1.0})
    with pytest.raises(InputError, match="rhythm.flip is 1.5; give a share of 0 to 1"):
        view(flip=1.5)
    with pytest.raises(InputError, match="preprocess.normalise would scale what pads"):
        view(preprocess=dataclasses.replace(PREPROCESS, normalise="zscore"))
