"""Where the time of a training step goes: the whole step, without random changes, and its parts alone.

    python scripts/profile_step.py --config=configs/TASK.py[:ARGS] [--config.FIELD=VALUE ...] [--rounds=N]
        [--trace=DIR]

Everything is compiled and run in turn, so that a machine whose speed drifts slows all alike. Prints a Markdown table:
milliseconds on the clock and of all cores together, medians, and of the whole step's time. The share of random changes
is that of the step, less the same step with all their options at 0. Parts are each a call of their own, which costs
what `dispatch` shows; XLA may fuse what crosses their borders, so that they need not add up. --trace writes a trace of
a few whole steps, for Perfetto or TensorBoard.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from ecgjax import cli, main
from ecgjax.analysis.markdown import table
from ecgjax.benchmark.cases import without_random_changes
from ecgjax.benchmark.steps import TrainingRun
from ecgjax.data.resident import Resident, random_crop
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.experiment import Experiment, build, check, load
from ecgjax.state import TrainState
from ecgjax.tasks.task import Record

_ROUNDS = flags.DEFINE_integer("rounds", 20, "times that each part is run", lower_bound=3)
_TRACE = flags.DEFINE_string("trace", "", "folder for a trace of a few steps")

WHOLE, UNCHANGED = "whole step", "without random changes"
_WARM_UP = 2
_TRACED_STEPS = 5

Run = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of the step of one experiment, as functions `(state, data, batch)` for `Parallel.compile`."""

    experiment: Experiment

    def cropped(self, state: TrainState, data: Resident, batch: dict) -> Record:
        """Records gathered and cropped."""
        return self._mapped(lambda key, record: record, state, data, batch)

    def viewed(self, state: TrainState, data: Resident, batch: dict) -> Record:
        """The same, as the network sees them in training."""
        return self._mapped(self.experiment.task.training_view, state, data, batch)

    def _mapped(self, view: Callable, state: TrainState, data: Resident, batch: dict) -> Record:
        index = batch["index"][0]

        def one(key: jax.Array, index: jax.Array) -> Record:
            crop_key, view_key = jax.random.split(key)
            return view(view_key, random_crop(data, index, crop_key, self.experiment.crop_samples))

        return jax.vmap(one)(jax.random.split(jax.random.key(state.step), len(index)), index)

    def loss(self, state: TrainState, shown: Record, batch: dict) -> jax.Array:
        """Forwards alone."""
        return self._loss(state.variables["params"], state, shown)

    def gradient(self, state: TrainState, shown: Record, batch: dict) -> Any:
        """Forwards and backwards."""
        return jax.value_and_grad(self._loss)(state.variables["params"], state, shown)

    def _loss(self, params: Any, state: TrainState, shown: Record) -> jax.Array:
        outputs, _ = self.experiment.module.apply(
            state.variables | {"params": params},
            shown["signal_mv"],
            is_training=True,
            mutable=[name for name in state.variables if name != "params"],
            rngs={"dropout": jax.random.key(state.step)},
        )
        return jnp.mean(self.experiment.task.loss(outputs, shown).astype(jnp.float32))

    def optimised(self, state: TrainState, gradients: Any, batch: dict) -> Any:
        """Clipping and the optimiser."""
        params = state.variables["params"]
        updates, optimizer = self.experiment.optimizer.update(gradients, state.optimizer, params)
        return optax.apply_updates(params, updates), optimizer

    def averaged(self, state: TrainState, gradients: Any, batch: dict) -> Any:
        """The moving average of the weights."""
        decay = self.experiment.config.ema_decay
        return jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), state.average, state.variables)


def parts_of(experiment: Experiment, unchanged: Experiment, split: Split) -> dict[str, Run]:
    """Name -> a call of each part."""
    parallel = experiment.parallel
    parts = Parts(experiment)
    state, data = parallel.replicate(experiment.initial_state()), experiment.resident(split)
    index = np.arange(experiment.config.batch_size) % len(split)
    batch = parallel.shard({"index": index[None].astype(np.int32)})

    def called(function: Callable, data: Any) -> Run:
        compiled = parallel.compile(function, donate=False)
        return lambda: compiled(state, data, batch)

    shown = called(parts.viewed, data)()
    return {
        "gather and crop": called(parts.cropped, data),
        "... and view, unchanged": called(Parts(unchanged).viewed, data),
        "... and view": called(parts.viewed, data),
        "forwards": called(parts.loss, shown),
        "forwards and backwards": called(parts.gradient, shown),
        "optimiser": called(parts.optimised, state.variables["params"]),
        "moving average": called(parts.averaged, data),
        "dispatch": called(lambda state, data, batch: state.step + 1, data),
    }


def timed(runs: dict[str, Run], rounds: int) -> dict[str, np.ndarray]:
    """Name -> milliseconds `[round, 2]`, on the clock and of all cores, of each, in turn."""
    taken: dict[str, list] = {name: [] for name in runs}
    for _ in range(rounds + _WARM_UP):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(run())
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: 1e3 * np.array(times[_WARM_UP:]) for name, times in taken.items()}


def report(taken: dict[str, np.ndarray]) -> str:
    """The table, and the share of random changes below it, with 5th and 95th percentile."""
    medians = {name: np.median(times, axis=0) for name, times in taken.items()}
    rows = [
        [name, f"{wall:.2f}", f"{cpu:.2f}", f"{100 * wall / medians[WHOLE][0]:.1f}"]
        for name, (wall, cpu) in medians.items()
    ]
    shares = 100 * (1 - taken[UNCHANGED] / taken[WHOLE])
    told = []
    for share, of in zip(shares.T, ("the time on the clock", "that of all cores"), strict=True):
        low, middle, high = np.percentile(share, (5, 50, 95))
        told.append(f"{middle:.1f} % [{low:.1f}, {high:.1f}] of {of}")
    header = ["part", "ms", "ms of all cores", "% of the step"]
    return f"{table(header, rows)}\nrandom changes: {', '.join(told)}"


def profile() -> None:
    """Prints the table for the config of the command line."""
    config = flags.FLAGS.config
    check(config)
    if config.steps_per_dispatch > 1:
        raise InputError(f"steps_per_dispatch is {config.steps_per_dispatch}", "set it to 1: single steps are timed")
    split = load(config, "train")
    experiment, unchanged = build(config, split), build(without_random_changes(config), split)
    runs = {WHOLE: TrainingRun(experiment, split).call, UNCHANGED: TrainingRun(unchanged, split).call}
    taken = timed(runs | parts_of(experiment, unchanged, split), _ROUNDS.value)
    print(report(taken))
    device = jax.devices()[0].device_kind
    print(f"{config.task}, {config.model.name}, {config.batch_size} records a step, {jax.device_count()} x {device}")
    if _TRACE.value:
        with jax.profiler.trace(_TRACE.value):
            for _ in range(_TRACED_STEPS):
                jax.block_until_ready(runs[WHOLE]())


if __name__ == "__main__":
    cli.run(profile, main.explain)
