"""Trains the fake task: `python tests/fake_run.py WORKDIR [FIELD=VALUE ...] [-- WORKDIR ...]`, one run after the other.

With PROCESS=I/N in the environment it is process I of N, which meet at port PORT.
"""

import itertools
import os
import sys
from pathlib import Path

import jax

from ecgjax import main
from ecgjax.cli import set_field


def run_all(arguments: list[str]) -> None:
    """All runs of the command line."""
    import fake_task  # noqa: PLC0415 - it brings modules that hold arrays, for which processes have to be joined

    for is_separator, run in itertools.groupby(arguments, lambda argument: argument == "--"):
        if not is_separator:
            workdir, *overrides = run
            config = fake_task.fake_config()
            for override in overrides:
                set_field(config, *override.split("=", 1))
            with fake_task.installed():
                main.run(config, Path(workdir))


if __name__ == "__main__":
    if "PROCESS" in os.environ:
        process, num_processes = map(int, os.environ["PROCESS"].split("/"))
        jax.distributed.initialize(f"localhost:{os.environ['PORT']}", num_processes, process)
    run_all(sys.argv[1:])
