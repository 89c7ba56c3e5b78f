"""Training throughput of the reversal task beside the same step in PyTorch, in one run.

    pip install -e ".[peers]" && python scripts/benchmark_peers.py

Both hold the same records in memory, draw the same crops' lengths, batches and augmentations and update the same
weights; their outputs on shared weights are compared first. Blocks of steps are timed in turn, so that a machine whose
speed drifts slows both. Prints a line for each and the ratio of their medians; --output writes JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

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

from configs.reversal import get_config
from ecgjax import cli, experiment, models
from ecgjax.beats import BeatWindow, average_beat
from ecgjax.data.resident import BatchOrder
from scripts import torch_peer

_DATA_DIR = flags.DEFINE_string("data_dir", "", "where the prepared dataset lies; TFDS's own default otherwise")
_DATASET = flags.DEFINE_string("dataset", "simulated", "which dataset to train on")
_BLOCKS = flags.DEFINE_integer("blocks", 15, "timed blocks of each", lower_bound=3)
_STEPS = flags.DEFINE_integer("steps", 20, "steps in a block", lower_bound=1)
_COMPILE = flags.DEFINE_bool("compile", False, "torch.compile the peer's loss")
_OUTPUT = flags.DEFINE_string("output", "", "JSON file for the figures")


def check_outputs(config: ConfigDict, window: BeatWindow, ecg_mv: np.ndarray) -> None:
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


def main() -> None:
    config = get_config(_DATASET.value)
    config.data.dir = _DATA_DIR.value
    train = experiment.load(config, "train")
    window = BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict())
    check_outputs(config, window, train.ecg[:32].astype(np.float32) / train.gain)

    ours = experiment.build(config, train)
    data, step = ours.resident(train), ours.parallel.compile(ours.train_step(), donate=True)
    state = ours.parallel.replicate(ours.initial_state())
    order = BatchOrder(len(train.record_ids), config.batch_size, config.seed)

    def jax_block(first: int) -> None:
        nonlocal state
        for i in range(first, first + _STEPS.value):
            state, _ = step(state, data, ours.parallel.shard({"index": order.indices(i, 1)}))
        jax.block_until_ready(state)

    trainer = torch_peer.Trainer(train.ecg, train.gain, config, window, _COMPILE.value)

    def torch_block(first: int) -> None:
        for i in range(first, first + _STEPS.value):
            trainer.step(order.indices(i, 1)[0])

    blocks: dict[str, Callable[[int], None]] = {"ecgjax": jax_block, "torch": torch_block}
    seconds: dict[str, list[float]] = {name: [] for name in blocks}
    for round_ in range(_BLOCKS.value + 1):
        for name, block in blocks.items():
            start = time.perf_counter()
            block(round_ * _STEPS.value)
            # The first round compiles and warms up.
            if round_:
                seconds[name].append(time.perf_counter() - start)
    rates = {name: _STEPS.value * config.batch_size / np.array(s) for name, s in seconds.items()}
    ratio = rates["ecgjax"] / rates["torch"]
    for name, rate in rates.items():
        low, middle, high = np.percentile(rate, (5, 50, 95))
        print(
            f"{name:8} {middle:7.0f} records/s  [{low:.0f}, {high:.0f}]  {1e3 * config.batch_size / middle:.1f} ms/step"
        )
    low, middle, high = np.percentile(ratio, (5, 50, 95))
    versions = f"jax {jax.__version__}, torch {torch.__version__}, {'compiled' if _COMPILE.value else 'eager'}"
    print(f"ratio    {middle:.2f}  [{low:.2f}, {high:.2f}] over {_BLOCKS.value} pairs of blocks; {versions}")
    if _OUTPUT.value:
        figures = {"records_per_s": {n: list(r) for n, r in rates.items()}, "ratio": list(ratio), "versions": versions}
        Path(_OUTPUT.value).write_text(json.dumps(figures))


if __name__ == "__main__":
    cli.run(main)
