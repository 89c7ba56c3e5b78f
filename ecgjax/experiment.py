"""What a config stands for: checked, its data loaded, its task and network built."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

import data_prep
from ecgjax import finetune, models, state, tasks
from ecgjax.bundled import VARIABLES, read_variables
from ecgjax.checkpoints import Checkpoints
from ecgjax.compilation_cache import keep_compiled
from ecgjax.crossval import fold_split
from ecgjax.data.feed import Feed, ResidentFeed, StreamedFeed
from ecgjax.data.records import load_split, open_split
from ecgjax.data.resident import Resident, random_crop, resident
from ecgjax.data.split import Split
from ecgjax.data.stored import StoredSignals
from ecgjax.errors import InputError
from ecgjax.evaluate import COMBINES, Evaluator, Predictions, Windows
from ecgjax.memory import leave_scraps_of_compilers
from ecgjax.models import DTYPES
from ecgjax.native import library
from ecgjax.optimizers import build_optimizer, build_schedule
from ecgjax.parallel import AXIS, Parallel, to_host
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.task import Record, Task
from ecgjax.workdir import CHECKPOINTS, member_runs


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All that training and evaluation need, except data and state."""

    config: ConfigDict
    task: Task
    module: nn.Module
    schedule: optax.Schedule
    optimizer: optax.GradientTransformation
    parallel: Parallel
    crop_samples: int
    signal_shape: tuple[int, int]

    def create_state(self, seed: int | jax.Array | None = None) -> state.TrainState:
        """The state before the first step; traceable. The seed is that of the config by default."""
        key = state.initial_key(self.config.seed if seed is None else seed)
        return state.create(key, self.module, self.signal_shape, self.optimizer, self.config.ema_decay)

    def initial_state(self) -> state.TrainState:
        """The state before the first step, as host arrays."""
        # As `jax.random.key` takes a number of Python.
        fresh = to_host(self._created(np.int64(self.config.seed).astype(np.int32)))
        if not self.config.init:
            return fresh
        head = finetune.head_weights(self.config, self.task.num_outputs, self.signal_shape)
        variables = finetune.initial_variables(self.config, fresh.variables, head)
        return fresh.replace(variables=variables, average=variables if self.config.ema_decay else {})

    @functools.cached_property
    def _created(self) -> Callable[[np.int32], state.TrainState]:
        """`create_state`, compiled for any seed."""
        return jax.jit(self.create_state)

    def share_compiled(self, other: "Experiment") -> None:
        """Takes over what is compiled from `other`, whose config differs in seed and optimiser alone."""
        for name in ("evaluator", "_created"):
            vars(self)[name] = getattr(other, name)

    def abstract_state(self) -> state.TrainState:
        """Shapes and types of the state."""
        return jax.eval_shape(self.create_state)

    def num_parameters(self) -> int:
        """Trained weights."""
        return state.num_parameters(self.abstract_state())

    def best_variables(self, workdir: Path) -> state.Variables:
        """Those of the best checkpoint of the run in `workdir`, or of its `variables.npz`, on every device."""
        if (workdir / VARIABLES).exists():
            return self.parallel.replicate(read_variables(workdir))
        with Checkpoints(workdir / CHECKPOINTS, self.config.to_dict(), writes=False) as checkpoints:
            best, _ = checkpoints.restore_best(self.abstract_state())
        return self.parallel.replicate(best.evaluated())

    def members(self, workdir: Path) -> list[state.Variables]:
        """`best_variables` of every network that the run in `workdir` trained, several where it has `kfold`."""
        return [self.best_variables(member_dir) for _, member_dir in member_runs(self.config, workdir)]

    def train_step(self) -> Callable:
        """The per-device step of `state.make_train_step`."""
        return state.make_train_step(
            self.config,
            self.task,
            self.module,
            tx=self.optimizer,
            schedule=self.schedule,
            crop_samples=self.crop_samples,
        )

    def resident(self, split: Split) -> Resident:
        """The split and the task's targets, on every device."""
        return self.parallel.replicate(resident(split, self.task.targets(split)))

    def feed(self, split: Split) -> Feed:
        """Hands the records of a split to compiled steps, in the way that the split was loaded for."""
        targets, data = self.task.targets(split), self.config.data
        if isinstance(split.ecg, StoredSignals):
            return StreamedFeed(self.parallel, split, targets, data.num_readers, data.batches_ahead)
        return ResidentFeed(self.parallel, split, targets)

    @functools.cached_property
    def evaluator(self) -> Evaluator:
        """Scores splits on all devices."""
        config = self.config.evaluation
        return Evaluator(self.task, self.module, self.parallel, config.batch_size, self.windows(config.window_stride_s))

    def windows(self, stride_s: float) -> Windows | None:
        """Windows as long as a training crop, so many seconds apart; None, the whole record at once, for 0."""
        if not stride_s:
            return None
        stride = round(stride_s * self.config.preprocess.fs_hz)
        return Windows(self.crop_samples, stride, self.config.evaluation.window_combine)

    def predict(self, members: list[state.Variables], split: Split) -> tuple[Predictions, float]:
        """Predictions for every record and view of a split, averaged over `members`; records a second."""
        return self.evaluator.predict(members, self.feed(split), split)


def load(config: ConfigDict, split: str) -> Split:
    """The records of a split that the task of `config` can use; prepared first where they are absent and can be made.

    With `data.leave_out` the test split is what was left out, of whatever split; with `data.fold` the splits are those
    of that fold.

    Raises:
      InputError: no record is left.
    """
    records = _load(config, split)
    usable = records.without(tasks.build(config).excluded(records))
    if not len(usable):
        reasons = ", ".join(reason for reason, count in usable.left_out.items() if count) or "the split is empty"
        raise InputError(f"no record of {records.dataset} {split} can be used ({reasons})", "choose another dataset")
    return usable


def _load(config: ConfigDict, split: str) -> Split:
    data = config.data
    if jax.process_index() == 0:
        data_prep.ensure_prepared(data.name, data.variant, data.dir)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("data prepared")
    if not (data.fold or data.leave_out):
        return _read(config, split)
    everything = open_split(*_asked(config, "all"))
    if data.fold:
        return _in_memory(config, fold_split(everything, data.fold, split))
    is_left_out = has_label(everything, data.leave_out)
    if split in ("test", "all"):
        return _in_memory(config, everything.select(is_left_out))
    kept = open_split(*_asked(config, split))
    return _in_memory(config, kept.select(~np.isin(kept.patient_ids, everything.patient_ids[is_left_out])))


def _read(config: ConfigDict, split: str) -> Split:
    # One process that needs all of it reads fastest from beginning to end.
    if config.data.input == "resident" and jax.process_count() == 1:
        return load_split(*_asked(config, split))
    return _in_memory(config, open_split(*_asked(config, split)))


def _asked(config: ConfigDict, split: str) -> tuple[str, str, str, str, Preprocess, float]:
    """The arguments of `load_split` and `open_split`."""
    data = config.data
    return data.name, data.variant, split, data.dir, Preprocess.from_config(config), data.seconds


def _in_memory(config: ConfigDict, split: Split) -> Split:
    """The split with its signals, of which each process reads and filters a share; one to be streamed is as it was."""
    if config.data.input == "stream":
        return split
    count = jax.process_count()
    own = np.asarray(split.ecg[jax.process_index() :: count])
    if count == 1:
        return dataclasses.replace(split, ecg=own)
    padded = np.pad(own, ((0, -(-len(split) // count) - len(own)), (0, 0), (0, 0)))
    shares = multihost_utils.process_allgather(padded)
    return dataclasses.replace(split, ecg=np.swapaxes(shares, 0, 1).reshape(-1, *own.shape[1:])[: len(split)])


def has_label(split: Split, condition: str) -> np.ndarray:
    """`[record]`: where `LABEL=VALUE` holds, or where a list of labels has the value.

    Raises:
      InputError: there is no such label, or no record has the value.
    """
    name, _, value = condition.partition("=")
    if name not in split.labels:
        raise InputError(f"{split.dataset} has no label {name!r}", f"use one of {', '.join(sorted(split.labels))}")
    values = split.labels[name]
    is_listed = values.dtype == object
    has = np.array([value in map(str, np.ravel(one)) if is_listed else str(one) == value for one in values], bool)
    if not has.any():
        known = sorted({str(one) for row in values for one in np.ravel(row)})
        shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise InputError(f"no record of {split.dataset} has {condition}", f"{name} is one of {shown}")
    return has


def build(config: ConfigDict, train: Split) -> Experiment:
    """Task, network, optimiser and devices for records like those of `train`; raises InputError on unknown names."""
    keep_compiled(config.compilation_cache_dir)
    library.is_wanted = config.native_gradients
    leave_scraps_of_compilers()
    parallel, task, module, schedule = _parts(config)
    crop_samples = round(config.data.crop_s * train.fs_hz)

    def training_view(data: Resident) -> Record:
        key = state.step_key(config.seed)
        return task.training_view(key, random_crop(data, jnp.int32(0), key, crop_samples))

    # Its shape is that of all, and targets may be dear.
    one = train.select(np.arange(1))
    data = {**resident(one, task.targets(one)), "ecg": np.asarray(one.ecg)}
    return Experiment(
        config=config,
        task=task,
        module=module,
        schedule=schedule,
        optimizer=finetune.thawing(build_optimizer(config.optimizer, schedule), config.freeze),
        parallel=parallel,
        crop_samples=crop_samples,
        signal_shape=jax.eval_shape(training_view, data)["signal_mv"].shape,
    )


def _parts(config: ConfigDict) -> tuple[Parallel, Task, nn.Module, optax.Schedule]:
    """What can be built before the data are there."""
    parallel = Parallel(config.sharding)
    parallel.check_batch("batch_size", config.batch_size)
    parallel.check_batch("evaluation.batch_size", config.evaluation.batch_size)
    task = tasks.build(config)
    module = models.build(config.model, task.num_outputs, DTYPES[config.dtype], AXIS)
    return parallel, task, module, build_schedule(config.schedule, config.num_steps)


def check(config: ConfigDict) -> None:
    """Raises InputError for what cannot be run, as far as that shows before the data are there."""
    _check_choice(config, "dtype", tuple(DTYPES))
    _check_choice(config.data, "input", ("resident", "stream"), "data.")
    for group in ("select", "early_stopping"):
        _check_choice(config[group], "mode", ("min", "max"), f"{group}.")
    _check_choice(config.evaluation, "window_combine", COMBINES, "evaluation.")
    if config.kfold == 1 or config.kfold < 0:
        raise InputError(f"kfold is {config.kfold}", "give 0 (off) or 2 and more")
    counts = {name: config[name] for name in ("num_steps", "steps_per_dispatch", "log_every", "eval_every")}
    counts["checkpoint_every"] = config.checkpoint_every
    counts |= {f"data.{name}": config.data[name] for name in ("num_readers", "batches_ahead")}
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} is {count}", "give 1 or more")
    if config.data.fold and config.data.leave_out:
        raise InputError("data.fold and data.leave_out both choose the test split", "give one of them")
    if not 0 < config.data.crop_s <= config.data.seconds:
        raise InputError(
            f"data.crop_s is {config.data.crop_s}",
            f"give seconds above 0 and up to data.seconds, {config.data.seconds}",
        )
    stride_s = config.evaluation.window_stride_s
    if stride_s and stride_s * config.preprocess.fs_hz < 1:
        raise InputError(
            f"evaluation.window_stride_s is {stride_s}", "give 0 (the whole record) or at least one sample"
        )
    if not 0 <= config.ema_decay < 1:
        raise InputError(f"ema_decay is {config.ema_decay}", "give 0 (off) or more, and less than 1")
    *_, schedule = _parts(config)
    build_optimizer(config.optimizer, schedule)


def _check_choice(config: ConfigDict, name: str, choices: tuple[str, ...], group: str = "") -> None:
    if config[name] not in choices:
        raise InputError(f"unknown {group}{name} {config[name]!r}", f"use one of {', '.join(choices)}")
