"""The record files of prepared datasets: where they lie, and what is in them.

TFDS's own decoding of an example takes 0.4 ms, most of it on labels, so the raw examples are parsed here and turned
into columns.
"""

import concurrent.futures
import operator
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from ecgjax.errors import InputError

SPLITS = ("train", "validation", "test")
BATCH = 256
"""Examples parsed together."""

LISTS = {"i": "int64_list", "u": "int64_list", "b": "int64_list", "f": "float_list"}
"""Kind of NumPy type -> list of an example; all else is bytes."""


def data_root(data_dir: str) -> Path:
    """The folder of all prepared datasets; "" is TFDS's default, which `TFDS_DATA_DIR` sets."""
    return Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()


def dataset_dir(name: str, variant: str, data_dir: str) -> Path:
    """The newest prepared version of a dataset; the only variant there is where `variant` is "".

    Raises:
      InputError: there is none.
    """
    root = data_root(data_dir)
    found = sorted(path.parent for path in (root / name).glob("*/*/dataset_info.json") if _version(path.parent))
    versions = [path for path in found if path.parent.name == variant or not variant]
    if not versions or len({path.parent for path in versions}) > 1:
        there = ", ".join(sorted({f"{path.parent.parent.name}/{path.parent.name}" for path in found})) or "nothing"
        wanted = f"{name}/{variant}" if variant else name
        target = f" --data_dir={data_dir}" if data_dir else ""
        raise InputError(
            f"expected {wanted} in {root}, there is {there} of it",
            f"run python -m data_prep --dataset={wanted} --raw_dir=DIR{target}",
        )
    return max(versions, key=_version)


def _version(path: Path) -> tuple[int, ...]:
    """The version that a folder is named after; empty for a folder of an interrupted preparation."""
    parts = path.name.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


class RecordFiles:
    """The record files of a prepared dataset.

    Attributes:
      name: `name/variant`.
      features: of an example, by name.
      metadata: gain, names of leads and more.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._builder = tfds.builder_from_directory(folder)
        self.name = f"{folder.parent.parent.name}/{folder.parent.name}"
        self.features = self._builder.info.features
        self.metadata = self._builder.info.metadata
        self._present = [part for part in SPLITS if part in self._builder.info.splits]
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        self._sources = {part: self._builder.as_data_source(part, deserialize_method=raw) for part in self._present}

    def parts(self, split: str) -> list[str]:
        """The splits that `split` stands for, one or all of them; raises InputError where it is not there."""
        if split != "all" and split not in self._present:
            raise InputError(
                f"{self._folder} has no split {split!r}", f"use one of {', '.join([*self._present, 'all'])}"
            )
        return self._present if split == "all" else [split]

    def count(self, parts: Sequence[str]) -> int:
        """Records in some splits together."""
        return sum(len(self._sources[part]) for part in parts)

    def first_row(self, part: str) -> int:
        """Number of the first record of a split, where all records of the dataset are numbered."""
        return self.count(self._present[: self._present.index(part)])

    def example(self, part: str, index: int) -> bytes:
        """One serialised example of a split.

        Raises:
          InputError: its file is missing or damaged; the message names it.
        """
        try:
            return self._sources[part][index]
        except RuntimeError as error:  # array_record reports everything that is wrong with a file this way
            info = self._builder.info.splits[part]
            shard = int(np.searchsorted(np.cumsum(info.shard_lengths), index, side="right"))
            raise InputError(
                f"record file {info.filepaths[shard]} is damaged ({str(error).split(';')[0]})",
                f"delete {self._builder.data_path} and prepare the dataset again",
            ) from None

    def at_rows(self, rows: np.ndarray) -> Iterator[bytes]:
        """The serialised examples of some records, numbered as by `first_row`."""
        ends = np.cumsum([len(self._sources[part]) for part in self._present])
        for row in rows:
            place = int(np.searchsorted(ends, row, side="right"))
            part = self._present[place]
            yield self.example(part, int(row - ends[place]) + len(self._sources[part]))


def parsed(data: bytes) -> Mapping[str, tf_feature_pb2.Feature]:
    """The features of a serialised example."""
    return tf_example_pb2.Example.FromString(data).features.feature


def stored_signal(example: Mapping[str, tf_feature_pb2.Feature]) -> tuple[bytes, float]:
    """The signal of an example, int16 [time, lead] as bytes, and its rate."""
    return example["ecg"].bytes_list.value[0], example["fs_hz"].float_list.value[0]


def read_batches(files: RecordFiles, part: str) -> Iterator[list[bytes]]:
    """The serialised examples of a split in the order of its files, read one batch ahead."""
    count = files.count([part])

    def read(start: int) -> list[bytes]:
        return [files.example(part, index) for index in range(start, min(start + BATCH, count))]

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, 0)
        for start in range(BATCH, count + BATCH, BATCH):
            batch, ahead = ahead.result(), pool.submit(read, start)
            yield batch


class Column:
    """The values of one label, gathered record by record."""

    def __init__(self, feature: tfds.features.FeatureConnector):
        is_sequence = isinstance(feature, tfds.features.Sequence)
        item = feature.feature if is_sequence else feature
        self._is_text = isinstance(item, tfds.features.Text)
        self._dtype = str if self._is_text else item.np_dtype
        # The shape of one record's value, -1 where it varies.
        self._shape = (-1,) if is_sequence else tuple(-1 if n is None else n for n in item.shape)
        self._list = list_of(item)
        self._is_raw = self._list == "bytes_list" and not self._is_text
        self._values: list[Any] = []

    def extend(self, stored: Sequence[tf_feature_pb2.Feature]) -> None:
        """Adds the feature of some records, as it is stored."""
        of_kind = operator.attrgetter(f"{self._list}.value")
        if self._shape and not self._is_raw:
            self._values += [list(of_kind(feature)) for feature in stored]
        else:
            self._values += [of_kind(feature)[0] for feature in stored]

    def array(self) -> np.ndarray:
        """[record, ...]; an object array of arrays where their lengths may differ."""
        if not self._shape:
            decoded = [value.decode() for value in self._values] if self._is_text else self._values
            return np.array(decoded, self._dtype)
        arrays = [self._one(value) for value in self._values]
        if -1 not in self._shape:
            return np.stack(arrays)
        ragged = np.empty(len(arrays), object)
        for index, array in enumerate(arrays):
            ragged[index] = array
        return ragged

    def _one(self, value: Any) -> np.ndarray:
        if self._is_raw:
            return np.frombuffer(value, self._dtype).reshape(self._shape)
        return np.array([v.decode() for v in value] if self._is_text else value, self._dtype).reshape(self._shape)


def list_of(feature: tfds.features.FeatureConnector) -> str:
    """Which list of an example holds a feature: `int64_list`, `float_list` or `bytes_list`."""
    return LISTS.get(np.dtype(feature.get_serialized_info().np_dtype).kind, "bytes_list")
