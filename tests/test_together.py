"""Runs side by side in one program reach what each reaches alone, and none disturbs another."""

import json
import os
import subprocess
import sys

import fake_task
import jax
import numpy as np
import pytest
from commands import ROOT
from fake_task import assert_close_logs, fake_config
from test_train import last_state
from together_run import members

from ecgjax import together, train
from ecgjax.interrupt import StoppedError
from ecgjax.runlog import read_metrics
from ecgjax.train import train_and_evaluate
from ecgjax.workdir import is_scored, read_arrays, read_config

MAPS = (False, True)
"""Whether the runs take turns, as on CPU, or the step is mapped over them."""


@pytest.fixture(scope="module")
def solo(tmp_path_factory):
    """The folder of the runs of `members`, each trained alone."""
    folder = tmp_path_factory.mktemp("solo")
    with fake_task.installed():
        for config, workdir in members(folder):
            train_and_evaluate(config, workdir)
    return folder


def assert_equal_up_to_rounding(config, one, other):
    (state, step), (other_state, other_step) = last_state(config, one), last_state(config, other)
    assert step == other_step
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), state, other_state)
    assert_close_logs(one, other, rel=1e-3)
    for split in ("validation", "test"):
        first, second = (read_arrays(run / f"predictions_{split}.npz") for run in (one, other))
        assert first.keys() == second.keys()
        np.testing.assert_array_equal(first["record_ids"], second["record_ids"])
        np.testing.assert_allclose(first["scores"], second["scores"], atol=1e-4)
    results = [json.loads((run / "results.json").read_text()) for run in (one, other)]
    assert results[0].keys() == results[1].keys()
    assert results[0]["seed"] == results[1]["seed"] == config.seed
    assert read_config(one).to_dict() == config.to_dict()


@pytest.mark.parametrize("maps", MAPS)
def test_each_run_equals_its_solo_run(maps, fake, solo, tmp_path, monkeypatch):
    runs = members(tmp_path)
    monkeypatch.setattr(together, "maps", lambda: maps)
    together.train_and_evaluate(runs)
    for config, workdir in runs:
        assert_equal_up_to_rounding(config, workdir, solo / workdir.name)
    losses = {read_metrics(workdir / "metrics.jsonl")[0]["loss"] for _, workdir in runs}
    assert len(losses) == len(runs)


@pytest.mark.parametrize("maps", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_runs_that_diverge_or_stop_early_let_the_others_go_on(maps, fake, tmp_path, monkeypatch):
    runs = members(tmp_path)
    diverging, stopping, whole = (config for config, _ in runs)
    for config in (diverging, stopping, whole):
        config.optimizer.name, config.optimizer.clip_norm, config.optimizer.weight_decay = "sgd", 0.0, 0.0
        config.ema_decay, config.early_stopping.patience, config.eval_every = 0.0, 2, 4
    diverging.schedule.learning_rate, stopping.schedule.learning_rate, whole.schedule.learning_rate = 1e38, 0.0, 0.1
    assert len({together.common_program(config) for config, _ in runs}) == 1
    monkeypatch.setattr(together, "maps", lambda: maps)
    together.train_and_evaluate(runs)
    assert [is_scored(workdir) for _, workdir in runs] == [False, True, True]
    steps = [last_state(config, workdir)[1] for config, workdir in runs[1:]]
    assert steps[0] < steps[1] == whole.num_steps
    train_and_evaluate(whole, tmp_path / "solo")
    assert_equal_up_to_rounding(whole, runs[2][1], tmp_path / "solo")


def test_stopped_runs_are_resumed_together_and_alone(fake, solo, tmp_path, monkeypatch):
    runs = members(tmp_path)
    # In the middle of a log interval, and just after a validation.
    for num_steps in (5, 4):
        calls = iter(range(num_steps - 1))
        monkeypatch.setattr(together, "any_process", lambda flag, calls=calls: next(calls, None) is None)
        with pytest.raises(StoppedError, match="3 runs are saved"):
            together.train_and_evaluate(runs)
    monkeypatch.undo()
    assert {last_state(config, workdir)[1] for config, workdir in runs} == {9}
    alone, ahead, _ = runs
    train_and_evaluate(*alone)
    monkeypatch.setattr(train, "any_process", lambda flag: True)
    with pytest.raises(StoppedError, match="at step 10"):
        train_and_evaluate(*ahead)
    monkeypatch.undo()
    together.train_and_evaluate(runs)
    for config, workdir in runs:
        assert_equal_up_to_rounding(config, workdir, solo / workdir.name)


def test_only_what_is_a_value_is_shared():
    config = fake_config()
    program = together.common_program(config)
    for field, value, is_same in (("seed", 3, True), ("batch_size", 4, False), ("kfold", 2, False)):
        other = config.copy_and_resolve_references()
        other[field] = value
        assert (together.common_program(other) == program) is is_same
    streamed = config.copy_and_resolve_references()
    streamed.data.input = "stream"
    assert together.common_program(streamed) is None


@pytest.mark.slow
def test_devices_share_batches_without_changing_the_numbers(solo, tmp_path):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "tests/together_run.py", tmp_path]
    ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "2 devices" in ran.stdout
    for way in ("turn", "pmap", "shard_map"):
        for _, workdir in members(tmp_path / way)[:2]:
            assert_close_logs(workdir, solo / workdir.name, rel=1e-3)
