"""Sweeps: what --vary means, that finished runs are left alone, and that the summary holds what the runs reached."""

import json

import fake_task
import numpy as np
import pytest
from test_comparison import lead_predictions

from configs import diagnosis
from ecgjax.analysis import comparison
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.runlog import write_json
from ecgjax.scp import SIX
from ecgjax.workdir import CONFIG, predictions_file, read_arrays, read_config, write_arrays
from scripts import sweep

SWEEPS = {"rates": ("schedule.learning_rate", (1e-3, 0.1)), "flags": ("dtype", ["bfloat16"], {"ema_decay": 0.5})}


def test_variations_are_named_or_listed():
    assert sweep.variations("rates", SWEEPS)["0.001"] == {"schedule.learning_rate": "0.001"}
    assert sweep.variations("flags", SWEEPS) == {"bfloat16": {"ema_decay": "0.5", "dtype": "bfloat16"}}
    assert sweep.variations("model.name=a, b", {}) == {"a": {"model.name": "a"}, "b": {"model.name": "b"}}
    assert list(sweep.variations("model.features=(32,),(8,16)", {})) == ["(32,)", "(8,16)"]
    with pytest.raises(InputError, match=r"unknown sweep 'rate'; use FIELD=VALUE,VALUE,..., rates, flags"):
        sweep.variations("rate", SWEEPS)


@pytest.mark.parametrize(
    ("varied", "message"),
    [
        ({"8": {"bach_size": "8"}}, "config has no field 'bach_size'"),
        ({"8": {"batch_size": "8"}, "many": {"batch_size": "many"}}, "config.batch_size is 'many'; give a value of"),
        ({"float8": {"dtype": "float8"}}, "unknown dtype 'float8'"),
        ({"a b": {"batch_size": "8"}, "a_b": {"batch_size": "16"}}, "two variations have the same name"),
    ],
)
def test_wrong_variations_are_refused_before_anything_trains(varied, message, fake, tmp_path):
    with pytest.raises(InputError, match=message):
        sweep.plan(fake_task.fake_config(), varied, [], tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_every_seed_has_its_folder(fake, tmp_path):
    runs = sweep.plan(fake_task.fake_config(), sweep.variations("rates", SWEEPS), [3, 4], tmp_path)
    assert [(run.label, run.config.seed, run.config.schedule.learning_rate) for run in runs] == [
        ("0.001", 3, 1e-3), ("0.001", 4, 1e-3), ("0.1", 3, 0.1), ("0.1", 4, 0.1)
    ]  # fmt: skip
    assert [run.workdir for run in runs[:2]] == [tmp_path / "0.001" / "seed_3", tmp_path / "0.001" / "seed_4"]


def test_fields_that_follow_another_one_follow_it(fake, tmp_path):
    config = fake_task.fake_config()
    config.follows = config.get_ref("batch_size")
    runs = sweep.plan(config, sweep.variations("batch_size=8,16", {}), [], tmp_path)
    assert [run.config.follows for run in runs] == [8, 16]
    assert config.follows == config.batch_size == 8


def test_a_sweep_trains_resumes_and_summarises(fake, tmp_path, capsys):
    config, folder = fake_task.fake_config(), tmp_path / "sweep"
    varied = sweep.variations("rates", SWEEPS)
    text = sweep.sweep(config, varied, [], folder, "test")
    runs = [folder / label for label in varied]
    assert [read_config(run).schedule.learning_rate for run in runs] == [1e-3, 0.1]

    summary = json.loads((folder / "sweep.json").read_text())["variations"]
    answers = [comparison.answers(read_arrays(run / predictions_file("test"))) for run in runs]
    low, high = (answer.of["accuracy"].mean().mean() for answer in answers)
    assert low != high
    assert summary["0.001"]["mean"]["accuracy"]["value"] == pytest.approx(low)
    assert summary["0.1"]["against_first"]["accuracy"]["difference"]["value"] == pytest.approx(high - low)
    assert "against_first" not in summary["0.001"]
    assert text in (folder / "sweep.md").read_text()
    assert (folder / "accuracy.png").stat().st_size > 1000

    capsys.readouterr()
    assert sweep.sweep(config, varied, [], folder, "test") == text
    assert capsys.readouterr().err.count("holds a finished run") == 2


def test_runs_are_judged_as_their_validation_records_tuned_them(tmp_path):
    config = diagnosis.get_config("labels=six")
    config.num_bootstrap = 0
    write_json(tmp_path / CONFIG, config.to_dict())
    ids, is_class = np.arange(60).astype(str), np.random.default_rng(0).uniform(size=(60, 6)) < 0.3
    found = {"record_ids": ids, "patient_ids": ids, "view": np.zeros(60, int), "targets": is_class.astype(np.int8),
             "class_names": np.array(SIX)}  # fmt: skip
    for split in ("validation", "test"):
        write_arrays(tmp_path / predictions_file(split), {**found, "scores": (0.2 + 0.1 * is_class).astype(np.float32)})
    ((of_run,),) = (variation.metrics for variation in sweep.collect([sweep.Run("one", config, tmp_path)], "test"))
    assert of_run["macro_f1"].value == 1


def test_a_run_that_diverges_is_left_out(fake, tmp_path):
    config = fake_task.fake_config()
    config.optimizer.name, config.optimizer.clip_norm, config.num_steps = "sgd", 0.0, 8
    runs = sweep.plan(config, sweep.variations("schedule.learning_rate=1e38", {}), [], tmp_path)
    assert sweep.train_all(runs) == []


def test_seeds_are_averaged_and_their_spread_shown():
    runs = [comparison.answers(lead_predictions(20, ("V1", "V2"), seed)) for seed in range(4)]
    found = [{"loss": Metric(0.1, None, 20), "recall/V1": Metric(1.0, None, 20)}] * 2
    collected = [sweep.Variation("a", [0, 1], runs[:2], found), sweep.Variation("b", [0, 1], runs[2:], found)]
    content, text, shown = sweep.summarise(collected, num_bootstrap=20)
    alone = [run.of["lead_accuracy"].mean().mean() for run in runs]
    assert shown["b"]["lead_accuracy"].value == pytest.approx(np.mean(alone[2:]))
    assert f"{min(alone[:2]):.3f}, {max(alone[:2]):.3f}" in text
    assert content["a"]["runs"][1] == {"seed": 1, "metrics": {"loss": found[0]["loss"].to_json()}}
    assert len(content["b"]["against_first"]["set_accuracy"]["mcnemar"]) == 2


def test_a_set_without_a_lead_of_the_first_is_shown_but_not_compared():
    one, other = (comparison.answers(lead_predictions(20, names, 0)) for names in (("V1", "V2"), ("I", "II")))
    collected = [sweep.Variation("chest", [0], [one], [{}]), sweep.Variation("limb", [0], [other], [{}])]
    content, text, _ = sweep.summarise(collected, num_bootstrap=20)
    assert content["limb"]["against_first"] == {}
    assert "Against" not in text
    assert "limb" in text
