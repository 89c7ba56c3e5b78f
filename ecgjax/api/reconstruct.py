"""`ecgjax.reconstruct`: twelve leads from fewer."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgjax import leads
from ecgjax.api.records import bridged, recording_of, twelve_leads_of
from ecgjax.bundled import BUNDLED, workdir_of
from ecgjax.errors import InputError
from ecgjax.lead_completion import completion_matrices
from ecgjax.leads import LEADS
from ecgjax.preprocess import resample
from ecgjax.rebuilder import Rebuilder, load_rebuilder
from ecgjax.recordings.recording import Recording


def reconstruct(
    record: Recording | str | Path, *, workdir: str | Path = BUNDLED, given: Sequence[str] | None = None
) -> Recording:
    """All twelve leads of a recording or a file of which only some are there, or only `given` are to be used.

    Leads that follow from the given ones come from algebra, the others from the network of a reconstruction run, an
    estimate and no recording; `assumptions` say which is which, and how far off the estimates were on test records.

    >>> import ecgjax
    >>> ecgjax.reconstruct("rec.hea", given=["I", "II", "V2"])  # doctest: +SKIP

    Raises:
      InputError: the file cannot be read, a given lead is not there, all leads are, or the run cannot do with these.
    """
    recording = recording_of(record)
    signal_mv = twelve_leads_of(recording)
    names = given_leads(recording, signal_mv, given)
    known_mv = np.zeros_like(signal_mv, dtype=float)
    for lead in names:
        column = LEADS.index(lead)
        known_mv[:, column] = bridged(signal_mv[:, column])
    if len(leads.derivable(names)) == len(LEADS):
        whole_mv, notes = known_mv @ completion_matrices(names)[0].T, derived_notes(names)
    else:
        rebuilder = rebuilder_of(workdir)
        rebuilder.check(names)
        whole_mv = complete(known_mv, recording.fs_hz, names, rebuilder)
        notes = completion_notes(names, recording.fs_hz, rebuilder)
    return dataclasses.replace(
        recording,
        signal_mv=whole_mv.astype(np.float32),
        lead_names=LEADS,
        assumptions=(*recording.assumptions, *notes),
        problems=(),
    )


def given_leads(recording: Recording, signal_mv: np.ndarray, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Those that the others are to be rebuilt from, in standard order: the ones `asked` for, or all that were taken.

    Raises:
      InputError: one is not there, or none is missing.
    """
    is_there = np.isfinite(signal_mv).any(axis=0)
    there = [lead for lead, known in zip(LEADS, is_there, strict=True) if known]
    if asked is None:
        taken = tuple(lead for lead in there if lead in recording.lead_names)
        if len(taken) == len(LEADS):
            raise InputError(f"{recording.name} has all twelve leads", "name those to use (given), or give fewer")
        return taken
    wanted = {leads.canonical_lead(name) for name in asked}
    if absent := [lead for lead in LEADS if lead in wanted and lead not in there]:
        raise InputError(f"{recording.name} has no lead {', '.join(absent)}", f"it has {', '.join(there)}")
    if not wanted:
        raise InputError("no lead is given", "name at least one")
    return tuple(lead for lead in LEADS if lead in wanted)


def rebuilder_of(workdir: str | Path) -> Rebuilder:
    """The reconstruction run, loaded and compiled once."""
    return _loaded(workdir_of(workdir, "reconstruction").resolve())


@functools.lru_cache(maxsize=2)
def _loaded(workdir: Path) -> Rebuilder:
    return load_rebuilder(workdir)


def complete(signal_mv: np.ndarray, fs_hz: float, given: Sequence[str], rebuilder: Rebuilder) -> np.ndarray:
    """All leads `[time, 12]` in mV at the record's own rate, given leads as they are; others are not read."""
    preprocess = rebuilder.preprocess
    seen = preprocess.apply(signal_mv, fs_hz)
    estimate = resample(rebuilder.estimate(seen[None], given)[0], preprocess.fs_hz, fs_hz)
    # Rates need not divide: the last sample may be missing, or there may be one too many.
    time = len(signal_mv)
    estimate = np.pad(estimate[:time], ((0, max(time - len(estimate), 0)), (0, 0)), "edge")
    from_given, from_estimate = completion_matrices(given)
    return signal_mv @ from_given.T + estimate @ from_estimate.T


def derived_notes(given: Sequence[str]) -> list[str]:
    """Which leads were given, and which follow from them."""
    derived = [lead for lead in leads.derivable(given) if lead not in given]
    by_algebra = [f"by algebra from the given leads: {', '.join(derived)}"] if derived else []
    return [f"given: {', '.join(given)}", *by_algebra]


def completion_notes(given: Sequence[str], fs_hz: float, rebuilder: Rebuilder) -> list[str]:
    """The same, and which are rebuilt, by how much these were off on test records, and what they lack."""
    lines = derived_notes(given)
    rebuilt = [lead for lead in LEADS if lead not in leads.derivable(given)]
    expected = rebuilder.expected(given)
    for lead in rebuilt:
        figures = ""
        if lead in expected:
            found = expected[lead]
            figures = f" (expected r {found['pearson_r']:.3f}, error {found['rmse_mv']:.3f} mV)"
        lines.append(f"rebuilt by a network, an estimate and no recording: {lead}{figures}")
    if expected:
        judged_on = f"{rebuilder.results['dataset']} {rebuilder.results['split']}"
        lines.append(f"expected figures are those of the run's records, {judged_on}")
    if rebuilt:
        preprocess = rebuilder.preprocess
        band = "" if preprocess.filter == "none" else f", {preprocess.low_hz:g}-{preprocess.high_hz:g} Hz"
        rate = "" if preprocess.fs_hz == fs_hz else f", resampled to {fs_hz:g} Hz"
        lines.append(f"rebuilt leads are of {preprocess.fs_hz:g} Hz{band}{rate}")
    return lines
