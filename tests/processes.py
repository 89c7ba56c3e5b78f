"""Several processes of one run on this machine."""

import socket
import subprocess
from collections.abc import Callable


def environments(count: int) -> list[dict[str, str]]:
    """The variables by which `count` processes find each other."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = {"COORDINATOR_ADDRESS": f"localhost:{port}", "NUM_PROCESSES": str(count)}
    return [{**shared, "PROCESS_ID": str(index)} for index in range(count)]


def start_all(
    start: Callable[..., subprocess.Popen], count: int, *arguments: object, **shared: str
) -> list[subprocess.Popen]:
    """Starts `count` processes with the same arguments and `shared` variables by the fixture `start_fake`."""
    return [start(*arguments, **shared, **environment) for environment in environments(count)]
