"""The files of a large folder shared out among processes with a core each, in order and with bounds on memory.

A record takes a core a few milliseconds, half of them in Python, which threads of one process would share.
"""

import collections
import concurrent.futures
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ecgjax.command.inputs import Input
from ecgjax.errors import InputError
from ecgjax.memory import keep_freed_memory

Result = TypeVar("Result")

FEWEST_FILES = 300
"""From which the start of more processes pays."""

MOST_FILES, MOST_BYTES = 64, 2**24
"""On disk, that a process is given at once."""


def num_processes(num_files: int) -> int:
    """Processes that a folder of so many files is worth."""
    return len(os.sched_getaffinity(0)) if num_files >= FEWEST_FILES and hasattr(os, "sched_getaffinity") else 1


def shared_out(
    files: Sequence[Input], work: Callable[[Sequence[Input]], Iterator[Result]], num_workers: int
) -> Iterator[Result]:
    """What `work` makes of the files, a few at a time, in their order; `work` travels to the processes.

    Raises:
      InputError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in sorted(os.sched_getaffinity(0))[:num_workers]:
        cores.put(core)
    pool = concurrent.futures.ProcessPoolExecutor(num_workers, context, initializer=_begin, initargs=(cores,))
    waiting: collections.deque[concurrent.futures.Future[list[Result]]] = collections.deque()
    try:
        for part in _parts(files):
            waiting.append(pool.submit(_listed, work, part))
            if len(waiting) > 2 * num_workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool:
        raise InputError(
            "a process that checked records was killed, most likely for want of memory", "give fewer files at once"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _listed(work: Callable[[Sequence[Input]], Iterator[Result]], part: list[Input]) -> list[Result]:
    return list(work(part))


def _begin(cores: multiprocessing.Queue) -> None:
    """Keeps a process, and so the threads of XLA, to one core; Ctrl-C is for the first process alone."""
    os.sched_setaffinity(0, {cores.get()})
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _parts(files: Sequence[Input]) -> Iterator[list[Input]]:
    """The files in parts of at most MOST_FILES and, unless one alone is larger, MOST_BYTES."""
    part: list[Input] = []
    size = 0
    for one in files:
        own = _num_bytes(one)
        if part and (len(part) == MOST_FILES or size + own > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(one)
        size += own
    if part:
        yield part


def _num_bytes(one: Input) -> int:
    """Of a file, and of the signals beside a header."""
    beside = [one.path.with_suffix(ending) for ending in (".dat", ".mat")] if one.path.suffix == ".hea" else []
    sizes = itertools.chain([one.path], beside)
    return sum(path.stat().st_size for path in sizes if path.is_file())
