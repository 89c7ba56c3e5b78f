"""What every builder shares: shards written side by side, broken records named, and an all-or-nothing end.

A builder lists its shards; each is a source of prepared records that one process reads, serialises and writes. TFDS
gives the folder that is renamed once everything is in it, the metadata, and the reader.
"""

import abc
import collections
import concurrent.futures
import dataclasses
import itertools
import math
import multiprocessing
import os
import signal
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm
from array_record.python import array_record_module
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

from data_prep.serialize import serialize
from ecgjax.data.record_files import list_of
from ecgjax.errors import InputError
from ecgjax.leads import LEADS

GAIN = 1000.0
"""Units per mV in the record files of datasets in millivolts: int16 microvolts."""

RECORDS_PER_SHARD = 1024

WRITER_OPTIONS = "group_size:1,zstd:1"
"""A group of one is what random access needs. Level 1 writes three times as fast as the default level 3, reads
faster, and its files are 3 % larger."""


INT16 = np.iinfo(np.int16)


class BadRecordError(Exception):
    """One record that cannot be prepared, and why."""


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
    """What a split or a shard holds."""

    num_records: int = 0
    num_bytes: int = 0
    num_clipped: int = 0
    patients: set[str] = dataclasses.field(default_factory=set)
    classes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    bad: list[Bad] = dataclasses.field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.num_records += other.num_records
        self.num_bytes += other.num_bytes
        self.num_clipped += other.num_clipped
        self.patients |= other.patients
        self.classes += other.classes
        self.bad += other.bad


@dataclasses.dataclass(frozen=True)
class ReadEach:
    """The source that reads its entries one by one."""

    entries: Sequence[Any]
    name_of: Callable[[Any], str]
    read: Callable[[Any], Prepared]

    def __call__(self) -> Iterator[Prepared | Bad]:
        for entry in self.entries:
            try:
                yield self.read(entry)
            except BadRecordError as error:
                yield Bad(self.name_of(entry), str(error))


def cut(entries: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """`entries` in parts of nearly equal length, at most `size` each."""
    bounds = np.linspace(0, len(entries), math.ceil(len(entries) / size) + 1).astype(int)
    return [entries[a:b] for a, b in itertools.pairwise(bounds)]


def to_units(signal_mv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Millivolts [..., time, lead] as int16 microvolts, and how many samples of each record did not fit."""
    microvolts = np.rint(signal_mv * GAIN)
    clipped = np.clip(microvolts, INT16.min, INT16.max)
    return clipped.astype(np.int16), np.count_nonzero(clipped != microvolts, axis=(-2, -1))


def base_features(num_leads: int = len(LEADS)) -> dict[str, tfds.features.FeatureConnector]:
    """The features of every dataset."""
    return {
        "ecg": tfds.features.Tensor(shape=(None, num_leads), dtype=np.int16, encoding="bytes"),
        "fs_hz": tfds.features.Scalar(np.float32),
        "record_id": tfds.features.Text(),
        "patient_id": tfds.features.Text(),
    }


def base_metadata(lead_names: Sequence[str] = LEADS, gain: float = GAIN) -> dict[str, Any]:
    """The metadata of every dataset; `gain` is in units per mV, or per 1 where the signals are scaled."""
    return {"gain": gain, "lead_names": list(lead_names)}


@dataclasses.dataclass(frozen=True)
class Options:
    """How a preparation runs: where the raw files lie, what to do with broken records, how many processes."""

    raw_dir: Path | None
    skip_bad: bool
    num_workers: int


class RecordBuilder(FileReaderBuilder):
    """A TFDS builder of ECG records. Subclasses say `VARIANTS`, `_info` and `sources`.

    Attributes:
      VARIANTS: the names that a variant may have, the default first.
      ANY_VARIANT: whether a variant may have any other name too.
      MAKEABLE: whether the dataset needs no raw files.
      tallies: split -> what was written, once prepared.
    """

    VARIANTS: tuple[str, ...]
    ANY_VARIANT = False
    MAKEABLE = False

    def __init__(self, variant: str, data_dir: str, options: Options):
        self.options = options
        self.tallies: dict[str, Tally] = {}
        config = tfds.core.BuilderConfig(name=variant)
        super().__init__(data_dir=data_dir or None, config=config, file_format="array_record")

    @property
    def raw_dir(self) -> Path:
        """The folder of raw files; `prepare` has made sure that it is there."""
        assert self.options.raw_dir is not None
        return self.options.raw_dir

    @property
    def variant(self) -> str:
        return self.builder_config.name

    @classmethod
    def made_from(cls, variant: str) -> tuple[str, str] | None:
        """Name and variant of the prepared dataset that this one is made from, if it is."""
        del variant
        return None

    @abc.abstractmethod
    def sources(self) -> dict[str, list[Source]]:
        """Split -> its shards."""

    def _make_download_manager(self, download_dir: Any, download_config: Any) -> types.SimpleNamespace:
        # Nothing is downloaded; TFDS's manager would make folders for it and look for lists of checksums.
        del download_dir, download_config
        return types.SimpleNamespace(downloaded_size=0)

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        del dl_manager, download_config
        shards = [(split, source) for split, sources in self.sources().items() for source in sources]
        lists = {name: list_of(feature) for name, feature in self.info.features.items()}
        paths = [str(self.data_path / f"shard-{i}.tmp") for i in range(len(shards))]
        jobs = [(path, source, lists, self.options.skip_bad) for path, (_, source) in zip(paths, shards, strict=True)]
        tallies = _run(jobs, self.options.num_workers, f"{self.name}/{self.variant}")
        written = collections.defaultdict(list)
        for (split, _), path, tally in zip(shards, paths, tallies, strict=True):
            self.tallies.setdefault(split, Tally()).add(tally)
            if tally.num_records:
                written[split].append((path, tally))
            else:
                os.remove(path)
        _check(self.tallies)
        self.info.set_splits(tfds.core.splits.SplitDict([self._finish(s, files) for s, files in written.items()]))

    def _finish(self, split: str, files: list[tuple[str, Tally]]) -> tfds.core.splits.SplitInfo:
        """Gives the files of a split their final names."""
        template = self._get_filename_template(split)
        for index, (path, _) in enumerate(files):
            os.rename(path, template.sharded_filepath(shard_index=index, num_shards=len(files)))
        return tfds.core.splits.SplitInfo(
            name=split,
            shard_lengths=[tally.num_records for _, tally in files],
            num_bytes=sum(tally.num_bytes for _, tally in files),
            filename_template=template,
        )


def write_shard(path: str, source: Source, lists: Mapping[str, str], skip_bad: bool) -> Tally:
    """Writes one shard; stops at the first bad record unless `skip_bad`."""
    tally = Tally()
    writer = array_record_module.ArrayRecordWriter(path, WRITER_OPTIONS)
    try:
        for item in source():
            if isinstance(item, Bad):
                tally.bad.append(item)
                if skip_bad:
                    continue
                break
            data = serialize(item.example, lists)
            writer.write(data)
            tally.num_records += 1
            tally.num_bytes += len(data)
            tally.num_clipped += item.num_clipped
            tally.patients.add(item.example["patient_id"])
            tally.classes.update(item.classes)
    finally:
        writer.close()
    return tally


def _run(jobs: Sequence[tuple], num_workers: int, title: str) -> list[Tally]:
    """`write_shard` on every job, in up to `num_workers` processes; raises at the first bad record."""
    skip_bad = all(job[-1] for job in jobs)
    tallies = [Tally() for _ in jobs]
    with tqdm.tqdm(desc=title, unit=" records", disable=None) as bar:

        def finished(index: int, tally: Tally) -> None:
            if tally.bad and not skip_bad:
                bad = tally.bad[0]
                raise InputError(f"{bad.name}: {bad.problem}", "mend the record or leave it out with --skip_bad")
            tallies[index] = tally
            bar.update(tally.num_records)

        if min(num_workers, len(jobs)) < 2:
            for index, job in enumerate(jobs):
                finished(index, write_shard(*job))
            return tallies
        # Spawned, since a fork of a process that has started JAX may deadlock.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(
            min(num_workers, len(jobs)), context, initializer=_start_worker
        ) as pool:
            futures = {pool.submit(write_shard, *job): index for index, job in enumerate(jobs)}
            try:
                for future in concurrent.futures.as_completed(futures):
                    finished(futures[future], future.result())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return tallies


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and ends the worker with it however the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _check(tallies: Mapping[str, Tally]) -> None:
    """Splits hold something, and no patient is in two of them."""
    if not any(tally.num_records for tally in tallies.values()):
        first = next((f" ({bad.name}: {bad.problem})" for tally in tallies.values() for bad in tally.bad), "")
        raise InputError(f"there is no good record{first}", "check --raw_dir")
    home: dict[str, str] = {}
    for split, tally in tallies.items():
        for patient in tally.patients:
            if home.setdefault(patient, split) != split:
                raise InputError(
                    f"patient {patient} has records in both {home[patient]} and {split}",
                    "give all records of a patient the same split",
                )
