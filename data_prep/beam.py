"""Shards written by the workers of an Apache Beam pipeline: on Dataflow, Flink, Spark, or on this machine.

Workers share the folders of the raw files and of the dataset, under the same paths: a cluster's file system, or on
Dataflow a share that their container mounts, since array_record writes to file systems only. The pipeline carries
numbers of shards, tallies and patients; a shard's entries lie in a file of their own, which only the worker that writes
it reads.
"""

import pickle
import platform
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.options.pipeline_options import PipelineOptions

from data_prep.shards import Shard, Tally, WriteError, Written, raise_bad, write_shard
from ecgjax.errors import InputError

PATIENTS = "patients"
STOP, WRITTEN = "stop", "written"
"""Files in the folder of a run: the shard with a bad record where none is skipped; what the pipeline adds up to."""

QUIET = ("--default_sdk_harness_log_level=WARNING",)

Sums = tuple[dict[str, Tally], dict[int, tuple[int, int]]]
"""Split -> tally; number of a shard -> its records and bytes."""


def write_shards(shards: Sequence[Shard], runner: str, options: Sequence[str]) -> Written:
    """Writes all shards on `runner`, one of Beam's, with its pipeline `options`.

    A bundle that a runner tries again, or twice at a time, writes a file of its own and puts it in place whole.

    Raises:
      InputError: a record is bad where none is skipped, the runner is unknown, or the pipeline fails.
    """
    folder = Path(shards[0].path).parent / "run"
    folder.mkdir()
    for shard in shards:
        _shard_file(folder, shard.index).write_bytes(pickle.dumps(shard))
    try:
        with beam.Pipeline(runner=runner, options=PipelineOptions([*QUIET, *options])) as pipeline:
            build_pipeline(pipeline, len(shards), folder)
        tallies, sizes, torn = pickle.loads((folder / WRITTEN).read_bytes())
    except (Exception, SystemExit) as error:  # runners fail in ways of their own, and exit where options are wrong
        raise InputError(f"the pipeline failed on {runner} ({_reason(error)})", "see the log of its workers") from error
    shutil.rmtree(folder)
    raise_bad(shards, tallies.values())
    splits = list(dict.fromkeys(shard.split for shard in shards))
    return Written(
        {split: tallies[split] for split in splits},
        [sizes[shard.index] for shard in shards],
        next(((patient, sorted(of_patient, key=splits.index)) for patient, of_patient in torn), None),
    )


def build_pipeline(pipeline: beam.Pipeline, num_shards: int, folder: Path) -> None:
    """Adds the writing of shards, the merging of tallies, and the check of every patient's splits."""
    written = (
        pipeline
        | "Shards" >> beam.Create(range(num_shards))
        | "Spread" >> beam.Reshuffle()
        | "Write" >> beam.ParDo(WriteShard(str(folder))).with_outputs(PATIENTS, main="tallies")
    )
    splits_of = written[PATIENTS] | "Splits of a patient" >> beam.CombinePerKey(_union)
    num_patients = (
        splits_of
        | "Split of each" >> beam.FlatMap(_splits)
        | "Patients of a split" >> beam.combiners.Count.PerElement()
    )
    torn = splits_of | "In two splits" >> beam.Filter(_is_torn) | "First by name" >> beam.combiners.Top.Smallest(1)
    _ = (
        written["tallies"]
        | "Add up" >> beam.CombineGlobally(AddUp())
        | "Hand over" >> beam.Map(_hand_over, pvalue.AsDict(num_patients), pvalue.AsSingleton(torn), str(folder))
    )


class WriteShard(beam.DoFn):
    """Number of a shard -> (number, split, tally), and (patient, split) of each of its patients."""

    def __init__(self, folder: str):
        self._folder = Path(folder)

    def process(self, element: int) -> Iterator[Any]:
        path = _shard_file(self._folder, element)
        if not path.is_file():
            raise WriteError(f"{platform.node()} does not see {path}, workers need the folders of the data")
        shard: Shard = pickle.loads(path.read_bytes())
        if self._is_in_vain(element):
            tally = Tally()
            Path(shard.path).touch()
        else:
            draft = self._folder / uuid.uuid4().hex
            tally = write_shard(shard, str(draft))
            draft.replace(shard.path)
        if tally.bad and not shard.skip_bad:
            _put(self._folder / STOP, str(element).encode())
        for patient in tally.patients:
            yield pvalue.TaggedOutput(PATIENTS, (patient, (shard.split,)))
        tally.patients = set()
        yield element, shard.split, tally

    def _is_in_vain(self, element: int) -> bool:
        """Whether another shard has stopped the run; the one that has tells of its bad record, even if tried again."""
        try:
            return (self._folder / STOP).read_text() != str(element)
        except FileNotFoundError:
            return False


class AddUp(beam.CombineFn):
    """(number, split, tally) of all shards -> their sums, in whatever order they come."""

    def create_accumulator(self) -> Sums:
        return {}, {}

    def add_input(self, mutable_accumulator: Sums, element: tuple[int, str, Tally]) -> Sums:
        tallies, sizes = mutable_accumulator
        index, split, tally = element
        tallies.setdefault(split, Tally()).add(tally)
        sizes[index] = tally.num_records, tally.num_bytes
        return mutable_accumulator

    def merge_accumulators(self, accumulators: Iterable[Sums]) -> Sums:
        tallies, sizes = self.create_accumulator()
        for other_tallies, other_sizes in accumulators:
            for split, tally in other_tallies.items():
                tallies.setdefault(split, Tally()).add(tally)
            sizes.update(other_sizes)
        return tallies, sizes

    def extract_output(self, accumulator: Sums) -> Sums:
        return accumulator


def _shard_file(folder: Path, index: int) -> Path:
    return folder / f"{index}.shard"


def _union(splits: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({split for some in splits for split in some}))


def _splits(patient: tuple[str, tuple[str, ...]]) -> tuple[str, ...]:
    return patient[1]


def _is_torn(patient: tuple[str, tuple[str, ...]]) -> bool:
    return len(patient[1]) > 1


def _hand_over(
    added: Sums,
    num_patients: Mapping[str, int],
    torn: list[tuple[str, tuple[str, ...]]],
    folder: str,
) -> None:
    """Leaves what has been added up for the launcher."""
    tallies, sizes = added
    for split, tally in tallies.items():
        tally.num_patients = num_patients.get(split, 0)
    _put(Path(folder, WRITTEN), pickle.dumps((tallies, sizes, torn)))


def _put(path: Path, data: bytes) -> None:
    """Writes a file that is there whole or not at all."""
    draft = path.with_name(uuid.uuid4().hex)
    draft.write_bytes(data)
    draft.replace(path)


def _reason(error: BaseException) -> str:
    """What a worker said went wrong, or the last that the runner has to say."""
    text = str(error)
    told = re.findall(rf"{WriteError.__name__}: (.*)", text) or text.strip().splitlines() or [type(error).__name__]
    return told[-1].partition(" [while running")[0]
