"""The half second of twelve leads that a network for hearts is shown: cut from a recording, or a prepared record."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from data_prep.shards import BadRecordError
from data_prep.wfdb_records import read_recording
from ecgjax import experiment
from ecgjax.beats import POWER_METRIC, BeatWindow, average_beat, find_beats
from ecgjax.data.intracardiac import FS_HZ, NUM_SAMPLES, NUM_SITES, VM_GAIN
from ecgjax.data.record_files import SPLITS
from ecgjax.data.signals import INT16
from ecgjax.data.split import GAIN, Split
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.activation_map import heart_label

WINDOW = BeatWindow(fs_hz=FS_HZ, before_s=0.3, after_s=0.6, max_beats=200)
"""What is cut around an R peak before the onset of its QRS complex is known."""

ONSET_SHARE = 0.01
"""The QRS complex begins where the power of the slope rises above this share of its highest."""

QUIET_S = 0.02
"""That long it stays below before: longer than a notch within the complex, shorter than the PR segment."""

_SMOOTHING_S = 0.008
_LONGEST_QRS_S = 0.15


@dataclasses.dataclass(frozen=True)
class HeartRecord:
    """One beat, and what is known of the heart that made it.

    Attributes:
      name: identifies it in files and titles.
      origin: a sentence that says what was cut where.
      signal_mv: [500, 12] at 1,000 Hz.
      onset_ms: of the QRS complex, from the first sample; None where it was not looked for.
      activation_ms, vm_mv: the truth, [75] and [500, 75]; None where it is not known.
      site_mm: [75, 3]; None where they are not known.
    """

    name: str
    origin: str
    signal_mv: np.ndarray
    onset_ms: float | None
    activation_ms: np.ndarray | None
    vm_mv: np.ndarray | None
    site_mm: np.ndarray | None


def qrs_onset(beat_mv: np.ndarray, r_sample: int) -> int:
    """Sample at which the QRS complex of a beat `[time, 12]` begins whose R peak is near `r_sample`; at `FS_HZ`."""
    slope = np.gradient(beat_mv, axis=0)
    power = ((slope @ POWER_METRIC) * slope).sum(axis=1)
    kernel = np.hanning(round(_SMOOTHING_S * FS_HZ) + 2)
    power = np.convolve(power, kernel / kernel.sum(), "same")
    reach = round(_LONGEST_QRS_S * FS_HZ)
    start = max(0, r_sample - reach)
    peak = start + int(np.argmax(power[start : r_sample + reach // 2]))
    # From the base of the noise: a restless recording would be above any share of the highest.
    floor = np.median(power[max(0, start - reach) : start]) if start else 0.0
    is_quiet = power[: peak + 1] < floor + ONSET_SHARE * (power[peak] - floor)
    quiet = round(QUIET_S * FS_HZ)
    run = np.convolve(is_quiet, np.ones(quiet, int), "valid") == quiet
    ends = np.flatnonzero(run)
    return int(ends[-1] + quiet) if len(ends) else start


def from_recording(path: Path, config: ConfigDict, beat: int, before_ms: float) -> HeartRecord:
    """A beat of the twelve-lead WFDB record at `path` (no extension), preprocessed as the run of `config` was trained.

    Half a second from `before_ms` before the QRS complex of beat number `beat`, counted from 1, or of the average beat
    for 0; less the level at its onset. A record of exactly half a second is a beat already.

    Raises:
      InputError: the record cannot be read, is too short or has no such beat.
    """
    try:
        recording = read_recording(str(path))
    except BadRecordError as error:
        raise InputError(f"{path}: {error}", "restore the record") from None
    signal_mv = Preprocess.from_config(config).apply(recording.ecg / GAIN, recording.fs_hz)
    if len(signal_mv) == NUM_SAMPLES:
        return HeartRecord(path.name, "half a second as recorded", signal_mv, None, None, None, None)
    if len(signal_mv) < WINDOW.num_samples:
        seconds = f"{len(signal_mv) / FS_HZ:.2f} s"
        raise InputError(f"{path} lasts {seconds}", f"give {WINDOW.num_samples / FS_HZ:g} s or more, or half a second")
    peaks, is_beat = jax.jit(lambda x: find_beats(x, WINDOW))(signal_mv)
    peaks = np.asarray(peaks)[np.asarray(is_beat)]
    if not len(peaks):
        raise InputError(f"no beat was found in {path}", "give a record with a QRS complex")
    if beat > len(peaks):
        raise InputError(f"{path} has {len(peaks)} beats, not {beat}", "give a smaller --beat, or 0 for their average")
    if beat:
        first = peaks[beat - 1] - WINDOW.num_before
        cut, which = signal_mv[first : first + WINDOW.num_samples], f"beat {beat} of {len(peaks)}"
    else:
        cut = np.asarray(jax.jit(lambda x: average_beat(x, WINDOW)[0])(signal_mv))
        which = f"the average of {len(peaks)} beats"
    onset = qrs_onset(cut, WINDOW.num_before)
    start = onset - round(before_ms * FS_HZ / 1000)
    if start < 0 or start + NUM_SAMPLES > len(cut):
        raise InputError(f"--before_ms is {before_ms:g}", "give so little that half a second around the beat is there")
    level = cut[max(0, onset - 10) : onset + 1].mean(axis=0)
    origin = f"{which}, from {before_ms:g} ms before the QRS complex"
    return HeartRecord(
        path.name, origin, cut[start : start + NUM_SAMPLES] - level, (onset - start) * 1000 / FS_HZ, None, None, None
    )


def from_dataset(config: ConfigDict, dataset: str, record_id: str, data_dir: str | None) -> HeartRecord:
    """The record `record_id` of a prepared dataset, `NAME` or `NAME/VARIANT`, with its truth; test records first.

    `NAME` alone is the variant of `config` where that names the same dataset, else the only one there is.

    Raises:
      InputError: there is no such dataset or record.
    """
    config = config.copy_and_resolve_references()
    name, _, variant = dataset.partition("/")
    if variant or name != config.data.name:
        config.data.name, config.data.variant = name, variant
    config.data.leave_out = ""
    if data_dir is not None:
        config.data.dir = data_dir
    for split in reversed(SPLITS):
        records = experiment.load(config, split)
        rows = np.flatnonzero(records.record_ids == record_id)
        if len(rows):
            activation_ms, vm, site_mm = (
                heart_label(records, name)[rows[0]] for name in ("activation_ms", "vm", "site_mm")
            )
            return HeartRecord(
                name=record_id,
                origin=f"{records.dataset}, {split}",
                signal_mv=records.ecg[rows[0]] / np.float32(records.gain),
                onset_ms=None,
                activation_ms=activation_ms.astype(float),
                vm_mv=vm / np.float32(VM_GAIN),
                site_mm=site_mm.astype(float) if np.isfinite(site_mm).all() else None,
            )
    example = str(records.record_ids[0])
    raise InputError(f"{records.dataset} has no record {record_id!r}", f"give one like {example!r}")


def as_split(record: HeartRecord) -> Split:
    """The record as the only one of a split, with zeros for the truth, which a prediction does not look at."""
    unknown: dict[str, np.ndarray] = {
        "activation_ms": np.zeros((1, NUM_SITES), np.float32),
        "vm": np.zeros((1, NUM_SAMPLES, NUM_SITES), np.int16),
        "site_mm": np.zeros((1, NUM_SITES, 3), np.float32),
    }
    ecg = np.rint(record.signal_mv * GAIN).clip(INT16.min, INT16.max).astype(np.int16)[None]
    ids = np.array([record.name])
    return Split("record", "test", ecg, GAIN, FS_HZ, LEADS, ids, ids, unknown)
