"""How training scales: weakly and strongly on this machine, and by a model on 8, 64 and 512 GPUs.

    python scripts/scaling.py [--networks=TASK[:MODEL],...] [--measure] [--counts=1,2] [--rounds=5] [--steps=4]
        [--gpu_fixed_ms=2] [--gpu_tflops=10] [--gpu_step_ms=BATCH:MS,BATCH:MS] [--total_batch=8192]
        [--read_records_per_s=R] [--output=FILE]

Prints tables in Markdown, and writes them with everything they rest on to --output as JSON. What is exchanged in a step
and what it computes is counted from the program. --measure also times, in turn and on made records, processes that have
one core each, with as many records for each as one alone has (weak) and with as many in all (strong), and one process
whose devices share all cores. Speed of a GPU and of the interconnect are inputs of the model: give those of your own.
"""

import dataclasses
import json
import math
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Config files import what they share.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
from absl import flags

from ecgjax import cli, experiment
from ecgjax.analysis.markdown import table
from ecgjax.benchmark.cases import NETWORKS
from ecgjax.benchmark.cost import native_flops
from ecgjax.benchmark.made_records import made_split
from ecgjax.errors import InputError
from ecgjax.runlog import hardware, write_json
from ecgjax.scaling.model import Interconnect, Step
from ecgjax.scaling.rounds import exchanged_bytes, step_arguments
from ecgjax.scaling.worker import NUM_RECORDS, task_config

GPUS = (1, 8, 64, 512)
ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to share the work on this machine.

    Attributes:
      name: what tables call it.
      batch_size: records of a step, over all processes and devices.
      num_processes, num_devices: processes, and forced devices of each.
      is_pinned: every process has one core, rather than all of them.
    """

    name: str
    batch_size: int
    num_processes: int
    num_devices: int
    is_pinned: bool


def ways(batch_size: int, counts: Sequence[int]) -> list[Way]:
    """Weak and strong scaling over processes with a core each, and the same batch cut between forced devices.

    The first with a core for each process, and the first without, are what the others are compared with.
    """
    return [
        *(Way("weak", batch_size * count, count, 1, True) for count in counts),
        *(Way("strong", batch_size, count, 1, True) for count in counts[1:]),
        *(Way("devices", batch_size, 1, count, False) for count in counts),
    ]


class Group:
    """The processes of one way, which are told when to go on."""

    def __init__(self, network: str, way: Way, num_steps: int):
        cores = sorted(os.sched_getaffinity(0))
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        shared = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
        if way.num_devices > 1:
            forced = f"--xla_force_host_platform_device_count={way.num_devices}"
            shared["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {forced}"
        if way.num_processes > 1:
            shared |= {"COORDINATOR_ADDRESS": f"localhost:{port}", "NUM_PROCESSES": str(way.num_processes)}
        self._processes = []
        for index in range(way.num_processes):
            own = cores[index : index + 1] if way.is_pinned else cores
            command = ["taskset", "--cpu-list", ",".join(map(str, own)), sys.executable, "-m", "ecgjax.scaling.worker"]
            process = subprocess.Popen(
                [*command, network, str(way.batch_size), str(num_steps)],
                env={**shared, "PROCESS_ID": str(index)} if way.num_processes > 1 else shared,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._processes.append(process)

    def wait(self) -> None:
        """Until all are ready."""
        for process in self._processes:
            _answer(process)

    def step_s(self) -> float:
        """Seconds of a step, those of the slowest process."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return max(_answer(process)["wall_s"] for process in self._processes)

    def close(self) -> None:
        """Lets the processes end."""
        # All are told before any is waited for, since the first to end waits for the others.
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _answer(process: subprocess.Popen) -> dict[str, float]:
    assert process.stdout is not None
    for line in process.stdout:
        # Libraries write there, too.
        if line.startswith("{"):
            return json.loads(line)
    raise InputError(f"a process of the measurement has ended with status {process.wait()}", "see what it said")


def measured(
    network: str, batch_size: int, counts: Sequence[int], num_rounds: int, num_steps: int
) -> list[dict[str, Any]]:
    """Step times of all ways, each with its records a second over those of the way that it is compared with."""
    kinds = ways(batch_size, counts)
    groups = []
    for way in kinds:
        groups.append(Group(network, way, num_steps))
        groups[-1].wait()
    # In turn, so that whatever else the machine does falls on all of them.
    times = [[group.step_s() for group in groups] for _ in range(num_rounds)]
    for group in groups:
        group.close()
    found = []
    for place, way in enumerate(kinds):
        first = next(k for k, other in enumerate(kinds) if other.is_pinned == way.is_pinned)
        gains = [way.batch_size / kinds[first].batch_size * row[first] / row[place] for row in times]
        if way.is_pinned:
            gains = [gain / way.num_processes for gain in gains]
        found.append(
            {
                **dataclasses.asdict(way),
                "step_ms": 1e3 * statistics.median(row[place] for row in times),
                "efficiency": statistics.median(gains),
                "lowest": min(gains),
                "highest": max(gains),
            }
        )
    return found


def counted(network: str) -> dict[str, Any]:
    """What a training step of the shipped config computes and exchanges; loops count as one turn."""
    config = task_config(network, 0)
    split = made_split(config.data.name, NUM_RECORDS, config.data.seconds, config.preprocess.fs_hz)
    built = experiment.build(config, split)
    arguments = step_arguments(built, split)
    step: Any = built.parallel.compile(built.train_step(), donate=False)
    one_device = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), arguments[2])
    given = *arguments[:2], one_device
    flops = step.lower(*given).cost_analysis()["flops"] + native_flops(step, given)
    return {
        "num_parameters": built.num_parameters(),
        "batch_size": config.batch_size,
        "flops_per_record": flops / config.batch_size,
        "rounds": exchanged_bytes(built.train_step(), arguments),
    }


def fitted(points: Sequence[str]) -> tuple[float, float]:
    """Seconds of a step without records, and more for each, from BATCH:MS at two batches and more."""
    try:
        batches, times_ms = zip(*([float(part) for part in point.split(":", 1)] for point in points), strict=True)
        record_ms, fixed_ms = statistics.linear_regression(batches, times_ms)
    except (ValueError, statistics.StatisticsError) as error:
        raise InputError(f"--gpu_step_ms is {','.join(points)}", "give BATCH:MS of two batches or more") from error
    if record_ms <= 0:
        raise InputError("by --gpu_step_ms more records take no more time", "give larger batches")
    return 1e-3 * max(fixed_ms, 0.0), 1e-3 * record_ms


def modelled(facts: dict[str, Any], step: Step, total_batch: int, interconnect: Interconnect) -> list[dict[str, Any]]:
    """Records a second and efficiency for each number of GPUs.

    Weak is with the shipped batch on each; strong with `total_batch` records over all, against one GPU that has all.
    """
    batch = facts["batch_size"]
    rows = []
    for gpus in GPUS:
        part = total_batch / gpus
        rows.append(
            {
                "gpus": gpus,
                "exchange_ms": 1e3 * step.exchange_s(gpus, interconnect),
                "weak_records_per_s": step.records_per_s(batch, gpus, interconnect),
                "weak_efficiency": step.efficiency(batch, batch, gpus, interconnect),
                "strong_records_per_s": step.records_per_s(part, gpus, interconnect),
                "strong_efficiency": step.efficiency(part, total_batch, gpus, interconnect),
            }
        )
    return rows


def half_batch(step: Step, num_gpus: int, interconnect: Interconnect) -> float:
    """Records a GPU from which on a step spends at least half of its time on them."""
    return (step.fixed_s + step.exchange_s(num_gpus, interconnect)) / step.record_s


def _measured_table(found: list[dict[str, Any]]) -> str:
    rows = [
        [one["name"], one["num_processes"], one["num_devices"], one["batch_size"], f"{one['step_ms']:.1f}",
         f"{one['efficiency']:.2f} ({one['lowest']:.2f} to {one['highest']:.2f})"]
        for one in found
    ]  # fmt: skip
    return table(["scaling", "processes", "devices of each", "batch", "step, ms", "efficiency (range)"], rows)


def _counted_table(facts: dict[str, dict[str, Any]], steps: dict[str, Step], net: Interconnect) -> str:
    rows = [
        [network, f"{one['num_parameters']:,}", one["batch_size"], f"{one['flops_per_record'] / 1e6:.1f}",
         len(one["rounds"]), f"{sum(one['rounds']) / 1e6:.2f}", f"{1e6 * steps[network].record_s:.2f}",
         *(f"{half_batch(steps[network], gpus, net):.0f}" for gpus in GPUS)]
        for network, one in facts.items()
    ]  # fmt: skip
    header = ["network", "parameters", "batch", "MFLOP a record", "rounds", "MB exchanged", "us a record on a GPU"]
    return table([*header, *(f"half batch, {gpus} GPU{'s' * (gpus > 1)}" for gpus in GPUS)], rows)


def _modelled_table(found: dict[str, list[dict[str, Any]]]) -> str:
    rows = [
        [network, one["gpus"], f"{one['exchange_ms']:.2f}", f"{one['weak_records_per_s'] / 1e3:,.0f}",
         f"{one['weak_efficiency']:.2f}", f"{one['strong_records_per_s'] / 1e3:,.0f}",
         f"{one['strong_efficiency']:.2f}"]
        for network, rows in found.items()
        for one in rows
    ]  # fmt: skip
    header = ["network", "GPUs", "exchange, ms", "weak, 1,000 records/s", "weak efficiency"]
    return table([*header, "strong, 1,000 records/s", "strong efficiency"], rows)


def run_command() -> None:
    """Counts, measures where asked to, models and prints."""
    given = flags.FLAGS
    for network in given.networks:
        task, _, model = network.partition(":")
        if model not in ("", *NETWORKS.get(task, ())) or task not in NETWORKS:
            known = NETWORKS.get(task) or NETWORKS
            raise InputError(f"unknown network {network!r}", f"use TASK or TASK:MODEL, of {', '.join(known)}")
    counts = [int(count) for count in given.counts]
    if given.measure and not 0 < max(counts) <= len(os.sched_getaffinity(0)):
        raise InputError(f"{max(counts)} processes need a core each", "give smaller --counts")
    interconnect = Interconnect(
        given.gpus_per_node,
        1e9 * given.node_gb_per_s,
        1e-6 * given.node_latency_us,
        1e9 * given.network_gb_per_s,
        1e-6 * given.network_latency_us,
    )
    facts, steps, texts = {}, {}, []
    for network in given.networks:
        facts[network] = counted(network)
        fixed_s = 1e-3 * given.gpu_fixed_ms
        record_s = facts[network]["flops_per_record"] / (1e12 * given.gpu_tflops)
        if given.gpu_step_ms:
            fixed_s, record_s = fitted(given.gpu_step_ms)
        steps[network] = Step(
            fixed_s=fixed_s,
            record_s=record_s,
            dispatch_s=1e-3 * given.dispatch_ms,
            read_records_per_s=given.read_records_per_s or math.inf,
            rounds=tuple(facts[network]["rounds"]),
        )
    content: dict[str, Any] = {"hardware": hardware(), "counted": facts}
    if given.measure:
        found = {}
        for network in given.networks:
            found[network] = measured(network, given.batch_size, counts, given.rounds, given.steps)
            texts += [f"## Measured: {network}, {hardware()}", _measured_table(found[network])]
        content["measured"] = found
    models = {
        network: modelled(facts[network], steps[network], given.total_batch, interconnect) for network in given.networks
    }
    content |= {"interconnect": dataclasses.asdict(interconnect), "modelled": models}
    texts += ["## Counted from the programs, and what that takes on the GPU of the model"]
    texts += [_counted_table(facts, steps, interconnect), "## Modelled", _modelled_table(models)]
    if given.output:
        write_json(Path(given.output), content)
    print("\n\n".join(texts))


if __name__ == "__main__":
    flags.DEFINE_list("networks", ["reversal", "diagnosis", "diagnosis:xresnet1d", "heartbeat"], "TASK or TASK:MODEL")
    flags.DEFINE_bool("measure", False, "time processes and forced devices on this machine")
    flags.DEFINE_list("counts", ["1", "2"], "numbers of processes or devices that are timed")
    flags.DEFINE_integer("batch_size", 64, "records that one process trains on in a step that is timed", lower_bound=1)
    flags.DEFINE_integer("rounds", 5, "blocks that are timed of each way", lower_bound=1)
    flags.DEFINE_integer("steps", 4, "steps in a block", lower_bound=1)
    flags.DEFINE_float("gpu_fixed_ms", 2.0, "of a step on one GPU, however few records it has", lower_bound=0.0)
    flags.DEFINE_float("gpu_tflops", 10.0, "reached by one GPU on these networks", lower_bound=1e-3)
    flags.DEFINE_list("gpu_step_ms", [], "BATCH:MS measured on one GPU for one network, in place of the two above")
    flags.DEFINE_integer("total_batch", 8192, "records of a step that all GPUs share, where scaling is strong")
    flags.DEFINE_float("dispatch_ms", 0.7, "of the host for one step, over config.steps_per_dispatch", lower_bound=0.0)
    flags.DEFINE_float("read_records_per_s", 0.0, "read by a process that streams; 0: records lie on the GPU")
    flags.DEFINE_integer("gpus_per_node", 8, "GPUs of a node", lower_bound=1)
    flags.DEFINE_float("node_gb_per_s", 300.0, "reached by a GPU within its node", lower_bound=1e-3)
    flags.DEFINE_float("node_latency_us", 6.0, "of a message within a node", lower_bound=0.0)
    flags.DEFINE_float("network_gb_per_s", 40.0, "reached by a GPU between nodes", lower_bound=1e-3)
    flags.DEFINE_float("network_latency_us", 15.0, "of a message between nodes", lower_bound=0.0)
    flags.DEFINE_string("output", None, "file for everything as JSON")
    cli.run(run_command)
