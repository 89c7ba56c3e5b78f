"""Scoring every record under every view, with static shapes."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ecgjax.data.feed import Block, Feed
from ecgjax.data.resident import Resident, whole_record
from ecgjax.data.split import Split
from ecgjax.metrics import Metric
from ecgjax.parallel import AXIS, Parallel, to_host
from ecgjax.runlog import git_version, hardware, to_json
from ecgjax.state import Variables
from ecgjax.tasks.task import Task

Predictions = dict[str, np.ndarray]
"""Arrays `[record * view, ...]`: what the task predicts, `loss`, `record_ids`, `patient_ids` and `view`."""

COMBINES = ("mean", "vote")
LEAST_SHARE = 1e-3
"""Of the votes, so that the logarithm is finite."""


@dataclasses.dataclass(frozen=True)
class Windows:
    """Pieces of a record that are shown one by one, `num_samples` long and `stride` samples apart.

    What counts is the mean of their outputs, or with `combine` `vote` the logarithm of the share of them whose highest
    output each is.
    """

    num_samples: int
    stride: int
    combine: str


def windows_of(config: ConfigDict) -> Windows | None:
    """Those in which a trained run of `config` is shown a record; None for the whole record at once."""
    fs_hz, options = config.preprocess.fs_hz, config.evaluation
    crop, stride = round(config.data.crop_s * fs_hz), round(options.window_stride_s * fs_hz)
    return Windows(crop, stride, options.window_combine) if stride else None


def window_starts(record_samples: int, num_samples: int, stride: int) -> np.ndarray:
    """Where windows of a record begin; the last one ends with it."""
    last = max(record_samples - num_samples, 0)
    return np.append(np.arange(0, last, stride), last)


def apply_in_windows(
    module: nn.Module, variables: Variables, signal_mv: jax.Array, num_samples: jax.Array, windows: Windows | None
) -> jax.Array:
    """Outputs `[batch, ...]` for `[batch, time, lead]`: of the windows together, or of the whole record for None.

    Windows of which less than half lies in the `num_samples` `[batch]` that were recorded do not count, but the first.
    """
    if windows is None:
        return jnp.asarray(module.apply(variables, signal_mv, is_training=False))
    batch, time, _ = signal_mv.shape
    starts = window_starts(time, windows.num_samples, windows.stride)
    cut = jnp.concatenate([signal_mv[:, start : start + windows.num_samples] for start in starts])
    outputs = jnp.asarray(module.apply(variables, cut, is_training=False))
    outputs = outputs.reshape(len(starts), batch, *outputs.shape[1:])
    if windows.combine == "vote":
        outputs = jax.nn.one_hot(jnp.argmax(outputs, axis=-1), outputs.shape[-1])
    counts = (starts == 0)[:, None] | (starts[:, None] + windows.num_samples // 2 <= num_samples)
    weight = (counts / jnp.sum(counts, axis=0)).reshape(len(starts), batch, *[1] * (outputs.ndim - 2))
    combined = jnp.sum(weight * outputs, axis=0)
    return jnp.log(combined + LEAST_SHARE) if windows.combine == "vote" else combined


def make_evaluation_step(
    task: Task, module: nn.Module, windows: Windows | None
) -> Callable[[Variables, Resident, dict], dict]:
    """The per-device function `(variables, data, {"index": [batch], "view": [batch]}) -> predictions`.

    The predictions `[batch, ...]` of all devices come back on every one.
    """

    def step(variables: Variables, data: Resident, batch: dict) -> dict:
        records = jax.vmap(lambda index, view: task.evaluation_view(whole_record(data, index), view))(
            batch["index"], batch["view"]
        )
        recorded = data["num_samples"][batch["index"]]
        outputs = apply_in_windows(module, variables, records["signal_mv"], recorded, windows)
        predictions = {**task.predict(outputs, records), "loss": task.loss(outputs, records)}
        return jax.lax.all_gather(predictions, AXIS, tiled=True)

    return step


class Evaluator:
    """Scores splits with a compiled step that is shared by all of them."""

    def __init__(self, task: Task, module: nn.Module, parallel: Parallel, batch_size: int, windows: Windows | None):
        parallel.check_batch("evaluation.batch_size", batch_size)
        self._task = task
        self._batch_size = batch_size
        step = make_evaluation_step(task, module, windows)
        self._steps = {cut: parallel.compile(step, donate=False, cut_data=cut) for cut in (False, True)}

    def predict(self, members: list[Variables], feed: Feed, split: Split) -> tuple[Predictions, float]:
        """Predictions for every record of `split` under every view, and records (times views and members) a second.

        The variables of the `members` of an ensemble, whose predictions are averaged, are on the devices; `feed` hands
        over the records.
        The last batch is filled up with the first record, whose surplus predictions are cut off; one transfer brings
        all to the host. The rate leaves the first batch out, which may have to be compiled, unless it is the only one.
        """
        num_views = self._task.num_views
        index = np.repeat(np.arange(len(split.record_ids), dtype=np.int32), num_views)
        view = np.tile(np.arange(num_views, dtype=np.int32), len(split.record_ids))
        padding = -len(index) % self._batch_size
        padded = {"index": np.pad(index, (0, padding)), "view": np.pad(view, (0, padding))}

        def block(number: int) -> Block:
            rows = slice(number * self._batch_size, (number + 1) * self._batch_size)
            return {name: values[rows] for name, values in padded.items()}

        num_blocks, step = len(padded["index"]) // self._batch_size, self._steps[feed.cuts_data]
        batches: list[list[dict[str, jax.Array]]] = [[] for _ in members]
        num_timed, began = 0, time.perf_counter()
        for number, (data, batch) in enumerate(feed(num_blocks, block)):
            for variables, done in zip(members, batches, strict=True):
                done.append(step(variables, data, batch))
            num_timed += self._batch_size
            if number == 0 and num_blocks > 1:
                jax.block_until_ready(batches)
                num_timed, began = 0, time.perf_counter()
        jax.block_until_ready(batches)
        rate = num_timed * len(members) / (time.perf_counter() - began)

        ids = {"record_ids": split.record_ids[index], "patient_ids": split.patient_ids[index], "view": view}
        predictions = averaged([_rows(done, len(index)) for done in to_host(batches)])
        return {**predictions, **self._task.decode(predictions), **ids}, rate


def _rows(batches: list[dict[str, np.ndarray]], num_rows: int) -> dict[str, np.ndarray]:
    """The first `num_rows` of batches in a row."""
    return {name: np.concatenate([batch[name] for batch in batches])[:num_rows] for name in batches[0]}


def averaged(members: list[Predictions]) -> Predictions:
    """Predictions of an ensemble: floating outputs are means over its members, the others and targets the first's."""
    first = members[0]
    return {
        name: np.mean([member[name] for member in members], axis=0, dtype=values.dtype)
        if np.issubdtype(values.dtype, np.floating) and name != "targets"
        else values
        for name, values in first.items()
    }


def joined(parts: list[Predictions]) -> Predictions:
    """Predictions for several sets of records, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def figures(task: Task, predictions: Predictions, num_bootstrap: int) -> dict[str, Metric]:
    """The task's metrics, and the mean loss."""
    loss = float(np.mean(predictions["loss"], dtype=np.float64))
    return {**task.metrics(predictions, num_bootstrap), "loss": Metric(loss, None, len(predictions["loss"]))}


def results_of(
    config: ConfigDict,
    split: Split,
    metrics: dict[str, Metric],
    baselines: dict[str, dict[str, Metric]],
    *,
    wall_s: float,
    records_per_s: float,
) -> dict[str, Any]:
    """The content of `results.json`."""
    return {
        "task": config.task,
        "dataset": split.dataset,
        "split": split.split,
        "n_records": len(split.record_ids),
        "n_patients": len(np.unique(split.patient_ids)),
        "left_out": dict(split.left_out),
        "seed": config.seed,
        "git": git_version(),
        "hardware": hardware(),
        "wall_s": round(wall_s, 3),
        "records_per_s": round(records_per_s, 1),
        "metrics": to_json(metrics),
        "baselines": {name: to_json(rival) for name, rival in baselines.items()},
    }
