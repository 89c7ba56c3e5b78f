"""What every builder shares: shards written side by side, broken records named, and an all-or-nothing end.

A builder lists its shards; each is a source of prepared records that one process reads, serialises and writes. TFDS
gives the folder that is renamed once everything is in it, the metadata, and the reader.
"""

import abc
import collections
import dataclasses
import os
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

from data_prep import pool
from data_prep.shards import GAIN, Shard, Source, Tally, Written
from ecgjax.data.record_files import list_of
from ecgjax.errors import InputError
from ecgjax.leads import LEADS


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
class Beam:
    """What runs the preparation instead of processes of this machine: a runner of Apache Beam, and its options."""

    runner: str
    options: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Options:
    """How a preparation runs: where the raw files lie, what to do with broken records, how many processes."""

    raw_dir: Path | None
    skip_bad: bool
    num_workers: int
    beam: Beam | None


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
        lists = {name: list_of(feature) for name, feature in self.info.features.items()}
        sources = ((split, source) for split, sources in self.sources().items() for source in sources)
        shards = [
            Shard(index, split, str(self.data_path / f"shard-{index}.tmp"), source, lists, self.options.skip_bad)
            for index, (split, source) in enumerate(sources)
        ]
        written = self._write(shards)
        _check(written)
        self.tallies.update(written.tallies)
        files = collections.defaultdict(list)
        for shard, size in zip(shards, written.sizes, strict=True):
            if size[0]:
                files[shard.split].append((shard.path, size))
            else:
                os.remove(shard.path)
        self.info.set_splits(tfds.core.splits.SplitDict([self._finish(s, of_split) for s, of_split in files.items()]))

    def _write(self, shards: Sequence[Shard]) -> Written:
        if self.options.beam is None:
            return pool.write_shards(shards, self.options.num_workers, f"{self.name}/{self.variant}")
        try:
            from data_prep import beam  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise InputError(f"--beam_runner needs {error.name}", "pip install 'ecgjax[beam]'") from None
        return beam.write_shards(shards, self.options.beam.runner, self.options.beam.options)

    def _finish(self, split: str, files: list[tuple[str, tuple[int, int]]]) -> tfds.core.splits.SplitInfo:
        """Gives the files of a split their final names."""
        template = self._get_filename_template(split)
        for index, (path, _) in enumerate(files):
            os.rename(path, template.sharded_filepath(shard_index=index, num_shards=len(files)))
        return tfds.core.splits.SplitInfo(
            name=split,
            shard_lengths=[num_records for _, (num_records, _) in files],
            num_bytes=sum(num_bytes for _, (_, num_bytes) in files),
            filename_template=template,
        )


def _check(written: Written) -> None:
    """Splits hold something, and no patient is in two of them."""
    tallies = written.tallies.values()
    if not any(tally.num_records for tally in tallies):
        first = next((f" ({bad.name}: {bad.problem})" for tally in tallies for _, bad in tally.bad), "")
        raise InputError(f"there is no good record{first}", "check --raw_dir")
    if written.torn:
        patient, splits = written.torn
        raise InputError(
            f"patient {patient} has records in both {splits[0]} and {splits[1]}",
            "give all records of a patient the same split",
        )
