"""Runs that differ in seed, learning rate and weight decay alone, trained side by side with one compiled step.

What differs is a value of the step and no part of the program. Each run has weights, order of records, augmentation,
workdir, validations and checkpoints of its own, and reaches what it would alone, up to rounding; what it leaves in its
workdir can be resumed alone or together. One that diverges or stops early lets the others go on. The times in its
results are its share: all of them pass while all are trained.

On accelerators the step is mapped over the runs by `jax.vmap`: the step of a small network leaves most of the device
idle. A step on CPU does not, so that there the runs take turns with the same compiled step, which compiles faster.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from ml_collections import ConfigDict

from ecgjax import finetune
from ecgjax.checkpoints import Checkpoints
from ecgjax.data.resident import BatchOrder, Resident
from ecgjax.data.split import Split
from ecgjax.experiment import Experiment, build, check
from ecgjax.interrupt import DeferredSignals, StoppedError
from ecgjax.optimizers import build_optimizer, build_schedule
from ecgjax.parallel import any_process, to_host
from ecgjax.runlog import ProgressBar, say, summary
from ecgjax.state import TrainState
from ecgjax.train import DivergedError, Progress, Training, load_splits, next_dispatch, report, score
from ecgjax.workdir import CHECKPOINTS, check_workdir, is_scored, open_workdir

Indices = Mapping[int, np.ndarray]
"""Number of a run -> records of its next steps, `[step, batch]`."""


def common_program(config: ConfigDict) -> str | None:
    """Equal for the configs that one step can train; None for what trains alone: folds, and streamed records."""
    if config.kfold or config.data.input != "resident":
        return None
    common = config.to_dict()
    del common["seed"], common["schedule"]["learning_rate"]
    # Some optimisers have a state for it only where there is any.
    common["optimizer"]["weight_decay"] = config.optimizer.weight_decay > 0
    return json.dumps(common, sort_keys=True)


def train_and_evaluate(members: Sequence[tuple[ConfigDict, Path]]) -> None:
    """`train.train_and_evaluate` for configs with the same `common_program`, each with its workdir.

    Those that are finished are left as they are; those that diverge are told and left out.
    """
    for config, workdir in members:
        check(config)
        check_workdir(workdir, config)
    members = [(config, workdir) for config, workdir in members if not is_scored(workdir)]
    if not members:
        return
    common, first_dir = members[0]
    splits = load_splits(common)
    experiments = [build(config, splits["train"]) for config, _ in members]
    for experiment in experiments[1:]:
        experiment.share_compiled(experiments[0])
    say(f"{len(members)} runs: {summary(common.task, experiments[0].num_parameters(), splits, first_dir)}, ...")

    workdirs = [workdir for _, workdir in members]
    outcomes = train(experiments, workdirs, splits["train"], splits["validation"])
    finished: dict[Path, Callable[[dict[str, Any]], dict[str, Any]]] = {}
    for experiment, workdir, outcome in zip(experiments, workdirs, outcomes, strict=True):
        if isinstance(outcome, DivergedError):
            say(f"left out, since it diverged: {outcome}")
            continue
        best = [experiment.best_variables(workdir)]
        predictions = {split: experiment.predict(best, splits[split])[0] for split in ("validation", "test")}
        of_run = experiment.config, workdir, experiment.task, splits["test"], predictions, outcome
        finished[workdir] = functools.partial(score, *of_run)
    if not finished:
        return
    rivals = experiments[0].task.rivals(splits["train"], splits["test"])
    # Most of it is work of one core each.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        scored = list(pool.map(lambda score_run: score_run(rivals), finished.values()))
    for workdir, results in zip(finished, scored, strict=True):
        report(workdir, results)


def train(
    experiments: Sequence[Experiment], workdirs: Sequence[Path], train_split: Split, validation: Split
) -> list[Progress | DivergedError]:
    """`train.train` for each run; the errors of those that diverge are returned in their place.

    Raises StoppedError after SIGTERM or SIGINT, once all states are saved.
    """
    first = experiments[0]
    config = first.config
    outcomes: dict[int, Progress | DivergedError] = {}
    with contextlib.ExitStack() as stack:
        runs, saved = {}, {}
        for number, (experiment, workdir) in enumerate(zip(experiments, workdirs, strict=True)):
            open_workdir(workdir, experiment.config)
            checkpoints = Checkpoints(workdir / CHECKPOINTS, experiment.config.to_dict(), writes=True)
            saved[number] = stack.enter_context(checkpoints)
            runs[number] = Training(experiment, workdir, checkpoints, validation)
            outcomes[number] = runs[number].progress
        live = {number: run for number, run in runs.items() if not run.progress.is_over}
        if not live:
            return list(outcomes.values())
        weights = first.task.sampling_weights(train_split)
        orders = [BatchOrder(len(train_split), config.batch_size, e.config.seed, weights) for e in experiments]
        side_by_side = Mapped if maps() else InTurn
        states = side_by_side(experiments, {n: run.state for n, run in live.items()}, first.resident(train_split))
        first_step = min(run.step for run in live.values())
        bar = stack.enter_context(ProgressBar(first_step, config.num_steps, config.batch_size * len(live)))
        for run in live.values():
            run.bar = bar

        signals = stack.enter_context(DeferredSignals())
        while live:
            # All at one step, unless the process that trained them before was killed.
            num_steps = min(next_dispatch(config, run.step) for run in live.values())
            indices = {number: orders[number].indices(run.step, num_steps) for number, run in live.items()}
            with jax.transfer_guard("disallow"):
                states.step(indices)
            due = {number for number, run in live.items() if _is_due(config, run.step + num_steps)}
            # Processes have to agree, which takes a transfer, so that several of them ask only now and then.
            asks = jax.process_count() == 1 or bool(due)
            stops = asks and any_process(bool(signals.received))
            for number, run in list(live.items()):
                figures: dict[str, jax.Array] = {}
                if stops or number in due:
                    run.state, figures = states.of(number)
                try:
                    run.after_dispatch(num_steps, figures)
                    if stops:
                        run.save()
                except DivergedError as error:
                    outcomes[number] = error
                    del live[number]
                    continue
                if run.progress.is_over:
                    del live[number]
            if stops:
                for checkpoints in saved.values():
                    checkpoints.wait()
                raise StoppedError(f"{signals.received or 'another process'}; {len(runs)} runs are saved")
    return list(outcomes.values())


def maps() -> bool:
    """Whether the step is mapped over the runs, which pays where they leave most of the device idle."""
    return jax.default_backend() != "cpu"


def _is_due(config: ConfigDict, step: int) -> bool:
    """Whether anything happens after `step`."""
    everies = (config.log_every, config.eval_every, config.checkpoint_every)
    return step == config.num_steps or any(step % every == 0 for every in everies)


class SideBySide(Protocol):
    """The states of several runs on the devices, and the compiled step that changes them."""

    def __init__(self, experiments: Sequence[Experiment], states: Mapping[int, TrainState], data: Resident): ...

    def step(self, indices: Indices) -> None:
        """Trains the runs that `indices` names; one that is left out does not come back."""

    def of(self, number: int) -> tuple[TrainState, dict[str, jax.Array]]:
        """State of a run, and figures of its last step."""


class InTurn:
    """One run after the other."""

    def __init__(self, experiments: Sequence[Experiment], states: Mapping[int, TrainState], data: Resident):
        self._parallel = experiments[0].parallel
        self._states = dict(states)
        self._figures: dict[int, dict[str, jax.Array]] = {}
        self._given = {n: (data, self._parallel.replicate(values_of(experiments[n].config))) for n in states}
        self._step = self._parallel.compile(_step(experiments[0]), donate=True)

    def step(self, indices: Indices) -> None:
        for number, index in indices.items():
            self._states[number], self._figures[number] = self._step(
                self._states[number], self._given[number], self._parallel.shard({"index": index})
            )

    def of(self, number: int) -> tuple[TrainState, dict[str, jax.Array]]:
        return self._states[number], self._figures[number]


class Mapped:
    """All at once, stacked along an axis in front. Half of them have to be over before the rest is restacked."""

    def __init__(self, experiments: Sequence[Experiment], states: Mapping[int, TrainState], data: Resident):
        self._parallel = experiments[0].parallel
        self._values = [values_of(experiment.config) for experiment in experiments]
        self._data = data
        step = jax.vmap(_step(experiments[0]), in_axes=(0, (None, 0), 0))
        self._step = self._parallel.compile(step, donate=True)
        self._row = jax.jit(lambda tree, row: jax.tree.map(lambda x: x[row], tree))
        self._stack({number: to_host(state) for number, state in states.items()})

    def _stack(self, states: Mapping[int, TrainState]) -> None:
        self._numbers = list(states)
        self._states = self._parallel.replicate(_stacked(states.values()))
        values = _stacked(self._values[number] for number in self._numbers)
        self._given = self._data, self._parallel.replicate(values)

    def step(self, indices: Indices) -> None:
        if 2 * len(indices) <= len(self._numbers):
            with jax.transfer_guard("allow"):
                self._stack({number: to_host(self.of(number)[0]) for number in indices})
        some = next(iter(indices.values()))
        index = np.stack([indices.get(number, some) for number in self._numbers])
        batch = self._parallel.shard({"index": index})
        self._states, self._figures = self._step(self._states, self._given, batch)

    def of(self, number: int) -> tuple[TrainState, dict[str, jax.Array]]:
        return self._row((self._states, self._figures), np.int32(self._numbers.index(number)))


def _stacked(trees: Iterable[Any]) -> Any:
    return jax.tree.map(lambda *x: np.stack(x), *trees)


def values_of(config: ConfigDict) -> dict[str, np.generic]:
    """What differs between runs, as scalars."""
    return {
        # As `jax.random.key` takes a number of Python.
        "seed": np.int64(config.seed).astype(np.int32),
        "learning_rate": np.float32(config.schedule.learning_rate),
        "weight_decay": np.float32(config.optimizer.weight_decay),
    }


def _step(experiment: Experiment) -> Callable[[TrainState, tuple[Resident, dict], dict], tuple[TrainState, dict]]:
    """The per-device step of `experiment`, but with the values of a run beside the data."""

    def step(state: TrainState, given: tuple[Resident, dict], batch: dict) -> tuple[TrainState, dict]:
        data, values = given
        config = experiment.config.copy_and_resolve_references()
        with config.ignore_type():
            config.seed = values["seed"]
            config.schedule.learning_rate = values["learning_rate"]
            if experiment.config.optimizer.weight_decay > 0:
                config.optimizer.weight_decay = values["weight_decay"]
        schedule = build_schedule(config.schedule, config.num_steps)
        optimizer = finetune.thawing(build_optimizer(config.optimizer, schedule), config.freeze)
        own = dataclasses.replace(experiment, config=config, schedule=schedule, optimizer=optimizer)
        return own.train_step()(state, data, batch)

    return step
