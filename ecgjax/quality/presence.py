"""Leads that are not there, for all or part of the time: missing, empty, with gaps, flat, clipped."""

import numpy as np

from ecgjax.leads import LEADS
from ecgjax.quality.findings import Finding, are, chosen, has, listed
from ecgjax.quality.typical_beat import median_known
from ecgjax.recordings.lead_names import missing_leads
from ecgjax.recordings.recording import Recording, clipped_problem

BLOCK_S = 1.0
FLAT_SHARE = 0.0005
"""A lead is flat where it moves, for `BLOCK_S`, by less than this share of what leads usually move by in that time: not
even by its least significant bit. A lead that is a thousand times too small moves by twice as much."""

SILENT_OVER_NOISE, SILENT_SHARE = 2.0, 0.3
"""A lead carries no heartbeat whose typical QRS complex is less than so many times higher than the noise in it and less
than this share of the median lead's height: of noise alone it is about 1.3 times as high."""

FLAT_MV, IMPOSSIBLE_MV = 1e-6, 1e6
"""Less than the first is no movement and more than the second no voltage of a body, in whatever unit it was written."""

LONG_SHARE, REMARKED_SHARE = 0.2, 0.02
"""Share of the time for which a lead may be flat before the record had better be taken anew, and from which it is
remarked."""


def missing(recording: Recording) -> tuple[Finding, ...]:
    """Leads that the record does not hold, as far as a record of its kind has them, and gaps in those that it does."""
    found = []
    is_gap = np.isnan(recording.signal_mv)
    share = is_gap.mean(axis=0) if is_gap.any() else np.zeros(len(recording.lead_names))
    standard = [name for name in recording.lead_names if name in LEADS]
    absent = missing_leads(recording.lead_names)
    if len(standard) > 1 and absent:
        found.append(Finding("missing", absent, f"{listed(absent)} {are(absent)} not in the record", None, False))
    empty = chosen(recording.lead_names, share == 1)
    if empty:
        found.append(
            Finding("missing", empty, f"{listed(empty)} {has(empty)} no samples: record again or leave out", None, True)
        )
    gappy = chosen(recording.lead_names, (share > 0) & (share < 1))
    if gappy:
        most = share[share < 1].max()
        found.append(
            Finding("missing", gappy, f"{listed(gappy)} {has(gappy)} gaps, {_percent(most)} at most", None, False)
        )
    return tuple(found)


def impossible(recording: Recording, moves_mv: np.ndarray) -> tuple[Finding, ...]:
    """Leads of values that no voltage of a body has, from `block_moves_mv`."""
    concerned = chosen(recording.lead_names, (np.nan_to_num(moves_mv) > IMPOSSIBLE_MV).any(axis=0))
    if not concerned:
        return ()
    sentence = f"{listed(concerned)} {has(concerned)} values beyond {IMPOSSIBLE_MV / 1e3:.0f} V: check the file"
    return (Finding("gain", concerned, sentence, None, True),)


def flat(recording: Recording, moves_mv: np.ndarray) -> tuple[Finding, ...]:
    """Leads without any signal, always or for whole seconds, from `block_moves_mv`."""
    is_known = ~np.isnan(moves_mv)
    usual = np.nan_to_num(median_known(np.minimum(moves_mv, IMPOSSIBLE_MV)))
    scale = np.median(usual[usual > 0]) if (usual > 0).any() else 0.0
    is_flat = is_known & (np.nan_to_num(moves_mv) <= max(FLAT_SHARE * scale, FLAT_MV))
    share = is_flat.sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    found = []
    whole = chosen(recording.lead_names, (share == 1) & is_known.any(axis=0))
    if whole:
        found.append(
            Finding(
                "flat",
                whole,
                f"{listed(whole)} {are(whole)} flat, without any signal: check the electrodes and record again",
                None,
                True,
            )
        )
    for is_fault in (True, False):
        is_part = share < 1
        is_part &= share > LONG_SHARE if is_fault else (share > REMARKED_SHARE) & (share <= LONG_SHARE)
        part = chosen(recording.lead_names, is_part)
        if part:
            most = share[is_part].max()
            advice = ": record again" if is_fault else ""
            sentence = f"{listed(part)} {are(part)} flat for {_percent(most)} of the time{advice}"
            found.append(Finding("flat", part, sentence, None, is_fault))
    return tuple(found)


def is_out_of_step(qrs_mv: np.ndarray, noise_mv: np.ndarray) -> np.ndarray:
    """bool [lead]: no heartbeat where most leads have theirs, from QRS height and noise `[lead]`, 0 for unknown."""
    known = qrs_mv[qrs_mv > 0]
    if len(known) < 3:
        return np.zeros(len(qrs_mv), bool)
    return (qrs_mv < SILENT_OVER_NOISE * noise_mv) & (qrs_mv < SILENT_SHARE * np.median(known))


def silent(leads: tuple[str, ...]) -> tuple[Finding, ...]:
    """Of leads that move, but have no heartbeat."""
    sentence = f"{listed(leads)} {has(leads)} no heartbeat: check the electrodes and record again"
    return (Finding("flat", leads, sentence, None, True),) if leads else ()


def foreign(leads: tuple[str, ...]) -> tuple[Finding, ...]:
    """Of leads with heartbeats at other times than the others."""
    sentence = f"{listed(leads)} {are(leads)} out of step with the other leads, as if of another time or person"
    return (Finding("contradiction", leads, sentence, None, True),) if leads else ()


def clipped(recording: Recording) -> tuple[Finding, ...]:
    """Leads whose waves are cut off at the end of the recorder's range, as its reader noted."""
    concerned = tuple(name for name in recording.lead_names if clipped_problem(name) in recording.problems)
    if not concerned:
        return ()
    sentence = f"{listed(concerned)} {are(concerned)} clipped: amplitudes cannot be measured; record with a lower gain"
    return (Finding("clipped", concerned, sentence, None, True),)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "less than 1 %"


def block_moves_mv(recording: Recording) -> np.ndarray:
    """`[block, lead]` from the least to the greatest value of every block of `BLOCK_S`; NaN where it is a gap."""
    signal_mv = recording.signal_mv
    width = min(max(round(BLOCK_S * recording.fs_hz), 2), len(signal_mv))
    blocks = signal_mv[: len(signal_mv) // width * width].reshape(-1, width, signal_mv.shape[1])
    greatest, least = blocks.max(axis=1), blocks.min(axis=1)
    if np.isnan(greatest).any():
        greatest, least = np.fmax.reduce(blocks, axis=1), np.fmin.reduce(blocks, axis=1)
    with np.errstate(over="ignore"):
        return greatest - least
