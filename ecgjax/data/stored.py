"""Signals that stay in their record files until someone asks for them."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ecgjax.data.record_files import RecordFiles, parsed, stored_signal
from ecgjax.data.signals import Signals

if TYPE_CHECKING:
    from ecgjax.preprocess import Preprocess  # at run time it would bring JAX to processes that only prepare data


@dataclasses.dataclass(frozen=True)
class StoredSignals:
    """Stands for an int16 array [record, time, lead] of which it reads, from `files`, what is asked of it.

    Some of the records are `StoredSignals` again, a single one is an array, and NumPy's functions take it for the array
    of all its records, which they read.
    """

    files: RecordFiles
    preprocess: "Preprocess"
    seconds: float
    rows: np.ndarray

    dtype = np.dtype(np.int16)
    ndim = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.rows), round(self.seconds * self.preprocess.fs_hz), len(self.files.metadata["lead_names"])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, records: Any) -> "StoredSignals | np.ndarray":
        chosen = self.rows[records]
        return dataclasses.replace(self, rows=chosen) if np.ndim(chosen) else self._read(np.array([chosen]))[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy  # what is read is new
        return self._read(self.rows).astype(dtype or self.dtype, copy=False)

    def __truediv__(self, divisor: Any) -> np.ndarray:
        return np.asarray(self) / divisor

    def _read(self, rows: np.ndarray) -> np.ndarray:
        signals = Signals(len(rows), self.files.metadata, self.preprocess, self.seconds)
        for data in self.files.at_rows(rows):
            signals.append(*stored_signal(parsed(data)))
        signals.finish()
        return signals.ecg


class UnreadSignals:
    """Takes the place of `Signals` where they stay in their files: only lengths are noted."""

    def __init__(self, stored: StoredSignals):
        # To all who ask for parts of it, it is an array.
        self.ecg = cast(np.ndarray, stored)
        self.gain = float(stored.files.metadata["gain"])
        self.fs_hz = stored.preprocess.fs_hz
        self.num_samples = np.zeros(len(stored), np.int32)
        self.num_clipped = 0
        self._preprocess = stored.preprocess
        self._row = 0

    def append(self, data: bytes, fs_hz: float) -> None:
        """Adds the next record, int16 [time, lead] as bytes."""
        _, time, num_leads = self.ecg.shape
        recorded = len(data) // (np.dtype(np.int16).itemsize * num_leads)
        self.num_samples[self._row] = min(self._preprocess.num_samples(recorded, fs_hz), time)
        self._row += 1

    def finish(self) -> None:
        """All is there."""


def joined_signals(parts: Sequence[Any]) -> Any:
    """The signals of several splits of one dataset in a row."""
    if not isinstance(parts[0], StoredSignals):
        return np.concatenate(parts)
    return dataclasses.replace(parts[0], rows=np.concatenate([part.rows for part in parts]))
