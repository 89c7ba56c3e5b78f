"""Cases that are compared run in processes side by side, of which one works at a time: block after block, in turn."""

import contextlib
import multiprocessing
from collections.abc import Callable
from typing import Any

import numpy as np

from ecgjax.benchmark.cases import Case, Group
from ecgjax.benchmark.machine import Machine
from ecgjax.benchmark.timing import Block, is_far
from ecgjax.benchmark.worker import Facts, Settings, serve_case, serve_machine

_PATIENCE_S = 3600.0
"""How long an answer may take: the dearest networks compile for minutes."""

_FEWEST = 3
"""Blocks of each case, however long they take."""

_LIBRARIES = [
    *("flax.linen", "jax", "optax", "orbax.checkpoint", "pandas", "pywt", "scipy.signal", "scipy.stats"),
    *("sklearn.ensemble", "tensorflow_datasets", "ecgjax.benchmark.worker"),
]
"""Loaded once for all processes; none of them asks JAX for its devices."""


class Measured:
    """What came of one case.

    Attributes:
      case: what was measured.
      facts, blocks: of each kind of step; empty where it failed.
      error: why it failed, or nothing.
    """

    def __init__(self, case: Case):
        self.case = case
        self.facts: dict[str, Facts] = {}
        self.blocks: dict[str, list[Block]] = {}
        self.error = ""

    @property
    def is_timed(self) -> bool:
        """Whether there is at least one block of each kind."""
        return bool(self.blocks) and all(self.blocks.values())

    def wants_more(self, settings: Settings) -> bool:
        """Whether blocks are missing; those with pauses do not count, but are not repeated for ever."""
        if self.error:
            return False
        done = min(len(blocks) for blocks in self.blocks.values())
        took_s = sum(block.wall_s for blocks in self.blocks.values() for block in blocks)
        if done < _FEWEST:
            return True
        if done >= 2 * settings.blocks or took_s > settings.case_s:
            return False
        return any(np.sum(~is_far(blocks)) < settings.blocks for blocks in self.blocks.values())


class _Worker:
    """The process of one case, as seen from here."""

    def __init__(self, target: Callable, *arguments: Any):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_LIBRARIES)
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def answer(self) -> Any:
        """What it sends next; text says why it does not."""
        try:
            if self._connection.poll(_PATIENCE_S):
                return self._connection.recv()
            return f"no answer for {_PATIENCE_S:g} s"
        except EOFError:
            self._process.join()
            return f"its process died with status {self._process.exitcode}"

    def ask(self) -> Any:
        """The times of its next blocks."""
        with contextlib.suppress(BrokenPipeError):
            self._connection.send(True)
        return self.answer()

    def stop(self) -> None:
        """Frees its memory."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def measure_machine() -> Machine:
    """The machine, measured in a process of its own."""
    worker = _Worker(serve_machine)
    try:
        found = worker.answer()
    finally:
        worker.stop()
    if not isinstance(found, Machine):
        raise RuntimeError(f"the machine could not be measured: {found}")
    return found


def measure(group: Group, settings: Settings) -> list[Measured]:
    """All cases of a group, one after the other compiled and then timed in turn."""
    found = [Measured(case) for case in group.cases]
    workers: list[_Worker] = []
    try:
        for one in found:
            workers.append(_Worker(serve_case, one.case, group.infers, settings))
            _took(one, workers[-1].answer())
        while any(one.wants_more(settings) for one in found):
            for one, worker in zip(found, workers, strict=True):
                if one.wants_more(settings):
                    _took(one, worker.ask())
    finally:
        for worker in workers:
            worker.stop()
    return found


def _took(one: Measured, answer: Any) -> None:
    """Notes an answer: text is an error, the first one facts, all others times."""
    if isinstance(answer, str):
        one.error = answer
    elif not one.facts:
        one.facts = answer
        one.blocks = {name: [] for name in answer}
    else:
        for name, block in answer.items():
            one.blocks[name].append(block)
