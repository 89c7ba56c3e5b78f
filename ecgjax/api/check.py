"""`ecgjax.check`: was a recording taken rightly? Electrodes, order and polarity of leads, gain, noise.

How the cables were plugged in is told by a trained network and a prior, what else can be wrong by `ecgjax.quality`. An
exchange of cables turns and swaps leads, too: what the record as it should be no longer shows is explained by it, and
not said twice.
"""

import concurrent.futures
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ecgjax.api.records import recording_of, whole_recording
from ecgjax.bundled import BUNDLED, workdir_of
from ecgjax.errors import InputError
from ecgjax.leads import LEADS, LIMB_LEADS
from ecgjax.placements import repair
from ecgjax.placements.evidence import Evidence, load_evidence
from ecgjax.placements.hypotheses import CORRECT
from ecgjax.placements.mended import mended
from ecgjax.placements.prior import clinical_prior
from ecgjax.placements.screening import RECORDS_AT_ONCE
from ecgjax.quality.findings import Finding
from ecgjax.quality.judge import judge
from ecgjax.recordings.recording import Recording

RIGHT, WRONG, CANNOT_TELL = "right", "wrong", "cannot tell"
VERDICTS = (RIGHT, WRONG, CANNOT_TELL)

PREVALENCE = 0.1
"""Share of records that are expected to be wired wrongly before they are looked at: more than the 0.4 to 4 % of a
clinic, as on PTB-XL's fold 9 this puts more exchanges right and touches no more correct records."""

THRESHOLD = repair.THRESHOLD
"""Probability from which a verdict on the electrodes is given."""

SHORTEST_S = 2.0
"""Less need not hold a whole heartbeat."""

PLACEMENT, POLARITY = "placement", "polarity"
EXPLAINED = (POLARITY,)
"""Kinds of findings that an exchange of cables brings about, too: they count where the mended record has them still."""

MISNAMED = ("order", "contradiction")
"""Kinds that no exchange of cables brings about, and in which no cable can be judged."""


@dataclasses.dataclass(frozen=True)
class Checked:
    """What was found out about a recording.

    Attributes:
      recording: as it was given.
      verdict: `right`; `wrong` where electrodes were exchanged or a fault was found; `cannot tell`.
      sentence: one for a person.
      probability: that the electrodes were placed as `repair.placement` says; NaN where they cannot be judged.
      findings: on the signal and the electrodes, worst first.
      repair: of the twelve leads: what was exchanged, what else it could be, and `signal` `[time, 12]` as it should be.
    """

    recording: Recording
    verdict: str
    sentence: str
    probability: float
    findings: tuple[Finding, ...]
    repair: repair.Repair


def check(
    record: Recording | str | Path,
    *,
    workdir: str | Path = BUNDLED,
    prevalence: float = PREVALENCE,
    threshold: float = THRESHOLD,
) -> Checked:
    """Was `record`, a recording or a file, taken rightly?

    `workdir` is a reversal run, or `bundled` for the network that comes with ecgjax; `prevalence` the share of records
    that are expected to be wired wrongly; below the probability `threshold` the verdict is `cannot tell`.

    >>> import ecgjax
    >>> checked = ecgjax.check("record.hea")  # doctest: +SKIP
    >>> checked.verdict, checked.sentence  # doctest: +SKIP
    ('wrong', 'RA and LA exchanged (over 99.9 %); I, II, III, aVR and aVL put right')

    Raises:
      InputError: the file cannot be read, the folder holds no such run, or an option is out of range.
    """
    recording = recording_of(record)
    return next(check_all([recording], workdir=workdir, prevalence=prevalence, threshold=threshold))


def check_all(
    records: Iterable[Recording],
    *,
    workdir: str | Path = BUNDLED,
    prevalence: float = PREVALENCE,
    threshold: float = THRESHOLD,
) -> Iterator[Checked]:
    """As `check`, for any number of recordings, in their order; many at a time in one compiled step.

    Raises:
      InputError: as `check`.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"the threshold is {threshold}", "give a probability between 0 and 1")
    evidence, log_prior = evidence_of(workdir_of(workdir, "reversal")), _log_prior(prevalence)
    decide = functools.partial(_decided, evidence=evidence, log_prior=log_prior, threshold=threshold)
    waiting, ahead = map(whole_recording, records), None
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        while some := list(itertools.islice(waiting, RECORDS_AT_ONCE)):
            judged = pool.map(judge, some)
            # While the network looks at some, the signals of the next are judged.
            if ahead is not None:
                yield from decide(*ahead)
            ahead = some, judged
        if ahead is not None:
            yield from decide(*ahead)


@functools.lru_cache(maxsize=2)
def evidence_of(workdir: Path) -> Evidence:
    """What the networks in a folder make of records, loaded once."""
    return load_evidence(workdir)


@functools.lru_cache(maxsize=8)
def _log_prior(prevalence: float) -> np.ndarray:
    return clinical_prior(prevalence).log_prior()


def _decided(
    recordings: list[Recording],
    judged: Iterable[tuple[Finding, ...]],
    *,
    evidence: Evidence,
    log_prior: np.ndarray,
    threshold: float,
) -> Iterator[Checked]:
    """What is said of each; electrodes are judged where no lead is missing, and once leads upside down are turned."""
    said = list(judged)
    turned = [_turned(findings, threshold) for findings in said]
    twelves = [recording.twelve() for recording in recordings]
    found: dict[int, repair.Repair] = {}
    for place, (signal_mv, absent) in enumerate(twelves):
        if absent:
            lack = f"leads {repair.listed(absent)} are" if len(absent) > 1 else f"lead {absent[0]} is"
            found[place] = repair.unjudged(signal_mv, f"{lack} missing")
        elif recordings[place].duration_s < SHORTEST_S:
            found[place] = repair.unjudged(signal_mv, f"it lasts {recordings[place].duration_s:.2g} s")
        elif any(finding.kind in MISNAMED for finding in said[place] if finding.is_fault):
            found[place] = repair.unjudged(signal_mv, "leads are not what they are called")
    whole = [place for place in range(len(recordings)) if place not in found]
    upright = [(_upright(twelves[place][0], turned[place]), recordings[place].fs_hz) for place in whole]
    for place, decided in zip(whole, repair.repair_all(upright, evidence, log_prior, threshold), strict=True):
        found[place] = repair.with_turned(decided, twelves[place][0], turned[place])
    for place, recording in enumerate(recordings):
        yield _concluded(recording, said[place], turned[place], found[place])


def _turned(findings: tuple[Finding, ...], threshold: float) -> tuple[str, ...]:
    """Leads that are upside down, which no exchange of cables explains: `quality` weighed these against it."""
    is_sure = [f.kind == POLARITY and f.is_fault and (f.probability or 0) >= threshold for f in findings]
    return tuple(lead for finding, sure in zip(findings, is_sure, strict=True) if sure for lead in finding.leads)


def _upright(signal_mv: np.ndarray, turned: tuple[str, ...]) -> np.ndarray:
    return signal_mv * np.where(np.isin(LEADS, turned), -1, 1).astype(np.float32) if turned else signal_mv


def _concluded(
    recording: Recording, judged: tuple[Finding, ...], turned: tuple[str, ...], decided: repair.Repair
) -> Checked:
    findings, wrong = list(judged), decided.placement
    is_exchanged = wrong is not None and decided.undoing is not None and decided.hypothesis != CORRECT
    if is_exchanged:
        assert wrong is not None
        findings = _unexplained(recording, judged, turned, decided)
        names = repair.undoing(wrong).changed
        findings.insert(0, Finding(PLACEMENT, names, wrong.description, decided.probability, True))
    faults = [finding for finding in findings if finding.is_fault]
    verdict = WRONG if faults else CANNOT_TELL if decided.verdict == repair.CANNOT_TELL else RIGHT
    sentences = [finding.sentence for finding in faults if finding.kind != PLACEMENT]
    if is_exchanged or not faults:
        sentences.insert(0, decided.sentence)
    probability = float("nan") if decided.hypothesis is None else decided.probability
    return Checked(recording, verdict, "; ".join(sentences), probability, tuple(findings), decided)


def _unexplained(
    recording: Recording, judged: tuple[Finding, ...], turned: tuple[str, ...], decided: repair.Repair
) -> list[Finding]:
    """Findings on the signal, worst first, without what the exchange of cables explains."""
    assert decided.undoing is not None
    kept = [finding for finding in judged if finding.kind not in EXPLAINED or set(finding.leads) <= set(turned)]
    if decided.undoing.lost:
        # One of I, II and III is flat where a jack reads RL, and all limb leads contradict the chest.
        return [finding for finding in kept if not (finding.kind == "flat" and set(finding.leads) <= set(LIMB_LEADS))]
    kept += [finding for finding in judge(mended(recording, decided)) if finding.kind in EXPLAINED]
    return sorted(kept, key=lambda finding: not finding.is_fault)
