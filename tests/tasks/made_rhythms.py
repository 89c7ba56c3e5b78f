"""Recordings made by hand, of known rhythm: what the tests of the task share."""

import numpy as np

from ecgjax.data.rhythms import FS_HZ, LEAD_NAMES
from ecgjax.data.split import Split
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.rhythm import Rhythm
from ecgjax.tasks.rhythm_view import RhythmView

PREPROCESS = Preprocess(fs_hz=FS_HZ, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")
SECONDS = 20


def view(**options):
    off = dict.fromkeys(("noise", "wander", "gain", "stretch", "flip", "mask_s"), 0.0)
    return RhythmView(**{"scaling": "zscore", "measures": False, **off, "preprocess": PREPROCESS, **options})


def task(shown=None, **options):
    plain = {"weighting": "none", "label_smoothing": 0.0, "decision": "most_probable", "baseline_records": 100}
    return Rhythm(**{**plain, **options}, shown=shown or view(), seed=0)


def beats_mv(beat_s, seconds, p_mv=0.15):
    """`[time]`: P, QRS and T for each of the `beat_s`."""
    place = np.arange(round(seconds * FS_HZ))[:, None] / FS_HZ - np.asarray(beat_s)
    waves = ((-0.16, 0.02, p_mv), (0.0, 0.012, 1.0), (0.25, 0.04, 0.3))
    return sum(size * np.exp(-0.5 * ((place - at) / width) ** 2).sum(axis=1) for at, width, size in waves)


def rr_s(rhythm, count, rng):
    """Intervals `[count]` of a class; none for noise."""
    if rhythm == "A":
        return rng.uniform(0.45, 1.15, count)
    steady = rng.uniform(0.7, 0.9) * (1 + 0.01 * rng.normal(size=count))
    if rhythm == "O":
        steady[2::7] *= 0.6
        steady[3::7] *= 1.4
    return steady


def made_rhythms(classes, seed=0):
    """A split of recordings of 12 to 20 s, padded to 20."""
    rng = np.random.default_rng(seed)
    classes = np.array(list(classes))
    ecg = np.zeros((len(classes), SECONDS * round(FS_HZ), 1), np.int16)
    num_samples = rng.integers(12 * FS_HZ, SECONDS * FS_HZ, len(classes), endpoint=True)
    for row, (rhythm, count) in enumerate(zip(classes, num_samples, strict=True)):
        signal_mv = rng.normal(size=count) * (0.6 if rhythm == "~" else 0.01)
        if rhythm != "~":
            beat_s = np.cumsum(rr_s(rhythm, 60, rng))
            signal_mv += beats_mv(beat_s, count / FS_HZ, 0.0 if rhythm == "A" else 0.15)
        ecg[row, :count, 0] = np.rint(1000 * signal_mv)
    ids = np.array([f"A{k:05d}" for k in range(len(classes))])
    return Split(
        dataset="cinc2017/default",
        split="train",
        ecg=ecg,
        gain=1000.0,
        fs_hz=FS_HZ,
        lead_names=LEAD_NAMES,
        record_ids=ids,
        patient_ids=ids,
        labels={"rhythm": classes, "part": np.arange(len(classes)) % 10, "num_samples": num_samples},
    )
