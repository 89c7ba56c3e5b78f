"""The training loop of every task: a run reads from top to bottom in `train_and_evaluate`."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ecgjax import tensorboard
from ecgjax.checkpoints import Checkpoints
from ecgjax.crossval import patient_folds
from ecgjax.data.resident import BatchOrder
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.evaluate import Predictions, figures, joined, results_of
from ecgjax.experiment import Experiment, build, check, load
from ecgjax.interrupt import DeferredSignals, StoppedError
from ecgjax.metrics import Metric
from ecgjax.parallel import any_process, to_host
from ecgjax.report.write import write_report
from ecgjax.runlog import MetricsLog, ProgressBar, results_table, say, summary, to_json, write_json
from ecgjax.state import TrainState
from ecgjax.tasks.task import Task
from ecgjax.tensorboard import EventFiles
from ecgjax.workdir import (
    CHECKPOINTS,
    METRICS,
    REPORT,
    RESULTS,
    check_workdir,
    examples_file,
    is_scored,
    member_runs,
    open_workdir,
    predictions_file,
    read_results,
    write_arrays,
)


class DivergedError(RuntimeError):
    """Training diverged; the last good checkpoint is kept."""


def train_and_evaluate(config: ConfigDict, workdir: str | Path) -> dict[str, Any]:
    """Trains as `config` says, scores the best checkpoint, fills `workdir` and returns its `results.json`.

    The same config resumes where it stopped; of a finished run only missing files are made. With `config.kfold` every
    fold trains a network in a folder of its own, and their averaged predictions are scored.
    """
    workdir = Path(workdir)
    check(config)
    if config.tensorboard:
        tensorboard.check_installed()
    check_workdir(workdir, config)
    if is_scored(workdir):
        say(f"{workdir} holds a finished run: nothing to train")
        results = read_results(workdir)
    else:
        results = _train_and_score(config, workdir)
    report(workdir, results)
    return results


def report(workdir: Path, results: dict[str, Any]) -> None:
    """Writes the report of a run where it is missing, and prints its results."""
    if jax.process_index() == 0:
        if not (workdir / REPORT).exists():
            write_report(workdir)
        print(results_table(results))


def load_splits(config: ConfigDict) -> dict[str, Split]:
    """The records of a run."""
    return {split: load(config, split) for split in ("train", "validation", "test")}


def _train_and_score(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """All that lies between an empty workdir and its `results.json`, as far as it is not there yet."""
    splits = load_splits(config)
    open_workdir(workdir, config)
    members, held_out, total = [], [], Progress()
    runs, folds = member_runs(config, workdir), patient_folds(config, splits["train"], splits["validation"])
    for (member_config, member_dir), (fold_train, fold_validation) in zip(runs, folds, strict=True):
        experiment = build(member_config, fold_train)
        shown = {**splits, "train": fold_train, "validation": fold_validation}
        say(summary(config.task, experiment.num_parameters(), shown, member_dir))
        total = total.plus(train(experiment, member_dir, fold_train, fold_validation))
        members.append(experiment.best_variables(member_dir))
        held_out.append(experiment.predict(members[-1:], fold_validation)[0])

    predictions = {"validation": joined(held_out), "test": experiment.predict(members, splits["test"])[0]}
    rivals = experiment.task.rivals(splits["train"], splits["test"])
    return score(config, workdir, experiment.task, splits["test"], predictions, total, rivals)


def score(
    config: ConfigDict,
    workdir: Path,
    task: Task,
    test: Split,
    predictions: Mapping[str, Predictions],
    total: "Progress",
    rivals: dict[str, Any],
) -> dict[str, Any]:
    """Judges the `predictions` for the validation and test split, beside those of the `rivals`, and fills `workdir`.

    Returns its `results.json`.
    """
    task = task.tuned(predictions["validation"])
    metrics = figures(task, predictions["test"], config.num_bootstrap)
    baselines = task.baselines(rivals, test, predictions["test"], config.num_bootstrap)
    records_per_s = total.steps_per_s() * config.batch_size
    results = results_of(config, test, metrics, baselines, wall_s=total.wall_s, records_per_s=records_per_s)
    if config.kfold:
        results["out_of_fold"] = to_json(figures(task, predictions["validation"], config.num_bootstrap))
    if jax.process_index() == 0:
        for split, arrays in predictions.items():
            write_arrays(workdir / predictions_file(split), {**arrays, "class_names": np.array(task.class_names())})
        if examples := task.examples(test, predictions["test"]):
            write_arrays(workdir / examples_file("test"), examples)
        write_json(workdir / RESULTS, results)
    return results


@dataclasses.dataclass
class Progress:
    """What a run has to remember beside the state of the network; saved with it.

    Attributes:
      best_step: step of the best validation by `select`, 0 before the first.
      best_rank: its `select.metric`, signed so that more is better.
      stopping_rank: the same of the best `early_stopping.metric`.
      num_waited: validations since then.
      is_over: the run has ended, at its last step or early.
      wall_s: seconds of training, validation and compilation, over all sessions.
      timed_steps, timed_s: steps and their seconds without compilation, validation and saving.
    """

    best_step: int = 0
    best_rank: float = -math.inf
    stopping_rank: float = -math.inf
    num_waited: int = 0
    is_over: bool = False
    wall_s: float = 0.0
    timed_steps: int = 0
    timed_s: float = 0.0

    def steps_per_s(self) -> float:
        """0 where nothing was timed."""
        return self.timed_steps / self.timed_s if self.timed_s else 0.0

    def plus(self, other: "Progress") -> "Progress":
        """The times of both together."""
        return Progress(
            wall_s=self.wall_s + other.wall_s,
            timed_steps=self.timed_steps + other.timed_steps,
            timed_s=self.timed_s + other.timed_s,
        )


def train(experiment: Experiment, workdir: Path, train_split: Split, validation: Split) -> Progress:
    """Trains in `workdir` from the last complete checkpoint on, or from the first step.

    Raises DivergedError where training diverges, and StoppedError after SIGTERM or SIGINT, once the state is saved.
    """
    config, parallel = experiment.config, experiment.parallel
    open_workdir(workdir, config)
    with Checkpoints(workdir / CHECKPOINTS, config.to_dict(), writes=True) as checkpoints:
        run = Training(experiment, workdir, checkpoints, validation)
        if run.progress.is_over:
            return run.progress
        run.bar = ProgressBar(run.step, config.num_steps, config.batch_size)
        weights = experiment.task.sampling_weights(train_split)
        order = BatchOrder(len(train_split), config.batch_size, config.seed, weights)
        feed, plan = experiment.feed(train_split), dispatches(config, run.step)
        batches = feed(len(plan), lambda number: {"index": order.indices(*plan[number])})
        train_step = parallel.compile(experiment.train_step(), donate=True, cut_data=feed.cuts_data)

        with DeferredSignals() as signals, run.bar:
            for _, num_steps in plan:
                # Nothing but what the feed brings may travel: the devices would wait for the host.
                with jax.transfer_guard("disallow"):
                    run.state, step_figures = train_step(run.state, *next(batches))
                run.after_dispatch(num_steps, step_figures)
                # Processes have to agree, which takes a transfer, so that several of them ask only now and then.
                if (jax.process_count() == 1 or run.is_due(config.log_every)) and any_process(bool(signals.received)):
                    run.save()
                    checkpoints.wait()
                    raise StoppedError(f"{signals.received or 'another process'} at step {run.step}; saved")
                if run.progress.is_over:
                    break
        return run.progress


def dispatches(config: ConfigDict, first_step: int) -> list[tuple[int, int]]:
    """First step and number of steps of each call of the compiled step: up to where something else is due."""
    plan, step = [], first_step
    while step < config.num_steps:
        num_steps = next_dispatch(config, step)
        plan.append((step, num_steps))
        step += num_steps
    return plan


def next_dispatch(config: ConfigDict, step: int) -> int:
    """Steps of the call that begins at `step`."""
    events = [every - step % every for every in (config.log_every, config.eval_every, config.checkpoint_every)]
    return min(config.steps_per_dispatch, config.num_steps - step, *events)


class Training:
    """The state of the network and of the run, and what happens to them between steps; `bar` shows it."""

    bar: ProgressBar

    def __init__(self, experiment: Experiment, workdir: Path, checkpoints: Checkpoints, validation: Split):
        self.config = experiment.config
        self.step = checkpoints.latest_step() or 0
        if self.step:
            host_state, saved = checkpoints.restore(self.step, experiment.abstract_state())
            self.progress = Progress(**saved)
            say(f"resuming {workdir} at step {self.step}")
        else:
            host_state, self.progress = experiment.initial_state(), Progress()
        self.state: TrainState = experiment.parallel.replicate(host_state)
        self._experiment = experiment
        self._checkpoints = checkpoints
        self._workdir = workdir
        self._logs: list[MetricsLog | EventFiles] = [MetricsLog(workdir / METRICS, self.step)]
        if self.config.tensorboard:
            self._logs.append(EventFiles(workdir / tensorboard.FOLDER, self.step, self.config))
        self._validation = _drawn(validation, self.config.evaluation.max_records, self.config.seed)
        self._validation_feed = experiment.feed(self._validation)
        self._predict = experiment.evaluator.predict
        self._unread: tuple[int, dict[str, jax.Array]] | None = None
        self._saved_step = self.step
        self._compiled: set[int] = set()
        self._timed_from = self.step, time.perf_counter()
        self._wall_from = time.perf_counter()

    def is_due(self, every: int) -> bool:
        """Whether what happens `every` so many steps, and at the last one, happens now."""
        return self.step % every == 0 or self.step == self.config.num_steps

    def after_dispatch(self, num_steps: int, step_figures: dict[str, jax.Array]) -> None:
        """Logs, validates and saves what is due after `num_steps` more steps."""
        self.step += num_steps
        if num_steps not in self._compiled:
            self._compiled.add(num_steps)
            jax.block_until_ready(step_figures)
            self._timed_from = self.step, time.perf_counter()
        if self.is_due(self.config.log_every):
            # The figures of an interval are read when the next one is under way, so that no step waits for the host.
            self._read_figures()
            self._unread = self.step, step_figures
        is_best = self.is_due(self.config.eval_every) and self._validate()
        self.progress.is_over |= self.step == self.config.num_steps
        if is_best or self.progress.is_over or self.is_due(self.config.checkpoint_every):
            self.save(is_best)

    def save(self, is_best: bool = False) -> None:
        """Begins to save, with the log complete up to this step."""
        if self.step == self._saved_step:
            return
        with self._pause():
            self.progress.wall_s += time.perf_counter() - self._wall_from
            self._wall_from = time.perf_counter()
            rank = self.progress.best_rank if is_best else None
            self._checkpoints.save(self.step, self.state, dataclasses.asdict(self.progress), rank)
            self._saved_step = self.step

    def _validate(self) -> bool:
        """Logs the figures of the validation records; whether they are the best so far."""
        config, progress = self.config, self.progress
        with self._pause():
            predictions, _ = self._predict([self.state.evaluated()], self._validation_feed, self._validation)
            metrics = figures(self._experiment.task, predictions, num_bootstrap=0)
        self._write(self.step, "validation", {name: metric.value for name, metric in metrics.items()})

        stopping_rank = _rank(metrics, config.early_stopping, "early_stopping")
        progress.num_waited += 1
        if stopping_rank > progress.stopping_rank:
            progress.stopping_rank, progress.num_waited = stopping_rank, 0
        if 0 < config.early_stopping.patience <= progress.num_waited:
            progress.is_over = True
            say(f"stopping early: {progress.num_waited} validations without a better {config.early_stopping.metric}")

        rank = _rank(metrics, config.select, "select")
        if not rank > progress.best_rank:
            return False
        progress.best_rank, progress.best_step = rank, self.step
        return True

    def _write(self, step: int, split: str, figures: dict[str, float]) -> None:
        for log in self._logs:
            log.write(step, split, figures)

    def _read_figures(self) -> None:
        """Logs the figures that wait to be read; raises DivergedError where they tell of one."""
        if self._unread is None:
            return
        (step, on_device), self._unread = self._unread, None
        values = {name: value.item() for name, value in to_host(on_device).items()}
        self._check_finite(values.pop("bad_step"))
        self._write(step, "train", values)
        since_step, since = self._timed_from
        num_steps = self.progress.timed_steps + max(step - since_step, 0)
        seconds = self.progress.timed_s + time.perf_counter() - since
        self.bar.update(step, values["loss"], num_steps / seconds)

    def _check_finite(self, bad_step: int) -> None:
        if bad_step >= 0:
            raise DivergedError(
                f"loss or gradient not finite at step {bad_step}; the last good checkpoint is that of step "
                f"{self._saved_step} in {self._workdir}; lower schedule.learning_rate or optimizer.clip_norm"
            )

    @contextlib.contextmanager
    def _pause(self) -> Iterator[None]:
        """Times the steps up to here, with the log complete, and not what happens within."""
        self._read_figures()
        # Waits for the devices; a state that has diverged since the last line of the log must not be saved.
        self._check_finite(to_host(self.state.bad_step).item())
        since_step, since = self._timed_from
        self.progress.timed_steps += self.step - since_step
        self.progress.timed_s += time.perf_counter() - since
        yield
        self._timed_from = self.step, time.perf_counter()


def _drawn(split: Split, max_records: int, seed: int) -> Split:
    """At most `max_records` of the split, drawn by `seed`; all where it is 0."""
    if not 0 < max_records < len(split.record_ids):
        return split
    drawn = np.random.default_rng(seed).choice(len(split.record_ids), max_records, replace=False)
    return split.select(np.sort(drawn))


def _rank(metrics: dict[str, Metric], choice: ConfigDict, group: str) -> float:
    """The figure that `choice` names, signed so that more is better; -inf where it is undefined."""
    if choice.metric not in metrics:
        raise InputError(f"unknown {group}.metric {choice.metric!r}", f"use one of {', '.join(metrics)}")
    value = metrics[choice.metric].value
    if not math.isfinite(value):
        return -math.inf
    return value if choice.mode == "max" else -value
