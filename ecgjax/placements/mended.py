"""A recording whose cables were exchanged, as it should be."""

import dataclasses

import numpy as np

from ecgjax.leads import LEADS
from ecgjax.placements.repair import Repair
from ecgjax.recordings.normalise import problems
from ecgjax.recordings.recording import Recording


def mended(recording: Recording, decided: Repair) -> Recording:
    """All twelve leads as `decided` has them, with its sentence among the assumptions; other channels as they were.

    A recording that is not repaired comes back itself.
    """
    if decided.undoing is None:
        return recording
    others = [column for column, name in enumerate(recording.lead_names) if name not in LEADS]
    signal_mv = np.concatenate([decided.signal.astype(np.float32), recording.signal_mv[:, others]], axis=1)
    names = (*LEADS, *(recording.lead_names[column] for column in others))
    return dataclasses.replace(
        recording,
        signal_mv=signal_mv,
        lead_names=names,
        assumptions=(*recording.assumptions, f"repaired: {decided.sentence}"),
        problems=problems(signal_mv, list(names), recording.fs_hz),
    )
