"""Shards written side by side by processes of this machine."""

import concurrent.futures
import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool

import tqdm

from data_prep.shards import Shard, Tally, Written, raise_bad, write_shard
from ecgjax.errors import InputError


def write_shards(shards: Sequence[Shard], num_workers: int, title: str) -> Written:
    """Writes all shards in up to `num_workers` processes.

    Raises:
      InputError: a record is bad where none is skipped, or a process is killed.
      WriteError: a file cannot be written.
    """
    num_workers = min(num_workers, len(shards))
    if num_workers < 2:
        return _collect(shards, ((shard.index, write_shard(shard, shard.path)) for shard in shards), title)
    with concurrent.futures.ProcessPoolExecutor(num_workers, start_method(), initializer=_start_worker) as pool:
        with warnings.catch_warnings():
            # Python 3.12 warns of every thread, those of NumPy's linear algebra too, which are ready for forks.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            futures = {pool.submit(write_shard, shard, shard.path): shard.index for shard in shards}
        finished = concurrent.futures.as_completed(futures)
        try:
            return _collect(shards, ((futures[future], future.result()) for future in finished), title)
        except BrokenProcessPool:
            raise InputError(
                "a process that wrote records was killed, most likely for want of memory", "give fewer --num_workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def start_method() -> multiprocessing.context.BaseContext:
    """A fork, which has everything imported already, where no thread can hold a lock that the fork would need.

    JAX starts threads that `threading` does not know.
    """
    is_safe = sys.platform == "linux" and threading.active_count() == 1 and "jax" not in sys.modules
    return multiprocessing.get_context("fork" if is_safe else "spawn")


def _collect(shards: Sequence[Shard], finished: Iterable[tuple[int, Tally]], title: str) -> Written:
    """Adds up the tallies of shards [index, tally] as they come."""
    of_shard = [Tally() for _ in shards]
    with tqdm.tqdm(desc=title, unit=" records", disable=None) as bar:
        for index, tally in finished:
            raise_bad(shards, [tally])
            of_shard[index] = tally
            bar.update(tally.num_records)
    tallies: dict[str, Tally] = {}
    for shard, tally in zip(shards, of_shard, strict=True):
        tallies.setdefault(shard.split, Tally()).add(tally)
    splits_of: dict[str, list[str]] = {}
    for split, tally in tallies.items():
        tally.num_patients = len(tally.patients)
        for patient in tally.patients:
            splits_of.setdefault(patient, []).append(split)
    torn = min(((patient, splits) for patient, splits in splits_of.items() if len(splits) > 1), default=None)
    return Written(tallies, [(tally.num_records, tally.num_bytes) for tally in of_shard], torn)


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and ends the worker with it however the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
