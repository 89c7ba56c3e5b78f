"""SIGTERM and SIGINT that wait until the run can save."""

import signal
import threading
from types import FrameType
from typing import Any


class StoppedError(RuntimeError):
    """A signal ended the run, which had saved its state."""


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
