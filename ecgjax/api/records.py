"""What users may give for a recording, as a recording."""

import dataclasses
from pathlib import Path

import numpy as np

from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.recordings.load import load
from ecgjax.recordings.normalise import problems
from ecgjax.recordings.recording import Recording

PICTURE = "picture"
"""Format of what was digitised, where most leads are drawn for a part of the time."""


def recording_of(record: Recording | str | Path) -> Recording:
    """The recording itself, or that in a file of any known format.

    Raises:
      InputError: as `ecgjax.load`.
    """
    return record if isinstance(record, Recording) else load(record)


def twelve_leads_of(recording: Recording) -> np.ndarray:
    """`[time, 12]` in mV of `whole_recording`, NaN where nothing is known.

    Raises:
      InputError: none of the twelve leads is there.
    """
    signal_mv, missing = whole_recording(recording).twelve()
    if len(missing) == len(LEADS):
        names = ", ".join(recording.lead_names)
        raise InputError(f"{recording.name} has none of the twelve leads, but {names}", "state its --lead_names")
    return signal_mv


def whole_recording(recording: Recording) -> Recording:
    """The recording; of one from a picture, leads that stand there for a while continue with their typical beats."""
    if recording.format != PICTURE or not set(LEADS) <= set(recording.lead_names):
        return recording
    from ecgjax.images.whole_record import CONTINUED, whole_record  # noqa: PLC0415 - JAX, which other formats do not need

    signal_mv = whole_record(recording.twelve()[0], recording.fs_hz).signal_mv
    return dataclasses.replace(
        recording,
        signal_mv=signal_mv,
        lead_names=LEADS,
        assumptions=(*recording.assumptions, CONTINUED),
        problems=problems(signal_mv, list(LEADS), recording.fs_hz),
    )


def bridged(samples_mv: np.ndarray) -> np.ndarray:
    """`[time]` with straight lines over gaps (NaN)."""
    known = np.isfinite(samples_mv)
    if known.all() or not known.any():
        return samples_mv
    return np.interp(np.arange(len(samples_mv)), np.flatnonzero(known), samples_mv[known])
