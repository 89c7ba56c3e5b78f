"""Records of one heartbeat: their features, and the beats of a recording as such records."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_prep.shards import Prepared, to_units
from ecgjax.data import heartbeats


def beat_features(num_samples: int, num_leads: int) -> dict[str, tfds.features.FeatureConnector]:
    """The features of every dataset of beats. Unknown is NaN or ""."""
    scalar, text = tfds.features.Scalar, tfds.features.Text
    return {
        "ecg": tfds.features.Tensor(shape=(num_samples, num_leads), dtype=np.int16, encoding="bytes"),
        "fs_hz": scalar(np.float32),
        "record_id": text(),
        "patient_id": text(),
        "recording": text(),
        "beat_class": text(),
        "symbol": text(),
        "is_abnormal": scalar(np.bool_),
        **{name: scalar(np.float32) for name in heartbeats.RR_FIGURES},
        "cut_samples": scalar(np.int32),
    }


def beats_of(
    recording: str,
    signal_mv: np.ndarray,
    r_s: np.ndarray,
    labels: Sequence[Mapping[str, Any]],
    chosen: np.ndarray,
) -> Iterator[Prepared]:
    """The `chosen` beats [index] of a recording, each in its window beside the recording's typical beat.

    `signal_mv` [time, 2], lead II and another, has `heartbeats.FS_HZ`; `r_s` [beat] are all beats in order of time;
    `labels` [beat] adds to the features that follow from these.
    """
    r_samples = np.rint(r_s * heartbeats.FS_HZ).astype(int)
    is_padded = (r_samples < heartbeats.BEFORE_SAMPLES) | (r_samples > len(signal_mv) - heartbeats.CUT_SAMPLES)
    windows_mv = heartbeats.windows(signal_mv, r_samples)
    typical_mv = np.broadcast_to(heartbeats.typical_beat(windows_mv), windows_mv.shape)
    ecg, num_clipped = to_units(np.concatenate([windows_mv, typical_mv], axis=-1))
    figures = {**heartbeats.rr_figures(r_s), "cut_samples": heartbeats.cut_samples(r_s)}
    columns = {name: values.tolist() for name, values in figures.items()}
    for beat in chosen:
        example = {
            "ecg": ecg[beat],
            "fs_hz": heartbeats.FS_HZ,
            "record_id": beat_id(recording, beat),
            "patient_id": recording,
            "recording": recording,
            **{name: values[beat] for name, values in columns.items()},
            **labels[beat],
        }
        classes: tuple[str, ...] = (f"class {example['beat_class']}", f"symbol {example['symbol']}")
        if is_padded[beat]:
            classes += ("window padded",)
        yield Prepared(example, classes, int(num_clipped[beat]))


def beat_id(recording: str, beat: int) -> str:
    """The name of a beat, numbered from 0 through the whole recording."""
    return f"{recording} {beat:05}"
