"""Rhythms as a user trains them: on raw recordings, then on those that went through paper."""

import json

import commands
import numpy as np
import pytest

from ecgjax.data.rhythms import CLASSES

SMALL = (
    *("--config.model.rhythm_reader.features=(8,8)", "--config.model.rhythm_reader.strides=(4,4)"),
    *("--config.model.rhythm_reader.beat_features=16", "--config.model.rhythm_reader.num_beat_layers=1"),
)


def train(config, folder, workdir, *options):
    arguments = (f"--config=configs/{config}", *SMALL, *options, f"--config.data.dir={folder / 'data'}")
    return commands.run("-m", "ecgjax.main", *arguments, f"--workdir={workdir}")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A folder with prepared data, and a finished run on raw recordings in it."""
    folder = tmp_path_factory.mktemp("rhythm")
    done = train("rhythm.py:smoke", folder, folder / "raw")
    assert done.returncode == 0, done.stderr
    return folder


def test_raw_recordings(raw):
    results = json.loads((raw / "raw" / "results.json").read_text())
    assert results["dataset"] == "simulated_rhythms/smoke"
    for name in ("f1_ano", "accuracy", "macro_auroc", *(f"f1/{name}" for name in CLASSES)):
        assert 0 <= results["metrics"][name]["value"] <= 1, name
    assert results["baselines"].keys() == {"majority_class", "features"}
    with np.load(raw / "raw" / "predictions_test.npz") as predictions:
        assert tuple(predictions["class_names"]) == CLASSES
    assert (raw / "raw" / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_recordings_from_paper_in_windows_that_vote_from_the_weights_of_the_raw_run(raw):
    windows = ("--config.evaluation.window_stride_s=15.0", "--config.evaluation.window_combine=vote")
    done = train(f"rhythm_image.py:init={raw / 'raw'},smoke", raw, raw / "paper", *windows)
    assert done.returncode == 0, done.stderr
    assert "new: none" in done.stdout + done.stderr
    results = json.loads((raw / "paper" / "results.json").read_text())
    assert results["dataset"] == "simulated_paper/smoke"
    assert results["n_records"] == json.loads((raw / "raw" / "results.json").read_text())["n_records"]


@pytest.mark.slow
def test_another_fold_may_not_begin_with_a_network_that_has_seen_it(raw):
    done = train(f"rhythm_image.py:init={raw / 'raw'},fold=1,smoke", raw, raw / "fold_1")
    assert done.returncode == 2
    assert "was trained with data.fold=0, this run tests 1" in done.stderr
    assert done.stderr.count("error:") == 1
