import logging
import os
from pathlib import Path

import numpy as np
import pytest
import wfdb

from data_prep.build import Options
from data_prep.prepare import prepare
from ecgjax.data.record_files import data_root, dataset_dir
from ecgjax.data.records import load_split
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.preprocess import Preprocess

PLAIN = Preprocess(fs_hz=100.0, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")
BANDPASS = Preprocess(fs_hz=100.0, filter="bandpass", low_hz=0.5, high_hz=40.0, normalise="none")


def digital(seed: int, num_samples: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.integers(-40, 41, (num_samples, len(LEADS))), axis=0)


def prepare_folder(folder: Path, records: list[tuple[np.ndarray, float]]) -> str:
    """Prepares records (microvolts [time, lead], rate) as dataset `wfdb`; returns the data folder."""
    raw = folder / "raw"
    raw.mkdir()
    for index, (values, fs_hz) in enumerate(records):
        wfdb.wrsamp(
            f"r{index:04d}",
            fs=fs_hz,
            units=["mV"] * 12,
            sig_name=list(LEADS),
            d_signal=values,
            fmt=["16"] * 12,
            adc_gain=[1000.0] * 12,
            baseline=[0] * 12,
            write_dir=str(raw),
        )
    prepare("wfdb", "", str(folder / "out"), Options(raw, skip_bad=False, num_workers=1, beam=None))
    return str(folder / "out")


def load(out: str, preprocess: Preprocess | None, seconds: float):
    return load_split("wfdb", "default", "test", out, preprocess, seconds)


def test_nothing_to_do_is_done_exactly(tmp_path):
    records = [digital(seed, 300) for seed in range(5)]
    out = prepare_folder(tmp_path, [(record, 100.0) for record in records])
    for preprocess in (None, PLAIN):
        split = load(out, preprocess, 3.0)
        assert split.ecg.dtype == np.int16
        assert (split.gain, split.fs_hz, split.lead_names, len(split)) == (1000.0, 100.0, LEADS, 5)
        assert (split.dataset, split.split) == ("wfdb/default", "test")
        np.testing.assert_array_equal(split.ecg, records)


def test_the_middle_is_kept_and_the_end_is_padded(tmp_path):
    long, short = digital(1, 301), digital(2, 90)
    split = load(prepare_folder(tmp_path, [(long, 100.0), (short, 100.0)]), PLAIN, 2.0)
    np.testing.assert_array_equal(split.ecg[0], long[50:250])
    np.testing.assert_array_equal(split.ecg[1, :90], short)
    assert not split.ecg[1, 90:].any()
    assert list(split.labels["num_samples"]) == [200, 90]


def test_chunks_give_what_single_records_give(tmp_path, monkeypatch):
    # Three kinds of records in turn, and chunks of two records.
    monkeypatch.setattr("ecgjax.data.signals.CHUNK_SAMPLES", 2 * 12 * 500)
    kinds = [(500, 100.0), (1000, 250.0), (700, 100.0)]
    records = [(digital(seed, kinds[seed % 3][0]), kinds[seed % 3][1]) for seed in range(15)]
    split = load(prepare_folder(tmp_path, records), BANDPASS, 4.0)
    assert split.fs_hz == 100.0
    for (values, fs_hz), ecg in zip(records, split.ecg, strict=True):
        expected = BANDPASS.apply(values.astype(np.float32) / 1000, fs_hz) * 1000
        start = (len(expected) - 400) // 2
        assert np.abs(ecg - expected[start : start + 400]).max() <= 0.51


def test_clipping_is_logged_once_with_its_count(tmp_path, caplog):
    values = digital(1, 300)
    values[150:, 0] = 32_000
    out = prepare_folder(tmp_path, [(values, 250.0), (digital(2, 300), 250.0)])
    overshoot = Preprocess(fs_hz=500.0, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")
    with caplog.at_level(logging.WARNING):
        split = load(out, overshoot, 1.2)
    clipped = int(np.count_nonzero(split.ecg[0] == 32767))
    assert clipped > 0
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == f"wfdb/default test: {clipped} samples beyond +-32.767 mV were clipped"


def test_select_by_mask_and_by_index(tmp_path):
    split = load(prepare_folder(tmp_path, [(digital(seed, 100), 100.0) for seed in range(4)]), None, 1.0)
    by_index = split.select(np.array([3, 1]))
    by_mask = split.select(np.array([False, True, False, True]))
    assert list(by_index.record_ids) == ["r0003", "r0001"]
    np.testing.assert_array_equal(by_index.ecg, by_mask.ecg[::-1])
    np.testing.assert_array_equal(by_index.labels["num_samples"], [100, 100])
    assert list(by_mask.patient_ids) == ["r0001", "r0003"]


def test_two_rates_need_preprocessing(tmp_path):
    out = prepare_folder(tmp_path, [(digital(1, 100), 100.0), (digital(2, 250), 250.0)])
    with pytest.raises(InputError, match=r"records of 100 and 250 Hz in one split; set preprocess\.fs_hz"):
        load(out, None, 1.0)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [lambda path: os.truncate(path, path.stat().st_size // 2), lambda path: os.truncate(path, 0), flip, Path.unlink],
    ids=["truncated", "empty", "corrupt", "missing"],
)
def test_damaged_record_file_is_named(tmp_path, monkeypatch, damage):
    monkeypatch.setattr("data_prep.wfdb_folder.RECORDS_PER_SHARD", 20)
    out = prepare_folder(tmp_path, [(digital(seed, 500), 100.0) for seed in range(40)])
    path = dataset_dir("wfdb", "default", out) / "wfdb-test.array_record-00001-of-00002"
    damage(path)
    with pytest.raises(InputError) as caught:
        load(out, None, 5.0)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(f"delete {path.parent} and prepare the dataset again")
    assert "\n" not in str(caught.value)


def test_what_is_not_there(tmp_path):
    out = prepare_folder(tmp_path, [(digital(1, 100), 100.0)])
    with pytest.raises(InputError, match="has no split 'train'; use one of test, all"):
        load_split("wfdb", "default", "train", out, None, 1.0)
    with pytest.raises(InputError, match=r"expected ptbxl/100hz in .*; run python -m data_prep --dataset=ptbxl/100hz"):
        load_split("ptbxl", "100hz", "train", out, None, 1.0)
    with pytest.raises(InputError, match=r"there is wfdb/default of it"):
        dataset_dir("wfdb", "clinic", out)


def test_newest_version_is_found(tmp_path):
    for version in ("1.0.0", "1.10.0", "1.9.0", "incomplete.ABCDEF_2.0.0"):
        (tmp_path / "some" / "kind" / version).mkdir(parents=True)
        (tmp_path / "some" / "kind" / version / "dataset_info.json").touch()
    assert dataset_dir("some", "kind", str(tmp_path)).name == "1.10.0"
    assert dataset_dir("some", "", str(tmp_path)).name == "1.10.0"


def test_empty_data_dir_is_tfds_default(monkeypatch):
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", "~/prepared")
    assert data_root("") == Path.home() / "prepared"
