"""SIGTERM and SIGINT that end a run cleanly, after it has saved where it can."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ecgjax import multihost


class StoppedError(RuntimeError):
    """A signal ended the run."""


@contextlib.contextmanager
def raised_signals() -> Iterator[None]:
    """Within it SIGTERM and SIGINT raise StoppedError, which ends other processes of the run too."""

    def stop(number: int, frame: FrameType | None) -> None:
        multihost.tell_stopped()
        raise StoppedError(signal.Signals(number).name)

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class DeferredSignals:
    """Within it the first SIGTERM or SIGINT is only noted; a second one acts as it does elsewhere."""

    def __init__(self):
        self.received: str | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "DeferredSignals":
        # Python hands signals to the main thread alone.
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
