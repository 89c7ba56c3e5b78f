import numpy as np
import pytest

from data_prep.prepare import ensure_prepared
from data_prep.simulated import FIRST_HEART, SPLIT_SIZES
from ecgjax.data.record_files import dataset_dir
from ecgjax.data.records import load_split
from ecgjax.data.simulated import FS_HZ, SECONDS, SEED, heart_numbers, is_simulated
from ecgjax.simulate import generate


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("simulated"))
    ensure_prepared("simulated", "smoke", path)
    return path


def test_records_and_labels_are_the_simulators(data_dir):
    split = load_split("simulated", "smoke", "all", data_dir, None, SECONDS)
    hearts = generate(SEED, sum(SPLIT_SIZES["smoke"].values()), FS_HZ, SECONDS, FIRST_HEART["smoke"])
    assert split.fs_hz == FS_HZ
    assert is_simulated(split)
    np.testing.assert_array_equal(heart_numbers(split), hearts["heart_id"])
    assert np.abs(split.ecg / split.gain - hearts["ecg_mv"]).max() < 0.501 / split.gain
    for name in set(split.labels) - {"num_samples", "beat_s", "beat_kind"}:
        np.testing.assert_array_equal(split.labels[name], hearts[name])
    for name in ("beat_s", "beat_kind"):
        inside = np.isfinite(hearts["beat_s"])
        for index, values in enumerate(split.labels[name]):
            np.testing.assert_array_equal(values, hearts[name][index][inside[index]])


def test_no_heart_is_in_two_splits(data_dir):
    hearts = [set(load_split("simulated", "smoke", s, data_dir, None, 1.0).patient_ids) for s in SPLIT_SIZES["smoke"]]
    assert [len(ids) for ids in hearts] == list(SPLIT_SIZES["smoke"].values())
    assert len(set.union(*hearts)) == sum(SPLIT_SIZES["smoke"].values())


def test_no_heart_is_in_both_variants():
    assert FIRST_HEART["full"] + sum(SPLIT_SIZES["full"].values()) <= FIRST_HEART["smoke"]


def test_prepared_once(data_dir, capsys):
    info = dataset_dir("simulated", "smoke", data_dir) / "dataset_info.json"
    before = info.stat().st_mtime_ns
    ensure_prepared("simulated", "smoke", data_dir)
    assert info.stat().st_mtime_ns == before
    assert capsys.readouterr().out == ""
