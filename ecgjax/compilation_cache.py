"""Compiled steps that are kept between runs."""

import contextlib
import hashlib
import platform
import time
from pathlib import Path

import jax

UNUSED_DAYS = 30
"""After which a compiled step is deleted."""


def keep_compiled(directory: str) -> None:
    """Keeps what takes more than a second to compile in `directory`, or nothing for "".

    A directory that JAX was told of before, by JAX_COMPILATION_CACHE_DIR say, is kept to; one that cannot be written
    is left alone.
    """
    if not directory or jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    # Machines that share a home may differ in what their processors can do, and code compiled for one fails on another.
    folder = Path(directory).expanduser() / name_of_processor()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _delete_unused(folder)
        jax.config.update("jax_compilation_cache_dir", str(folder))


def name_of_processor() -> str:
    """A short name for what the processor can do."""
    described = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        described += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()}-{hashlib.sha256(described.encode()).hexdigest()[:8]}"


def _delete_unused(folder: Path) -> None:
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for path in folder.iterdir():
        # Another process may be deleting the same.
        with contextlib.suppress(FileNotFoundError):
            used = path.stat()
            # Most file systems note at least the day of the last reading.
            if max(used.st_atime, used.st_mtime) < oldest:
                path.unlink()
