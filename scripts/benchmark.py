"""Records a second of every task and network, and what changes them.

    python scripts/benchmark.py [--preset=quick|full] [--output=DIR]
    python scripts/benchmark.py --tasks=reversal,diagnosis --axes=batch_sizes,dtypes --batch_sizes=64,256
    python scripts/benchmark.py --tasks=diagnosis --models=xresnet1d --axes=networks

Trains and infers with each network as its config has it, and varies batch size, type, devices, steps in a call,
sharding, input and random changes one at a time: --axes says which, and the flags of their names with which values.
Every case runs in a process of its own; those that are compared are timed in turn, block by block, without compilation
and warm-up. Records are made in memory, so that nothing has to be prepared; only streamed ones lie on disk. `quick`,
the default, takes minutes on a processor; `full`, for a night on a graphics card, varies batch size and type of every
network and everything else of each task's default one. Peak rates of products and copies are measured before and after.

Writes benchmark.md, and benchmark.json with the time of every block, to --output, by default runs/benchmark; the same
command goes on where it was stopped. Exit status 2 and one line for bad input.
"""

import dataclasses
import datetime
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags

from ecgjax import cli
from ecgjax.benchmark import rounds
from ecgjax.benchmark.cases import AXES, EVERY_NETWORK, INPUTS, NETWORKS, Group, networks_of, varied
from ecgjax.benchmark.machine import Machine, load_average
from ecgjax.benchmark.tables import Row, figures, to_markdown
from ecgjax.benchmark.worker import Settings
from ecgjax.errors import InputError
from ecgjax.models import DTYPES
from ecgjax.parallel import SHARDINGS
from ecgjax.runlog import write_json

_JSON, _TABLES = "benchmark.json", "benchmark.md"
_SWITCH = {"on": True, "off": False}


@dataclasses.dataclass(frozen=True)
class Preset:
    """What is measured unless flags say otherwise.

    Attributes:
      default_only: tasks of which the default network is measured alone, since another task has the same others.
      varied_tasks: whose default network is varied.
      of_every_network: axes that are varied for every other network of these tasks, too.
      values: of each axis, the first being what the others are compared with.
      blocks, block_s, case_s: see `Settings`.
    """

    default_only: tuple[str, ...]
    varied_tasks: tuple[str, ...]
    of_every_network: tuple[str, ...]
    values: Mapping[str, tuple[Any, ...]]
    blocks: int
    block_s: float
    case_s: float


_EVERYWHERE = {
    "dtypes": tuple(DTYPES),
    "shardings": SHARDINGS,
    "inputs": INPUTS,
    "augmentations": (True, False),
}
PRESETS = {
    "quick": Preset(
        default_only=("age",),
        varied_tasks=("reversal", "diagnosis"),
        of_every_network=(),
        values={
            "batch_sizes": (128, 32, 512),
            "num_devices": (1, 2),
            "steps_per_dispatch": (1, 4),
            **_EVERYWHERE,
        },
        blocks=5,
        block_s=0.25,
        case_s=10.0,
    ),
    "full": Preset(
        default_only=(),
        varied_tasks=tuple(NETWORKS),
        of_every_network=("batch_sizes", "dtypes"),
        values={
            "batch_sizes": (64, 256, 1024, 4096),
            "num_devices": (1, 2, 4, 8),
            "steps_per_dispatch": (1, 4, 16, 64),
            **_EVERYWHERE,
        },
        blocks=15,
        block_s=1.0,
        case_s=120.0,
    ),
}


def plan(preset: Preset, given: Any, num_devices: int) -> list[Group]:
    """The groups that the flags `given` ask for; of devices the preset takes those that are there.

    Raises:
      InputError: a flag names something unknown.
    """
    tasks = _chosen("tasks", given.tasks, tuple(NETWORKS))
    known = tuple(dict.fromkeys(model for task in tasks for model in NETWORKS[task]))
    models = _chosen("models", given.models, known)
    axes = _chosen("axes", given.axes, (EVERY_NETWORK, *AXES))
    # Models that are named are measured whatever the preset leaves out.
    of = {task: tuple(model for model in NETWORKS[task] if model in models) for task in tasks}
    default = of if given.models else {task: of[task][:1] for task in tasks}
    groups = []
    for task in tasks if EVERY_NETWORK in axes else ():
        groups.append(networks_of(task, default[task] if task in preset.default_only else of[task]))
    for axis in AXES:
        values = _values(axis, given) or _preset_values(preset, axis, num_devices)
        for task in tasks if axis in axes else ():
            if given.tasks or task in preset.varied_tasks:
                chosen = of[task] if axis in preset.of_every_network else default[task]
                groups += [varied(task, model, axis, values) for model in chosen]
    return [group for group in groups if group.cases]


def _preset_values(preset: Preset, axis: str, num_devices: int) -> tuple[Any, ...]:
    if axis != "num_devices":
        return preset.values[axis]
    there = tuple(value for value in preset.values[axis] if value <= num_devices)
    # One alone is compared with nothing.
    return there if len(there) > 1 else ()


def _chosen(flag: str, given: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `known` that were given, all for none."""
    for name in given:
        if name not in known:
            raise InputError(f"unknown --{flag} {name!r}", f"use {', '.join(known)}")
    return tuple(name for name in known if name in given) if given else known


def _values(axis: str, given: Any) -> tuple[Any, ...]:
    """What the flag of an axis gives, as its field takes it."""
    texts = getattr(given, axis)
    choices = {"dtypes": tuple(DTYPES), "shardings": SHARDINGS, "inputs": INPUTS, "augmentations": tuple(_SWITCH)}
    if axis in choices:
        for text in texts:
            _chosen(axis, [text], choices[axis])
        return tuple(_SWITCH.get(text, text) for text in texts)
    if not all(text.isascii() and text.isdigit() and int(text) > 0 for text in texts):
        raise InputError(f"--{axis} is {','.join(texts)}", "give whole numbers above 0")
    return tuple(int(text) for text in texts)


class Results:
    """The rows in the folder of a run, on disk as soon as they are there.

    Raises:
      InputError: the folder holds what was measured elsewhere or in another way, or cannot be written to.
    """

    def __init__(self, folder: Path, machine: Machine, settings: Settings):
        self._folder, self.machine, self._settings = folder, machine, settings
        self._rows: list[Row] = []
        if (folder / _JSON).exists():
            there = read(folder / _JSON)
            for name in ("hardware", "versions", "git"):
                _check_same(folder, name, there["machine"][name], getattr(machine, name))
            _check_same(folder, "settings", there["settings"], dataclasses.asdict(settings))
            self._rows = [Row.from_json(case) for case in there["cases"]]
            self.see(Machine(**there["machine"]))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.write()
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}", "give another --output") from error

    def has(self, group: Group) -> bool:
        """Whether its cases were measured already."""
        return any(row.group == group.name for row in self._rows)

    def add(self, group: Group) -> None:
        """Measures a group and writes down what came of it."""
        found = rounds.measure(group, self._settings)
        date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._rows += [Row(group.table, group.name, date, load_average(), one) for one in found]
        self.write()

    def see(self, machine: Machine) -> None:
        """Keeps the highest rates of the machine: lower ones were disturbed."""
        self.machine = self.machine.at_best(machine)

    def write(self) -> str:
        """Writes benchmark.json and benchmark.md, and returns the latter."""
        text = to_markdown(self.machine, self._settings, self._rows)
        content = {
            "machine": dataclasses.asdict(self.machine),
            "settings": dataclasses.asdict(self._settings),
            "cases": [{**row.to_json(), "figures": figures(row, self.machine)} for row in self._rows],
        }
        write_json(self._folder / _JSON, content)
        (self._folder / _TABLES).write_text(text, encoding="utf-8")
        return text


def read(path: Path) -> dict[str, Any]:
    """A benchmark.json."""
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", "give another --output") from error


def _check_same(folder: Path, name: str, there: Any, here: Any) -> None:
    if there != here:
        raise InputError(f"{folder} holds figures of another {name}, {there}", "give another --output")


def main() -> None:
    """Measures what the command line asks for."""
    given = flags.FLAGS
    preset = PRESETS[given.preset]
    plan(preset, given, num_devices=1)  # refuses what is unknown before anything is measured
    settings = Settings(
        num_records=given.num_records,
        data_dir=given.data_dir,
        block_s=given.block_s or preset.block_s,
        blocks=given.blocks or preset.blocks,
        case_s=given.case_s or preset.case_s,
    )
    machine = rounds.measure_machine()
    results = Results(Path(given.output), machine, settings)
    num_devices = (os.cpu_count() or 1) if machine.backend == "cpu" else machine.num_devices
    groups = plan(preset, given, num_devices)
    for number, group in enumerate(groups, 1):
        print(f"{number} of {len(groups)}: {group.name}", file=sys.stderr, flush=True)
        if not results.has(group):
            results.add(group)
    results.see(rounds.measure_machine())
    print(results.write())


if __name__ == "__main__":
    flags.DEFINE_enum("preset", "quick", list(PRESETS), "what is measured, and for how long")
    flags.DEFINE_list("tasks", [], f"of {', '.join(NETWORKS)}; all by default")
    flags.DEFINE_list("models", [], "networks of these tasks, as their configs take them for model=; all by default")
    flags.DEFINE_list("axes", [], f"of {', '.join([EVERY_NETWORK, *AXES])}; all by default")
    for name in AXES:
        flags.DEFINE_list(name, [], f"values of {AXES[name]}; those of the preset by default")
    flags.DEFINE_integer("num_records", 1024, "records that are made in memory", lower_bound=1)
    flags.DEFINE_integer("blocks", None, "timed blocks of a case; those of the preset by default", lower_bound=1)
    flags.DEFINE_float("block_s", None, "seconds that a block takes; those of the preset by default", lower_bound=1e-3)
    flags.DEFINE_float("case_s", None, "seconds of blocks after which a case gets no more", lower_bound=0.0)
    flags.DEFINE_string("data_dir", "", "where prepared datasets lie, for --axes=inputs; TFDS's own default otherwise")
    flags.DEFINE_string("output", "runs/benchmark", "folder to write to")
    cli.run(main)
