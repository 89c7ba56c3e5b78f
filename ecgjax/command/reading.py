"""Files read ahead of what is done with them, with bounds on memory; what cannot be read is told in its place."""

import collections
import concurrent.futures
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ecgjax.command.inputs import Input
from ecgjax.errors import InputError
from ecgjax.recordings.contents import Stated
from ecgjax.recordings.load import load
from ecgjax.recordings.recording import Recording

Result = TypeVar("Result")

MOST_AHEAD = 64
MOST_BYTES = 2**28
"""Recordings and bytes of recordings that wait to be worked on."""


@dataclasses.dataclass(frozen=True)
class Read:
    """A recording, or why there is none."""

    input: Input
    recording: Recording | InputError


def read_all(inputs: Iterable[Input], stated: Stated) -> Iterator[Read]:
    """The recordings in order, read by threads; of large ones fewer wait than of small ones."""

    def read(one: Input) -> Read:
        try:
            return Read(one, load_as(one, stated))
        except InputError as error:
            return Read(one, error)

    workers = os.cpu_count() or 1
    waiting: collections.deque[concurrent.futures.Future[Read]] = collections.deque()
    largest = MOST_BYTES // workers
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    try:
        for one in inputs:
            waiting.append(pool.submit(read, one))
            while len(waiting) >= max(workers, min(MOST_AHEAD, MOST_BYTES // max(largest, 1))):
                done = waiting.popleft().result()
                if isinstance(done.recording, Recording):
                    largest = max(done.recording.signal_mv.nbytes, largest // 2)
                yield done
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def load_as(one: Input, stated: Stated) -> Recording:
    """The recording, by its name among the inputs.

    Raises:
      InputError: as `load`.
    """
    recording = load(
        one.path,
        fs_hz=stated.fs_hz,
        units=stated.units,
        lead_names=stated.lead_names,
        member=stated.member,
    )
    return dataclasses.replace(recording, name=one.name)


def each_done(
    read: Iterable[Read], work: Callable[[Iterator[Recording]], Iterator[Result]]
) -> Iterator[tuple[Input, Result | InputError]]:
    """What `work` makes of all recordings together, one by one, and in their places those that could not be read.

    `work` gives a result for every recording, in order.
    """
    waiting: collections.deque[Read] = collections.deque()
    rest = iter(read)
    while part := _up_to(rest, MOST_BYTES):

        def readable(part: Iterator[Read] = part) -> Iterator[Recording]:
            for one in part:
                waiting.append(one)
                if isinstance(one.recording, Recording):
                    yield one.recording

        for result in work(readable()):
            while isinstance(bad := waiting[0].recording, InputError):
                yield waiting.popleft().input, bad
            yield waiting.popleft().input, result
        for bad_one in waiting:
            assert isinstance(bad_one.recording, InputError)
            yield bad_one.input, bad_one.recording
        waiting.clear()


def _up_to(read: Iterator[Read], num_bytes: int) -> Iterator[Read] | None:
    """The next ones until they are so large together; None after the last."""
    first = next(read, None)
    if first is None:
        return None

    def part() -> Iterator[Read]:
        total = 0
        for one in itertools.chain([first], read):
            yield one
            if isinstance(one.recording, Recording):
                total += one.recording.signal_mv.nbytes
            if total > num_bytes:
                return

    return part()
