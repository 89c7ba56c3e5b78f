"""What was measured, as JSON and as tables in Markdown."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ecgjax.analysis.markdown import table
from ecgjax.benchmark.cases import AXES, EVERY_NETWORK, Case
from ecgjax.benchmark.machine import Machine
from ecgjax.benchmark.rounds import Measured
from ecgjax.benchmark.timing import Block, Spread, is_far, records_per_s, speed_up, step_s
from ecgjax.benchmark.worker import Facts, Settings

_MEGABYTE = 2**20
_HEADINGS = {
    EVERY_NETWORK: "Every task and network",
    "batch_sizes": "Records in a step",
    "dtypes": "Type of the network's arithmetic",
    "num_devices": "Devices that share a batch",
    "steps_per_dispatch": "Steps in one compiled call",
    "shardings": "pmap and shard_map",
    "inputs": "Records on the device, or streamed from files",
    "augmentations": "Random changes of training records",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A case as a file keeps it: one line of JSON.

    Attributes:
      table: which one it belongs to.
      group: the same for all cases that were measured in turn.
      date: when it was finished.
      load: average of processes that wanted a core in its last minute.
    """

    table: str
    group: str
    date: str
    load: float
    measured: Measured

    def to_json(self) -> dict[str, Any]:
        """All of it, times of every block included."""
        one = self.measured
        return {
            "table": self.table,
            "group": self.group,
            "date": self.date,
            "load": self.load,
            "case": dataclasses.asdict(one.case),
            "error": one.error,
            "facts": {name: dataclasses.asdict(facts) for name, facts in one.facts.items()},
            "blocks": {name: [dataclasses.asdict(block) for block in blocks] for name, blocks in one.blocks.items()},
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Row":
        """What `to_json` gave."""
        one = Measured(Case(**content["case"]))
        one.error = content["error"]
        one.facts = {name: Facts(**facts) for name, facts in content["facts"].items()}
        one.blocks = {name: [Block(**block) for block in blocks] for name, blocks in content["blocks"].items()}
        return cls(content["table"], content["group"], content["date"], content["load"], one)


def figures(row: Row, machine: Machine) -> dict[str, dict[str, Any]]:
    """Of each kind of step that was timed: rates, memory, and shares of what the machine can do.

    The roofline is the time that FLOPs take at the rate of products, or bytes at that of copies, whichever is longer
    (Williams et al., CACM 2009, 52(4):65-76).
    """
    found = {}
    for kind, blocks in row.measured.blocks.items():
        if not blocks:
            continue
        facts, case, seconds = row.measured.facts[kind], row.measured.case, step_s(blocks)
        # Devices that are threads of one processor share what it can do.
        together = 1 if machine.backend == "cpu" else case.num_devices
        of_products = facts.flops / (together * machine.flops_per_s[case.dtype])
        of_copies = facts.bytes / (together * machine.bytes_per_s)
        found[kind] = {
            "records_per_s": dataclasses.asdict(records_per_s(blocks)),
            "step_s": dataclasses.asdict(seconds),
            "compile_s": max(facts.first_s - seconds.median, 0.0),
            "share_of_products": of_products / seconds.median,
            "share_of_copies": of_copies / seconds.median,
            "share_of_roofline": max(of_products, of_copies) / seconds.median,
            "blocks": len(blocks),
            "blocks_with_pauses": int(np.sum(is_far(blocks))),
            **dataclasses.asdict(facts),
        }
    return found


def to_markdown(machine: Machine, settings: Settings, rows: Sequence[Row]) -> str:
    """What it was measured on and with, and a table for each question."""
    loads = [row.load for row in rows]
    peaks = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {name}" for name, rate in machine.flops_per_s.items())
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    parts = [
        "# Throughput",
        f"{machine.hardware}; {versions}; commit {machine.git}. One device multiplies matrices at {peaks}"
        f"{' (float32 as TF32)' if machine.uses_tf32 else ''} and copies {machine.bytes_per_s / 1e9:,.1f} GB/s, read "
        f"and written together. {settings.num_records} records in memory, blocks of about {settings.block_s:g} s, "
        f"load average {min(loads, default=math.nan):.1f} to {max(loads, default=math.nan):.1f}; "
        f"{max((row.date for row in rows), default='nothing measured')}.",
        "Rates and times are medians, with 5th and 95th percentile over blocks; blocks with pauses are left out. "
        "Shares are those of the rate of products, by the step's FLOPs and type, and of the rate of copies, by its "
        "bytes; the larger is its share of the roofline. Bytes are what every operation reads and writes: where caches "
        "serve them, more than 100 % is possible. Memory is what XLA plans for, on a graphics card the peak; behind "
        "the stroke, the peak of the process, compiler and libraries included.",
    ]
    for name in (EVERY_NETWORK, *AXES):
        of_table = [row for row in rows if row.table == name and row.measured.is_timed]
        if of_table:
            body = _networks(of_table, machine) if name == EVERY_NETWORK else _axis(of_table, machine)
            parts += [f"## {_HEADINGS[name]}", body]
    failed = [f"- {_named(row)}: {row.measured.error}" for row in rows if row.measured.error]
    return "\n\n".join([*parts, *(["## Failed", "\n".join(failed)] if failed else [])]) + "\n"


def _networks(rows: Iterable[Row], machine: Machine) -> str:
    header = [
        *("task", "network", "parameters", "training records/s", "batch", "step (ms)", "compile (s)", "memory (MB)"),
        *("GFLOP", "of products / copies (%)", "inference records/s", "batch"),
    ]
    body = []
    for row in rows:
        found = figures(row, machine)
        case, trained, inferred = row.measured.case, found["training"], found["inference"]
        body.append(
            [
                *(case.task, case.model, f"{trained['num_parameters']:,}", _rate(trained), trained["batch_size"]),
                *(_milliseconds(trained), f"{trained['compile_s']:.1f}", _memory(trained)),
                *(f"{trained['flops'] / 1e9:.2f}", _shares(trained), _rate(inferred), inferred["batch_size"]),
            ]
        )
    return table(header, body)


def _axis(rows: Sequence[Row], machine: Machine) -> str:
    field = AXES[rows[0].table]
    header = ["task", "network", field, "training records/s", "step (ms)", "to the first", "compile (s)", "memory (MB)"]
    infers = any("inference" in row.measured.facts for row in rows)
    header += ["of products / copies (%)", *(["inference records/s", "to the first"] if infers else [])]
    body = []
    for row in rows:
        found = figures(row, machine)
        first = next(other.measured for other in rows if other.group == row.group)
        trained = found["training"]
        case = row.measured.case
        cells = [case.task, case.model, _value(getattr(case, field)), _rate(trained)]
        cells += [_milliseconds(trained), _ratio(row.measured, first, "training"), f"{trained['compile_s']:.1f}"]
        cells += [_memory(trained), _shares(trained)]
        if infers:
            cells += [_rate(found["inference"]), _ratio(row.measured, first, "inference")]
        body.append(cells)
    return table(header, body)


def _value(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _named(row: Row) -> str:
    case = row.measured.case
    value = "" if row.table == EVERY_NETWORK else f", {AXES[row.table]} {getattr(case, AXES[row.table])}"
    return f"{case.task} {case.model}{value}"


def _ratio(one: Measured, first: Measured, kind: str) -> str:
    if one is first or not first.blocks.get(kind):
        return "1" if one is first else "-"
    blocks, others = one.blocks[kind], first.blocks[kind]
    rounds = min(len(blocks), len(others))
    return _spread(speed_up(blocks[:rounds], others[:rounds]), 2)


def _rate(found: dict[str, Any]) -> str:
    return _spread(Spread(**found["records_per_s"]), 0)


def _milliseconds(found: dict[str, Any]) -> str:
    milliseconds = 1e3 * Spread(**found["step_s"]).median
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def _memory(found: dict[str, Any]) -> str:
    own = found["device_peak_bytes"] or found["memory_bytes"]
    return f"{own / _MEGABYTE:.0f} / {found['process_peak_bytes'] / _MEGABYTE:.0f}"


def _shares(found: dict[str, Any]) -> str:
    return f"{100 * found['share_of_products']:.0f} / {100 * found['share_of_copies']:.0f}"


def _spread(spread: Spread, digits: int) -> str:
    return f"{spread.median:,.{digits}f} [{spread.low:,.{digits}f}, {spread.high:,.{digits}f}]"
