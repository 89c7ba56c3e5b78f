"""Fine-tuning on a folder of recordings, from the folder to the report."""

import json

import flax.traverse_util
import jax
import numpy as np
import pytest

from configs import diagnosis
from configs import finetune as shipped
from data_prep.build import Options
from data_prep.prepare import prepare
from ecgjax import experiment, finetune, train
from ecgjax.bundled import VARIABLES, learnt_variables
from ecgjax.errors import InputError
from ecgjax.runlog import write_json
from ecgjax.tasks.labelled_setup import completed
from ecgjax.train import train_and_evaluate
from ecgjax.workdir import CONFIG, read_results

LEADS = ("I", "II", "V1", "V2", "V5")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What is kept of a run of diagnosis: its config and weights, small ones."""
    workdir = tmp_path_factory.mktemp("source")
    config = diagnosis.get_config("labels=superclass")
    config.model.beat_net.hidden = 24
    config.model.beat_net.features = 8
    write_json(workdir / CONFIG, config.to_dict())
    _, _, module, _ = experiment._parts(config)
    variables = jax.jit(lambda key: module.init(key, np.zeros((1, 500, 12)), is_training=False))(jax.random.key(5))
    named = flax.traverse_util.flatten_dict(jax.tree.map(np.asarray, variables), sep="/")
    np.savez(workdir / VARIABLES, **named)
    return workdir


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Sixty recordings of some leads as tables; the beats of class `wide` are wider. Records go to a folder beside."""
    import tensorflow_datasets as tfds  # noqa: PLC0415

    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "prepared"))
    place = tmp_path / "mine"
    place.mkdir()
    rng = np.random.default_rng(0)
    time_s = np.arange(1500) / 250
    rows = ["recording,patient,what"]
    for k in range(60):
        wide = k % 2 == 1
        beat = np.exp(-0.5 * ((time_s % 0.8 - 0.4) / (0.05 if wide else 0.015)) ** 2)
        signal = beat[:, None] * rng.normal(1, 0.2, len(LEADS)) + 0.02 * rng.normal(size=(1500, len(LEADS)))
        header = "time (s)," + ",".join(f"{name} (mV)" for name in LEADS)
        np.savetxt(place / f"{k:03}.csv", np.c_[time_s, signal], "%.4g", ",", header=header, comments="")
        rows.append(f"{k:03},p{k // 2},{'wide' if wide else 'narrow'}")
    (place / "labels.csv").write_text("\n".join(rows) + "\n")
    return place


def config_for(folder, source, args="steps=30"):
    config = shipped.get_config(args)
    config.init = str(source)
    config.data.dir = str(folder)
    config.batch_size = 8
    config.eval_every = 10
    config.freeze.steps = 10
    config.num_bootstrap = 20
    return config


def test_a_config_is_completed_by_folder_and_run(folder, source, capsys):
    before = sorted(folder.iterdir())
    config = completed(config_for(folder, source), ())
    assert sorted(folder.iterdir()) == before
    printed = "".join(capsys.readouterr())
    assert "column 'what' names classes: narrow (30), wide (30)" in printed
    assert "lacking: V3, V4, V6" in printed
    assert config.labelled.classes == ("narrow", "wide")
    assert config.model.beat_net.hidden == 24
    again = completed(config_for(folder, source), ())
    assert again.to_dict() == config.to_dict()
    assert "column 'what' names classes" in "".join(capsys.readouterr())

    learnt = learnt_variables(source)
    fresh = jax.tree.map(np.zeros_like, learnt)
    fresh["params"]["Dense_0"] = {"kernel": np.zeros((24, 2), "f4"), "bias": np.zeros(2, "f4")}
    begun = finetune.initial_variables(config, fresh, finetune.head_weights(config, 2, (500, 12)))["params"]
    np.testing.assert_array_equal(
        begun["encoder"]["Dense_0"]["kernel"], learnt["params"]["encoder"]["Dense_0"]["kernel"]
    )
    assert not begun["Dense_0"]["kernel"].any()


def test_the_output_is_new_even_where_its_shape_fits(folder, source):
    config = completed(config_for(folder, source), ())
    learnt = learnt_variables(source)
    fresh = jax.tree.map(np.zeros_like, learnt)
    begun = finetune.initial_variables(config, fresh, finetune.head_weights(config, 5, (500, 12)))["params"]
    assert begun["Dense_0"]["kernel"].shape == learnt["params"]["Dense_0"]["kernel"].shape
    assert not begun["Dense_0"]["kernel"].any()
    assert begun["encoder"]["Dense_0"]["kernel"].any()


@pytest.mark.slow
def test_a_run_from_folder_to_report(folder, source, tmp_path):
    config = completed(config_for(folder, source), ())
    train_and_evaluate(config, tmp_path / "run")
    results = read_results(tmp_path / "run")
    patients = np.unique(train.load_splits(config)["test"].patient_ids)
    assert (results["task"], results["n_patients"]) == ("labelled", len(patients))
    assert results["metrics"]["macro_auroc"]["ci95"]
    assert results["baselines"]["logistic_regression"]["macro_auroc"]["value"] > 0.8
    report = (tmp_path / "run" / "report.html").read_text()
    for part in ("What is taken for what", "Class by class", "Can its probabilities be believed?", "Examples"):
        assert part in report
    assert json.loads((tmp_path / "run" / CONFIG).read_text())["labelled"]["folder"] == str(folder)


def test_what_is_wrong_with_a_recording_names_the_field_that_leaves_it_out(folder, source, capsys):
    (folder / "007.csv").write_text("time (s),I (mV)\n0,?\n0.01,x\n")
    with pytest.raises(InputError, match=r"^007: .*; mend the record or .* --config.labelled.skip_bad=True$"):
        completed(config_for(folder, source), ())
    config = config_for(folder, source)
    config.labelled.skip_bad = True
    completed(config, ())
    assert "skipped 1 records" in capsys.readouterr().out


def test_a_folder_that_is_prepared_already_goes_by_its_name(folder, source):
    prepare("labelled_folder", "mine", "", Options(raw_dir=folder, skip_bad=False, num_workers=1, beam=None))
    config = config_for("", source)
    config.data.variant = "mine"
    found = completed(config, ())
    assert (found.labelled.kind, found.labelled.classes) == ("classes", ("narrow", "wide"))
    assert len(train.load_splits(found)["train"]) == 40


def test_a_run_that_has_seen_patients_of_the_test_is_refused(folder, source):
    first, other = config_for(folder, source), config_for(folder, source)
    other.labelled.split_seed = 1
    first, other = completed(first, ()), completed(other, ())
    finetune._check_unseen(first, first)
    with pytest.raises(InputError, match="was trained on . of the patients that this run tests"):
        finetune._check_unseen(other, first)
