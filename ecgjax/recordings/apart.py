"""Readers in a process of their own, for libraries that a damaged file may make crash rather than complain.

`python -m ecgjax.recordings.apart` takes what to read as JSON and gives back JSON on one line, then the samples.
"""

import importlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

from ecgjax.recordings.contents import MAX_SAMPLES, Channel, Contents, FormatError, Stated

MAX_SECONDS = 120
MAX_BYTES = 2**32
"""What the process may take of the processor's time and of addresses."""


def read_apart(module: str, path: Path, stated: Stated) -> Contents:
    """`read` of `ecgjax.recordings.MODULE`.

    Raises:
      FormatError: as that reader, and where the process crashed or took too long.
    """
    asked = json.dumps(
        {"module": module, "path": str(path), "stated": [stated.fs_hz, stated.units, stated.lead_names, stated.member]}
    )
    root = str(Path(__file__).parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ecgjax.recordings.apart"],
            input=asked.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=10 * MAX_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise FormatError("reading it does not come to an end") from None
    head, _, data = done.stdout.partition(b"\n")
    if done.returncode or not head:
        raise FormatError("it is so damaged that its library crashed on it")
    said = json.loads(head)
    if "error" in said:
        raise FormatError(said["error"])
    channels, at = [], 0
    for name, unit, fs_hz, length in said["channels"]:
        channels.append(Channel(name, unit, fs_hz, np.frombuffer(data, np.float64, length, at)))
        at += 8 * length
    return Contents(said["format"], channels, said["started"], said["patient"], said["assumptions"])


def main() -> None:
    """Reads what stdin asks for."""
    import resource  # noqa: PLC0415 - not on every system, and only this process needs it

    limits = {resource.RLIMIT_CPU: MAX_SECONDS, resource.RLIMIT_AS: MAX_BYTES, resource.RLIMIT_CORE: 0}
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (limit, limit))
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    fs_hz, units, names, member = asked["stated"]
    samples: list[np.ndarray] = []
    try:
        reader = importlib.import_module(f"ecgjax.recordings.{asked['module']}")
        found = reader.read(Path(asked["path"]), Stated(fs_hz, units, names and tuple(names), member))
        if sum(len(channel.samples) for channel in found.channels) > MAX_SAMPLES:
            raise FormatError(f"it has more than {MAX_SAMPLES} samples")
        samples = [np.ascontiguousarray(channel.samples, np.float64) for channel in found.channels]
        answer = {
            "format": found.format,
            "started": found.started,
            "patient": found.patient,
            "assumptions": found.assumptions,
            "channels": [[c.name, c.unit, c.fs_hz, len(c.samples)] for c in found.channels],
        }
    except FormatError as error:
        answer = {"error": str(error)}
    except Exception as error:  # as in `load`: libraries raise whatever their parsing happens to meet
        answer = {"error": f"it cannot be read ({type(error).__name__}: {error})"}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + b"".join(one.tobytes() for one in samples))


if __name__ == "__main__":
    main()
