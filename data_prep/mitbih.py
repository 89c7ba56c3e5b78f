"""MIT-BIH Arrhythmia Database, beat by beat (Moody and Mark, IEEE Eng Med Biol Mag 2001, 20(3):45-50).

48 half-hour Holter recordings at 360 Hz with a reference annotation at every beat. The annotations stand on the main
peak of the QRS complex, nearly always to within the 8 ms of a sample at 125 Hz, and are taken as they are: the highest
deflection nearby would be R in one beat and S in the next wherever the two are alike.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import tensorflow_datasets as tfds
import wfdb

from data_prep.beat_records import beat_features, beats_of
from data_prep.build import RecordBuilder
from data_prep.shards import GAIN, Bad, BadRecordError, Prepared, Source
from data_prep.stratified import stratified_splits
from data_prep.wfdb_records import check_checksums, check_samples, read_digital, units_per_mv
from ecgjax.data.heartbeats import CLASS_OF_SYMBOL, LEAD_NAMES, WINDOW_SAMPLES
from ecgjax.errors import InputError

RAW_HZ = 360
UP, DOWN = 25, 72
"""125 Hz over 360 Hz."""

FIRST_LEAD = "MLII"

DS1 = (
    *("101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"),
    *("124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"),
)
DS2 = (
    *("100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210"),
    *("212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234"),
)
"""The halves of de Chazal et al. (IEEE Trans Biomed Eng 2004, 51:1196-1206, Table II)."""

PACED = ("102", "104", "107", "217")
"""Left out of both halves, as ANSI/AAMI EC57 says."""

VALIDATION = ("124", "205", "220", "223")
"""Recordings of DS1 that are not trained on. They hold every class but Q, of which DS1 has eight beats, and a fifth of
the S and V beats; what is left has S beats of four patients with about a hundred and more each, and recording 208, with
nine tenths of the fusion beats."""

BY_BEAT = {"train": 0.8, "validation": 0.1, "test": 0.1}
SEED = 0

CITATION = """@article{moody2001mitbih,
  author = {Moody, George B. and Mark, Roger G.},
  title = {The impact of the {MIT-BIH} Arrhythmia Database},
  journal = {IEEE Engineering in Medicine and Biology Magazine}, volume = {20}, number = {3}, pages = {45--50},
  year = {2001}}"""


class Mitbih(RecordBuilder):
    """Variants: `ds1_ds2` keeps recordings apart, `by_beat` mixes them to show what that is worth.

    `ds1_ds2`: DS1 is train and validation, DS2 test. Recordings 201 and 202 are of one man, and the protocol has one in
    each half.

    `by_beat`: the beats of all recordings, paced ones too, divided at random class by class, so that every patient of
    the test is trained on. `patient_id` there is the beat's own, since no patient may be in two splits.

    Recordings may be missing from the folder. A window that reaches beyond its recording is padded with the value at
    the edge, and counted.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("ds1_ds2", "by_beat")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Beats of the MIT-BIH Arrhythmia Database at 125 Hz, with AAMI classes and RR intervals.",
            features=tfds.features.FeaturesDict(beat_features(WINDOW_SAMPLES, len(LEAD_NAMES))),
            homepage="https://physionet.org/content/mitdb/",
            citation=CITATION,
            license="ODC-BY-1.0",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(gain=GAIN, lead_names=list(LEAD_NAMES), raw_dir=str(self.raw_dir)),
        )

    def sources(self) -> dict[str, list[Source]]:
        paths = find_recordings(self.raw_dir)
        return _by_beat(paths) if self.variant == "by_beat" else _by_recording(paths)


def find_recordings(raw_dir: Path) -> dict[str, str]:
    """Recording -> path without extension, by name.

    Raises:
      InputError: there are none, or one is not of this database.
    """
    paths = {header.stem: str(header.with_suffix("")) for header in sorted(raw_dir.glob("*.hea"))}
    if not paths:
        raise InputError(f"no .hea file in {raw_dir}", "give --raw_dir the folder of the MIT-BIH Arrhythmia Database")
    unknown = sorted(set(paths) - {*DS1, *DS2, *PACED})
    if unknown:
        raise InputError(
            f"recording {unknown[0]!r} in {raw_dir} is none of the 48 of the MIT-BIH Arrhythmia Database",
            "leave only those in the folder",
        )
    return paths


def _by_recording(paths: Mapping[str, str]) -> dict[str, list[Source]]:
    train = [name for name in DS1 if name not in VALIDATION]
    splits = {"train": train, "validation": VALIDATION, "test": DS2}
    return {
        split: [functools.partial(read_beats, paths[name]) for name in names if name in paths]
        for split, names in splits.items()
    }


def _by_beat(paths: Mapping[str, str]) -> dict[str, list[Source]]:
    symbols: dict[str, tuple[str, ...]] = {}
    for name, path in paths.items():
        try:
            symbols[name] = read_annotations(path).symbols
        except BadRecordError:  # told when the recording is read for train
            symbols[name] = ()
    splits = stratified_splits([CLASS_OF_SYMBOL[s] for all_of in symbols.values() for s in all_of], BY_BEAT, SEED)
    sources: dict[str, list[Source]] = {split: [] for split in BY_BEAT}
    start = 0
    for name, all_of in symbols.items():
        split_of = splits[start : start + len(all_of)]
        start += len(all_of)
        for split, shards in sources.items():
            chosen = np.flatnonzero(split_of == split)
            shards.append(functools.partial(read_part, paths[name], chosen, tells=split == "train"))
    return sources


@dataclasses.dataclass(frozen=True)
class Annotations:
    """The beats of a recording, in order of time.

    Attributes:
      samples: int [beat], at the rate of the recording.
      symbols: [beat], keys of `heartbeats.CLASS_OF_SYMBOL`.
    """

    samples: np.ndarray
    symbols: tuple[str, ...]


def read_annotations(path: str) -> Annotations:
    """The beats in the reference annotations of the recording at `path` (no extension).

    Raises:
      BadRecordError: the file is missing or damaged, or holds no beat or two at one time.
    """
    try:
        annotation = wfdb.rdann(path, "atr")
    except FileNotFoundError:
        raise BadRecordError(f"no file {path}.atr") from None
    except Exception as error:  # wfdb reports damage through whatever its parsing happens to raise
        reason = " ".join(str(error).split())
        raise BadRecordError(f"{path}.atr is no annotation file ({reason})") from None
    is_beat = np.array([symbol in CLASS_OF_SYMBOL for symbol in annotation.symbol], bool)
    samples = np.asarray(annotation.sample, int)[is_beat]
    if not len(samples):
        raise BadRecordError(f"{path}.atr annotates no beat")
    backwards = np.flatnonzero(np.diff(samples) <= 0)
    if len(backwards):
        raise BadRecordError(f"{path}.atr has no beat after the one at sample {samples[backwards[0]]}, but one before")
    return Annotations(samples, tuple(np.array(annotation.symbol)[is_beat].tolist()))


def read_signal(path: str) -> np.ndarray:
    """MLII of the recording at `path` (no extension), or its first lead where it has none, and its other lead.

    Returns:
      [time, 2] in mV at 360 Hz.

    Raises:
      BadRecordError: a file is missing, damaged or disagrees with its header; the rate is another; there are not two
        leads; a sample is missing; a lead is flat.
    """
    record = read_digital(path)
    if record.fs != RAW_HZ:
        raise BadRecordError(f"expected a sampling rate of {RAW_HZ} Hz, the header gives {record.fs:g} Hz")
    check_checksums(record, expanded=False)
    if len(record.sig_name) != 2:
        raise BadRecordError(f"expected two leads, the header has {len(record.sig_name)}")
    signal_mv = record.dac() / [units_per_mv(unit) for unit in record.units]
    check_samples(signal_mv, record.sig_name)
    return signal_mv[:, ::-1] if record.sig_name[1] == FIRST_LEAD else signal_mv


def read_beats(path: str) -> Iterator[Prepared | Bad]:
    """Every beat of a recording."""
    try:
        yield from _beats(path, None)
    except BadRecordError as error:
        yield Bad(Path(path).name, str(error))


def read_part(path: str, chosen: np.ndarray, tells: bool) -> Iterator[Prepared | Bad]:
    """The `chosen` beats of a recording, each its own patient; `tells` whether a bad recording is named."""
    try:
        for beat in _beats(path, chosen):
            yield dataclasses.replace(beat, example={**beat.example, "patient_id": beat.example["record_id"]})
    except BadRecordError as error:
        if tells:
            yield Bad(Path(path).name, str(error))


def _beats(path: str, chosen: np.ndarray | None) -> Iterator[Prepared]:
    """The `chosen` beats of a recording, all without."""
    annotations = read_annotations(path)
    signal_mv = read_signal(path)
    if annotations.samples[-1] >= len(signal_mv):
        raise BadRecordError(
            f"{path}.atr has a beat at sample {annotations.samples[-1]}, the recording ends at {len(signal_mv)}"
        )
    yield from beats_of(
        Path(path).name,
        scipy.signal.resample_poly(signal_mv, UP, DOWN, padtype="line"),
        annotations.samples / RAW_HZ,
        [beat_labels(symbol) for symbol in annotations.symbols],
        np.arange(len(annotations.samples)) if chosen is None else chosen,
    )


def beat_labels(symbol: str) -> dict[str, Any]:
    """What a beat's annotation says."""
    beat_class = CLASS_OF_SYMBOL[symbol]
    return {"beat_class": beat_class, "symbol": symbol, "is_abnormal": beat_class != "N"}
