"""One case in a process of its own: with fresh memory, its own compiler and its own number of devices."""

import dataclasses
import os
import resource
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import jax

from ecgjax import experiment
from ecgjax.benchmark import machine
from ecgjax.benchmark.cases import Case
from ecgjax.benchmark.made_records import made_split
from ecgjax.benchmark.steps import Steps, inference, training
from ecgjax.errors import InputError
from ecgjax.experiment import Experiment
from ecgjax.memory import keep_freed_memory

_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How cases are measured.

    Attributes:
      num_records: that are made in memory.
      data_dir: where prepared datasets lie; "" is TFDS's own default.
      block_s: about how long a block lasts.
      blocks: of each case, as far as `case_s` allows; at least three.
      case_s: seconds of a case's blocks after which it gets no more.
    """

    num_records: int
    data_dir: str
    block_s: float
    blocks: int
    case_s: float


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a step before it is timed.

    Attributes:
      batch_size: records in a step.
      num_parameters: trained weights.
      first_s: seconds of the first call, which traces and compiles.
      flops, bytes: of a step, over all devices; see `Cost`.
      memory_bytes: that XLA plans for on one device, records included.
      device_peak_bytes: most that was taken so far of the memory of one device, where it has its own.
      process_peak_bytes: most that the process has taken so far, compiler included.
    """

    batch_size: int
    num_parameters: int
    first_s: float
    flops: float
    bytes: float
    memory_bytes: float
    device_peak_bytes: int | None
    process_peak_bytes: int


def prepare_devices(num_devices: int) -> None:
    """Lets JAX see so many devices, once it looks: processor threads as devices, or the first graphics cards."""
    if num_devices > 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={num_devices}".strip()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(num_devices))))
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible.split(",")[:num_devices])
    # Processes that are measured in turn share the memory of a card.
    os.environ.setdefault(_PREALLOCATE, "false")
    jax.config.update("jax_enable_compilation_cache", False)


def serve_machine(connection: Connection) -> None:
    """Measures the machine, and sends what it found."""
    keep_freed_memory()
    jax.config.update("jax_enable_compilation_cache", False)
    connection.send(machine.measured())


def serve_case(connection: Connection, case: Case, infers: bool, settings: Settings) -> None:
    """Compiles the steps of a case and sends `Facts` of each by name; then times a block of each whenever asked to.

    Whatever goes wrong is sent as text instead.
    """
    keep_freed_memory()
    prepare_devices(case.num_devices)
    try:
        found = _compiled(case, infers, settings)
        connection.send({name: facts for name, (facts, _) in found.items()})
        while connection.recv():
            connection.send({name: steps.block() for name, (_, steps) in found.items()})
    except EOFError:
        return  # who asks is gone
    except (InputError, jax.errors.JaxRuntimeError) as error:
        connection.send(" ".join(str(error).split()))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        connection.send(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _compiled(case: Case, infers: bool, settings: Settings) -> dict[str, tuple[Facts, Steps]]:
    """`training`, and `inference` where it is asked for, ready to be timed."""
    config = case.config(settings.data_dir)
    experiment.check(config)
    if jax.device_count() != case.num_devices:
        raise InputError(f"there are {jax.device_count()} devices", f"have {case.num_devices}, or ask for fewer")
    if case.is_prepared:
        split = experiment.load(config, "train")
    else:
        split = made_split(config.data.name, settings.num_records, config.data.seconds, config.preprocess.fs_hz)
    built = experiment.build(config, split)
    kinds: dict[str, Callable[[Experiment, Any], Steps]] = {"training": training}
    if infers:
        kinds["inference"] = inference
    found = {}
    for name, kind in kinds.items():
        steps = kind(built, split)
        steps.set_block(settings.block_s)
        found[name] = _facts(built, steps), steps
    return found


def _facts(built: Experiment, steps: Steps) -> Facts:
    on_device = jax.local_devices()[0].memory_stats() or {}
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Facts(
        batch_size=steps.num_records // steps.num_steps,
        num_parameters=built.num_parameters(),
        first_s=steps.first_s,
        flops=steps.cost.flops * built.parallel.num_devices,
        bytes=steps.cost.bytes * built.parallel.num_devices,
        memory_bytes=steps.cost.memory_bytes,
        device_peak_bytes=on_device.get("peak_bytes_in_use"),
        process_peak_bytes=unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )
