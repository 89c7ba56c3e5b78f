"""Prepared records: labels in memory, signals there too or in their files.

Record files are the interchange format; everything else works on a `Split`, which is read once.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ecgjax.data.record_files import Column, RecordFiles, dataset_dir, parsed, read_batches, stored_signal
from ecgjax.data.signals import INT16, Signals
from ecgjax.data.stored import StoredSignals, UnreadSignals

if TYPE_CHECKING:
    from ecgjax.preprocess import Preprocess  # at run time it would bring JAX to processes that only prepare data

GAIN = 1000.0
"""Units per mV of a signal in millivolts, in memory as in record files: int16 microvolts."""

log = logging.getLogger(__name__)


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


def load_split(
    name: str, variant: str, split: str, data_dir: str, preprocess: "Preprocess | None", seconds: float
) -> Split:
    """Reads one split (train, validation, test, or all of them) of a prepared dataset into memory.

    Every record is preprocessed, then cropped to its middle `seconds` or padded with zeros at its end. Without
    `preprocess` the records stay as they are and must share one rate.

    Raises:
      InputError: the dataset or split is absent, a file is damaged, or rates differ without `preprocess`.
    """
    files = RecordFiles(dataset_dir(name, variant, data_dir))
    signals = Signals(files.count(files.parts(split)), files.metadata, preprocess, seconds)
    return _scanned(files, split, signals)


def open_split(name: str, variant: str, split: str, data_dir: str, preprocess: "Preprocess", seconds: float) -> Split:
    """The split of `load_split`, but its signals stay in their files until they are asked for; labels are in memory."""
    files = RecordFiles(dataset_dir(name, variant, data_dir))
    first = files.first_row(files.parts(split)[0])
    rows = first + np.arange(files.count(files.parts(split)))
    return _scanned(files, split, UnreadSignals(StoredSignals(files, preprocess, seconds, rows)))


def _scanned(files: RecordFiles, split: str, signals: Signals | UnreadSignals) -> Split:
    """The labels of a split, and what `signals` makes of its signals."""
    columns = {label: Column(feature) for label, feature in files.features.items() if label != "ecg"}
    for part in files.parts(split):
        for batch in read_batches(files, part):
            examples = [parsed(data) for data in batch]
            for label, column in columns.items():
                column.extend([example[label] for example in examples])
            for example in examples:
                signals.append(*stored_signal(example))
    signals.finish()
    if signals.num_clipped:
        limit_mv = INT16.max / signals.gain
        log.warning("%s %s: %d samples beyond +-%g mV were clipped", files.name, split, signals.num_clipped, limit_mv)
    labels = {label: column.array() for label, column in columns.items() if label != "fs_hz"}
    return Split(
        dataset=files.name,
        split=split,
        ecg=signals.ecg,
        gain=signals.gain,
        fs_hz=signals.fs_hz,
        lead_names=tuple(files.metadata["lead_names"]),
        record_ids=labels.pop("record_id"),
        patient_ids=labels.pop("patient_id"),
        labels={**labels, "num_samples": signals.num_samples},
    )
