"""Several processes that train one network: who they are, and how they find each other.

The launcher's variables say it: SLURM's in a step started by srun, those of MPI, JOB_COMPLETION_INDEX in an indexed
Kubernetes job, or COORDINATOR_ADDRESS, NUM_PROCESSES and PROCESS_ID, which complete the others and may not contradict
them. One process uses the GPUs that are its share of those of its host.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Mapping

import jax
from jax.experimental import multihost_utils

from ecgjax.errors import InputError
from ecgjax.lifeline import Lifeline

_ADDRESS, _COUNT, _INDEX = "COORDINATOR_ADDRESS", "NUM_PROCESSES", "PROCESS_ID"
_KUBERNETES_INDEX = "JOB_COMPLETION_INDEX"
_SLURM_COUNT = "SLURM_STEP_NUM_TASKS"
_MPI = (
    # Count, index, count and index on the host: Open MPI; MPICH, Intel MPI and Cray.
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS", "MPI_LOCALRANKID"),
)
_SLURM_PORTS = range(61440, 65536)

HEARTBEAT_TIMEOUT_S = 45
"""After which a process that hangs without having died counts as dead; JAX then ends the others itself."""

SHUTDOWN_TIMEOUT_S = 3600
"""For which finished processes wait for the first one, which writes the report."""

_lifeline: Lifeline | None = None


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process and those it belongs to.

    Attributes:
      host, port: where process 0 is reached.
      count: how many processes there are.
      index: which one this is.
      local_devices: the GPUs of this process, numbered as it sees them; None for all that it sees.
    """

    host: str
    port: int
    count: int
    index: int
    local_devices: tuple[int, ...] | None


def start(wanted: bool) -> None:
    """Joins the processes that train together; does nothing where this one is alone.

    With `wanted` the variables have to name the others; without, SLURM's and those of a Kubernetes job still count. To
    be called before anything is computed. From then on the death of one process ends the others with status
    `lifeline.LOST`, and one that fails takes the others along.

    Raises:
      InputError: variables are missing, contradict each other or lead nowhere.
    """
    processes = processes_of(os.environ, wanted)
    if processes is None:
        return
    global _lifeline  # noqa: PLW0603 - a process joins once
    lifeline = _lifeline = Lifeline(processes.host, processes.port, processes.count, processes.index)
    if any(name.lower() in ("http_proxy", "https_proxy", "grpc_proxy") for name in os.environ):
        # gRPC would look for a host of the cluster through the proxy that leads out of it.
        os.environ.setdefault("no_grpc_proxy", processes.host)
    # It would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        f"{f'[{processes.host}]' if ':' in processes.host else processes.host}:{lifeline.service_port}",
        processes.count,
        processes.index,
        None if processes.local_devices is None else list(processes.local_devices),
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT_S,
        shutdown_timeout_seconds=SHUTDOWN_TIMEOUT_S,
    )
    if processes.index == 0 and sys.platform == "linux":
        lifeline.hold_connections()
    # On CPU the first exchange fails where processes come to it half a minute apart; here they are together.
    multihost_utils.sync_global_devices("started")


def tell_stopped() -> None:
    """Lets the other processes end too, where there are any; for a signal that ends this one wherever it is."""
    if _lifeline is not None:
        _lifeline.tell_stopped()


def processes_of(environment: Mapping[str, str], wanted: bool) -> Processes | None:
    """What the variables of `environment` say; None where there is one process, or none is `wanted` or launched."""
    mpi = next((names for names in _MPI if names[0] in environment), None)
    by_slurm = mpi is None and environment.get(_SLURM_COUNT, "1") != "1"
    in_kubernetes = _KUBERNETES_INDEX in environment and _COUNT in environment
    if not (wanted or by_slurm or in_kubernetes):
        return None
    launcher = mpi[:2] if mpi else (_SLURM_COUNT, "SLURM_PROCID") if by_slurm else (_COUNT, _KUBERNETES_INDEX)
    if not {_ADDRESS, _COUNT, _INDEX, *launcher} & environment.keys():
        raise InputError(
            f"nothing says which processes there are: neither SLURM, MPI nor Kubernetes, nor {_ADDRESS}, {_COUNT} "
            f"and {_INDEX}",
            "start with srun or mpirun, or set these three in every process, or leave --multihost out",
        )
    count = _agreed(environment, _COUNT, launcher[0])
    index = _agreed(environment, _INDEX, launcher[1])
    if not 0 <= index < count:
        raise InputError(f"this is process {index} of {count}", f"count from 0 to {_COUNT} - 1")
    if count == 1:
        return None
    if by_slurm and _ADDRESS not in environment:
        host, port = _slurm_address(environment)
    else:
        host, port = _address(environment)
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    on_host, place = _on_host(environment, mpi, by_slurm)
    return Processes(host, port, count, index, _share(visible, on_host, place))


def _agreed(environment: Mapping[str, str], own: str, launcher: str) -> int:
    """The number that the variables `own` and `launcher` both name, if both are set."""
    named = {name: _integer(environment, name) for name in (own, launcher) if name in environment}
    if not named:
        raise InputError(f"{own} is not set", "set it in every process")
    if len(set(named.values())) > 1:
        said = " and ".join(f"{name} is {value}" for name, value in named.items())
        raise InputError(said, f"leave {own} out, or make it agree")
    return next(iter(named.values()))


def _integer(environment: Mapping[str, str], name: str) -> int:
    if name not in environment:
        raise InputError(f"{name} is not set", "start the processes with srun, mpirun or as an indexed job")
    try:
        return int(environment[name])
    except ValueError:
        raise InputError(f"{name} is {environment[name]!r}", "give a whole number") from None


def _address(environment: Mapping[str, str]) -> tuple[str, int]:
    if _ADDRESS not in environment:
        raise InputError(f"{_ADDRESS} is not set", "give HOST:PORT of process 0 in every process")
    host, _, port = environment[_ADDRESS].rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"{_ADDRESS} is {environment[_ADDRESS]!r}", "give HOST:PORT of process 0")
    return host.strip("[]"), int(port)


def _slurm_address(environment: Mapping[str, str]) -> tuple[str, int]:
    """The first host of the step, and a port that steps which run there at the same time do not share."""
    nodes = environment.get("SLURM_STEP_NODELIST", "")
    # node3,node5 or node[003-007,012],other
    match = re.match(r"([^\[,]+)(?:\[([^\],-]+))?", nodes)
    if match is None:
        raise InputError(f"SLURM_STEP_NODELIST is {nodes!r}", f"start with srun, or set {_ADDRESS}")
    step = _integer(environment, "SLURM_JOB_ID") + 101 * _integer(environment, "SLURM_STEP_ID")
    return match[1] + (match[2] or ""), _SLURM_PORTS[step % len(_SLURM_PORTS)]


def _on_host(environment: Mapping[str, str], mpi: tuple[str, ...] | None, by_slurm: bool) -> tuple[int, int]:
    """How many of the processes share this host, and which of those this one is."""
    if mpi and mpi[2] in environment:
        return _integer(environment, mpi[2]), _integer(environment, mpi[3])
    if not by_slurm:
        return 1, 0
    # 4(x2),3: four tasks on each of two nodes, three on the next
    tasks: list[int] = []
    for part in environment.get("SLURM_STEP_TASKS_PER_NODE", "").split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise InputError(f"SLURM_STEP_TASKS_PER_NODE has {part!r}", "start the processes with srun")
        tasks += [int(match[1])] * int(match[2] or 1)
    return tasks[_integer(environment, "SLURM_NODEID")], _integer(environment, "SLURM_LOCALID")


def _share(visible: str | None, num_processes: int, place: int) -> tuple[int, ...] | None:
    """The GPUs, of those that CUDA_VISIBLE_DEVICES lists, for one of the processes of a host."""
    gpus = len(visible.split(",")) if visible else 0
    # With one to be seen the launcher has bound a GPU to every process.
    if num_processes == 1 or gpus == 1:
        return None
    if visible is None:
        return (place,)
    if gpus % num_processes:
        raise InputError(
            f"{num_processes} processes share the {gpus} GPUs of CUDA_VISIBLE_DEVICES={visible}",
            "start one process a GPU, or one a host",
        )
    each = gpus // num_processes
    return tuple(range(place * each, (place + 1) * each)) or None
