import json
import signal
import time

import jax
import numpy as np
import pytest
from fake_task import assert_close_logs, fake_config, fake_load

from ecgjax import experiment, train
from ecgjax.checkpoints import Checkpoints
from ecgjax.errors import InputError
from ecgjax.evaluate import figures
from ecgjax.interrupt import StoppedError
from ecgjax.runlog import read_metrics
from ecgjax.train import DivergedError, train_and_evaluate
from ecgjax.workdir import read_arrays

pytestmark = pytest.mark.usefixtures("fake")

UNTIMED = ("task", "dataset", "split", "n_records", "n_patients", "left_out", "seed", "metrics", "baselines")


def last_state(config, workdir):
    """State and step of the last checkpoint."""
    built = experiment.build(config, fake_load(config, "train"))
    with Checkpoints(workdir / "checkpoints", {}, writes=False) as checkpoints:
        step = checkpoints.latest_step()
        return checkpoints.restore(step, built.abstract_state())[0], step


def assert_same_run(config, one, other):
    """Both runs left the same states, logs, predictions and results, to the last bit."""
    (state, step), (other_state, other_step) = last_state(config, one), last_state(config, other)
    assert step == other_step
    jax.tree.map(np.testing.assert_array_equal, state, other_state)
    assert (one / "metrics.jsonl").read_text() == (other / "metrics.jsonl").read_text()
    for split in ("validation", "test"):
        first, second = (read_arrays(run / f"predictions_{split}.npz") for run in (one, other))
        assert first.keys() == second.keys()
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
    results = [json.loads((run / "results.json").read_text()) for run in (one, other)]
    assert {name: results[0][name] for name in UNTIMED} == {name: results[1][name] for name in UNTIMED}


def test_run_learns_and_fills_the_workdir(tmp_path, capsys):
    config = fake_config()
    config.num_steps = 80
    results = train_and_evaluate(config, tmp_path)
    assert results == json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {*UNTIMED, "git", "hardware", "wall_s", "records_per_s"}
    assert results["n_records"] == 11
    assert results["n_patients"] == 6
    assert results["metrics"]["accuracy"]["value"] > 0.8
    assert results["records_per_s"] > 0

    log = read_metrics(tmp_path / "metrics.jsonl")
    steps = {split: [line["step"] for line in log if line["split"] == split] for split in ("train", "validation")}
    assert steps == {"train": list(range(4, 81, 4)), "validation": list(range(8, 81, 8))}
    losses = [line["loss"] for line in log if line["split"] == "train"]
    assert losses[-1] < 0.5 * losses[0]
    examples = read_arrays(tmp_path / "examples_test.npz")
    assert list(examples["record_ids"]) == ["test0", "test1"]
    printed = capsys.readouterr()
    assert "49 parameters; fake: 37 train, 13 validation, 11 test records" in printed.err
    assert "accuracy" in printed.out
    train.write_report.assert_called_once_with(tmp_path)


def test_stopped_and_resumed_run_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    config = fake_config()
    config.ema_decay = 0.9
    train_and_evaluate(config, tmp_path / "whole")
    # In the middle of a log interval, and just after a validation.
    for stop in (5, 9):
        step = iter(range(last_step(tmp_path / "parts") + 1, 100))
        monkeypatch.setattr(train, "any_process", lambda flag, step=step, stop=stop: next(step) == stop)
        with pytest.raises(StoppedError, match=f"at step {stop}; saved"):
            train_and_evaluate(config, tmp_path / "parts")
    monkeypatch.undo()
    train_and_evaluate(config, tmp_path / "parts")
    assert_same_run(config, tmp_path / "whole", tmp_path / "parts")


def last_step(workdir) -> int:
    """Step of the newest complete checkpoint, 0 where there is none."""
    folder = workdir / "checkpoints"
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return max((int(name) for name in names if name.isdigit()), default=0)


NUM_STEPS = 1500
"""Enough to stop the run twice before it ends."""


def test_killed_and_terminated_run_resumes(tmp_path, start_fake):
    overrides = (f"num_steps={NUM_STEPS}", "checkpoint_every=50", "eval_every=100", "log_every=25")
    config = fake_config()
    config.num_steps, config.checkpoint_every, config.eval_every, config.log_every = NUM_STEPS, 50, 100, 25

    def started(first_step: int):
        process = start_fake(tmp_path / "parts", *overrides)
        until = time.monotonic() + 60
        while last_step(tmp_path / "parts") <= first_step:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.01)
        return process

    process = started(0)
    process.kill()
    process.wait()
    killed_at = last_step(tmp_path / "parts")
    assert 0 < killed_at < NUM_STEPS

    process = started(killed_at)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert f"resuming {tmp_path / 'parts'} at step {killed_at}" in error
    stopped_at = last_step(tmp_path / "parts")
    assert f"stopped by SIGTERM at step {stopped_at}; saved; the same command resumes" in error
    assert killed_at < stopped_at < NUM_STEPS

    train_and_evaluate(config, tmp_path / "parts")
    train_and_evaluate(config, tmp_path / "whole")
    assert_same_run(config, tmp_path / "whole", tmp_path / "parts")


def test_finished_run_only_makes_what_is_missing(tmp_path, monkeypatch, capsys):
    config = fake_config()
    results = train_and_evaluate(config, tmp_path)
    before = read_arrays(tmp_path / "predictions_test.npz")
    monkeypatch.setattr(train, "load", pytest.fail)
    assert train_and_evaluate(config, tmp_path) == results
    assert "holds a finished run" in capsys.readouterr().err

    monkeypatch.setattr(train, "load", fake_load)
    monkeypatch.setattr(experiment.Experiment, "train_step", pytest.fail)
    (tmp_path / "predictions_test.npz").unlink()
    again = train_and_evaluate(config, tmp_path)
    assert [again[name] for name in UNTIMED] == [results[name] for name in UNTIMED]
    after = read_arrays(tmp_path / "predictions_test.npz")
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def test_workdir_of_another_config_is_refused(tmp_path):
    config = fake_config()
    config.num_steps = 4
    train_and_evaluate(config, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    config.num_steps, config.optimizer.name = 8, "sgd"
    message = (
        r"another config: num_steps was 4 and is 8, optimizer.name was 'adamw' and is 'sgd'; give another --workdir"
    )
    with pytest.raises(InputError, match=message):
        train_and_evaluate(config, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_bad_config_leaves_no_workdir(tmp_path):
    config = fake_config()
    for field, value, message in (
        ("sharding", "pnap", "unknown sharding 'pnap'; use one of pmap, shard_map"),
        ("dtype", "float16", "unknown dtype 'float16'; use one of float32, bfloat16"),
        ("eval_every", 0, "eval_every is 0; give 1 or more"),
        ("batch_size", 0, "batch_size is 0, for 1 devices"),
        ("kfold", 1, "kfold is 1; give 0"),
        ("ema_decay", 1.0, "ema_decay is 1.0"),
    ):
        bad = config.copy_and_resolve_references()
        bad[field] = value
        with pytest.raises(InputError, match=message):
            train_and_evaluate(bad, tmp_path / "run")
    config.data.crop_s = 3.0
    with pytest.raises(InputError, match=r"crop_s is 3.0; give seconds above 0 and up to data.seconds, 2.0"):
        train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unknown_metric_is_told_with_the_choices(tmp_path):
    config = fake_config()
    config.select.metric = "auc"
    with pytest.raises(InputError, match=r"unknown select.metric 'auc'; use one of accuracy, loss"):
        train_and_evaluate(config, tmp_path)


def test_best_checkpoint_is_tested_and_kept(tmp_path):
    config = fake_config()
    # The loss only falls, so that the first validation is best.
    config.select.mode = "max"
    results = train_and_evaluate(config, tmp_path)
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit())
    assert kept == [8, 24]
    log = read_metrics(tmp_path / "metrics.jsonl")
    validated = {line["step"]: line["loss"] for line in log if line["split"] == "validation"}
    assert max(validated, key=validated.get) == 8

    built = experiment.build(config, fake_load(config, "train"))
    predictions, _ = built.predict([built.best_variables(tmp_path)], fake_load(config, "validation"))
    assert figures(built.task, predictions, 0)["loss"].value == pytest.approx(validated[8], rel=1e-6)
    stored = read_arrays(tmp_path / "predictions_validation.npz")
    np.testing.assert_array_equal(stored["scores"], predictions["scores"])
    assert results["metrics"]["loss"]["value"] > validated[24]


def test_early_stopping_waits_for_its_patience(tmp_path, capsys):
    config = fake_config()
    config.num_steps = 400
    config.schedule.learning_rate = 0.0
    config.optimizer.weight_decay = 0.0
    config.early_stopping.metric, config.early_stopping.mode = "accuracy", "max"
    config.early_stopping.patience = 2
    train_and_evaluate(config, tmp_path)
    validations = [line for line in read_metrics(tmp_path / "metrics.jsonl") if line["split"] == "validation"]
    accuracies = [line["accuracy"] for line in validations]
    best = accuracies.index(max(accuracies))
    assert len(accuracies) == best + 3
    assert "stopping early: 2 validations without a better accuracy" in capsys.readouterr().err
    assert last_step(tmp_path) == validations[-1]["step"]


def test_diverging_run_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
    config = fake_config()
    config.num_steps, config.log_every, config.eval_every, config.checkpoint_every = 60, 20, 60, 6
    config.optimizer.name, config.optimizer.clip_norm = "sgd", 0.0
    # Grows beyond float32 within some tens of steps.
    config.optimizer.weight_decay, config.schedule.name, config.schedule.learning_rate = 1.0, "constant", 1e3
    with pytest.raises(
        DivergedError, match=r"not finite at step (\d+); the last good checkpoint is that of step"
    ) as told:
        train_and_evaluate(config, tmp_path)
    bad_step = int(str(told.value).split("at step ")[1].split(";")[0])
    state, step = last_state(config, tmp_path)
    assert 0 < step < bad_step
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))


def test_many_steps_a_dispatch_equal_single_ones(tmp_path):
    config = fake_config()
    train_and_evaluate(config, tmp_path / "single")
    config.steps_per_dispatch = 3
    train_and_evaluate(config, tmp_path / "several")
    assert_close_logs(tmp_path / "single", tmp_path / "several", rel=1e-4)


def test_some_validation_records_are_drawn(tmp_path):
    config = fake_config()
    config.evaluation.max_records = 5
    config.num_steps = 8
    train_and_evaluate(config, tmp_path)
    assert len(read_arrays(tmp_path / "predictions_validation.npz")["scores"]) == 2 * 13
    validation = fake_load(config, "validation")
    drawn = train._drawn(validation, 5, seed=0)
    assert len(set(drawn.record_ids)) == 5
    np.testing.assert_array_equal(drawn.record_ids, train._drawn(validation, 5, seed=0).record_ids)


def test_kfold_scores_every_patient_by_a_network_that_never_saw_it(tmp_path):
    config = fake_config()
    config.num_steps, config.kfold = 8, 2
    results = train_and_evaluate(config, tmp_path)
    held_out = read_arrays(tmp_path / "predictions_validation.npz")
    splits = [fake_load(config, split) for split in ("train", "validation")]
    everything = np.concatenate([split.record_ids for split in splits])
    np.testing.assert_array_equal(np.sort(held_out["record_ids"][::2]), np.sort(everything))
    assert results["out_of_fold"]["accuracy"]["n"] == 2 * len(everything)

    members = []
    for fold, (fold_train, fold_validation) in enumerate(train.patient_folds(config, *splits)):
        assert not set(fold_train.patient_ids) & set(fold_validation.patient_ids)
        assert len(fold_train.record_ids) + len(fold_validation.record_ids) == len(everything)
        built = experiment.build(config, fold_train)
        variables = built.best_variables(tmp_path / f"fold_{fold}")
        members.append(built.predict([variables], fake_load(config, "test"))[0]["scores"])
    assert np.ptp(members, axis=0).max() > 0.01
    test = read_arrays(tmp_path / "predictions_test.npz")
    np.testing.assert_allclose(test["scores"], np.mean(members, axis=0), rtol=1e-6)
    assert test["targets"].dtype == np.int32
    assert train_and_evaluate(config, tmp_path) == results


@pytest.mark.parametrize("batch_size", [2, 8, 64])
def test_padding_changes_nothing_and_drops_nothing(batch_size):
    config = fake_config()
    split = fake_load(config, "test")

    def predicted(size: int):
        config.evaluation.batch_size = size
        built = experiment.build(config, split)
        return built.predict([built.parallel.replicate(built.initial_state().evaluated())], split)[0]

    predictions, reference = predicted(batch_size), predicted(22)
    assert list(predictions["record_ids"]) == [name for name in split.record_ids for _ in range(2)]
    assert list(predictions["view"]) == [0, 1] * 11
    assert list(predictions["number"]) == [number for number in range(11) for _ in range(2)]
    for name, values in reference.items():
        if np.issubdtype(values.dtype, np.floating):
            np.testing.assert_allclose(predictions[name], values, rtol=1e-6)
        else:
            np.testing.assert_array_equal(predictions[name], values)
