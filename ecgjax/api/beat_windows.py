"""The beats of a recording as a network for single heartbeats takes them."""

from collections.abc import Iterator

import numpy as np

from ecgjax.data import heartbeats
from ecgjax.data.signals import INT16
from ecgjax.data.split import GAIN, Split
from ecgjax.preprocess import Preprocess, resample
from ecgjax.r_peaks import find_r
from ecgjax.record_reader import blank_split

SHORTEST_S = 2.0
"""Beats are not looked for in less."""


def split_of_beats(
    signal_mv: np.ndarray, fs_hz: float, preprocess: Preprocess, at_once: int
) -> Iterator[tuple[Split, list[float]]]:
    """All beats of one lead `[time]`, `at_once` in a split, the last filled up; and when their R peaks come.

    R peaks are found in the signal; windows, the recording's typical beat and intervals are as in training.
    """
    if len(signal_mv) < SHORTEST_S * fs_hz:
        return
    r_s = find_r(signal_mv, fs_hz) / fs_hz
    if not len(r_s):
        return
    slow_mv = resample(signal_mv[:, None].astype(float), fs_hz, heartbeats.FS_HZ)
    windows_mv = heartbeats.windows(slow_mv, np.rint(r_s * heartbeats.FS_HZ).astype(int))
    typical_mv = np.broadcast_to(heartbeats.typical_beat(windows_mv), windows_mv.shape)
    # The second lead only serves training.
    beats_mv = np.concatenate([windows_mv, windows_mv, typical_mv, typical_mv], axis=-1)
    seen = preprocess.apply(beats_mv, heartbeats.FS_HZ)
    ecg = np.rint(seen * GAIN).clip(INT16.min, INT16.max).astype(np.int16)
    labels = {**heartbeats.rr_figures(r_s), "cut_samples": heartbeats.cut_samples(r_s)}
    for start in range(0, len(r_s), at_once):
        rows = np.minimum(np.arange(start, start + at_once), len(r_s) - 1)
        of_rows = {name: values[rows] for name, values in labels.items()}
        split = blank_split(ecg[rows], heartbeats.FS_HZ, heartbeats.LEAD_NAMES, of_rows)
        yield split, r_s[start : start + at_once].tolist()
