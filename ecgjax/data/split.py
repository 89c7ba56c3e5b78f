"""The records of one split, in memory or in their files."""

import dataclasses
from collections.abc import Mapping

import numpy as np

GAIN = 1000.0
"""Units per mV of a signal in millivolts, in memory as in record files: int16 microvolts."""


@dataclasses.dataclass(frozen=True)
class Split:
    """The records of one split in memory.

    Attributes:
      dataset: `name/variant`.
      split: train, validation, test or all.
      ecg: int16 [record, time, lead], units of 1/gain mV; of `open_split` a `StoredSignals`, which reads what is asked
        of it.
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
