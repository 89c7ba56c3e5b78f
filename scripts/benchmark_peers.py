"""Training throughput of tasks beside the same step in PyTorch, in one run.

    pip install -e ".[peers]" && python scripts/benchmark_peers.py
    python scripts/benchmark_peers.py --task=lead_id,rhythm --ways=eager,compile --dataset=ptbxl [--output=DIR]
    python scripts/benchmark_peers.py --task=heartbeat --published
    python scripts/benchmark_peers.py --device=cuda --dtype=bfloat16 --ways=compile

Each task's default network with the options of its config, here and in PyTorch: eager and with torch.compile, all
records in memory and whole batches augmented at once; and with a DataLoader, whose workers, one for each core, crop and
augment record by record in NumPy, as published projects do. --published takes the published network of lead_id or
heartbeat instead, and the default one of ecgjax beside it. --dataset is what stands behind the colon of --config.

All see the same batches, crops of the same length and the same augmentation, and update the same weights. First, views,
outputs and losses on shared weights are compared. Then each trains in a process of its own, with its own memory and
threads, and blocks of steps are timed in turn, so that a machine whose speed drifts slows all; the first round, which
compiles, is left out. Prints tables with medians and 5th and 95th percentiles over the blocks; --output writes them
to DIR/peers.md, and every block to DIR/peers.json. Where other programs share the cores, OMP_WAIT_POLICY=passive keeps
the threads of PyTorch from waiting in loops. Exit status 2 and one line for bad input.
"""

import contextlib
import dataclasses
import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgjax.memory import keep_freed_memory

# Before the libraries below start threads, each with a heap of its own.
keep_freed_memory()

import jax
import numpy as np
import torch
from absl import flags
from ml_collections import ConfigDict

from ecgjax import cli, experiment, models, tasks
from ecgjax.analysis.markdown import table
from ecgjax.benchmark.steps import TrainingRun
from ecgjax.data.resident import BatchOrder
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.runlog import hardware, write_json
from scripts.peers.trainer import WAYS, Trainer

TASKS = ("reversal", "lead_id", "diagnosis", "heartbeat", "rhythm")
PUBLISHED = {"lead_id": "model=original", "heartbeat": "model=beat_cnn"}
"""Tasks whose published network has a peer, and the argument of the config that asks for it."""

_TASK = flags.DEFINE_list("task", "reversal", f"which tasks to train, of {', '.join(TASKS)}")
_WAYS = flags.DEFINE_list("ways", "eager", f"how PyTorch trains, of {', '.join(WAYS)}")
_PUBLISHED = flags.DEFINE_bool("published", False, "the published network of the task instead of the default one")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "where the prepared dataset lies; TFDS's own default otherwise")
_DATASET = flags.DEFINE_string("dataset", "simulated", "dataset, and other arguments of the config after commas")
_DEVICE = flags.DEFINE_enum("device", "cpu", ("cpu", "cuda"), "where to train")
_DTYPE = flags.DEFINE_enum("dtype", "float32", tuple(models.DTYPES), "what networks compute in")
_DISPATCH = flags.DEFINE_integer("steps_per_dispatch", 1, "steps of ecgjax in one compiled call", lower_bound=1)
_BLOCKS = flags.DEFINE_integer("blocks", 15, "timed blocks of each", lower_bound=3)
_STEPS = flags.DEFINE_integer("steps", 20, "steps in a block", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "", "folder for the figures")

HERE, DEFAULT = "ecgjax", "ecgjax, default network"


class Contestant(Protocol):
    """Somebody who trains."""

    def train(self, steps: range) -> Any:
        """Does these steps, which follow those before, and returns when they are done."""

    def cpu_s(self) -> float:
        """Processor time so far."""


class Here:
    """The step that `python -m ecgjax.main` runs with `config`."""

    def __init__(self, config: ConfigDict, train: Split):
        self._run = TrainingRun(experiment.build(config, train), train)

    def train(self, steps: range) -> None:
        self._run.train(len(steps))

    def cpu_s(self) -> float:
        return time.process_time()


def loaded(task: str, published: bool) -> tuple[ConfigDict, Split]:
    """The config of the command line, and its training split."""
    arguments = f"{_DATASET.value},{PUBLISHED[task]}" if published else _DATASET.value
    config = importlib.import_module(f"configs.{task}").get_config(arguments)
    config.data.dir, config.dtype, config.steps_per_dispatch = _DATA_DIR.value, _DTYPE.value, _DISPATCH.value
    if task == "lead_id" and published:
        config.data.crop_s = config.data.seconds  # as published
    return config, experiment.load(config, "train")


def peer_of(task: str, published: bool) -> ModuleType:
    """The file of `scripts/peers`."""
    return importlib.import_module(f"scripts.peers.{'published_' * published}{task}")


def contestant(task: str, name: str) -> tuple[Contestant, int]:
    """One that is ready to train, and the size of its batches."""
    published = _PUBLISHED.value and name != DEFAULT
    config, train = loaded(task, published)
    if name in (HERE, DEFAULT):
        return Here(config, train), config.batch_size
    weights = tasks.build(config).sampling_weights(train)
    order = BatchOrder(len(train), config.batch_size, config.seed, weights)
    torch.manual_seed(config.seed)
    peer = peer_of(task, published).build(config, train)
    return Trainer(peer, order, config, name.removeprefix("torch "), _DEVICE.value), config.batch_size


def serve(connection: Connection, argv: list[str], task: str, name: str) -> None:
    """Trains a block whenever asked, and answers seconds for one record: on the clock, and of all cores together."""
    flags.FLAGS(argv)
    use_jax_on(_DEVICE.value if name in (HERE, DEFAULT) else "cpu")
    one, batch_size = contestant(task, name)
    connection.send(batch_size)
    with contextlib.suppress(EOFError):
        for block in range(_BLOCKS.value + 1):
            connection.recv()
            wall, cpu = time.perf_counter(), one.cpu_s()
            one.train(range(block * _STEPS.value, (block + 1) * _STEPS.value))
            seconds = np.array([time.perf_counter() - wall, one.cpu_s() - cpu])
            connection.send(seconds / (_STEPS.value * batch_size))


def use_jax_on(device: str) -> None:
    """Leaves the memory of a GPU to who trains there."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    jax.config.update("jax_platforms", device)


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds for one record in each block."""

    batch_size: int
    wall_s: np.ndarray
    cpu_s: np.ndarray


@contextlib.contextmanager
def started(task: str, names: list[str]) -> Iterator[dict[str, Connection]]:
    """A process for each contestant, and the connection to it."""
    context = multiprocessing.get_context("spawn")
    ends, processes = {}, []
    for name in names:
        ends[name], theirs = context.Pipe()
        # Not daemons, which could have no workers.
        processes.append(context.Process(target=serve, args=(theirs, sys.argv, task, name)))
        processes[-1].start()
        theirs.close()
    try:
        yield ends
    finally:
        for end, process in zip(ends.values(), processes, strict=True):
            end.close()
            process.join()


def timed(task: str, names: list[str]) -> dict[str, Times]:
    with started(task, names) as ends:
        batch_sizes = {name: end.recv() for name, end in ends.items()}
        seconds: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for _ in range(_BLOCKS.value + 1):
            for name, end in ends.items():
                end.send(None)
                seconds[name].append(end.recv())
    # The first round compiles and warms up.
    return {name: Times(batch_sizes[name], *np.array(blocks[1:]).T) for name, blocks in seconds.items()}


def spread(values: np.ndarray, digits: int) -> str:
    """Median and 5th to 95th percentile."""
    low, middle, high = np.percentile(values, (5, 50, 95))
    return f"{middle:.{digits}f} [{low:.{digits}f}-{high:.{digits}f}]"


def rows(task: str, times: dict[str, Times]) -> list[list[str]]:
    """Of the table, one a contestant; the ratios say how many times as fast ecgjax is."""
    found, here = [], times[HERE]
    for name, taken in times.items():
        milliseconds = 1e3 * taken.batch_size * np.median(taken.wall_s)
        ratios = [spread(taken.wall_s / here.wall_s, 2), spread(taken.cpu_s / here.cpu_s, 2)]
        speed = [spread(1 / taken.wall_s, 0), f"{milliseconds:.1f}", spread(1 / taken.cpu_s, 0)]
        found.append([task, name, *speed, *(ratios if name != HERE else ("", ""))])
    return found


HEADER = ("task", "who trains", "records/s", "ms/step", "records/s of CPU", "ecgjax is faster by", "in CPU time by")


def measured(task: str) -> tuple[list[list[str]], dict[str, Any]]:
    """Rows of the table, and all blocks."""
    config, train = loaded(task, _PUBLISHED.value)
    peer_of(task, _PUBLISHED.value).check(config, train)
    num_records = len(train)
    del train
    names = [HERE, *(f"torch {way}" for way in _WAYS.value), *([DEFAULT] if _PUBLISHED.value else [])]
    times = timed(task, names)
    figures = {
        name: {
            "batch_size": taken.batch_size,
            "records_per_s": (1 / taken.wall_s).tolist(),
            "records_per_cpu_s": (1 / taken.cpu_s).tolist(),
            "ratio": (taken.wall_s / times[HERE].wall_s).tolist(),
            "cpu_ratio": (taken.cpu_s / times[HERE].cpu_s).tolist(),
        }
        for name, taken in times.items()
    }
    return rows(task, times), {"num_records": num_records, "contestants": figures}


def check_flags() -> None:
    """Raises InputError for what cannot be run."""
    known = tuple(PUBLISHED) if _PUBLISHED.value else TASKS
    for name, values, choices in (("task", _TASK.value, known), ("ways", _WAYS.value, WAYS)):
        unknown = sorted(set(values) - set(choices))
        if unknown or not values:
            raise InputError(f"unknown --{name} {unknown}", f"use {', '.join(choices)}")
    if _STEPS.value % _DISPATCH.value:
        raise InputError(f"--steps is {_STEPS.value}", f"give a multiple of --steps_per_dispatch, {_DISPATCH.value}")
    if _DEVICE.value == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no CUDA device", "use --device=cpu")


def main() -> None:
    check_flags()
    use_jax_on("cpu")
    output = Path(_OUTPUT.value)
    if _OUTPUT.value:
        output.mkdir(parents=True, exist_ok=True)
    found, figures = [], {}
    for task in _TASK.value:
        task_rows, figures[task] = measured(task)
        print(table(HEADER, task_rows), flush=True)
        found += task_rows
    device = torch.cuda.get_device_name() if _DEVICE.value == "cuda" else hardware()
    versions = f"jax {jax.__version__}, torch {torch.__version__}, {_DTYPE.value}, {device}"
    note = f"{_BLOCKS.value} blocks of {_STEPS.value} steps, medians with 5th and 95th percentile; {versions}"
    print(f"\n{note}")
    if _OUTPUT.value:
        (output / "peers.md").write_text(f"{table(HEADER, found)}\n\n{note}\n")
        write_json(output / "peers.json", {"versions": versions, "steps": _STEPS.value, "tasks": figures})


if __name__ == "__main__":
    cli.run(main)
