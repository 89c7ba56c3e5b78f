"""`ecgjax.info`: plain facts about a recording."""

from pathlib import Path
from typing import Any

import numpy as np

from ecgjax.api.records import recording_of
from ecgjax.r_peaks import find_r
from ecgjax.recordings.recording import Recording

RHYTHM_LEADS = ("II", "MLII", "I", "V5", "V2")
"""In which the rate is measured, the first that is there; else in the first lead."""

SHORTEST_S = 2.0
RATES_PER_MIN = (20.0, 300.0)
"""Beats are not counted in less, and rates beyond are none."""


def info(record: Recording | str | Path) -> dict[str, Any]:
    """What it holds, by name: rate, duration, leads, heart rate, patient, what was assumed, and problems.

    `heart_rate_per_min` is None where no beats are seen.

    >>> import ecgjax, numpy as np
    >>> spikes = np.zeros((5000, 1)); spikes[250::500] = 1.0
    >>> facts = ecgjax.info(ecgjax.Recording.from_array(spikes, 500.0, ["II"]))
    >>> facts["duration_s"], facts["heart_rate_per_min"]
    (10.0, 60.0)

    Raises:
      InputError: the file cannot be read.
    """
    recording = recording_of(record)
    _, missing = recording.twelve()
    return {
        "name": recording.name,
        "format": recording.format,
        "started": recording.started,
        "patient": dict(recording.patient),
        "fs_hz": recording.fs_hz,
        "num_samples": len(recording.signal_mv),
        "duration_s": recording.duration_s,
        "leads": list(recording.lead_names),
        "missing_leads": list(missing),
        "heart_rate_per_min": heart_rate_per_min(recording),
        "peak_to_peak_mv": _peak_to_peak_mv(recording),
        "assumptions": list(recording.assumptions),
        "problems": list(recording.problems),
    }


def heart_rate_per_min(recording: Recording) -> float | None:
    """From the median time between beats in a rhythm lead, to a tenth; None where there are too few."""
    names = recording.lead_names
    lead = next((name for name in RHYTHM_LEADS if name in names), names[0])
    samples_mv = recording.signal_mv[:, names.index(lead)]
    known = np.isfinite(samples_mv)
    if known.sum() < SHORTEST_S * recording.fs_hz:
        return None
    peaks = find_r(np.interp(np.arange(len(samples_mv)), np.flatnonzero(known), samples_mv[known]), recording.fs_hz)
    peaks = peaks[known[peaks]]
    if len(peaks) < 2:
        return None
    rate = 60 * recording.fs_hz / float(np.median(np.diff(peaks)))
    return round(rate, 1) if RATES_PER_MIN[0] <= rate <= RATES_PER_MIN[1] else None


def _peak_to_peak_mv(recording: Recording) -> dict[str, float | None]:
    known = np.isfinite(recording.signal_mv)
    return {
        lead: round(float(np.ptp(samples[is_known])), 3) if is_known.any() else None
        for lead, samples, is_known in zip(recording.lead_names, recording.signal_mv.T, known.T, strict=True)
    }
