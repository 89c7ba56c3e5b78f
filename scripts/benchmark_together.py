"""Several seeds trained together beside as many runs of their own.

    python scripts/benchmark_together.py --config=configs/reversal.py [--config.FIELD=VALUE ...] [--num_runs=8]
    python scripts/benchmark_together.py --config=configs/reversal.py:steps=200 --commands

Steps: one run's own step, the runs in turn with one compiled step, and the step mapped over them, in blocks timed in
turn, compilation left out. With --commands whole commands instead, start, compilation and report included: one
`ecgjax.main` after the other, and `sweep.py --together`, each with an empty folder for compiled steps. CPU seconds are
told, too, since other programs disturb them less. --output writes JSON.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from ecgjax import cli, experiment, main, together
from ecgjax.analysis.markdown import table
from ecgjax.benchmark.steps import TrainingRun
from ecgjax.data.resident import BatchOrder
from ecgjax.runlog import hardware, write_json

_NUM_RUNS = flags.DEFINE_integer("num_runs", 8, "seeds", lower_bound=2)
_BLOCKS = flags.DEFINE_integer("blocks", 10, "timed blocks of each", lower_bound=3)
_STEPS = flags.DEFINE_integer("steps", 5, "steps of every run in a block", lower_bound=1)
_COMMANDS = flags.DEFINE_bool("commands", False, "time whole commands")
_OUTPUT = flags.DEFINE_string("output", "", "JSON file for the figures")

_SOLO = "runs of their own"


def contestants(config: ConfigDict, num_runs: int) -> dict[str, Callable[[int, int], None]]:
    """Name -> what trains `num_runs` runs from one step to another and waits for the devices."""
    train = experiment.load(config, "train")
    configs = []
    for seed in range(num_runs):
        own = config.copy_and_resolve_references()
        own.seed = seed
        configs.append(own)
    built = [experiment.build(own, train) for own in configs]
    first, parallel = built[0], built[0].parallel
    for other in built[1:]:
        other.share_compiled(first)
    weights = first.task.sampling_weights(train)
    orders = [BatchOrder(len(train), config.batch_size, own.seed, weights) for own in configs]
    data = first.resident(train)
    alone = TrainingRun(first, train)

    def side_by_side(way: type[together.SideBySide]) -> Callable[[int, int], None]:
        states = way(built, {n: parallel.replicate(run.initial_state()) for n, run in enumerate(built)}, data)

        def block(begin: int, end: int) -> None:
            for number in range(begin, end):
                states.step({n: order.indices(number, 1) for n, order in enumerate(orders)})
            jax.block_until_ready([states.of(n) for n in range(num_runs)])

        return block

    return {
        _SOLO: lambda begin, end: alone.train((end - begin) * num_runs),
        "in turn": side_by_side(together.InTurn),
        "mapped": side_by_side(together.Mapped),
    }


def time_steps(config: ConfigDict) -> dict[str, dict[str, Any]]:
    """Seconds of every block of each contestant."""
    named = contestants(config, _NUM_RUNS.value)
    times: dict[str, dict[str, Any]] = {}
    for name, block in named.items():
        began = time.perf_counter()
        block(0, 1)
        times[name] = {"first_step_s": time.perf_counter() - began, "wall_s": [], "cpu_s": []}
    for number in range(_BLOCKS.value):
        for name, block in named.items():
            wall, cpu = time.perf_counter(), time.process_time()
            block(1 + number * _STEPS.value, 1 + (number + 1) * _STEPS.value)
            times[name]["wall_s"].append(time.perf_counter() - wall)
            times[name]["cpu_s"].append(time.process_time() - cpu)
    return times


def time_commands(folder: Path) -> dict[str, dict[str, Any]]:
    """Seconds of whole commands."""
    given = [argument for argument in sys.argv[1:] if argument.startswith(("--config=", "--config."))]
    root = Path(__file__).resolve().parent.parent
    seeds = range(_NUM_RUNS.value)
    alone = [["-m", "ecgjax.main", *given, f"--config.seed={seed}", f"--workdir={folder / 'solo' / str(seed)}"]
             for seed in seeds]  # fmt: skip
    sweep = [str(root / "scripts" / "sweep.py"), *given, f"--vary=seed={','.join(map(str, seeds))}", "--together"]
    times = {}
    for name, commands in {_SOLO: alone, "together": [[*sweep, "--only=0", f"--workdir={folder / 'sweep'}"]]}.items():
        cache = f"--config.compilation_cache_dir={folder / name}"
        wall, cpu = time.perf_counter(), _children_cpu_s()
        for command in commands:
            subprocess.run([sys.executable, *command, cache], cwd=root, check=True, stdout=subprocess.DEVNULL)
        times[name] = {"wall_s": [time.perf_counter() - wall], "cpu_s": [_children_cpu_s() - cpu]}
    return times


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run() -> None:
    """Prints a table of what the flags ask for."""
    main.explain(sys.argv)
    config = flags.FLAGS.config
    if _COMMANDS.value:
        with tempfile.TemporaryDirectory() as folder:
            times, of_runs = time_commands(Path(folder)), 1.0
    else:
        times, of_runs = time_steps(config), 1000 / (_STEPS.value * _NUM_RUNS.value)
    rows = []
    for name, found in times.items():
        ratios = {kind: np.divide(times[_SOLO][kind], found[kind]) for kind in ("wall_s", "cpu_s")}
        low, middle, high = np.quantile(ratios["wall_s"], [0.25, 0.5, 0.75])
        milliseconds = [f"{of_runs * np.median(found[kind]):.1f}" for kind in ("wall_s", "cpu_s")]
        rows.append([name, *milliseconds, f"{middle:.2f} ({low:.2f}-{high:.2f})", f"{np.median(ratios['cpu_s']):.2f}"])
    unit = "s" if _COMMANDS.value else "ms a step of a run"
    print(f"{config.task}, {config.model.name}, {_NUM_RUNS.value} runs, {hardware()}")
    print(table(["way", unit, f"CPU {unit}", "speed", "of the CPU"], rows))
    if _OUTPUT.value:
        write_json(Path(_OUTPUT.value), {"hardware": hardware(), "num_runs": _NUM_RUNS.value, "times": times})


if __name__ == "__main__":
    cli.run(run, main.explain)
