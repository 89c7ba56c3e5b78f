"""One network under every subset of the leads, in a compiled step over pairs of a record and a subset."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import ArrayLike

from ecgjax.augment import show_leads
from ecgjax.data.resident import Resident, whole_record
from ecgjax.data.split import Split
from ecgjax.elimination import subsets
from ecgjax.elimination.scoring import Criterion
from ecgjax.errors import InputError
from ecgjax.evaluate import Windows, apply_in_windows
from ecgjax.experiment import Experiment, build
from ecgjax.leads import LEADS, lead_subset
from ecgjax.parallel import AXIS, to_host
from ecgjax.runlog import say
from ecgjax.state import Variables
from ecgjax.tasks.task import Record, Task
from ecgjax.workdir import read_config

_SECONDS_BETWEEN_LINES = 10.0


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network that can be shown any leads.

    Attributes:
      workdir: folder of its run.
      experiment: see `masked_experiment`.
      variables: its weights, on every device.
      shown: the leads that it was trained on.
      random_leads: share of its training records that showed a random subset of them.
    """

    workdir: Path
    experiment: Experiment
    variables: Variables
    shown: tuple[str, ...]
    random_leads: float

    @property
    def stride_s(self) -> float:
        """Of the windows over which its evaluation takes the mean."""
        return self.experiment.config.evaluation.window_stride_s


@dataclasses.dataclass(frozen=True)
class SubsetScores:
    """What a network makes of every record under several subsets of the leads.

    Attributes:
      evaluated: [subset] those that were shown, each with all leads that follow from it; ascending.
      scores: [subset, record, ...] float32, as the task predicts them.
      loss: [subset] mean over the records.
      targets: [record, ...].
      patient_ids: [record].
      records_per_s: pairs of a record and a subset in a second, without compilation.
    """

    evaluated: np.ndarray
    scores: np.ndarray
    loss: np.ndarray
    targets: np.ndarray
    patient_ids: np.ndarray
    records_per_s: float

    def figures(self, criterion: Criterion, weights: np.ndarray) -> np.ndarray:
        """`[subset, figure, ...]` for weights `[..., record]`."""
        return np.stack([criterion.figures(self.targets, of_subset, weights) for of_subset in self.scores])

    def place_of(self, wanted: ArrayLike) -> np.ndarray:
        """`[...]`: which of `evaluated` stands for each of the subsets `wanted`."""
        return np.searchsorted(self.evaluated, subsets.known_leads(wanted))


def read_run_config(workdir: Path, data_dir: str | None) -> ConfigDict:
    """The config of a run, its data in `data_dir` where one is given.

    Raises:
      InputError: there is no such run, or it is several networks.
    """
    config = read_config(workdir)
    if config.kfold:
        raise InputError(f"{workdir} is cross-validated (kfold={config.kfold})", "give a run with kfold=0")
    if data_dir is not None:
        config.data.dir = data_dir
    return config


def open_network(workdir: Path, config: ConfigDict, records: Split) -> Network:
    """The network that the run in `workdir` trained, for records like `records`; `config` is that of the run."""
    experiment = masked_experiment(config, records)
    options = config[config.task]
    variables = experiment.best_variables(workdir)
    return Network(workdir, experiment, variables, lead_subset(options.leads), options.random_leads)


def masked_experiment(config: ConfigDict, records: Split) -> Experiment:
    """The experiment of `config` for records like `records`, but that its task withholds no leads.

    A task that completes its own leads would take the zeros of those that are withheld for signals.
    """
    with_all = config.copy_and_resolve_references()
    with_all[config.task].leads = "all"
    return build(with_all, records)


def withheld(record: Record, is_given: jax.Array) -> Record:
    """The record of which only the leads `is_given` bool `[12]` were recorded; the others are as if they never were."""
    return {**record, "signal_mv": show_leads(record["signal_mv"], is_given)}


def make_subset_step(
    task: Task, module: nn.Module, windows: Windows | None
) -> Callable[[Variables, Resident, dict], dict]:
    """The per-device `(variables, data, {"index": [batch], "is_given": [12, batch]}) -> {scores, loss, targets}`.

    Leads are withheld from the record itself, before the task finds beats or normalises: what a network is shown
    depends on the given leads alone.
    """

    def step(variables: Variables, data: Resident, batch: dict) -> dict:
        def presented(index: jax.Array, is_given: jax.Array) -> Record:
            return task.evaluation_view(withheld(whole_record(data, index), is_given), jnp.int32(0))

        records = jax.vmap(presented)(batch["index"], batch["is_given"].T)
        recorded = data["num_samples"][batch["index"]]
        outputs = apply_in_windows(module, variables, records["signal_mv"], recorded, windows)
        predicted = task.predict(outputs, records)
        wanted = {
            "scores": predicted["scores"],
            "targets": predicted["targets"],
            "loss": task.loss(outputs, records),
        }
        return jax.lax.all_gather(wanted, AXIS, tiled=True)

    return step


class SubsetSweep:
    """Scores records under subsets of the leads; the compiled step serves all networks of an architecture.

    `stride_s` is that of windows of `data.crop_s`, as in `evaluation.window_stride_s`.
    """

    def __init__(self, experiment: Experiment, stride_s: float):
        self._experiment = experiment
        self._batch_size = experiment.config.evaluation.batch_size
        step = make_subset_step(experiment.task, experiment.module, experiment.windows(stride_s))
        self._step = experiment.parallel.compile(step, donate=False)

    def score(self, network: Network, records: Split, wanted: np.ndarray) -> SubsetScores:
        """Every record under every one of the subsets `wanted`; those that carry the same information are shown once.

        Raises:
          InputError: a subset holds leads that the network was not trained on.
        """
        evaluated = np.unique(subsets.known_leads(wanted))
        trained_on = int(subsets.known_leads(subsets.subset_of(network.shown)))
        if np.any(evaluated & ~trained_on):
            raise InputError(
                f"{network.workdir} shows its network {', '.join(network.shown)} alone",
                f"give a run with leads=all, trained on {', '.join(LEADS)}",
            )
        num_records, num_pairs = len(records), len(records) * len(evaluated)
        parallel = self._experiment.parallel
        data = self._experiment.resident(records)
        is_given = subsets.is_in(evaluated)
        parts: list[dict[str, np.ndarray]] = []
        waiting: dict[str, jax.Array] | None = None
        timed_from, began, spoke = 0, time.perf_counter(), time.perf_counter()
        for start in range(0, num_pairs, self._batch_size):
            # The last batch is filled up with its last pair.
            pairs = np.minimum(np.arange(start, start + self._batch_size), num_pairs - 1)
            batch = parallel.shard(
                {
                    "index": (pairs % num_records).astype(np.int32),
                    "is_given": np.ascontiguousarray(is_given[pairs // num_records].T),
                }
            )
            running = self._step(network.variables, data, batch)
            if waiting is not None:
                parts.append(to_host(waiting))
            elif num_pairs > self._batch_size:
                jax.block_until_ready(running)
                timed_from, began = self._batch_size, time.perf_counter()
            waiting = running
            if start > timed_from and time.perf_counter() - spoke > _SECONDS_BETWEEN_LINES:
                spoke = time.perf_counter()
                rate = (start - timed_from) / (spoke - began)
                say(f"subsets: {start} of {num_pairs} pairs of a record and a subset, {rate:.0f} a second")
        parts.append(to_host(waiting))
        seconds = time.perf_counter() - began
        rows = {name: np.concatenate([part[name] for part in parts])[:num_pairs] for name in parts[0]}
        by_subset = {name: values.reshape(-1, num_records, *values.shape[1:]) for name, values in rows.items()}
        return SubsetScores(
            evaluated=evaluated,
            scores=by_subset["scores"],
            loss=by_subset["loss"].mean(1, dtype=np.float64),
            targets=by_subset["targets"][0],
            patient_ids=records.patient_ids,
            records_per_s=(num_pairs - timed_from) / seconds,
        )
