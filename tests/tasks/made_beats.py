"""Beats made by hand, of known class: what the tests of the task share."""

import numpy as np

from configs import heartbeat as config_file
from ecgjax import tasks
from ecgjax.data import heartbeats
from ecgjax.data.split import Split

WIDTH_S = {"N": 0.02, "S": 0.02, "V": 0.07, "F": 0.045, "Q": 0.03}
"""Standard deviation of a made QRS."""


def task(args="smoke", **options):
    config = config_file.get_config(args)
    config.heartbeat.update(options)
    return tasks.build(config)


def made_beats(classes, seed=0, num_recordings=3):
    """A split of windows with one wave each, whose width is that of its class; premature where S or V.

    The second lead is the first turned over, and half as high.
    """
    rng = np.random.default_rng(seed)
    classes = np.array(list(classes))
    time_s = (np.arange(heartbeats.WINDOW_SAMPLES) - heartbeats.BEFORE_SAMPLES) / heartbeats.FS_HZ
    width_s = np.array([WIDTH_S[name] for name in classes])[:, None]
    beat_mv = np.exp(-0.5 * (time_s / width_s) ** 2) + 0.02 * rng.normal(size=(len(classes), len(time_s)))
    typical_mv = np.broadcast_to(np.exp(-0.5 * (time_s / WIDTH_S["N"]) ** 2), beat_mv.shape)
    is_early = np.isin(classes, ("S", "V"))
    recording = np.array([f"{100 + k % num_recordings}" for k in range(len(classes))])
    interval_s = {name: np.full(len(classes), 0.8, np.float32) for name in heartbeats.RR_FIGURES}
    interval_s |= {"rr_before_s": np.where(is_early, 0.5, 0.8), "rr_after_s": np.where(is_early, 1.1, 0.8)}
    return Split(
        dataset="mitbih/ds1_ds2",
        split="train",
        ecg=np.rint(1000 * np.stack([beat_mv, -0.5 * beat_mv, typical_mv, -0.5 * typical_mv], axis=-1)).astype(
            np.int16
        ),
        gain=1000.0,
        fs_hz=heartbeats.FS_HZ,
        lead_names=heartbeats.LEAD_NAMES,
        record_ids=np.array([f"{name} {k:05d}" for k, name in enumerate(recording)]),
        patient_ids=recording,
        labels={
            "beat_class": classes,
            "is_abnormal": classes != "N",
            "recording": recording,
            "cut_samples": np.full(len(classes), 120),
            **interval_s,
            "rr_irregularity": np.zeros(len(classes)),
        },
    )
