"""Shards of record files: where their records come from, how one is written, and what it holds."""

import collections
import contextlib
import dataclasses
import functools
import itertools
import math
import operator
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from array_record.python import array_record_module

from data_prep.serialize import serialize
from ecgjax.errors import InputError

GAIN = 1000.0
"""Units per mV in the record files of datasets in millivolts: int16 microvolts."""

RECORDS_PER_SHARD = 1024

WRITER_OPTIONS = "group_size:1,zstd:1"
"""A group of one is what random access needs. Level 1 writes three times as fast as the default level 3, reads
faster, and its files are 3 % larger."""

INT16 = np.iinfo(np.int16)

MAX_NAMED = 1000
"""Bad records that a tally names; beyond it they are counted only."""

RECORD_LIMIT_S = 600.0
"""A record that takes longer to read is bad: a pipe that nobody fills, a file where nothing answers. Workers of Beam go
by the limits of their runner."""


class BadRecordError(Exception):
    """One record that cannot be prepared, and why."""


class WriteError(OSError):
    """A record file that cannot be written, and why."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One record, ready to be written; `classes` are what it counts for in the printed table."""

    example: Mapping[str, Any]
    classes: tuple[str, ...]
    num_clipped: int = 0


@dataclasses.dataclass(frozen=True)
class Bad:
    """One record left out, and why."""

    name: str
    problem: str


Source = Callable[[], Iterator[Prepared | Bad]]
"""Makes the records of one shard, in order; picklable where worker processes are to run it."""


@dataclasses.dataclass
class Tally:
    """What a split or a shard holds.

    Attributes:
      patients: their names, empty where they are counted elsewhere; `num_patients` is of splits.
      bad: number of the shard and record, of the first MAX_NAMED of `num_bad`.
    """

    num_records: int = 0
    num_bytes: int = 0
    num_clipped: int = 0
    num_patients: int = 0
    num_bad: int = 0
    patients: set[str] = dataclasses.field(default_factory=set)
    classes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    bad: list[tuple[int, Bad]] = dataclasses.field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Adds other shards of the split; in any order, the sum is the same."""
        self.num_records += other.num_records
        self.num_bytes += other.num_bytes
        self.num_clipped += other.num_clipped
        self.num_bad += other.num_bad
        self.patients |= other.patients
        self.classes.update(other.classes)
        self.bad = sorted([*self.bad, *other.bad], key=operator.itemgetter(0))[:MAX_NAMED]


@dataclasses.dataclass(frozen=True)
class Shard:
    """The shard of this number, of the records of `source`, whose file is to be at `path`.

    `lists` maps each feature to its list in an example; without `skip_bad` the first bad record is the last.
    """

    index: int
    split: str
    path: str
    source: Source
    lists: Mapping[str, str]
    skip_bad: bool


@dataclasses.dataclass(frozen=True)
class Written:
    """What the shards of a dataset hold once they are written.

    Attributes:
      tallies: split -> what it holds, without the names of patients.
      sizes: [shard] (records, bytes).
      torn: a patient with records in more than one split, and those splits; None where there is none.
    """

    tallies: Mapping[str, Tally]
    sizes: Sequence[tuple[int, int]]
    torn: tuple[str, Sequence[str]] | None


@dataclasses.dataclass(frozen=True)
class ReadEach:
    """The source that reads its entries one by one."""

    entries: Sequence[Any]
    name_of: Callable[[Any], str]
    read: Callable[[Any], Prepared]

    def __call__(self) -> Iterator[Prepared | Bad]:
        with _time_limits() as start:
            for entry in self.entries:
                try:
                    start(RECORD_LIMIT_S)
                    record: Prepared | Bad = self.read(entry)
                except BadRecordError as error:
                    record = Bad(self.name_of(entry), str(error))
                except MemoryError:
                    record = Bad(self.name_of(entry), "it does not fit in memory")
                except _TimeIsUp:
                    record = Bad(self.name_of(entry), f"reading it takes more than {RECORD_LIMIT_S:g} s")
                start(0)
                yield record


class _TimeIsUp(BaseException):
    """Passes through handlers that take any Exception for damage."""


@contextlib.contextmanager
def _time_limits() -> Iterator[Callable[[float], Any]]:
    """Gives what sets the seconds after which _TimeIsUp is raised, 0 for never; nothing outside the main thread.

    Only that thread can be reached by a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda seconds: None
        return

    def give_up(*_: object) -> None:
        raise _TimeIsUp

    timer = signal.getitimer(signal.ITIMER_REAL)
    handler = signal.signal(signal.SIGALRM, give_up)
    try:
        yield functools.partial(signal.setitimer, signal.ITIMER_REAL)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def cut(entries: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """`entries` in parts of nearly equal length, at most `size` each."""
    bounds = np.linspace(0, len(entries), math.ceil(len(entries) / size) + 1).astype(int)
    return [entries[a:b] for a, b in itertools.pairwise(bounds)]


def to_units(signal_mv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Millivolts [..., time, lead] as int16 microvolts, and how many samples of each record did not fit."""
    return to_int16(np.rint(signal_mv * GAIN))


def to_int16(microvolts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole microvolts [..., time, lead] of any type as int16, and how many samples of each record did not fit."""
    clipped = np.clip(microvolts, INT16.min, INT16.max)
    return clipped.astype(np.int16), np.count_nonzero(clipped != microvolts, axis=(-2, -1))


def write_shard(shard: Shard, path: str) -> Tally:
    """Writes the file of a shard at `path`; stops at the first bad record unless they are skipped.

    Raises:
      WriteError: the file cannot be written.
    """
    tally = Tally()
    with _writer(path) as write:
        for item in shard.source():
            if isinstance(item, Bad):
                tally.num_bad += 1
                if len(tally.bad) < MAX_NAMED:
                    tally.bad.append((shard.index, item))
                if shard.skip_bad:
                    continue
                break
            data = serialize(item.example, shard.lists)
            write(data)
            tally.num_records += 1
            tally.num_bytes += len(data)
            tally.num_clipped += item.num_clipped
            tally.patients.add(item.example["patient_id"])
            tally.classes.update(item.classes)
    return tally


@contextlib.contextmanager
def _writer(path: str) -> Iterator[Callable[[bytes], None]]:
    """Gives what writes a record to the file; all that goes wrong with it is a WriteError."""

    def checked(call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except RuntimeError as error:  # array_record reports everything this way
            raise WriteError(f"cannot write {path} ({str(error).split(';')[0]})") from None

    file = checked(array_record_module.ArrayRecordWriter, path, WRITER_OPTIONS)
    try:
        yield functools.partial(checked, file.write)
    except BaseException:
        with contextlib.suppress(RuntimeError):  # what went wrong first is what matters
            file.close()
        raise
    checked(file.close)


def raise_bad(shards: Sequence[Shard], tallies: Iterable[Tally]) -> None:
    """Raises an InputError that names the first bad record where none is skipped."""
    bad = min((tally.bad[0] for tally in tallies if tally.bad), key=operator.itemgetter(0), default=None)
    if bad is not None and not all(shard.skip_bad for shard in shards):
        raise InputError(f"{bad[1].name}: {bad[1].problem}", "mend the record or leave it out with --skip_bad")
