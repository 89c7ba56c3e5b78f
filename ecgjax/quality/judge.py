"""Everything that the signal itself tells about whether a record is all right, in one call."""

import numpy as np

from ecgjax.leads import LEADS, LIMB_LEADS
from ecgjax.quality import limb_leads, noise, presence
from ecgjax.quality.findings import Finding
from ecgjax.quality.gain import unusual_alone, unusual_gain
from ecgjax.quality.polarity import wrong_signs
from ecgjax.quality.typical_beat import Beats, median_known, typical_beat
from ecgjax.recordings.recording import Recording

STRETCH_S, MOST_STRETCHES = 10.0, 12
"""A long record is judged by stretches spread evenly over it, but looked at as a whole for flat leads and gaps."""

SHORTEST_S, FEWEST_BEATS = 2.0, 3
"""What sizes and shapes are judged by: any two seconds hold a whole QRS complex."""

HEIGHT_OVER_NOISE = 5.0
"""How many times higher than the noise the QRS complexes of half of the leads are where sizes and shapes are judged."""


def judge(recording: Recording) -> tuple[Finding, ...]:
    """What is wrong with the signal, and what else is worth knowing about it: faults first, the surest first.

    Noise needs three beats, gains two seconds and signs of chest leads both; what is flat, missing or against the laws
    among limb leads needs none. Electrodes that are exchanged are no business of this: they break none of these rules.
    """
    moves_mv = presence.block_moves_mv(recording)
    useless = [*presence.impossible(recording, moves_mv), *presence.flat(recording, moves_mv)]
    found = [*presence.missing(recording), *presence.clipped(recording), *useless]
    dead = {lead for finding in useless if finding.is_fault for lead in finding.leads}
    columns = [k for k, name in enumerate(recording.lead_names) if name not in dead]
    if columns:
        names = tuple(recording.lead_names[k] for k in columns)
        found += _of_signals(names, _stretches(recording, columns), recording.fs_hz)
    return tuple(sorted(found, key=lambda one: (not one.is_fault, -1 if one.probability is None else -one.probability)))


def _of_signals(names: tuple[str, ...], stretches: list[np.ndarray], fs_hz: float) -> list[Finding]:
    """Of leads that are not flat, `[time, lead]` each stretch."""
    beats = [typical_beat(signal_mv, fs_hz) for signal_mv in stretches]
    typical_mv = median_known(np.stack([of_stretch.typical_mv for of_stretch in beats]))
    qrs_mv = np.nan_to_num(beats[0].heights_mv(typical_mv))
    measured = [noise.measure(*both, fs_hz) for both in zip(stretches, beats, strict=True)]
    noise_mv = np.nan_to_num(median_known(np.stack([of_stretch.noise_mv for of_stretch in measured])))
    found = list(noise.disturbed(names, measured, qrs_mv))

    place = {name: k for k, name in enumerate(names)}
    broken, reading = limb_leads.broken_laws(limb_leads.groups_of([_limb(of_stretch, place) for of_stretch in beats]))
    # A limb lead that obeys the laws may well be without waves, at right angles to the heart's axis.
    in_doubt = {lead for finding in broken for lead in finding.leads}
    is_judged = np.array([name not in LIMB_LEADS or name in in_doubt for name in names])
    is_out = presence.is_out_of_step(qrs_mv, noise_mv) & is_judged
    strange = _strange(names, is_out, stretches[0], fs_hz)
    without_beat = {lead for finding in strange for lead in finding.leads}
    # Once is enough for a lead that does not belong.
    found += [one for one in broken if one.kind != "contradiction" or not without_beat.issuperset(one.leads)]
    found += strange
    whole_mv = np.full((len(typical_mv), len(LEADS)), np.nan)
    for k, lead in enumerate(LEADS):
        if lead in place and lead not in without_beat:
            whole_mv[:, k] = typical_mv[:, place[lead]]
    if _has_beats(beats, qrs_mv, noise_mv) and len(stretches[0]) >= SHORTEST_S * fs_hz:
        whole_mv[:, : len(LIMB_LEADS)] = limb_leads.mended(whole_mv[:, : len(LIMB_LEADS)], reading)
        is_standard = np.isfinite(whole_mv).any()
        heights_mv = np.nan_to_num(beats[0].heights_mv(whole_mv))
        found += unusual_gain(heights_mv) if is_standard else unusual_alone(names, qrs_mv)
        if sum(len(of_stretch.peaks) for of_stretch in beats) >= FEWEST_BEATS:
            found += wrong_signs(beats[0], whole_mv)
    return found


def _strange(names: tuple[str, ...], is_out: np.ndarray, signal_mv: np.ndarray, fs_hz: float) -> list[Finding]:
    """Leads out of step with the others, by whether they have beats of their own."""
    beating: list[str] = []
    silent: list[str] = []
    for k in np.flatnonzero(is_out):
        alone = typical_beat(signal_mv[:, [k]], fs_hz)
        is_clear = len(alone.noise_mv) and _is_clear(
            alone.heights_mv(alone.typical_mv), np.median(alone.noise_mv, axis=0)
        )
        (beating if is_clear else silent).append(names[k])
    return [*presence.silent(tuple(silent)), *presence.foreign(tuple(beating))]


def _stretches(recording: Recording, columns: list[int]) -> list[np.ndarray]:
    """`[time, lead]` of these leads: all, or as much as is looked at of a long record."""
    length, all_samples = round(STRETCH_S * recording.fs_hz), len(recording.signal_mv)
    number = min(max(all_samples // length, 1), MOST_STRETCHES)
    starts = np.linspace(0, max(all_samples - length, 0), number).astype(int)
    # Less than two stretches are one.
    stops = starts + length if number > 1 else [all_samples]
    spans = zip(starts, stops, strict=True)
    if len(columns) == len(recording.lead_names):
        return [recording.signal_mv[first:stop] for first, stop in spans]
    return [recording.signal_mv[first:stop, columns] for first, stop in spans]


def _limb(beats: Beats, place: dict[str, int]) -> np.ndarray:
    """`[time, 6]`: the limb leads, NaN where they are not there."""
    limb_mv = np.full((len(beats.signal_mv), len(LIMB_LEADS)), np.nan)
    for k, lead in enumerate(LIMB_LEADS):
        if lead in place:
            limb_mv[:, k] = beats.signal_mv[:, place[lead]]
    return limb_mv


def _has_beats(beats: list[Beats], qrs_mv: np.ndarray, noise_mv: np.ndarray) -> bool:
    """Whether what was found are heartbeats, and no noise."""
    return any(len(of_stretch.peaks) for of_stretch in beats) and _is_clear(qrs_mv, noise_mv)


def _is_clear(qrs_mv: np.ndarray, noise_mv: np.ndarray) -> bool:
    """Whether in half of the leads QRS complexes stand out."""
    return bool(np.mean(qrs_mv > HEIGHT_OVER_NOISE * noise_mv) >= 0.5)
