"""What a network sees of a beat: the cut of the Kaggle files, the wide window, and changes in training."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made_beats import made_beats
from made_beats import task as made_task

from ecgjax import fast_random
from ecgjax.data.heartbeats import BEFORE_SAMPLES, CUT_SAMPLES, WINDOW_SAMPLES
from ecgjax.errors import InputError
from ecgjax.fast_random import normals
from ecgjax.tasks import heartbeat_view

OFF = dict.fromkeys(("turned", "gain", "noise_mv", "wander_mv", "shift_s", "stretch", "rr_jitter"), 0.0)


def task(**options):
    return made_task(**{**OFF, "scaling": "mv", **options})


def record(split, made, k):
    targets = {name: jnp.asarray(values[k]) for name, values in made.targets(split).items()}
    return {"signal_mv": jnp.asarray(split.ecg[k] / split.gain, jnp.float32), **targets}


def kaggle(split):
    """The split as the Kaggle files have it: cut beats alone, in memory padded with zeros."""
    cut = jax.vmap(heartbeat_view.cut)(
        jnp.asarray(split.ecg[:, BEFORE_SAMPLES:] / split.gain), jnp.asarray(split.labels["cut_samples"])
    )
    ecg = np.zeros((len(split), WINDOW_SAMPLES, 1), np.int16)
    ecg[:, :CUT_SAMPLES] = np.rint(30000 * np.asarray(cut))
    return dataclasses.replace(split, ecg=ecg, gain=30000.0, lead_names=("II",), dataset="heartbeat/mitbih")


def test_the_cut_begins_with_r_spans_0_to_1_and_ends_with_zeros():
    split, made = made_beats("NVS"), task(view="cut")
    for k in range(3):
        seen = np.asarray(made.shown.evaluation_signal(record(split, made, k)))
        beat = split.ecg[k, BEFORE_SAMPLES : BEFORE_SAMPLES + 120, 0].astype(float)
        np.testing.assert_allclose(seen[:120, 0], (beat - beat.min()) / np.ptp(beat), atol=1e-6)
        assert (seen[120:] == 0).all()


def test_kaggle_files_and_windows_give_the_same_cut():
    split, made = made_beats("NVS"), task(view="cut")
    given = kaggle(split)
    assert made.excluded(given) == {}
    for k in range(3):
        ours, theirs = (made.shown.evaluation_signal(record(one, made, k)) for one in (split, given))
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    with pytest.raises(InputError, match="heartbeat/mitbih holds cut beats alone; use heartbeat.view=cut"):
        task(view="wide").excluded(given)


def test_a_flat_cut_is_zero():
    assert (heartbeat_view.cut(jnp.ones((CUT_SAMPLES, 2)), jnp.int32(100)) == 0).all()


@pytest.mark.parametrize("scaling", ["mv", "typical"])
def test_the_wide_view_holds_both_beats_and_the_rhythm(scaling):
    split, made = made_beats("NV"), task(view="wide", scaling=scaling)
    seen = np.asarray(made.shown.evaluation_signal(record(split, made, 1)))
    signal_mv = split.ecg[1][:, ::2] / 1000
    if scaling == "typical":
        signal_mv = (signal_mv - np.median(signal_mv, axis=0)) / np.ptp(signal_mv[:, 1])
    np.testing.assert_allclose(seen[:, :2], signal_mv, atol=1e-5)
    ratios = np.log([1, 0.5 / 0.8, 1.1 / 0.8, 1, 0.5 / 0.8, 0.8])
    expected = np.append(ratios, -1)  # as regular as it can be told
    np.testing.assert_allclose(seen[:, 2:], np.tile(expected, (WINDOW_SAMPLES, 1)), atol=1e-6)


def test_unknown_intervals_are_zero_and_long_ones_bounded():
    split = made_beats("NNN")
    before_s = np.array([np.nan, 0.8, 80.0], np.float32)
    logs = heartbeat_view.log_intervals(dataclasses.replace(split, labels={**split.labels, "rr_before_s": before_s}))
    np.testing.assert_allclose(logs[:, 1], [0, 0, heartbeat_view.LARGEST_LOG], atol=1e-6)
    assert np.isfinite(logs).all()


@pytest.mark.parametrize("view", ["cut", "wide"])
def test_without_options_training_beats_are_as_they_are(view):
    split, made = made_beats("V"), task(view=view)
    given = record(split, made, 0)
    changed = made.shown.training_signal(jax.random.key(0), given)
    np.testing.assert_array_equal(changed, made.shown.evaluation_signal(given))


@pytest.mark.parametrize("option", [name for name in OFF if name != "turned"])
def test_every_option_changes_what_it_is_to_change(option):
    split = made_beats("V")
    made = task(view="wide", **{option: 0.05})
    given = record(split, made, 0)
    changed = np.asarray(made.shown.training_signal(jax.random.key(1), given) - made.shown.evaluation_signal(given))
    beat, typical, *rhythm = (np.abs(changed) > 1e-4).any(axis=0)
    assert beat == (option != "rr_jitter")
    assert typical == (option in ("gain", "stretch"))
    of_rhythm = {"rr_jitter": range(len(rhythm)), "stretch": [heartbeat_view.LOCAL]}
    np.testing.assert_array_equal(np.flatnonzero(rhythm), of_rhythm.get(option, []))


def test_a_turned_beat_is_a_sum_of_both_leads_and_so_is_its_typical_beat():
    split = made_beats("V")
    made = task(view="wide", turned=1.0)
    given = record(split, made, 0)
    seen = np.asarray(made.shown.training_signal(jax.random.key(1), given))
    signal_mv = split.ecg[0] / 1000
    beat, *_ = np.linalg.lstsq(signal_mv[:, :2], seen[:, 0])
    typical, *_ = np.linalg.lstsq(signal_mv[:, 2:], seen[:, 1])
    # The second lead is -1/2 times the first.
    assert np.dot(beat, (1, -0.5)) == pytest.approx(np.dot(typical, (1, -0.5)), abs=1e-4)
    assert not np.allclose(seen[:, 0], signal_mv[:, 0], atol=1e-3)
    np.testing.assert_allclose(signal_mv[:, :2] @ beat, seen[:, 0], atol=1e-5)


def test_a_stretch_keeps_r_and_takes_the_end_of_the_cut_along():
    split = made_beats("V")
    made = task(view="cut", stretch=0.2)
    given = {**record(split, made, 0), "cut_samples": jnp.int32(100)}
    stretch, *_ = normals(fast_random.split(jax.random.key(3), 4)[1], (11,))
    factor = np.exp(0.2 * float(stretch))
    seen = np.asarray(made.shown.training_signal(jax.random.key(3), given))[:, 0]
    assert np.flatnonzero(seen)[-1] + 1 == pytest.approx(100 * factor, abs=2)
    assert seen.argmax() <= 2


def test_beats_of_another_length_or_rate_are_refused():
    split, made = made_beats("N"), task()
    for wrong in (dataclasses.replace(split, fs_hz=100.0), dataclasses.replace(split, ecg=split.ecg[:, :200])):
        with pytest.raises(InputError, match="keep data.seconds at 2 and preprocess.fs_hz at 125"):
            made.excluded(wrong)
    with pytest.raises(InputError, match="have the leads II, typical instead of II, second"):
        made.excluded(dataclasses.replace(split, ecg=split.ecg[:, :, ::2], lead_names=("II", "typical")))
    with pytest.raises(InputError, match="a crop of 125 samples is no beat; set data.crop_s to 2"):
        made.shown.evaluation_signal({**record(split, made, 0), "signal_mv": jnp.zeros((125, 4))})
    with pytest.raises(InputError, match="holds no single beats"):
        made.excluded(dataclasses.replace(split, labels={}))


def test_a_beat_is_moved_as_linear_interpolation_moves_it_and_its_typical_beat_stays():
    split = made_beats("V")
    made = task(view="wide", shift_s=0.02)
    given = record(split, made, 0)
    before, time = np.asarray(given["signal_mv"])[:, ::2], np.arange(split.ecg.shape[1])
    for seed in range(20):
        key = jax.random.key(seed)
        moved = normals(fast_random.split(key, 4)[1], (11,))[1]
        seen = np.asarray(made.shown.training_signal(key, given))
        shifted = np.interp(time - 0.02 * heartbeat_view.FS_HZ * float(moved), time, before[:, 0])
        np.testing.assert_allclose(seen[:, 0], shifted, atol=1e-5)
        np.testing.assert_array_equal(seen[:, 1], before[:, 1])
