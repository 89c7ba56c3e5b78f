"""Prepared records: labels in memory, signals there too or in their files.

Record files are the interchange format; everything else works on a `Split`, which is read once.
"""

import logging
from typing import TYPE_CHECKING

import numpy as np

from ecgjax.data.record_files import Column, RecordFiles, dataset_dir, parsed, read_batches, stored_signal
from ecgjax.data.signals import INT16, Signals
from ecgjax.data.split import Split
from ecgjax.data.stored import StoredSignals, UnreadSignals

if TYPE_CHECKING:
    from ecgjax.preprocess import Preprocess  # at run time it would bring JAX to processes that only prepare data

log = logging.getLogger(__name__)


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
