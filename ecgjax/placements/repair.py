"""A 12-lead record put right: which cables were exchanged, how sure that is, and the record as it should be.

Evidence from trained networks and a prior give the posterior over the hypotheses of `placements/hypotheses.py`. Where
one stands out the record is put right: exchanges among limb cables, or among chest cables, only rename leads or turn
their sign, so that no sample is computed anew. Where none does, the verdict is "cannot tell" and nothing changes.
"""

import dataclasses
import functools
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.leads import LEADS, LIMB_LEADS, PRECORDIAL_LEADS, Placement
from ecgjax.placements.evidence import Evidence
from ecgjax.placements.hypotheses import CORRECT, NUM_HYPOTHESES, placement
from ecgjax.placements.screening import excerpts, posteriors

RIGHT = "correct"
REPAIRED = "repaired"
IN_PART = "repaired in part"
CANNOT_TELL = "cannot tell"
VERDICTS = (RIGHT, REPAIRED, IN_PART, CANNOT_TELL)

NUM_ALTERNATIVES = 4
"""Hypotheses that are reported besides the best."""

THRESHOLD = 0.5
"""Probability from which a verdict is given: on PTB-XL's fold 9 more exchanges are put right than with any higher one,
and no more correct records touched."""

EQUALLY_LIKELY = 0.99
"""Two hypotheses count as equally likely when their probabilities have this ratio or are closer."""

LEGS_NOTE = "an exchange of LL and RL cannot be seen: it writes the same leads"


@dataclasses.dataclass(frozen=True)
class Undoing:
    """How each true lead is had from the written ones.

    Attributes:
      source: [lead] the written lead that holds it, or its own place where none does.
      sign: [lead] 1 or -1, the sign with which it does; 0 where no single written lead holds it.
      mixture: [lead, lead] true = mixture @ written where the sign is 0; NaN where a potential was never recorded.
      shifted: chest leads that are in their place, but stay against a moved Wilson's terminal.
    """

    source: np.ndarray
    sign: np.ndarray
    mixture: np.ndarray
    shifted: tuple[str, ...]

    @property
    def lost(self) -> tuple[str, ...]:
        """Leads that were never recorded."""
        return tuple(name for name, row in zip(LEADS, self.mixture, strict=True) if np.isnan(row).any())

    @property
    def changed(self) -> tuple[str, ...]:
        """Leads that are not what was written under their name."""
        kept = (self.source == np.arange(len(LEADS))) & (self.sign == 1)
        return tuple(name for name, is_kept in zip(LEADS, kept, strict=True) if not is_kept)

    def apply(self, signal: np.ndarray) -> np.ndarray:
        """`[..., lead]` as written -> as it should be, in the same type.

        Leads that are only renamed or turned keep their samples to the last bit, integers too. Integers that have to be
        computed are rounded; lost leads are NaN, or the least integer.

        Raises:
          InputError: an integer signal has its least value, which has no negative, in a lead that is turned.
        """
        is_integer = np.issubdtype(signal.dtype, np.integer)
        taken = signal[..., self.source]
        if is_integer and np.any(taken[..., self.sign == -1] == np.iinfo(signal.dtype).min):
            raise InputError(
                f"a lead to be turned holds {np.iinfo(signal.dtype).min}, whose negative is no {signal.dtype}",
                "give the signal in a wider type",
            )
        repaired = taken * np.where(self.sign == 0, 1, self.sign).astype(signal.dtype)
        for lead in np.flatnonzero(self.sign == 0):
            if np.isnan(self.mixture[lead]).any():
                repaired[..., lead] = np.iinfo(signal.dtype).min if is_integer else np.nan
            else:
                mixed = signal @ self.mixture[lead]
                repaired[..., lead] = np.rint(mixed) if is_integer else mixed
        return repaired


def undoing(wrong: Placement) -> Undoing:
    """How `wrong` is undone, as far as it can be."""
    electrodes = (*leads.ELECTRODES, leads.NEUTRAL)
    true = np.pad(leads.LEADS_FROM_ELECTRODES, ((0, 0), (0, 1)))
    jacks = np.stack(
        [np.eye(len(electrodes))[electrodes.index(wrong.reads.get(jack, jack))] for jack in leads.ELECTRODES]
    )
    written = leads.LEADS_FROM_ELECTRODES @ jacks
    source, sign = np.arange(len(LEADS)), np.zeros(len(LEADS), int)
    mixture = np.full((len(LEADS), len(LEADS)), np.nan) if wrong.uses_neutral else wrong.inverse.matrix.copy()
    for lead, row in enumerate(true):
        for turn in (1, -1):
            (same,) = np.nonzero(np.abs(written - turn * row).max(axis=1) < 1e-9)
            if same.size:
                source[lead], sign[lead] = (lead if lead in same else same[0]), turn
                mixture[lead] = turn * np.eye(len(LEADS))[source[lead]]
    if not wrong.uses_neutral:
        return Undoing(source, sign, mixture, ())
    for jack in PRECORDIAL_LEADS:
        lead = LEADS.index(wrong.reads.get(jack, jack))
        source[lead], sign[lead] = LEADS.index(jack), 1
        mixture[lead] = np.eye(len(LEADS))[source[lead]]
    return Undoing(source, sign, mixture, PRECORDIAL_LEADS)


@dataclasses.dataclass(frozen=True)
class Repair:
    """What was decided about a record.

    Attributes:
      verdict: one of VERDICTS.
      sentence: as a cardiographer would say it.
      hypothesis: the most probable one; None where the signal cannot be judged.
      probability: its posterior probability.
      alternatives: the next best hypotheses and their probabilities.
      signal: the record as it should be, in the type that it came in; as it came unless repaired (also in part).
      undoing: what was done to it; None where it is as it came.
      notes: what the verdict cannot know.
    """

    verdict: str
    sentence: str
    hypothesis: int | None
    probability: float
    alternatives: tuple[tuple[int, float], ...]
    signal: np.ndarray
    undoing: Undoing | None
    notes: tuple[str, ...]

    @property
    def placement(self) -> Placement | None:
        """The most probable placement."""
        return None if self.hypothesis is None else placement(self.hypothesis)

    def as_json(self) -> dict[str, Any]:
        """What was decided, for files: everything but the signal and the notes."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "placement": self.placement and self.placement.name,
            "probability": self.probability,
            "alternatives": [{"placement": placement(h).name, "probability": p} for h, p in self.alternatives],
            "changed_leads": list(self.undoing.changed) if self.undoing else [],
            "lost_leads": list(self.undoing.lost) if self.undoing else [],
            "shifted_leads": list(self.undoing.shifted) if self.undoing else [],
        }


def repair(signal_mv: np.ndarray, fs_hz: float, evidence: Evidence, log_prior: np.ndarray, threshold: float) -> Repair:
    """Judges `[time, lead]`, leads in standard order, and puts it right where `threshold` is reached.

    Raises:
      InputError: it is no record of twelve leads.
    """
    return repair_all([(signal_mv, fs_hz)], evidence, log_prior, threshold)[0]


def repair_all(
    records: Sequence[tuple[np.ndarray, float]], evidence: Evidence, log_prior: np.ndarray, threshold: float
) -> list[Repair]:
    """As `repair`, of signals and their rates; of many at once most cost far less.

    A long record is judged by excerpts that are whole: gaps elsewhere do not matter.
    """
    found: list[Repair | None] = []
    judged: list[tuple[int, list[np.ndarray]]] = []
    for place, (signal, fs_hz) in enumerate(records):
        parts = excerpts(signal, fs_hz, evidence.seconds)
        whole = [part for part in parts if not unusable(part)]
        if whole:
            judged.append((place, whole))
        found.append(None if whole else unjudged(signal, unusable(signal) or unusable(parts[0])))
    if judged:
        posterior = posteriors([(whole, records[place][1]) for place, whole in judged], evidence, log_prior)
        for (place, _), of_record in zip(judged, posterior, strict=True):
            found[place] = decide(records[place][0], of_record, threshold)
    return [one for one in found if one is not None]


def with_turned(decided: Repair, signal: np.ndarray, turned: Collection[str]) -> Repair:
    """`decided` on a record whose leads `turned` were turned before, as a repair of `signal` `[time, lead]` itself.

    One that cannot tell changes nothing.
    """
    if not turned or decided.verdict == CANNOT_TELL:
        return decided if decided.undoing is not None else dataclasses.replace(decided, signal=signal)
    signs = np.where(np.isin(LEADS, list(turned)), -1, 1)
    undo = decided.undoing or undoing(leads.CORRECT)
    undo = Undoing(undo.source, undo.sign * signs[undo.source], undo.mixture * signs, undo.shifted)
    verdict = REPAIRED if decided.verdict == RIGHT else decided.verdict
    sentence = f"{listed(tuple(turned))} turned, {decided.sentence}"
    return dataclasses.replace(decided, verdict=verdict, sentence=sentence, signal=undo.apply(signal), undoing=undo)


def unusable(signal: np.ndarray) -> str:
    """What keeps `[time, lead]` from being judged; empty for nothing.

    One flat lead of I, II and III alone is what a jack on RL looks like, and is judged.
    """
    if signal.ndim != 2 or signal.shape[1] != len(LEADS) or not len(signal):
        raise InputError(f"expected [time, {len(LEADS)}] samples, the shape is {signal.shape}", "give all twelve leads")
    missing = np.sum(~np.isfinite(signal), axis=0)
    if missing.any():
        lead = int(np.argmax(missing))
        return f"{missing[lead]} of {len(signal)} samples of lead {LEADS[lead]} are missing"
    flat = _flat(signal)
    if len(flat) == len(LEADS):
        return "all leads are flat"
    if len(flat) > 1 or set(flat) - {"I", "II", "III"}:
        return f"lead{'s' * (len(flat) > 1)} {listed(flat)} {'are' if len(flat) > 1 else 'is'} flat"
    return ""


def _flat(signal: np.ndarray) -> list[str]:
    return [name for name, span in zip(LEADS, np.ptp(signal, axis=0), strict=True) if span == 0]


def decide(signal: np.ndarray, posterior: np.ndarray, threshold: float) -> Repair:
    """The verdict on `[time, lead]` from the probabilities `[hypothesis]`.

    "correct", "repaired" and "repaired in part" (a jack reads RL: what was recorded is put in its place, lost leads are
    NaN) need the best hypothesis to have at least the probability `threshold`, and no equal.
    """
    if posterior.shape != (NUM_HYPOTHESES,) or not np.isfinite(posterior).all():
        return unjudged(signal, "the network gives no finite probabilities")
    order = np.argsort(-posterior, kind="stable")[: NUM_ALTERNATIVES + 1].tolist()
    (best, probability), *alternatives = [(hypothesis, float(posterior[hypothesis])) for hypothesis in order]
    found, rival = placement(best), alternatives[0][1]
    decided = functools.partial(
        Repair, hypothesis=best, probability=probability, alternatives=tuple(alternatives), notes=(LEGS_NOTE,)
    )
    flat = _flat(signal)
    if flat and not found.uses_neutral:
        said = f"{found.description} ({_percent(probability)})"
        sentence = f"cannot tell: lead {flat[0]} is flat, which the likeliest, {said}, does not explain; record again"
        return decided(CANNOT_TELL, sentence, signal=signal, undoing=None)
    if rival >= EQUALLY_LIKELY * probability or probability < threshold:
        sentence = _doubt([(best, probability), *alternatives])
        return decided(CANNOT_TELL, sentence, signal=signal, undoing=None)
    if best == CORRECT:
        return decided(RIGHT, f"placed correctly ({_percent(probability)})", signal=signal, undoing=None)
    undo = undoing(found)
    verdict = IN_PART if found.uses_neutral else REPAIRED
    sentence = f"{found.description} ({_percent(probability)}); {_what_was_done(undo)}"
    return decided(verdict, sentence, signal=undo.apply(signal), undoing=undo)


def unjudged(signal: np.ndarray, problem: str) -> Repair:
    """What is said of a signal that nothing can be told of."""
    return Repair(CANNOT_TELL, f"cannot tell: {problem}; record again", None, 0.0, (), signal, None, ())


def _doubt(ranked: list[tuple[int, float]]) -> str:
    best, probability = ranked[0]
    equal = [placement(h).description for h, p in ranked if p >= EQUALLY_LIKELY * probability]
    if len(equal) > 1:
        more = " and perhaps others" if len(equal) == len(ranked) else ""
        return f"cannot tell: equally likely ({_percent(probability)} each) are {listed(equal, ' / ')}{more}"
    others = [f"{placement(h).description} ({_percent(p)})" for h, p in ranked[1:3] if p >= 0.01]
    return f"cannot tell: {placement(best).description} ({_percent(probability)})" + "".join(f" or {o}" for o in others)


def _what_was_done(undo: Undoing) -> str:
    if not undo.lost:
        untouched = [name for name in LEADS if name not in undo.changed]
        changed = f"all leads but {listed(untouched)}" if len(untouched) == 1 else listed(undo.changed)
        return f"{changed} {'put right' if undo.sign.all() else 'computed anew'}"
    kept = [name for name in LIMB_LEADS if name not in undo.lost]
    return (
        f"a limb potential was never recorded: {listed(undo.lost)} are lost, {listed(kept)} is right, "
        "the chest leads are in order but against a shifted reference; record again"
    )


def listed(names: list[str] | tuple[str, ...], separator: str = ", ") -> str:
    last = " and " if separator == ", " else separator
    return last.join(part for part in (separator.join(names[:-1]), *names[-1:]) if part)


def _percent(probability: float) -> str:
    return "over 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"
