"""Trains the fake task: `python tests/fake_run.py WORKDIR [FIELD=VALUE ...] [-- WORKDIR ...]`, one run after the other.

With NUM_PROCESSES in the environment it is one of several.
"""

import itertools
import os
import sys
from pathlib import Path

from ecgjax import cli, main, multihost
from ecgjax.cli import set_field
from ecgjax.errors import InputError


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
    with cli.told_failures():
        try:
            multihost.start(wanted="NUM_PROCESSES" in os.environ)
            run_all(sys.argv[1:])
        except InputError as error:
            cli.fail(str(error))
