"""The lines of metrics.jsonl as event files too, for TensorBoard; written by tensorboardX, without TensorFlow."""

import json
import math
import os
import socket
import struct
import time
from pathlib import Path

import jax
from ml_collections import ConfigDict

from ecgjax.errors import InputError

FOLDER = "tensorboard"


def check_installed() -> None:
    """Raises InputError where tensorboardX is not there."""
    try:
        import tensorboardX  # noqa: F401, PLC0415 - of an extra
    except ImportError:
        raise InputError(
            "tensorboardX is not installed", "pip install 'ecgjax[tensorboard]', or leave tensorboard False"
        ) from None


class EventFiles:
    """A folder a split, which TensorBoard shows as a run each; training's also tells the config.

    Opening it begins new files that take back every figure past `step`, so that a resumed run shows no step twice. Only
    the first process writes.
    """

    def __init__(self, folder: Path, step: int, config: ConfigDict):
        check_installed()
        self._folder = folder
        self._step = step
        self._config = config
        self._writes = jax.process_index() == 0
        self._begun: dict[str, Path] = {}

    def write(self, step: int, split: str, figures: dict[str, float]) -> None:
        """Adds the figures that are finite."""
        from tensorboardX import summary  # noqa: PLC0415 - of an extra

        if not self._writes:
            return
        if split not in self._begun:
            self._begun[split] = self._begin(split)
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        values = [summary.scalar(name, value).value[0] for name, value in finite.items()]
        _append(self._begun[split], step, summary={"value": values})

    def _begin(self, split: str) -> Path:
        from tensorboardX import summary  # noqa: PLC0415 - of an extra
        from tensorboardX.proto.event_pb2 import SessionLog  # noqa: PLC0415

        own = self._folder / split
        own.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names.
        path = own / f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}"
        _append(path, 0, file_version="brain.Event:2")
        if self._step:
            _append(path, self._step + 1, session_log={"status": SessionLog.START})
        elif split == "train":
            text = json.dumps(self._config.to_dict(), indent=2)
            _append(path, 0, summary=summary.text("config", f"```json\n{text}\n```"))
        return path


def _append(path: Path, step: int, **what: object) -> None:
    """Adds a record: its length, the event, and check sums of both; at once, so that a killed run leaves whole ones."""
    from tensorboardX.proto.event_pb2 import Event  # noqa: PLC0415 - of an extra
    from tensorboardX.record_writer import masked_crc32c  # noqa: PLC0415

    event = Event(wall_time=time.time(), step=step, **what).SerializeToString()
    length = struct.pack("<Q", len(event))
    sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, event)]
    with path.open("ab") as file:
        file.write(length + sums[0] + event + sums[1])
