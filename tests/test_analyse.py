"""The analysis of a finished run: what it writes, for a task that names leads and for any other."""

import dataclasses
import json
from unittest import mock

import commands
import fake_task
import numpy as np
import pytest
from test_comparison import lead_predictions

from configs import diagnosis
from ecgjax.errors import InputError
from ecgjax.runlog import write_json
from ecgjax.scp import SIX
from ecgjax.tasks.lead_id_figures import lead_id_figures
from ecgjax.workdir import CONFIG, predictions_file, write_arrays
from scripts import analyse

NAMES = ("I", "V1", "V2")


class NamesLeads:
    """The figures of a task that names leads, for groups of its predictions."""

    def metrics(self, predictions, num_bootstrap):
        assert set(map(len, predictions.values())) == {len(predictions["scores"])}
        arrays = (predictions[name] for name in ("scores", "assigned", "patient_ids"))
        return lead_id_figures(*arrays, NAMES, num_bootstrap)

    def tuned(self, predictions):
        return self


def labelled_split(config, split):
    """Twelve records, of which the even ones are of women and the first three have noise."""
    records = fake_task.fake_split(split, 12)
    labels = {
        "sex": np.where(np.arange(12) % 2, "male", "female"),
        "static_noise": np.where(np.arange(12) < 3, ", I-AVR,", ""),
    }
    return dataclasses.replace(records, labels=labels)


def write_run(workdir, predictions, split="test", kfold=0):
    workdir.mkdir()
    config = fake_task.fake_config()
    config.kfold = kfold
    write_json(workdir / CONFIG, config.to_dict())
    write_arrays(workdir / predictions_file(split), predictions)
    return workdir


@pytest.fixture
def labelled(tmp_path):
    """The analysis finds the labelled dataset."""
    dataset = tmp_path / "data" / "simulated" / "full" / "1.0.0"
    dataset.mkdir(parents=True)
    (dataset / "dataset_info.json").write_text("{}")
    with mock.patch.object(analyse, "load", labelled_split):
        yield str(tmp_path / "data")


@pytest.fixture
def installed(labelled):
    """And the task."""
    with mock.patch.object(analyse.tasks, "build", return_value=NamesLeads()):
        yield labelled


def leads_of(split, num_records, seed):
    ids = np.array([f"{split}{i}" for i in range(num_records)])
    return lead_predictions(num_records, NAMES, seed, ids)


def test_figures_of_groups_and_comparison(installed, tmp_path):
    first, second = leads_of("test", 12, 0), leads_of("test", 12, 1)
    runs = [write_run(tmp_path / name, run) for name, run in (("one", first), ("two", second))]
    content, text, figures = analyse.analyse(*runs, "test", 1, installed)
    found = {entry["name"]: entry for entry in content["subgroups"]}
    assert list(found) == ["all records", "static noise", "none noted", "female", "male"]
    right = first["scores"].argmax(axis=-1) == np.arange(3)
    for name, rows in (("static noise", slice(0, 3)), ("female", slice(0, None, 2)), ("all records", slice(None))):
        assert found[name]["metrics"]["lead_accuracy"]["value"] == pytest.approx(right[rows].mean())
        assert found[name]["n_records"] == len(right[rows])
    assert found["static noise"]["n_patients"] == 2
    other = (second["scores"].argmax(axis=-1) == np.arange(3)).all(axis=1)
    assert content["comparison"]["set_accuracy"]["second"]["value"] == pytest.approx(other.mean())
    assert np.sum(content["leads"]["argmax"]["confusion"]) == 36
    assert content["leads"]["assigned"]["exchanged"] == {"I-V2": 4}
    (noise,) = content["over_represented"]["set_accuracy"]
    assert (noise["name"], noise["n"], noise["num_wrong"]) == ("static noise", 3, np.sum(~right[:3].all(axis=1)))
    assert {"sex_lead_accuracy.png", "noise_set_accuracy.png", "confusion_argmax.png"} <= figures.keys()
    assert "not independent" in text
    json.dumps(content, allow_nan=False)


def test_validation_of_a_cross_validated_run_covers_its_training_records(installed, tmp_path):
    parts = [leads_of(split, 12, 0) for split in ("validation", "train")]
    both = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "class_names"}
    workdir = write_run(tmp_path / "run", {**both, "class_names": np.array(NAMES)}, "validation", kfold=2)
    content, _, _ = analyse.analyse(workdir, None, "validation", 1, installed)
    assert content["subgroups"][0]["n_records"] == 24
    assert content["comparison"] == {}


def test_any_task_is_analysed(installed, tmp_path):
    with fake_task.installed():
        records = fake_task.fake_split("test", 12)
        rows = np.repeat(np.arange(12), 2)
        predictions = {
            "scores": np.linspace(0, 1, 24)[:, None],
            "targets": np.arange(24) % 2,
            "record_ids": records.record_ids[rows],
            "patient_ids": records.patient_ids[rows],
            "view": np.tile([0, 1], 12),
            "class_names": np.array(["positive"]),
        }
        content, text, figures = analyse.analyse(write_run(tmp_path / "run", predictions), None, "test", 1, installed)
    assert content["subgroups"][0]["metrics"]["accuracy"]["value"] == 0.5
    assert "sex_accuracy.png" in figures
    assert content["leads"] == {}
    assert "fake/test" not in text


def test_thresholds_are_those_of_the_validation_records(labelled, tmp_path):
    records = fake_task.fake_split("test", 12)
    is_class = np.arange(12)[:, None] % (2 + np.arange(6)) == 0
    predictions = {
        "scores": (0.2 + 0.1 * is_class).astype(np.float32),
        "targets": is_class.astype(np.int8),
        "record_ids": records.record_ids,
        "patient_ids": records.patient_ids,
        "view": np.zeros(12, int),
        "class_names": np.array(SIX),
    }
    workdir = write_run(tmp_path / "run", predictions)
    write_json(workdir / CONFIG, diagnosis.get_config("labels=six").to_dict())
    with pytest.raises(InputError, match=r"predictions_validation.npz, on which diagnosis is tuned; finish the run"):
        analyse.analyse(workdir, None, "test", 1, labelled)
    write_arrays(workdir / predictions_file("validation"), predictions)
    content, _, _ = analyse.analyse(workdir, None, "test", 1, labelled)
    assert content["subgroups"][0]["metrics"]["macro_f1"]["value"] == 1


def test_missing_predictions_are_named(installed, tmp_path):
    workdir = write_run(tmp_path / "run", leads_of("test", 12, 0))
    with pytest.raises(InputError, match=r"there is no .*predictions_validation.npz; finish the run first"):
        analyse.analyse(workdir, None, "validation", 1, installed)


def test_runs_without_a_lead_in_common_are_refused(installed, tmp_path):
    other = {**leads_of("test", 12, 0), "class_names": np.array(["V4", "V5", "V6"])}
    runs = [write_run(tmp_path / name, run) for name, run in (("one", leads_of("test", 12, 0)), ("two", other))]
    with pytest.raises(InputError, match=r"one and .*two share no figure; compare runs of one task"):
        analyse.analyse(*runs, "test", 1, installed)


def test_a_workdir_that_is_none_ends_in_one_line(tmp_path):
    done = commands.run("scripts/analyse.py", f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert done.stderr == f"error: there is no {tmp_path / 'config.json'}; give the --workdir of a run\n"
    assert not list(tmp_path.iterdir())
