"""The signals of records, brought to one rate and length."""

import collections
import concurrent.futures
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgjax.errors import InputError

if TYPE_CHECKING:
    from ecgjax.preprocess import Preprocess  # at run time it would bring JAX to processes that only prepare data

INT16 = np.iinfo(np.int16)

CHUNK_SAMPLES = 1 << 20
"""Samples filtered at once: small beside the split, large enough for whole-array arithmetic."""


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
