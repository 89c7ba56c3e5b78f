"""Training throughput of a task beside the same step in PyTorch, in one run.

    pip install -e ".[peers]" && python scripts/benchmark_peers.py
    python scripts/benchmark_peers.py --task=lead_id --dataset=ptbxl
    python scripts/benchmark_peers.py --task=heartbeat

reversal: the default network, here and in PyTorch. heartbeat: the published network of one beat in both. lead_id: the
published network in PyTorch and here, trained on whole records in batches of 38 as published, and the default network
with its own config. All hold the same records in memory; what is trained in both draws the same crops' lengths, batches
and augmentations and updates the same weights, and the outputs on shared weights are compared first. Each trains in a
process of its own, with its own memory and threads, and blocks of steps are timed in turn, so that a machine whose
speed drifts slows all. Prints a line for each and the ratios to PyTorch; --output writes JSON. Where other programs
share the cores, OMP_WAIT_POLICY=passive keeps the threads of PyTorch from waiting in loops.
"""

import dataclasses
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ecgjax.memory import keep_freed_memory

# Before the libraries below start threads, each with a heap of its own.
keep_freed_memory()

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import flags
from ml_collections import ConfigDict

from configs import heartbeat, lead_id, reversal
from ecgjax import cli, experiment, models, tasks
from ecgjax.beats import BeatWindow, average_beat
from ecgjax.data.records import Split
from ecgjax.data.resident import BatchOrder
from scripts import torch_beat_cnn, torch_lead_set_net, torch_peer

_TASK = flags.DEFINE_enum("task", "reversal", ("reversal", "lead_id", "heartbeat"), "which task to train")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "where the prepared dataset lies; TFDS's own default otherwise")
_DATASET = flags.DEFINE_string("dataset", "simulated", "which dataset to train on")
_BLOCKS = flags.DEFINE_integer("blocks", 15, "timed blocks of each", lower_bound=3)
_STEPS = flags.DEFINE_integer(
    "steps", 20, "steps in a block; of the published network of lead_id a tenth", lower_bound=1
)
_COMPILE = flags.DEFINE_bool("compile", False, "torch.compile the peer's loss")
_OUTPUT = flags.DEFINE_string("output", "", "JSON file for the figures")

PEER = "torch"


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One way to train.

    Attributes:
      batch_size: records in a step.
      steps: in a block.
      train: does the steps whose numbers it is given.
    """

    batch_size: int
    steps: int
    train: Callable[[range], None]


def trained_here(config: ConfigDict, train: Split, steps: int) -> Contestant:
    """The step that `python -m ecgjax.main` runs with `config`."""
    ours = experiment.build(config, train)
    data, step = ours.resident(train), ours.parallel.compile(ours.train_step(), donate=True)
    state = ours.parallel.replicate(ours.initial_state())
    order = BatchOrder(len(train), config.batch_size, config.seed, weights=None)

    def block(numbers: range) -> None:
        nonlocal state
        for i in numbers:
            state, _ = step(state, data, ours.parallel.shard({"index": order.indices(i, 1)}))
        jax.block_until_ready(state)

    return Contestant(config.batch_size, steps, block)


def trained_in_torch(
    step: Callable[[np.ndarray], torch.Tensor], config: ConfigDict, train: Split, steps: int
) -> Contestant:
    order = BatchOrder(len(train), config.batch_size, config.seed, weights=None)

    def block(numbers: range) -> None:
        for i in numbers:
            step(order.indices(i, 1)[0])

    return Contestant(config.batch_size, steps, block)


def check_reversal(config: ConfigDict, window: BeatWindow, ecg_mv: np.ndarray) -> None:
    """Raises AssertionError unless both networks and both average beats agree."""
    peer = torch_peer.PlacementNet(window.num_samples, config.model.placement_net).eval()
    beat, _ = torch_peer.average_beat(torch.from_numpy(ecg_mv), window)
    ours, _ = jax.vmap(lambda signal: average_beat(signal, window))(ecg_mv)
    np.testing.assert_allclose(beat.numpy(), ours, atol=1e-4)
    module = models.build(config.model, 20, jnp.dtype("float32"), None)
    variables = module.init(jax.random.key(0), ours, is_training=False)
    peer.load_flax(variables["params"])
    with torch.no_grad():
        outputs = peer(beat).numpy()
    np.testing.assert_allclose(outputs, np.asarray(module.apply(variables, ours, is_training=False)), atol=1e-3)


def check_lead_id(config: ConfigDict, ecg_mv: np.ndarray) -> None:
    """Raises AssertionError unless the published network does the same in both."""
    num_names = ecg_mv.shape[2]
    module = models.build(config.model, num_names, jnp.dtype("float32"), None)
    variables = jax.jit(lambda key: module.init(key, ecg_mv, is_training=False))(jax.random.key(0))
    peer = torch_lead_set_net.of_options(config.model.lead_set_net, num_names).eval()
    peer.load_flax(variables)
    with torch.no_grad():
        outputs = peer(torch.from_numpy(ecg_mv)).numpy()
    ours = jax.jit(lambda signal_mv: module.apply(variables, signal_mv, is_training=False))(ecg_mv)
    np.testing.assert_allclose(outputs, np.asarray(ours), atol=1e-3)


def check_heartbeat(config: ConfigDict, train: Split) -> None:
    """Raises AssertionError unless both show a beat alike and both networks agree about it."""
    peer = torch_beat_cnn.Trainer(train, config, compile_step=False)
    index, task = np.arange(min(256, len(train))), tasks.build(config)
    targets = {name: values[index] for name, values in task.targets(train).items()}
    record = {"signal_mv": train.ecg[index] / np.float32(train.gain), **targets}
    shown = jax.jit(jax.vmap(lambda one: task.evaluation_view(one, jnp.int32(0))["signal_mv"]))(record)
    np.testing.assert_allclose(peer.view(torch.from_numpy(index)).numpy(), shown, atol=1e-5)
    module = models.build(config.model, task.num_outputs, jnp.dtype("float32"), None)
    variables = jax.jit(lambda key: module.init(key, shown[:1], is_training=False))(jax.random.key(0))
    peer.network.load_flax(variables["params"])
    with torch.no_grad():
        outputs = peer.network.eval()(torch.from_numpy(np.array(shown))).numpy()
    ours = jax.jit(lambda signal_mv: module.apply(variables, signal_mv, is_training=False))(shown)
    np.testing.assert_allclose(outputs, np.asarray(ours), atol=1e-4)


def loaded(task_config: ModuleType, args: str = "") -> tuple[ConfigDict, Split]:
    """A config with the dataset of the command line, and its training split."""
    config = task_config.get_config(_DATASET.value + args)
    config.data.dir = _DATA_DIR.value
    return config, experiment.load(config, "train")


def loaded_published() -> tuple[ConfigDict, Split]:
    """Of the published network of lead_id, which sees whole records."""
    config, train = loaded(lead_id, ",model=original")
    config.data.crop_s = config.data.seconds
    return config, train


def reversal_in_torch() -> Contestant:
    config, train = loaded(reversal)
    window = BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict())
    peer = torch_peer.Trainer(train.ecg, train.gain, config, window, _COMPILE.value)
    return trained_in_torch(peer.step, config, train, _STEPS.value)


def published_in_torch() -> Contestant:
    config, train = loaded_published()
    peer = torch_lead_set_net.Trainer(train.ecg, train.gain, config, _COMPILE.value)
    return trained_in_torch(peer.step, config, train, max(_STEPS.value // 10, 1))


def heartbeat_in_torch() -> Contestant:
    config, train = loaded(heartbeat, ",model=beat_cnn")
    peer = torch_beat_cnn.Trainer(train, config, _COMPILE.value)
    return trained_in_torch(peer.step, config, train, _STEPS.value)


CONTESTANTS: dict[str, dict[str, Callable[[], Contestant]]] = {
    "reversal": {PEER: reversal_in_torch, "ecgjax": lambda: trained_here(*loaded(reversal), _STEPS.value)},
    "lead_id": {
        PEER: published_in_torch,
        "ecgjax, published network": lambda: trained_here(*loaded_published(), max(_STEPS.value // 10, 1)),
        "ecgjax": lambda: trained_here(*loaded(lead_id), _STEPS.value),
    },
    "heartbeat": {
        PEER: heartbeat_in_torch,
        "ecgjax": lambda: trained_here(*loaded(heartbeat, ",model=beat_cnn"), _STEPS.value),
    },
}


def serve(connection: Connection, argv: list[str], name: str) -> None:
    """Trains a block whenever asked, and answers seconds for one record: on the clock, and of all cores together."""
    flags.FLAGS(argv)
    one = CONTESTANTS[_TASK.value][name]()
    connection.send(one.batch_size)
    for round_ in range(_BLOCKS.value + 1):
        connection.recv()
        wall, cpu = time.perf_counter(), time.process_time()
        one.train(range(round_ * one.steps, (round_ + 1) * one.steps))
        seconds = np.array([time.perf_counter() - wall, time.process_time() - cpu])
        connection.send(seconds / (one.steps * one.batch_size))


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds for one record in each block."""

    batch_size: int
    wall_s: np.ndarray
    cpu_s: np.ndarray


def timed(names: list[str]) -> dict[str, Times]:
    context = multiprocessing.get_context("spawn")
    ends, batch_sizes = {}, {}
    for name in names:
        ends[name], theirs = context.Pipe()
        context.Process(target=serve, args=(theirs, sys.argv, name), daemon=True).start()
        theirs.close()
        batch_sizes[name] = ends[name].recv()
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for _ in range(_BLOCKS.value + 1):
        for name, end in ends.items():
            end.send(None)
            seconds[name].append(end.recv())
    # The first round compiles and warms up.
    return {name: Times(batch_sizes[name], *np.array(blocks[1:]).T) for name, blocks in seconds.items()}


def check() -> Split:
    """The training split; raises AssertionError unless the networks to compare agree."""
    if _TASK.value == "lead_id":
        config, train = loaded_published()
        check_lead_id(config, train.ecg[:8].astype(np.float32) / train.gain)
    elif _TASK.value == "heartbeat":
        config, train = loaded(heartbeat, ",model=beat_cnn")
        check_heartbeat(config, train)
    else:
        config, train = loaded(reversal)
        window = BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict())
        check_reversal(config, window, train.ecg[:32].astype(np.float32) / train.gain)
    return train


def spread(values: np.ndarray, digits: int) -> str:
    """Median and 5th to 95th percentile."""
    low, middle, high = np.percentile(values, (5, 50, 95))
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def main() -> None:
    num_records = len(check().record_ids)
    times = timed(list(CONTESTANTS[_TASK.value]))
    for name, taken in times.items():
        milliseconds = 1e3 * taken.batch_size * np.median(taken.wall_s)
        print(
            f"{name}: {spread(1 / taken.wall_s, 0)} records/s, {milliseconds:.1f} ms/step, an epoch of "
            f"{num_records} records {spread(num_records * taken.wall_s, 1)} s, "
            f"{spread(num_records * taken.cpu_s, 1)} s of CPU"
        )
    versions = f"jax {jax.__version__}, torch {torch.__version__}, {'compiled' if _COMPILE.value else 'eager'}"
    peer = times[PEER]
    ratios = {name: peer.wall_s / taken.wall_s for name, taken in times.items() if name != PEER}
    for name, ratio in ratios.items():
        cpu = spread(peer.cpu_s / times[name].cpu_s, 2)
        print(f"{name} is {spread(ratio, 2)} times as fast as {PEER}, in CPU time {cpu}")
    print(f"{_BLOCKS.value} blocks of each, medians with 5th and 95th percentile; {versions}")
    if _OUTPUT.value:
        figures = {
            "task": _TASK.value,
            "num_records": num_records,
            "records_per_s": {name: (1 / taken.wall_s).tolist() for name, taken in times.items()},
            "records_per_cpu_s": {name: (1 / taken.cpu_s).tolist() for name, taken in times.items()},
            "ratio": {name: ratio.tolist() for name, ratio in ratios.items()},
            "versions": versions,
        }
        Path(_OUTPUT.value).write_text(json.dumps(figures))


if __name__ == "__main__":
    cli.run(main)
