from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_prep.heartbeat import GAIN
from ecgjax.data.heartbeats import CLASSES, CUT_SAMPLES, FS_HZ
from ecgjax.data.records import load_split
from ecgjax.data.split import Split
from ecgjax.errors import InputError

PER_CLASS = 20


def drawn_beats(num_beats: int, seed: int) -> np.ndarray:
    """[beat, 187] in 0..1, of varied length, zeros after."""
    rng = np.random.default_rng(seed)
    beats = rng.uniform(0.1, 1, (num_beats, CUT_SAMPLES))
    lengths = rng.integers(60, CUT_SAMPLES + 1, num_beats)
    return np.where(np.arange(CUT_SAMPLES) < lengths[:, None], beats, 0.0)


def write_csv(path: Path, beats: np.ndarray, labels: list[int]) -> None:
    np.savetxt(path, np.column_stack([beats, labels]), fmt="%.18e", delimiter=",")


@pytest.fixture
def raw_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "kaggle"
    folder.mkdir()
    labels = [k % 5 for k in range(5 * PER_CLASS)]
    write_csv(folder / "mitbih_train.csv", drawn_beats(len(labels), 0), labels)
    write_csv(folder / "mitbih_test.csv", drawn_beats(10, 1), [0, 1, 2, 3, 4] * 2)
    write_csv(folder / "ptbdb_normal.csv", drawn_beats(20, 2), [0] * 20)
    write_csv(folder / "ptbdb_abnormal.csv", drawn_beats(40, 3), [1] * 40)
    return folder


def load(out: str, variant: str, split: str) -> Split:
    return load_split("heartbeat", variant, split, out, None, CUT_SAMPLES / FS_HZ)


def test_beats_and_labels_come_back(raw_dir, prepare_into):
    split = load(prepare_into("heartbeat", raw_dir), "mitbih", "test")
    beats = drawn_beats(10, 1)
    assert split.ecg.shape == (10, CUT_SAMPLES, 1)
    assert split.record_ids.tolist() == [f"mitbih_test {line:05}" for line in range(1, 11)]
    np.testing.assert_array_equal(split.patient_ids, split.record_ids)
    assert np.abs(split.ecg[..., 0] / split.gain - beats).max() < 0.51 / min(GAIN, split.gain)
    assert split.labels["beat_class"].tolist() == list(CLASSES) * 2
    np.testing.assert_array_equal(split.labels["is_abnormal"], split.labels["beat_class"] != "N")
    np.testing.assert_array_equal(split.labels["cut_samples"], np.count_nonzero(beats, axis=1))
    assert np.isnan(split.labels["rr_before_s"]).all()


def test_a_tenth_of_every_class_of_train_is_validation(raw_dir, prepare_into):
    out = prepare_into("heartbeat", raw_dir)
    train, validation = (load(out, "mitbih", split) for split in ("train", "validation"))
    assert Counter(train.labels["beat_class"].tolist()) == dict.fromkeys(CLASSES, PER_CLASS * 9 // 10)
    assert Counter(validation.labels["beat_class"].tolist()) == dict.fromkeys(CLASSES, PER_CLASS // 10)
    assert set(train.record_ids) | set(validation.record_ids) == {f"mitbih_train {k:05}" for k in range(1, 101)}


def test_infarcts_are_abnormal_beats_of_no_known_class(raw_dir, prepare_into):
    out = prepare_into("heartbeat/ptbdb", raw_dir)
    for split, normal, abnormal in (("train", 16, 32), ("validation", 2, 4), ("test", 2, 4)):
        labels = load(out, "ptbdb", split).labels
        pairs = Counter(zip(labels["is_abnormal"].tolist(), labels["beat_class"].tolist(), strict=True))
        assert pairs == {(False, "N"): normal, (True, ""): abnormal}


def edit(line: int, column: int, text: str):
    def damage(path: Path) -> None:
        lines = path.read_text().splitlines()
        columns = lines[line - 1].split(",")
        columns[column : column + 1] = [text] if text else []
        lines[line - 1] = ",".join(columns)
        path.write_text("\n".join(lines) + "\n")

    return damage


def flatten(path: Path) -> None:
    lines = path.read_text().splitlines()
    lines[2] = ",".join(["0.0"] * CUT_SAMPLES + ["1.0"])
    path.write_text("\n".join(lines))


DAMAGE = {
    "a column too few": (edit(3, 5, ""), "expected 187 samples and a label, there are 187 columns"),
    "a column too many": (edit(3, 5, "0.5,0.5"), "there are 189 columns"),
    "not a number": (edit(3, 5, "abc"), "expected numbers .*abc"),
    "NaN": (edit(3, 5, "nan"), "expected samples of 0..1, they lie in nan"),
    "in mV": (edit(3, 5, "-0.8"), "expected samples of 0..1, they lie in -0.8"),
    "label 7": (edit(3, CUT_SAMPLES, "7.0"), "expected a label of 0-4, it is '7.0'"),
    "label in words": (edit(3, CUT_SAMPLES, "normal"), "expected a label of 0-4, it is 'normal'"),
    "flat": (flatten, "the beat is flat"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_bad_lines_are_named_or_skipped(raw_dir, prepare_into, capsys, name):
    damage, message = DAMAGE[name]
    damage(raw_dir / "mitbih_test.csv")
    with pytest.raises(InputError, match=f"mitbih_test.csv line 3: .*{message}"):
        prepare_into("heartbeat", raw_dir)
    out = prepare_into("heartbeat", raw_dir, skip_bad=True)
    assert "skipped 1 records" in capsys.readouterr().out
    assert len(load(out, "mitbih", "test")) == 9


def test_label_of_another_class_than_healthy_or_infarct(raw_dir, prepare_into):
    edit(2, CUT_SAMPLES, "2.0")(raw_dir / "ptbdb_abnormal.csv")
    with pytest.raises(InputError, match=r"ptbdb_abnormal.csv line 2: expected a label of 0 or 1, it is '2.0'"):
        prepare_into("heartbeat/ptbdb", raw_dir)


def test_empty_and_missing_files(raw_dir, prepare_into):
    (raw_dir / "mitbih_train.csv").write_text("\n")
    with pytest.raises(InputError, match="mitbih_train.csv is empty"):
        prepare_into("heartbeat", raw_dir)
    (raw_dir / "ptbdb_normal.csv").unlink()
    with pytest.raises(InputError, match="no file .*ptbdb_normal.csv"):
        prepare_into("heartbeat/ptbdb", raw_dir)
