"""The page of a check: the finding, the recording before and after, what decided, and how sure all of it is."""

import dataclasses
import math
import os
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgjax.api.check import CANNOT_TELL, RIGHT, WRONG, Checked, evidence_of
from ecgjax.bundled import BUNDLED, workdir_of
from ecgjax.explain.placement_attribution import PlacementAttribution, attribute
from ecgjax.leads import LEADS
from ecgjax.placements.hypotheses import is_undoable, placement
from ecgjax.recordings.recording import Recording
from ecgjax.viewer.decision import decisive_beats, smoothed
from ecgjax.viewer.document import document, escape
from ecgjax.viewer.viewer import Heat, viewer

_VERDICTS = {
    RIGHT: ("is-right", "✓", "Recorded right"),
    WRONG: ("is-wrong", "✗", "Not recorded right"),
    CANNOT_TELL: ("is-open", "?", "Cannot tell"),
}
"""Verdict -> class, mark and title of its banner."""

_DISCLAIMER = "This is no medical device: it says how a record was taken, not what it means for the patient."
_MOST_MISSING = 6
"""Leads that may lack for the page to keep their places."""

_SEXES = {"male": "man", "female": "woman"}


def write_check_page(checked: Checked, path: Path, workdir: str | Path = BUNDLED) -> None:
    """Writes `check_page` to `path`, which is there whole or not at all."""
    _write(check_page(checked, workdir), path)


def check_page(checked: Checked, workdir: str | Path = BUNDLED, home: str = "") -> str:
    """One HTML file that needs nothing else, with what decided for the network in `workdir`, that of the check.

    A link at its top leads to the address `home`, if there is one.
    """
    recording, found = checked.recording, checked.repair
    attribution = None
    if found.hypothesis is not None:
        evidence = evidence_of(workdir_of(workdir, "reversal"))
        attribution = attribute(recording.twelve()[0], recording.fs_hz, found, evidence)
    return page_of(checked, attribution, home)


def page_of(checked: Checked, attribution: PlacementAttribution | None, home: str = "") -> str:
    """The page; what decided is shown where `attribution` is given."""
    recording, found = checked.recording, checked.repair
    signal_mv, names = _shown_leads(recording)
    heat = None
    if attribution is not None:
        heat = Heat(smoothed(attribution.contributions), attribution.fs_hz, attribution.start_s)
    drawing = viewer(
        signal_mv, recording.fs_hz, names, label=f"Recording {recording.name}", undoing=found.undoing, heat=heat
    )
    body = (
        f"<h1>{escape(recording.name)}</h1>"
        f'<p class="lead">{escape(" · ".join(_facts(recording)))}</p>{_banner(checked)}{drawing}'
        f'<div class="pair"><section><h2>Findings</h2>{_findings(checked)}</section>'
        f"<section><h2>How the electrodes were placed</h2>{_placements(checked)}</section></div>"
    )
    if attribution is not None:
        body += f"<section><h2>What decided</h2>{_decision(checked, attribution)}</section>"
    body += f"<section><h2>How the file was read</h2>{_reading(recording)}</section>"
    title = f"{recording.name}: {checked.verdict}"
    return document(title, f"{body}<footer>{escape(_DISCLAIMER)}</footer>", of="ecgjax check", home=home)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of an index: a recording, what was found, and its page, as a path below the folder of the index."""

    name: str
    verdict: str
    sentence: str
    probability: float
    page: str


def write_index(entries: Sequence[Entry], path: Path, unread: Sequence[str] = ()) -> None:
    """Writes a page with links to those of all recordings, the worst first; `unread` says what has none, and why."""
    order = (WRONG, CANNOT_TELL, RIGHT)
    verdicts = [entry.verdict for entry in entries]
    counts = ", ".join(f"{verdicts.count(verdict):,} {verdict}" for verdict in order if verdict in verdicts)
    rows = []
    for entry in sorted(entries, key=lambda entry: (order.index(entry.verdict), entry.name)):
        css, mark, _ = _VERDICTS[entry.verdict]
        rows.append(
            f'<tr><td><a href="{escape(urllib.parse.quote(entry.page))}">{escape(entry.name)}</a></td>'
            f'<td class="{css} word"><span class="mark">{mark}</span> {escape(entry.verdict)}</td>'
            f"<td>{escape(_unbroken(entry.sentence))}</td><td>{_percent(entry.probability)}</td></tr>"
        )
    head = "".join(f"<th>{name}</th>" for name in ("Recording", "Verdict", "Finding", "Probability"))
    body = (
        f'<h1>{len(entries):,} recordings checked</h1><p class="lead">{escape(counts)}</p>'
        f'<div class="scroll"><table class="words"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f"</div>{_titled_list('Not read', unread)}<footer>{escape(_DISCLAIMER)}</footer>"
    )
    _write(document("Recordings checked", body, of="ecgjax check"), path)


def _write(text: str, path: Path) -> None:
    unfinished = path.with_name(f"{path.name}.part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _shown_leads(recording: Recording) -> tuple[np.ndarray, tuple[str, ...]]:
    """The twelve leads, of which some may be missing, and those that the file has besides; of few, those alone."""
    twelve, missing = recording.twelve()
    kept = [k for k, name in enumerate(LEADS) if len(missing) <= _MOST_MISSING or name not in missing]
    others = [k for k, name in enumerate(recording.lead_names) if name not in LEADS]
    names = (*(LEADS[k] for k in kept), *(recording.lead_names[k] for k in others))
    return np.concatenate([twelve[:, kept], recording.signal_mv[:, others]], axis=1), names


def _facts(recording: Recording) -> list[str]:
    duration = recording.duration_s
    facts = [
        recording.format,
        f"{duration:.1f} s" if duration < 120 else f"{duration / 60:.1f} min",
        f"{recording.fs_hz:g} Hz",
        f"{len(recording.lead_names)} lead{'s' * (len(recording.lead_names) > 1)}",
    ]
    if recording.started:
        facts.append(recording.started.replace("T", " "))
    sex, age = recording.patient.get("sex"), recording.patient.get("age_years")
    person = [_SEXES.get(str(sex), str(sex)) if sex else "", f"{age:g} years" if isinstance(age, int | float) else ""]
    return facts + [", ".join(part for part in person if part)] * any(person)


def _banner(checked: Checked) -> str:
    css, mark, title = _VERDICTS[checked.verdict]
    said = checked.sentence.removeprefix(f"{CANNOT_TELL}: ")
    return (
        f'<div class="verdict {css}" role="status"><span class="mark" aria-hidden="true">{mark}</span>'
        f"<b>{title}</b><p>{escape(_sentence(said))}</p></div>"
    )


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    return _unbroken(f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}")


def _unbroken(text: str) -> str:
    """Without a line's end before a per cent sign."""
    return text.replace(" %", "\u00a0%")


def _percent(probability: float) -> str:
    if math.isnan(probability):
        return "–"
    if probability > 0.999:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %" if probability >= 0.001 else "< 0.1 %"


def _findings(checked: Checked) -> str:
    if not checked.findings:
        return "<p>Nothing to remark on: no flat, noisy or clipped lead, and gain and polarity as they should be.</p>"
    items = []
    for finding in checked.findings:
        word = "fault" if finding.is_fault else "remark"
        sure = ""
        if finding.probability is not None and "%" not in finding.sentence:
            sure = f' <span class="small">{_percent(finding.probability)}</span>'
        items.append(f'<li><span class="tag {word}">{word}</span>{escape(_sentence(finding.sentence))}{sure}</li>')
    return f'<ul class="plain">{"".join(items)}</ul>'


def _placements(checked: Checked) -> str:
    found = checked.repair
    if found.hypothesis is None:
        return f"<p>{escape(_sentence(found.sentence))}</p>"
    ranked = [(found.hypothesis, found.probability), *found.alternatives]
    bars = "".join(
        f'<div class="bar"><span>{escape(_sentence(placement(h).description)[:-1])}</span><b>{_percent(p)}</b>'
        f'<i style="--share:{100 * p:.2f}%"></i></div>'
        for h, p in ranked
    )
    return bars + "".join(f'<p class="small">{escape(_sentence(note))}</p>' for note in found.notes)


def _decision(checked: Checked, found: PlacementAttribution) -> str:
    best, rival = (placement(h).description for h in (found.best, found.rival))
    is_repaired = checked.repair.undoing is not None and bool(is_undoable()[found.best])
    keys = [("trace", "average beat as it should be" if is_repaired else "average beat")]
    keys += [("before", "as recorded")] * is_repaired
    keys += [("heat", f"speaks for “{best}”"), ("against", f"against it, for “{rival}”")]
    key = "".join(f'<span class="said"><i class="key {css}"></i>{escape(said)}</span> ' for css, said in keys)
    return (
        f"<p>What told “{escape(best)}” from “{escape(rival)}”: {escape(_unbroken(found.sentence()))}.</p>"
        f"{decisive_beats(found, is_repaired)}<p class='small'>{key}</p>"
        '<p class="small">Percentages are the share of each lead. The network reads I, II and V1 to V6, from which the '
        "others follow. “What decided” above the signals shows the same on every beat, smoothed over 50 ms.</p>"
    )


def _reading(recording: Recording) -> str:
    said = {"Assumed": recording.assumptions, "Noticed": recording.problems}
    lists = "".join(_titled_list(title, [_sentence(entry) for entry in entries]) for title, entries in said.items())
    return lists or "<p>The file says all that is needed; nothing had to be assumed.</p>"


def _titled_list(title: str, entries: Sequence[str]) -> str:
    if not entries:
        return ""
    items = "".join(f"<li>{escape(entry)}</li>" for entry in entries)
    return f'<h3>{title}</h3><ul class="plain">{items}</ul>'
