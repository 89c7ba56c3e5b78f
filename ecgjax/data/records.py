"""Prepared record files to arrays.

Record files are the interchange format; everything else works on a `Split`, which is read once. TFDS's own decoding of
an example takes 0.4 ms, most of it on labels, so the raw examples are parsed here and turned into columns.
"""

import collections
import concurrent.futures
import dataclasses
import logging
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from ecgjax.errors import InputError

if TYPE_CHECKING:
    from ecgjax.preprocess import Preprocess  # at run time it would bring JAX to processes that only prepare data

GAIN = 1000.0
"""Units per mV of a signal in millivolts, in memory as in record files: int16 microvolts."""

SPLITS = ("train", "validation", "test")
INT16 = np.iinfo(np.int16)
BATCH = 256
"""Examples parsed together."""

CHUNK_SAMPLES = 1 << 20
"""Samples filtered at once: small beside the split, large enough for whole-array arithmetic."""

LISTS = {"i": "int64_list", "u": "int64_list", "b": "int64_list", "f": "float_list"}
"""Kind of NumPy type -> list of an example; all else is bytes."""

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Split:
    """The records of one split in memory.

    Attributes:
      dataset: `name/variant`.
      split: train, validation, test or all.
      ecg: int16 [record, time, lead], units of 1/gain mV.
      gain: units per mV, that of the dataset; per 1 where its signals are scaled.
      fs_hz: sampling rate, the same for all records.
      lead_names: [lead].
      record_ids: [record] text.
      patient_ids: [record] text; the heart of a simulation, the record where no patient is known.
      labels: every other feature by name, [record, ...]; sequences as object arrays of arrays. `num_samples` is the
        length of the signal before the zeros that pad it.
      left_out: why records are not here, and how many.
    """

    dataset: str
    split: str
    ecg: np.ndarray
    gain: float
    fs_hz: float
    lead_names: tuple[str, ...]
    record_ids: np.ndarray
    patient_ids: np.ndarray
    labels: dict[str, np.ndarray]
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ecg)

    def without(self, excluded: Mapping[str, np.ndarray]) -> "Split":
        """The records that no mask `[record]` of `excluded` names; each of the others counts under its first reason."""
        left_out, is_kept = dict(self.left_out), np.ones(len(self), bool)
        for reason, is_excluded in excluded.items():
            left_out[reason] = left_out.get(reason, 0) + int(np.sum(is_kept & is_excluded))
            is_kept &= ~is_excluded
        return dataclasses.replace(self.select(is_kept), left_out=left_out)

    def select(self, records: np.ndarray) -> "Split":
        """The records of a mask [record] or of indices."""
        return dataclasses.replace(
            self,
            ecg=self.ecg[records],
            record_ids=self.record_ids[records],
            patient_ids=self.patient_ids[records],
            labels={name: values[records] for name, values in self.labels.items()},
        )


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


def load_split(
    name: str, variant: str, split: str, data_dir: str, preprocess: "Preprocess | None", seconds: float
) -> Split:
    """Reads one split (train, validation, test, or all of them) of a prepared dataset into memory.

    Every record is preprocessed, then cropped to its middle `seconds` or padded with zeros at its end. Without
    `preprocess` the records stay as they are and must share one rate.

    Raises:
      InputError: the dataset or split is absent, a file is damaged, or rates differ without `preprocess`.
    """
    folder = dataset_dir(name, variant, data_dir)
    dataset = f"{name}/{folder.parent.name}"
    builder = tfds.builder_from_directory(folder)
    info = builder.info
    present = [part for part in SPLITS if part in info.splits]
    if split != "all" and split not in present:
        raise InputError(f"{folder} has no split {split!r}", f"use one of {', '.join([*present, 'all'])}")
    parts = present if split == "all" else [split]
    columns = {label: Column(feature) for label, feature in info.features.items() if label != "ecg"}
    signals = Signals(sum(info.splits[part].num_examples for part in parts), info.metadata, preprocess, seconds)
    for part in parts:
        for batch in read_batches(builder, part):
            examples = [tf_example_pb2.Example.FromString(data).features.feature for data in batch]
            for label, column in columns.items():
                column.extend([example[label] for example in examples])
            for example in examples:
                signals.append(example["ecg"].bytes_list.value[0], example["fs_hz"].float_list.value[0])
    signals.finish()
    if signals.num_clipped:
        limit_mv = INT16.max / signals.gain
        log.warning("%s %s: %d samples beyond +-%g mV were clipped", dataset, split, signals.num_clipped, limit_mv)
    labels = {label: column.array() for label, column in columns.items() if label != "fs_hz"}
    return Split(
        dataset=dataset,
        split=split,
        ecg=signals.ecg,
        gain=signals.gain,
        fs_hz=signals.fs_hz,
        lead_names=tuple(info.metadata["lead_names"]),
        record_ids=labels.pop("record_id"),
        patient_ids=labels.pop("patient_id"),
        labels={**labels, "num_samples": signals.num_samples},
    )


def read_batches(builder: tfds.core.DatasetBuilder, split: str) -> Iterator[list[bytes]]:
    """The serialised examples of a split in the order of its files, read one batch ahead.

    Raises:
      InputError: a file is missing or damaged; the message names it.
    """
    raw = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)

    def read(start: int) -> list[bytes]:
        batch = []
        for index in range(start, min(start + BATCH, len(raw))):
            try:
                batch.append(raw[index])
            except RuntimeError as error:  # array_record reports everything that is wrong with a file this way
                info = builder.info.splits[split]
                shard = int(np.searchsorted(np.cumsum(info.shard_lengths), index, side="right"))
                raise InputError(
                    f"record file {info.filepaths[shard]} is damaged ({str(error).split(';')[0]})",
                    f"delete {builder.data_path} and prepare the dataset again",
                ) from None
        return batch

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, 0)
        for start in range(BATCH, len(raw) + BATCH, BATCH):
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


class Signals:
    """The signals of a split, brought to one rate and length as they arrive.

    What needs no arithmetic is copied straight to its place. The rest waits until a chunk of one rate and length is
    full, and threads filter chunks while the next records are read (scipy's filters release the interpreter lock).
    """

    def __init__(self, num_records: int, metadata: dict[str, Any], preprocess: "Preprocess | None", seconds: float):
        self._preprocess = preprocess
        self._seconds = seconds
        self.gain = float(metadata["gain"])
        self._shape = (num_records, len(metadata["lead_names"]))
        self._row = 0
        self._waiting: dict[tuple[float, int], list[tuple[int, np.ndarray]]] = {}
        self._running: collections.deque[concurrent.futures.Future] = collections.deque()
        self._num_threads = os.cpu_count() or 1
        self._pool = concurrent.futures.ThreadPoolExecutor(self._num_threads)
        self.num_clipped = 0
        self.num_samples = np.zeros(num_records, np.int32)
        if preprocess is not None:
            self._allocate(preprocess.fs_hz)

    def _allocate(self, fs_hz: float) -> None:
        num_records, num_leads = self._shape
        self.fs_hz = fs_hz
        self.ecg = np.zeros((num_records, round(self._seconds * fs_hz), num_leads), np.int16)

    def append(self, data: bytes, fs_hz: float) -> None:
        """Adds the next record, int16 [time, lead] as bytes.

        Raises:
          InputError: the rate differs from the records before it, and nothing resamples.
        """
        if self._preprocess is None:
            if self._row == 0:
                self._allocate(fs_hz)
            if fs_hz != self.fs_hz:
                raise InputError(f"records of {self.fs_hz:g} and {fs_hz:g} Hz in one split", "set preprocess.fs_hz")
        record = np.frombuffer(data, np.int16).reshape(-1, self._shape[1])
        if self._is_identity(fs_hz):
            self._place(self._row, record)
        else:
            chunk = self._waiting.setdefault((fs_hz, len(record)), [])
            chunk.append((self._row, record))
            if len(chunk) * record.size >= CHUNK_SAMPLES:
                self._start(fs_hz, len(record))
        self._row += 1

    def _is_identity(self, fs_hz: float) -> bool:
        return self._preprocess is None or (self._preprocess.filter == "none" and self._preprocess.fs_hz == fs_hz)

    def _start(self, fs_hz: float, length: int) -> None:
        rows, records = zip(*self._waiting.pop((fs_hz, length)), strict=True)
        self._running.append(self._pool.submit(self._process, rows, records, fs_hz))
        while len(self._running) > 2 * self._num_threads:
            self.num_clipped += self._running.popleft().result()

    def _process(self, rows: tuple[int, ...], records: tuple[np.ndarray, ...], fs_hz: float) -> int:
        """Preprocesses a chunk, puts it in its place, and returns how many samples it clipped."""
        assert self._preprocess is not None  # without it every record is an identity
        signal_mv = self._preprocess.apply(np.stack(records) / np.float32(self.gain), fs_hz)
        units = np.rint(signal_mv * np.float32(self.gain))
        clipped = np.clip(units, INT16.min, INT16.max)
        for row, record in zip(rows, clipped.astype(np.int16), strict=True):
            self._place(row, record)
        return int(np.count_nonzero(clipped != units))

    def _place(self, row: int, record: np.ndarray) -> None:
        length = self.ecg.shape[1]
        start = max(0, (len(record) - length) // 2)
        record = record[start : start + length]
        self.ecg[row, : len(record)] = record
        self.num_samples[row] = len(record)

    def finish(self) -> None:
        """Waits until every record is in its place."""
        for fs_hz, length in list(self._waiting):
            self._start(fs_hz, length)
        self.num_clipped += sum(future.result() for future in self._running)
        self._pool.shutdown()


def list_of(feature: tfds.features.FeatureConnector) -> str:
    """Which list of an example holds a feature: `int64_list`, `float_list` or `bytes_list`."""
    return LISTS.get(np.dtype(feature.get_serialized_info().np_dtype).kind, "bytes_list")
