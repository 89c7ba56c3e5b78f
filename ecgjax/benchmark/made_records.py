"""Records that look like those of each simulated dataset, made in an instant: what a step costs depends on their shape.

A few different ones are repeated, so that memory holds as many as a split has.
"""

from collections.abc import Callable

import numpy as np

from ecgjax import leads
from ecgjax.data import heartbeats, intracardiac, rhythms
from ecgjax.data.split import GAIN, Split
from ecgjax.errors import InputError

_NUM_DIFFERENT = 32
_WAVES = ((-0.16, 0.025, 0.12), (-0.02, 0.010, -0.15), (0.0, 0.012, 1.0), (0.03, 0.012, -0.2), (0.28, 0.045, 0.3))
"""P, Q, R, S and T: place about R and deviation in s, and height in mV."""
_NOISE_MV = 0.01


def made_split(dataset: str, num_records: int, seconds: float, fs_hz: float) -> Split:
    """Records of `seconds` at `fs_hz` with the labels of `dataset`, one of the simulated ones.

    Raises:
      InputError: no records can be made like those of the dataset.
    """
    if dataset not in _MAKERS:
        raise InputError(f"no records can be made like those of {dataset}", f"use one of {', '.join(_MAKERS)}")
    rng = np.random.default_rng(0)
    lead_names, signal_mv, labels = _MAKERS[dataset](rng, round(seconds * fs_hz), fs_hz)
    row = np.arange(num_records) % len(signal_mv)
    ids = np.array([f"made {i}" for i in range(num_records)])
    return Split(
        dataset=f"{dataset}/made",
        split="train",
        ecg=np.rint(GAIN * signal_mv).astype(np.int16)[row],
        gain=GAIN,
        fs_hz=fs_hz,
        lead_names=lead_names,
        record_ids=ids,
        patient_ids=ids,
        labels={name: values[row] for name, values in labels.items()},
    )


Made = tuple[tuple[str, ...], np.ndarray, dict[str, np.ndarray]]
"""Lead names, signals `[record, time, lead]` in mV, and labels `[record, ...]`."""


def _beating(rng: np.random.Generator, num_samples: int, fs_hz: float, num_leads: int) -> np.ndarray:
    """`[record, time, lead]` in mV of hearts that beat, each at its own rate."""
    time_s = np.arange(num_samples) / fs_hz
    signal_mv = _NOISE_MV * rng.normal(size=(_NUM_DIFFERENT, num_samples, num_leads))
    for row in range(_NUM_DIFFERENT):
        interval_s = rng.uniform(0.6, 1.1)
        since_r = (time_s + rng.uniform(0, interval_s)) % interval_s
        since_r = np.where(since_r > 0.6 * interval_s, since_r - interval_s, since_r)
        for place_s, width_s, height_mv in _WAVES:
            wave = height_mv * np.exp(-0.5 * ((since_r - place_s) / width_s) ** 2)
            signal_mv[row] += wave[:, None] * rng.uniform(0.2, 1.0, num_leads)
    return signal_mv


def _twelve_leads(rng: np.random.Generator, num_samples: int, fs_hz: float) -> tuple[tuple[str, ...], np.ndarray]:
    independent = _beating(rng, num_samples, fs_hz, len(leads.INDEPENDENT_LEADS))
    return leads.LEADS, independent @ leads.LEADS_FROM_INDEPENDENT.T


def _diagnosed(rng: np.random.Generator, num_samples: int, fs_hz: float) -> Made:
    """As `simulated`: with a diagnosis and an age."""
    is_ill = rng.random((3, _NUM_DIFFERENT)) < 0.5
    labels = {
        "age_years": rng.uniform(20, 80, _NUM_DIFFERENT).astype(np.float32),
        "rhythm": np.where(is_ill[0], "afib", "sinus"),
        "conduction": np.where(is_ill[1], "lbbb", "normal"),
        "infarct": np.full(_NUM_DIFFERENT, "none"),
        "hypertrophy": is_ill[2],
        "abnormal_t": is_ill[0],
        "pr_ms": rng.uniform(140, 240, _NUM_DIFFERENT),
        "heart_rate_bpm": rng.uniform(40, 120, _NUM_DIFFERENT),
    }
    return *_twelve_leads(rng, num_samples, fs_hz), labels


def _beats(rng: np.random.Generator, num_samples: int, fs_hz: float) -> Made:
    """As `simulated_beats`: windows of one beat beside the typical one."""
    is_ectopic = np.arange(_NUM_DIFFERENT) % len(heartbeats.CLASSES)
    labels = {
        "beat_class": np.array(heartbeats.CLASSES)[is_ectopic],
        "is_abnormal": is_ectopic > 0,
        "cut_samples": rng.integers(90, heartbeats.CUT_SAMPLES, _NUM_DIFFERENT),
        **{name: rng.uniform(0.6, 1.0, _NUM_DIFFERENT) for name in heartbeats.RR_FIGURES},
    }
    return heartbeats.LEAD_NAMES, _beating(rng, num_samples, fs_hz, len(heartbeats.LEAD_NAMES)), labels


def _rhythms(rng: np.random.Generator, num_samples: int, fs_hz: float) -> Made:
    """As `simulated_rhythms`: recordings of 9 s to the longest, padded with zeros."""
    recorded = rng.integers(round(9 * fs_hz), num_samples, _NUM_DIFFERENT, endpoint=True)
    signal_mv = _beating(rng, num_samples, fs_hz, 1) * (np.arange(num_samples)[:, None] < recorded[:, None, None])
    labels = {
        "rhythm": np.array(rhythms.CLASSES)[np.arange(_NUM_DIFFERENT) % len(rhythms.CLASSES)],
        "num_samples": recorded,
    }
    return rhythms.LEAD_NAMES, signal_mv, labels


def _hearts(rng: np.random.Generator, num_samples: int, fs_hz: float) -> Made:
    """As `simulated_hearts`: with the potentials of every site."""
    shape = (_NUM_DIFFERENT, intracardiac.NUM_SITES)
    times_ms = rng.uniform(5, 100, shape).astype(np.float32)
    since_ms = 1000 / fs_hz * np.arange(num_samples)[:, None] - times_ms[:, None]
    rise_mv = intracardiac.PEAK_MV - intracardiac.REST_MV
    vm_mv = intracardiac.REST_MV + rise_mv * ((since_ms > 0) & (since_ms < 300))
    labels = {
        "activation_ms": times_ms,
        "vm": np.rint(intracardiac.VM_GAIN * vm_mv).astype(np.int16),
        "site_mm": rng.normal(size=(*shape, 3)).astype(np.float32),
    }
    return *_twelve_leads(rng, num_samples, fs_hz), labels


_MAKERS: dict[str, Callable[[np.random.Generator, int, float], Made]] = {
    "simulated": _diagnosed,
    "simulated_beats": _beats,
    "simulated_rhythms": _rhythms,
    "simulated_hearts": _hearts,
}
