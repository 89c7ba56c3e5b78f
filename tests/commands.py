"""Commands as a user runs them, each in a process of its own that finds the libraries loaded already."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Loading them takes seconds; none of them starts threads or asks JAX for its devices, which no fork would survive.
_LIBRARIES = [
    *("absl.app", "flax.linen", "jax", "matplotlib.figure", "ml_collections.config_flags", "optax", "orbax.checkpoint"),
    *("pandas", "pywt", "scipy.signal", "scipy.stats", "sklearn.ensemble", "tensorflow_datasets", "wfdb"),
]
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(_LIBRARIES)


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """What `python ARGUMENTS` ends with and says, for a script or a module after `-m`."""
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("stdout", "stderr")]
        process = _SERVER.Process(target=_become, args=([*map(str, arguments)], dict(os.environ), said))
        process.start()
        process.join()
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in said))


def _become(arguments: list[str], environment: dict[str, str], said: list[Path]) -> None:
    """Goes on as the command."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    for descriptor, path in enumerate(said, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, str(ROOT))
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str((ROOT / arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")
