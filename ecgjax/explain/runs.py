"""What explanations of a trained network share: the run, the examples, and passing them through a compiled step."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from ecgjax.data.resident import Resident, whole_record
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.evaluate import joined
from ecgjax.experiment import Experiment, build, load
from ecgjax.parallel import Parallel, to_host
from ecgjax.runlog import git_version, hardware, write_json
from ecgjax.state import Variables
from ecgjax.tasks.task import Record, Task
from ecgjax.workdir import member_runs, read_config, write_arrays

EXAMPLES_AT_ONCE = 32
"""On each device; gradients of recurrent networks over whole signals take a hundred megabytes an example."""

Rows = dict[str, np.ndarray]
"""Host arrays `[example, ...]`."""

Step = Callable[[Variables, Any, dict[str, jax.Array]], dict[str, jax.Array]]
"""Per-device, as `Parallel.compile` takes it; its results are those of all devices."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained network and the records that it is asked about.

    Attributes:
      experiment: its task and module.
      variables: its weights, on every device; of a cross-validated run those of the first network.
      split: the records.
      data: the same on every device.
    """

    experiment: Experiment
    variables: Variables
    split: Split
    data: Resident

    @property
    def task(self) -> Task:
        return self.experiment.task

    def presented(self, data: Resident, index: jax.Array, view: jax.Array) -> Record:
        """Records as the network sees them, batched; part of a compiled step. `index` and `view` are `[batch]`."""
        return jax.vmap(lambda i, v: self.task.evaluation_view(whole_record(data, i), v))(index, view)

    def outputs(self, variables: Variables, signal_mv: jax.Array) -> jax.Array:
        """What the network makes of `[batch, time, lead]`."""
        return jnp.asarray(self.experiment.module.apply(variables, signal_mv, is_training=False))

    def abstract_record(self) -> Record:
        """Shapes and types of one record as the network sees it, with a batch axis of 1."""
        first = jax.ShapeDtypeStruct((1,), jnp.int32)
        return jax.eval_shape(self.presented, self.data, first, first)

    def lead_names(self) -> tuple[str, ...]:
        """Names of the leads of the network's input, once `in_lead_order` has put them in order."""
        record = self.abstract_record()
        num_leads = record["signal_mv"].shape[-1]
        names = self.task.class_names() if "names" in record else self.split.lead_names
        return names if len(names) == num_leads else tuple(f"input {i + 1}" for i in range(num_leads))


def open_run(workdir: Path, split: str) -> Run:
    """The trained run in `workdir`, with one of its splits.

    Raises:
      InputError: there is no such run, or no data for it.
    """
    config = read_config(workdir)
    records = load(config, split)
    experiment = build(config, records)
    _, member_dir = member_runs(config, workdir)[0]
    return Run(experiment, experiment.best_variables(member_dir), records, experiment.resident(records))


@dataclasses.dataclass(frozen=True)
class Examples:
    """Records of a split under a view each.

    Attributes:
      index: [example] place of the record in the split.
      view: [example] how the task's evaluation presents it.
    """

    index: np.ndarray
    view: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def rows(self) -> Rows:
        """What a compiled step needs of them."""
        return {"index": self.index, "view": self.view}

    def select(self, rows: np.ndarray) -> "Examples":
        """Those of a mask or of indices."""
        return Examples(self.index[rows], self.view[rows])


def examples(run: Run, max_records: int, seed: int) -> Examples:
    """All views of at most `max_records` records that `seed` draws; of all records for 0."""
    num_records = len(run.split)
    if max_records < 0:
        raise InputError(f"max_records is {max_records}", "give 0 (all records) or more")
    drawn = np.arange(num_records)
    if 0 < max_records < num_records:
        drawn = np.sort(np.random.default_rng(seed).permutation(num_records)[:max_records])
    num_views = run.task.num_views
    return Examples(
        np.repeat(drawn, num_views).astype(np.int32), np.tile(np.arange(num_views, dtype=np.int32), len(drawn))
    )


def examples_of_record(run: Run, record_id: str) -> Examples:
    """All views of one record.

    Raises:
      InputError: the split has no such record.
    """
    found = np.flatnonzero(run.split.record_ids == record_id)
    if not found.size:
        known = ", ".join(run.split.record_ids[:3])
        raise InputError(f"no record {record_id!r} in {run.split.dataset} {run.split.split}", f"its ids are {known}...")
    views = np.arange(run.task.num_views, dtype=np.int32)
    return Examples(np.full(len(views), found[0], np.int32), views)


def in_batches(parallel: Parallel, rows: Rows) -> Iterator[tuple[Rows, int]]:
    """Cuts `rows` into batches that the devices can share, each with the number of its rows that count.

    The last batch is filled up with its own first row.
    """
    num_rows = len(next(iter(rows.values())))
    # Few rows are not filled up to a batch of many.
    size = parallel.num_devices * min(EXAMPLES_AT_ONCE, -(-num_rows // parallel.num_devices))
    for start in range(0, num_rows, size):
        count = min(size, num_rows - start)
        filled = start + np.concatenate([np.arange(count), np.zeros(size - count, int)])
        yield {name: values[filled] for name, values in rows.items()}, count


def sweep(parallel: Parallel, step: Callable[[Rows], Any], rows: Rows) -> Rows:
    """What `step` makes of `rows`, called with a batch of them at a time as parts on the devices."""
    parts = []
    for batch, count in in_batches(parallel, rows):
        results = to_host(step(parallel.shard(batch)))
        parts.append({name: values[:count] for name, values in results.items()})
    return joined(parts)


def lead_order(record: Record) -> jax.Array:
    """`[batch, lead]`: which lead of the input comes first, second... once all are in the order of their names.

    Tasks that shuffle leads tell the names of those they present in `names`; others present them in order.
    """
    signal_mv = record["signal_mv"]
    if "names" in record:
        return jnp.argsort(record["names"], axis=-1)
    return jnp.broadcast_to(jnp.arange(signal_mv.shape[-1]), (signal_mv.shape[0], signal_mv.shape[-1]))


def in_lead_order(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """`[example, time, lead]` as presented -> in the order of the leads' names, from `lead_order` `[example, lead]`."""
    return np.take_along_axis(values, order[:, None], axis=2)


def summary(run: Run, chosen: Examples, wall_s: float) -> dict[str, Any]:
    """What every table of an explanation says of its origin."""
    records = np.unique(chosen.index)
    return {
        "task": run.experiment.config.task,
        "dataset": run.split.dataset,
        "split": run.split.split,
        "n_records": len(records),
        "n_patients": len(np.unique(run.split.patient_ids[records])),
        "seed": run.experiment.config.seed,
        "git": git_version(),
        "hardware": hardware(),
        "wall_s": round(wall_s, 3),
    }


def check_output(output: str | None) -> None:
    """Raises InputError where the folder that is asked for cannot be made."""
    if output is not None and not Path(output).parent.is_dir():
        raise InputError(f"there is no folder {Path(output).parent}", "make it first, or give another --output")


def write_explanation(
    folder: Path, name: str, content: dict[str, Any], arrays: dict[str, Any], figures: Mapping[str, Figure]
) -> None:
    """Writes `NAME.json`, `NAME.npz` and a PNG for each of `figures` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure_name, figure in figures.items():
        # Names of classes and layers may hold what paths may not.
        figure.savefig(folder / f"{figure_name.replace('/', '.').replace(' ', '_')}.png", dpi=150)
    write_arrays(folder / f"{name}.npz", arrays)
    write_json(folder / f"{name}.json", content)
