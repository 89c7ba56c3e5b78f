"""The whole way from the picture of a twelve-lead page to what it says: digitised, completed, put right, diagnosed."""

import dataclasses
from pathlib import Path

import numpy as np

from ecgjax.errors import InputError
from ecgjax.images.digitize import Digitised, Options, digitize
from ecgjax.images.whole_record import CONTINUED, WholeRecord, whole_record
from ecgjax.leads import LEADS
from ecgjax.placements import repair
from ecgjax.placements.evidence import Evidence, load_evidence
from ecgjax.placements.prior import clinical_prior
from ecgjax.quality.limb_laws import CONTRADICTED, limb_contradiction
from ecgjax.record_reader import Diagnoses, LeadName, RecordReader, diagnose, load_reader, name_leads

LEAST_LEGIBILITY = 0.6
"""Mean confidence that every lead must reach for a verdict: names that are assumed, and leads that contradict each
other, stay below."""


@dataclasses.dataclass(frozen=True)
class Readers:
    """Trained networks, for any number of pages.

    Attributes:
      evidence, log_prior, threshold: of how the cables were exchanged, as for `repair.repair`.
      diagnosis: a run of that task.
      lead_id: a run of that task, None to leave the names of leads unchecked.
    """

    evidence: Evidence
    log_prior: np.ndarray
    threshold: float
    diagnosis: RecordReader
    lead_id: RecordReader | None


def load_readers(
    reversal: Path, diagnosis: Path, lead_id: Path | None, *, prevalence: float, threshold: float
) -> Readers:
    """The runs in these folders; `prevalence` is the share of records that are expected to be wired wrongly.

    Raises:
      InputError: a folder holds no such run.
    """
    return Readers(
        evidence=load_evidence(reversal),
        log_prior=clinical_prior(prevalence).log_prior(),
        threshold=threshold,
        diagnosis=load_reader(diagnosis, "diagnosis"),
        lead_id=None if lead_id is None else load_reader(lead_id, "lead_id"),
    )


@dataclasses.dataclass(frozen=True)
class PageFindings:
    """What a page says.

    Attributes:
      digitised: what stands on it.
      whole: the same as a record of all leads over the whole time, as they are named on the page.
      legibility: lead -> mean confidence over its place on the page, 0..1.
      contradiction: of the limb leads, see `limb_contradiction`.
      names_by_shape: lead -> the name that its shape suggests; None where it was not asked or leads are missing.
      repair: how the cables were exchanged, and the record as it should be.
      is_drawn: bool [time, 12]: samples of the record as it should be that stand on the page, under whatever name.
      as_named, as_should_be: the diagnosis of the record before and after the repair; None where a lead that the run
        needs is missing.
      notes: what was made up or could not be known.
      warnings: of the digitising, and of leads that are not what they are called.
    """

    digitised: Digitised
    whole: WholeRecord
    legibility: dict[str, float]
    contradiction: float
    names_by_shape: dict[str, LeadName] | None
    repair: repair.Repair
    is_drawn: np.ndarray
    as_named: Diagnoses | None
    as_should_be: Diagnoses | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def read_page(rgb: np.ndarray, readers: Readers, options: Options) -> PageFindings:
    """Reads the picture of a page with twelve leads, uint8 [y, x, rgb].

    Raises:
      InputError: it cannot be digitised, or shows a strip of one lead.
    """
    digitised = digitize(rgb, options)
    if digitised.lead_names != LEADS:
        raise InputError(f"the page shows {', '.join(digitised.lead_names)} alone", "give a page of twelve leads")
    whole = whole_record(digitised.signal_mv, digitised.fs_hz)
    legibility = lead_legibility(digitised)
    contradiction = limb_contradiction(digitised.signal_mv)
    doubt = _doubt(legibility, contradiction)
    found = _decide(whole, doubt, readers)
    is_drawn = whole.is_drawn if found.undoing is None else _moved(whole.is_drawn, found.undoing)
    as_named = as_should_be = names = None
    notes = list(found.notes)
    if not whole.is_known.all():
        notes.append(CONTINUED)
    both = np.stack([whole.signal_mv, found.signal])
    if lacking := readers.diagnosis.lacking(whole.signal_mv):
        notes.append(f"no diagnosis: {', '.join(lacking)} cannot be had from this page")
    elif lost := readers.diagnosis.lacking(found.signal):
        (as_named,) = diagnose(readers.diagnosis, both[:1], whole.fs_hz)
        notes.append(f"no diagnosis of the record as it should be: {', '.join(lost)} are lost")
    else:
        as_named, as_should_be = diagnose(readers.diagnosis, both, whole.fs_hz)
    warnings = list(digitised.warnings)
    if doubt and as_named is not None:
        warnings.append(f"the diagnosis is of what was read, but {doubt}")
    if readers.lead_id is not None and not readers.lead_id.lacking(whole.signal_mv):
        names = name_leads(readers.lead_id, whole.signal_mv, whole.fs_hz)
        warnings += [
            f"{lead} looks like {by_shape.name} ({100 * by_shape.probability:.0f} %)"
            for lead, by_shape in names.items()
            if by_shape.name != lead
        ]
    return PageFindings(
        digitised=digitised,
        whole=whole,
        legibility=legibility,
        contradiction=contradiction,
        names_by_shape=names,
        repair=found,
        is_drawn=is_drawn,
        as_named=as_named,
        as_should_be=as_should_be,
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def lead_legibility(digitised: Digitised) -> dict[str, float]:
    """Lead -> mean confidence over the time for which it stands on the page; leads without a place are left out."""
    legibility: dict[str, float] = {}
    for box in sorted(digitised.boxes, key=lambda box: box.stop_s - box.start_s):
        lead = box.lead.removeprefix("-")
        first, stop = (round(s * digitised.fs_hz) for s in (box.start_s, box.stop_s))
        part = digitised.confidence[first:stop, digitised.lead_names.index(lead)]
        legibility[lead] = float(part.mean()) if part.size else 0.0
    return {lead: legibility[lead] for lead in digitised.lead_names if lead in legibility}


def _doubt(legibility: dict[str, float], contradiction: float) -> str:
    """What forbids a verdict on this page, if anything."""
    lead = min(legibility, key=lambda name: legibility[name])
    if legibility[lead] < LEAST_LEGIBILITY:
        return f"lead {lead} is read with a confidence of {legibility[lead]:.2f} only"
    if contradiction > CONTRADICTED:
        return f"the limb leads contradict each other ({100 * contradiction:.0f} %): names or traces are wrong"
    return ""


def _decide(whole: WholeRecord, doubt: str, readers: Readers) -> repair.Repair:
    """The verdict on the cables; none in doubt about the page, where a wrong one could come of the reading."""
    found = repair.repair(whole.signal_mv, whole.fs_hz, readers.evidence, readers.log_prior, readers.threshold)
    if found.verdict == repair.CANNOT_TELL or not doubt:
        return found
    return dataclasses.replace(
        found,
        verdict=repair.CANNOT_TELL,
        sentence=f"cannot tell: {doubt}; as read, {found.sentence.split(';')[0]}",
        signal=whole.signal_mv,
        undoing=None,
    )


def _moved(is_drawn: np.ndarray, undoing: repair.Undoing) -> np.ndarray:
    """bool [time, 12]: which samples of the repaired record are samples of the page; computed ones are not."""
    return is_drawn[:, undoing.source] & (undoing.sign != 0)
