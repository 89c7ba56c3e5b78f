"""Recordings that go through paper."""

import numpy as np
import pytest

from data_prep import paper
from data_prep.build import Options
from data_prep.paper import Chunk, Paper
from data_prep.prepare import ensure_prepared, final_dir, find_builder, prepare
from ecgjax.data.record_files import dataset_dir
from ecgjax.data.records import load_split
from ecgjax.errors import InputError

LABELS = ("rhythm", "part", "num_samples")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Holds the small simulated recordings, raw and through paper."""
    folder = tmp_path_factory.mktemp("paper")
    prepare(
        "simulated_paper", "smoke-75px", str(folder), Options(raw_dir=None, skip_bad=False, num_workers=1, beam=None)
    )
    return str(folder)


def test_recordings_come_back_with_their_labels_in_their_splits(data_dir):
    for split in ("train", "validation", "test"):
        raw = load_split("simulated_rhythms", "smoke", split, data_dir, None, 61.0)
        read = load_split("simulated_paper", "smoke-75px", split, data_dir, None, 61.0)
        np.testing.assert_array_equal(read.record_ids, raw.record_ids)
        for label in LABELS:
            np.testing.assert_array_equal(read.labels[label], raw.labels[label])
        assert read.labels["is_read"].all()
        assert np.median(read.labels["pearson_r"]) > 0.97
        count = raw.labels["num_samples"][0]
        found = np.corrcoef(read.ecg[0, :count, 0], raw.ecg[0, :count, 0])[0, 1]
        assert found == pytest.approx(read.labels["pearson_r"][0], abs=1e-5)


def test_what_an_interrupted_preparation_has_made_is_not_made_again(data_dir, tmp_path, monkeypatch):
    folder = str(dataset_dir("simulated_rhythms", "smoke", data_dir))
    chunk = Chunk(folder, "test", 3, 6, Paper.from_variant("75px"), str(tmp_path))
    first = list(chunk())
    assert [path.name for path in tmp_path.iterdir()] == ["test-000003.npz"]
    monkeypatch.setattr(Paper, "read", lambda *_: pytest.fail("read again"))
    for again, made in zip(chunk(), first, strict=True):
        np.testing.assert_array_equal(again.example["ecg"], made.example["ecg"])
        assert again.example["record_id"] == made.example["record_id"]


def test_nothing_is_kept_of_a_finished_preparation(data_dir):
    finished = final_dir(find_builder("simulated_paper"), "smoke-75px", data_dir)
    assert [path.name for path in finished.parent.iterdir()] == [finished.name]


def test_what_cannot_be_read_is_kept_and_counted(data_dir, tmp_path, monkeypatch):
    def unreadable(*_):
        raise InputError("there is nothing on it", "give another")

    monkeypatch.setattr(Paper, "read", unreadable)
    folder = str(dataset_dir("simulated_rhythms", "smoke", data_dir))
    (made,) = Chunk(folder, "test", 0, 1, Paper.from_variant("75px"), str(tmp_path))()
    assert not made.example["is_read"]
    assert not made.example["ecg"].any()
    assert "not read" in made.classes


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("150px", Paper(150, "none", "trace")),
        ("smoke", Paper(150, "none", "trace")),
        ("75px-medium", Paper(75, "medium", "trace")),
        ("smoke-150px-none-threshold", Paper(150, "none", "threshold")),
    ],
)
def test_variants_say_how(variant, expected):
    assert Paper.from_variant(variant) == expected


@pytest.mark.parametrize("variant", ["150", "5px", "150px-worst", "150px-trace-none", "9999px"])
def test_other_variants_are_refused(variant):
    with pytest.raises(InputError, match="unknown variant .* give a height of 20 to 600 pixels"):
        Paper.from_variant(variant)


def test_recordings_that_are_not_prepared_are_asked_for(tmp_path):
    with pytest.raises(InputError, match="cinc2017/default is not prepared .*data_prep --dataset=cinc2017/default"):
        ensure_prepared("cinc2017_paper", "150px", str(tmp_path))


def test_lengths_stay():
    share = np.arange(4.0)
    np.testing.assert_array_equal(paper.fitted(share, 6), [0, 1, 2, 3, 3, 3])
    np.testing.assert_array_equal(paper.fitted(share, 2), [0, 1])
