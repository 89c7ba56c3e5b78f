"""A folder in the published layout: prepared, trained on and scored, as a user does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import heart_archive
import numpy as np
import pytest

from ecgjax.data.intracardiac import NUM_SAMPLES, NUM_SITES, SITES

ROOT = Path(__file__).parent.parent


def command(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    heart_archive.write_archive(folder / "raw", num_hearts=4, num_patterns=4)
    arguments = ("--dataset=intracardiac/hearts", f"--raw_dir={folder / 'raw'}", f"--data_dir={folder / 'data'}")
    said = command("data_prep", *arguments, "--num_workers=1")
    assert [line.split()[1:] for line in said.splitlines() if line.split()[0] == "records"] == [["8", "4", "4"]]
    return folder / "data"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "shape", "figure", "baselines"),
    [
        ("activation_map", (NUM_SITES,), "mae_ms", {"mean_map", "nearest_record", "ridge_regression"}),
        ("transmembrane", (NUM_SAMPLES, NUM_SITES), "rmse_mv", {"mean_potentials", "ridge_action_potential"}),
    ],
)
def test_published_layout_is_trained_on_and_scored(task, shape, figure, baselines, data_dir, tmp_path):
    config = (f"--config=configs/{task}.py:intracardiac,smoke", "--config.num_steps=4", "--config.batch_size=4")
    each = tuple(f"--config.{name}=2" for name in ("log_every", "eval_every", "checkpoint_every"))
    places = (f"--config.data.dir={data_dir}", f"--workdir={tmp_path}")
    said = command("ecgjax.main", *config, *each, "--config.evaluation.batch_size=4", *places)
    assert figure in said
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["dataset"], results["n_records"], results["n_patients"]) == ("intracardiac/hearts", 4, 1)
    assert results["metrics"][figure]["value"] > 0
    assert {f"{figure}/LV", f"{figure}/septum", f"{figure}/mid"} <= results["metrics"].keys()
    assert results["baselines"].keys() == baselines
    for rival in results["baselines"].values():
        difference = results["metrics"][figure]["value"] - rival[figure]["value"]
        assert rival[f"gain/{figure}"]["value"] == pytest.approx(difference, abs=1e-3)
    with np.load(tmp_path / "predictions_test.npz") as predictions:
        assert predictions["scores"].shape == predictions["targets"].shape == (4, *shape)
        assert tuple(predictions["class_names"]) == SITES
    assert (tmp_path / "report.html").exists()
