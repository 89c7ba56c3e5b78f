"""The C++ of this folder as a library: compiled where it was not before, loaded, and told to JAX."""

import contextlib
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import jax
from absl import logging

from ecgjax.compilation_cache import name_of_processor

FOLDER = "~/.cache/ecgjax/native"
"""Where the compiled library is kept, by processor and version."""

_SOURCE = Path(__file__).with_name("kernel_gradient.cc")
_OPTIONS = ("-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-w")
_COMPILERS = ("c++", "g++", "clang++")
_LIMIT_S = 120

KERNEL_GRADIENT = "ecgjax_kernel_gradient"
"""The function's name in programs of JAX."""

is_wanted = False
"""Whether programs that are made from now on shall call it, where it can be loaded."""


@functools.cache
def load() -> bool:
    """Whether there is a CPU to compute on and a C++ compiler, $CXX say, or an earlier one's work.

    Where not, or where compiling fails, everything is left to XLA, and a line in the log says so.
    """
    if jax.default_backend() != "cpu":
        return False
    try:
        library = _library()
    except (OSError, subprocess.SubprocessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else ""
        logging.warning(
            "kernels' gradients are left to XLA, which takes longer: %s", (said or str(error)).splitlines()[0]
        )
        return False
    jax.ffi.register_ffi_target(KERNEL_GRADIENT, jax.ffi.pycapsule(library.kernel_gradient), platform="cpu")
    return True


def _library() -> ctypes.CDLL:
    # The headers of jaxlib may differ between its versions, and code for one processor fails on another.
    made_of = [jax.lib.__version__, *_OPTIONS, _SOURCE.read_text()]
    name = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16] + ".so"
    kept = Path(FOLDER).expanduser() / name_of_processor() / name
    if kept.exists():
        return ctypes.CDLL(str(kept))
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
    is_kept = os.access(kept.parent, os.W_OK)
    with tempfile.TemporaryDirectory(dir=kept.parent if is_kept else None) as folder:
        built = Path(folder) / name
        subprocess.run(
            [_compiler(), *_OPTIONS, f"-I{jax.ffi.include_dir()}", str(_SOURCE), "-o", str(built)],
            check=True,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )
        # Whole at once, since another process may be doing the same.
        return ctypes.CDLL(str(built.replace(kept) if is_kept else built))


def _compiler() -> str:
    names = (os.environ.get("CXX", ""), *_COMPILERS)
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise FileNotFoundError(f"no C++ compiler: neither {', '.join(_COMPILERS)} nor $CXX is one")
    return found
