"""The command that makes the bundled networks: its configs, what it adds to results, and how a folder is replaced."""

import types

import numpy as np
import pytest

from ecgjax.analysis.subgroups import Subgroup
from ecgjax.errors import InputError
from ecgjax.experiment import check
from scripts import bundle


@pytest.mark.parametrize("task", bundle.STAGES)
def test_every_stage_is_a_config_that_can_be_trained(task, tmp_path):
    for stage in range(len(bundle.STAGES[task])):
        config = bundle.config_of(task, stage, tmp_path, "data")
        check(config)
        assert (config.task, config.data.dir) == (task, "data")
        assert config.init == (str(tmp_path / f"{task}_{stage - 1}") if stage else "")
    assert config.data.name == "ptbxl"
    assert bundle.stage_dir(task, stage, tmp_path) == tmp_path / task


def test_groups_count_correct_and_wrong_views_apart():
    ids = np.array([f"r{i}" for i in range(20)])
    judged = types.SimpleNamespace(record_ids=ids, dataset="made", split="validation")
    is_old = np.arange(20) < 12
    groups = [
        Subgroup("all", "all records", np.ones(20, bool)),
        Subgroup("age", "old", is_old),
        Subgroup("age", "few", np.arange(20) < 3),
        Subgroup("device", "one", is_old),
    ]
    # Of every record its correct view, then a wrong one; the correct views of the old are all mistaken.
    placement = np.tile([bundle.NONE, 5], 20)
    said = placement.copy()
    said[::2][is_old] = 5
    predictions = {
        "record_ids": np.repeat(ids, 2),
        "patient_ids": np.repeat(ids, 2),
        "placement": placement,
        "targets": placement,
        "scores": np.eye(19)[said],
    }
    found = bundle.by_group(predictions, groups, judged, 20)
    assert list(found) == ["all records", "old"]
    assert found["all records"]["left_alone"]["value"] == pytest.approx(8 / 20)
    assert found["all records"]["named"]["value"] == 1
    assert (found["old"]["n"], found["old"]["left_alone"]["value"]) == (12, 0)


def test_an_old_folder_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    old = tmp_path / "reversal"
    old.mkdir()
    (old / "old").touch()
    with pytest.raises(InputError):
        bundle.replace(tmp_path / "no_run", old)
    assert [path.name for path in old.iterdir()] == ["old"]

    def write(workdir, folder):
        folder.mkdir()
        (folder / "new").touch()

    monkeypatch.setattr(bundle, "write_bundle", write)
    bundle.replace(tmp_path / "run", old)
    assert [path.name for path in old.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["reversal"]
