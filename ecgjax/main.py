"""Trains, tests and reports.

    python -m ecgjax.main --config=configs/TASK.py[:ARGS] [--config.FIELD=VALUE ...] [--workdir=DIR] [--multihost]

Exit status: 0 when done, and after SIGTERM or SIGINT, which wait for the state to be saved while the network trains
(the same command resumes); 2 for bad input, which is told on one line; 3 when loss or gradient are no longer finite; 4
where another process of the run has died or failed.

Several processes train together with --multihost, and without it where SLURM or Kubernetes started them as one step or
job; docs/scaling.md says how.
"""

import re
import runpy
import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from ecgjax import cli, multihost
from ecgjax.errors import InputError

_LABELLED = "labelled"
"""The task whose config is completed by the run that it begins with and by the user's folder."""

_DIVERGED = 3

_CONFIG = config_flags.DEFINE_config_file("config", None, "config file of a task, configs/TASK.py[:ARGS]")
_MULTIHOST = flags.DEFINE_bool(
    "multihost", False, "one of several processes, which the variables of SLURM, MPI or docs/scaling.md name"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "where everything is written; runs/TASK by default")


def main() -> None:
    """Runs the config of the command line."""
    explain(sys.argv)
    multihost.start(_MULTIHOST.value)
    config = completed(_CONFIG.value)
    run(config, Path(_WORKDIR.value or f"runs/{config.task}"))


def completed(config: ConfigDict) -> ConfigDict:
    """The config of the command line with what its task finds out before a run begins."""
    if config.task != _LABELLED:
        return config
    from ecgjax.tasks import labelled_setup  # noqa: PLC0415 - as below

    return labelled_setup.completed(config, config_flags.get_override_values(flags.FLAGS["config"]))


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains and evaluates; a run that diverges or is stopped ends with one line and the status given above."""
    # Not before: these bring arrays to the device, which has to wait for jax.distributed, and take seconds to load.
    from ecgjax.interrupt import StoppedError, raised_signals  # noqa: PLC0415
    from ecgjax.train import DivergedError, train_and_evaluate  # noqa: PLC0415

    try:
        with raised_signals():
            train_and_evaluate(config, workdir)
    except DivergedError as error:
        cli.fail(str(error), _DIVERGED)
    except StoppedError as error:
        print(f"stopped by {error}; the same command resumes", file=sys.stderr)


def explain(argv: list[str]) -> None:
    """Raises InputError for a config that cannot be loaded and for overrides that do not fit it, naming the choices."""
    given = [match for argument in argv if (match := re.fullmatch(r"--?config=([^:]*):?(.*)", argument))]
    if not given:
        raise InputError("no --config is given", f"use --config=FILE with {_shipped()}")
    path, arguments = given[-1].groups()
    if not Path(path).is_file():
        raise InputError(f"there is no config file {path!r}", f"use {_shipped()}")
    config = _load(path, arguments)
    for argument in argv:
        if override := re.fullmatch(r"--?config\.([^=]+)=(.*)", argument):
            cli.set_field(config, *override.groups())


def _load(path: str, arguments: str) -> ConfigDict:
    """`get_config(arguments)` of the config file."""
    return runpy.run_path(path)["get_config"](arguments)


def _shipped() -> str:
    """The config files of the current folder."""
    names = sorted(str(path) for path in Path("configs").glob("*.py") if path.stem not in ("__init__", "common"))
    return ", ".join(names) or "a config file, from the folder that holds configs/"


if __name__ == "__main__":
    cli.run(main, explain)
