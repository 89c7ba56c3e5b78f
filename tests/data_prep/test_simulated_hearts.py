import numpy as np
import pytest

from data_prep.prepare import ensure_prepared
from data_prep.simulated_hearts import FIRST_HEART, NUM_BEATS, SEED, SPLIT_HEARTS
from ecgjax.data.intracardiac import FS_HZ, NUM_SAMPLES, SITES, VM_GAIN, activation_ms
from ecgjax.data.records import load_split
from ecgjax.simulate.activation import generate

SECONDS = NUM_SAMPLES / FS_HZ


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("simulated_hearts"))
    ensure_prepared("simulated_hearts", "smoke", path)
    return path


def test_records_and_labels_are_the_simulators(data_dir):
    split = load_split("simulated_hearts", "smoke", "validation", data_dir, None, SECONDS)
    first = FIRST_HEART["smoke"] + SPLIT_HEARTS["smoke"]["train"]
    beats = generate(SEED, SPLIT_HEARTS["smoke"]["validation"], NUM_BEATS, first)
    assert split.fs_hz == FS_HZ
    assert np.abs(split.ecg / split.gain - beats["ecg_mv"]).max() < 0.501 / split.gain
    vm = split.labels["vm"].reshape(-1, NUM_SAMPLES, len(SITES))
    assert np.abs(vm / VM_GAIN - beats["vm_mv"]).max() < 0.51 / VM_GAIN
    np.testing.assert_array_equal(split.labels["activation_ms"], activation_ms(vm / np.float32(VM_GAIN)))
    assert np.nanmax(np.abs(split.labels["activation_ms"] - beats["activation_ms"])) < 0.3
    for name in ("site_mm", "pattern", "bcl_ms", "gkr"):
        np.testing.assert_array_equal(split.labels[name].reshape(beats[name].shape), beats[name])
    np.testing.assert_array_equal(split.labels["heart"], split.patient_ids)
    numbers = zip(beats["heart"], beats["beat"], strict=True)
    assert split.record_ids.tolist() == [f"heart {heart} beat {beat}" for heart, beat in numbers]


def test_no_heart_is_in_two_splits(data_dir):
    splits = [load_split("simulated_hearts", "smoke", name, data_dir, None, SECONDS) for name in SPLIT_HEARTS["smoke"]]
    hearts = [set(split.patient_ids) for split in splits]
    assert [len(ids) for ids in hearts] == list(SPLIT_HEARTS["smoke"].values())
    assert len(set.union(*hearts)) == sum(SPLIT_HEARTS["smoke"].values())
    assert [len(split) for split in splits] == [NUM_BEATS * len(ids) for ids in hearts]


def test_no_heart_is_in_both_variants():
    assert FIRST_HEART["full"] + sum(SPLIT_HEARTS["full"].values()) <= FIRST_HEART["smoke"]
