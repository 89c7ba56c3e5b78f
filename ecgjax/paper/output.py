"""What a page says, for people and for files: lines of text, JSON, a WFDB record and a picture."""

import json
import os
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import wfdb

from ecgjax.data.signals import INT16
from ecgjax.data.split import GAIN
from ecgjax.errors import InputError
from ecgjax.images.page import CLINICAL, FORMATS, LETTER_MM
from ecgjax.images.pen import lay_ink, line_coverage
from ecgjax.images.render import render
from ecgjax.images.traced_page import traced_page
from ecgjax.leads import LEADS
from ecgjax.paper.findings import PageFindings
from ecgjax.record_reader import Diagnoses

SUFFIXES = (".json", ".png", ".dat", ".hea")
"""Of the files of a page, the header of the record last."""

MADE = (150, 175, 225)
"""Colour of samples that do not stand on the page."""

_LINE_LETTERS = 105
_COVERING = 1.6  # a wider pen covers a line to its edges
_MISSING = INT16.min


def said(name: str, findings: PageFindings) -> str:
    """The page in a few lines."""
    digitised, whole = findings.digitised, findings.whole
    rate = f"{whole.heart_rate_per_min:.0f}/min" if np.isfinite(whole.heart_rate_per_min) else "no rhythm found"
    speed = f"{digitised.paper_speed_mm_s:g} mm/s ({digitised.speed_from})"
    gain = f"{digitised.gain_mm_mv:g} mm/mV ({digitised.gain_from})"
    least = min(findings.legibility, key=lambda lead: findings.legibility[lead])
    legible = f"least legible is {least}, confidence {findings.legibility[least]:.2f}"
    lines = [
        f"{name}: {digitised.layout}, {speed}, {gain}; {rate}; {legible}",
        f"  cables: {findings.repair.sentence}",
    ]
    if findings.as_named is not None:
        if findings.repair.undoing is not None:
            lines.append(f"  diagnosis as written: {_listed(findings.as_named)}")
        if findings.as_should_be is not None:
            lines.append(f"  diagnosis: {_listed(findings.as_should_be)}")
    lines += [f"  warning: {warning}" for warning in findings.warnings]
    lines += [f"  note: {note}" for note in findings.notes]
    return "\n".join(lines)


def _listed(diagnoses: Diagnoses) -> str:
    named = ", ".join(diagnoses.named) or "no label"
    ranked = sorted(diagnoses.probabilities.items(), key=lambda item: -item[1])[:5]
    return f"{named} ({', '.join(f'{name} {100 * probability:.0f} %' for name, probability in ranked)})"


def as_json(name: str, findings: PageFindings) -> dict[str, Any]:
    """All findings but the samples."""
    digitised = findings.digitised
    names = findings.names_by_shape
    return {
        "page": name,
        "layout": digitised.layout,
        "paper_speed_mm_s": digitised.paper_speed_mm_s,
        "paper_speed_from": digitised.speed_from,
        "gain_mm_mv": digitised.gain_mm_mv,
        "gain_from": digitised.gain_from,
        "px_per_mm": _number(digitised.px_per_mm),
        "heart_rate_per_min": _number(findings.whole.heart_rate_per_min),
        "legibility": findings.legibility,
        "limb_contradiction": findings.contradiction,
        "names_by_shape": names and {k: {"name": v.name, "probability": v.probability} for k, v in names.items()},
        **findings.repair.as_json(),
        "diagnosis": {
            "as_named": _diagnosis(findings.as_named),
            "as_should_be": _diagnosis(findings.as_should_be),
        },
        "drawn_s": {
            lead: [[start / digitised.fs_hz, stop / digitised.fs_hz] for start, stop in _stretches(is_drawn)]
            for lead, is_drawn in zip(LEADS, findings.is_drawn.T, strict=True)
        },
        "missing_leads": list(findings.whole.missing),
        "notes": list(findings.notes),
        "warnings": list(findings.warnings),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _diagnosis(diagnoses: Diagnoses | None) -> dict[str, Any] | None:
    if diagnoses is None:
        return None
    return {"probabilities": diagnoses.probabilities, "named": list(diagnoses.named)}


def _stretches(is_there: np.ndarray) -> list[list[int]]:
    """First sample and the one after the last of each stretch of bool `[time]`."""
    return np.flatnonzero(np.diff(np.concatenate([[False], is_there, [False]]))).reshape(-1, 2).tolist()


def comments(findings: PageFindings) -> list[str]:
    """What the header of the record says."""
    fs_hz = findings.whole.fs_hz
    drawn = [
        f"{lead} {', '.join(f'{start / fs_hz:.2f}-{stop / fs_hz:.2f} s' for start, stop in stretches)}"
        for lead, is_drawn in zip(LEADS, findings.is_drawn.T, strict=True)
        if (stretches := _stretches(is_drawn))
    ]
    return [
        f"ecgjax repair: {findings.repair.sentence}",
        f"ecgjax on paper: {'; '.join(drawn)}",
        "ecgjax: all other samples follow from these by algebra, or continue them with their typical beats",
    ]


def picture(name: str, findings: PageFindings) -> np.ndarray:
    """uint8 [y, x, rgb]: the page with what was traced on it, beside the record as it should be."""
    left = traced_page(findings.digitised)
    right = record_page(name, findings, left.shape[0] / LETTER_MM[1])
    height = max(left.shape[0], right.shape[0])
    return np.concatenate(
        [np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0)), constant_values=255) for p in (left, right)], axis=1
    )


def record_page(name: str, findings: PageFindings, px_per_mm: float) -> np.ndarray:
    """uint8 [y, x, rgb]: the record as it should be, in the arrangement of the page; pale where it is not on paper."""
    digitised, signal_mv = findings.digitised, findings.repair.signal.astype(float)
    text = [name, *textwrap.wrap(findings.repair.sentence, _LINE_LETTERS)]
    if findings.as_should_be is not None:
        text += textwrap.wrap(_listed(findings.as_should_be), _LINE_LETTERS)
    style = replace(
        CLINICAL,
        px_per_mm=px_per_mm,
        paper_speed_mm_s=digitised.paper_speed_mm_s,
        gain_mm_mv=digitised.gain_mm_mv,
        header=tuple(text),
    )
    there = np.isfinite(signal_mv).any(axis=0)
    signal_mv[:, there] -= np.nanmedian(signal_mv[:, there], axis=0)
    drawing = render(signal_mv, digitised.fs_hz, LEADS, FORMATS[digitised.layout], style)
    for box, points in zip(drawing.boxes, drawing.trace_px, strict=True):
        first = int(np.ceil(box.start_s * digitised.fs_hz - 1e-6))
        is_drawn = findings.is_drawn[first : first + len(points), LEADS.index(box.lead.removeprefix("-"))]
        made = np.where(is_drawn[:, None], np.nan, points)
        made[:, 0] = points[:, 0]
        coverage = line_coverage(made, _COVERING * style.trace_mm * px_per_mm, drawing.rgb.shape[:2])
        lay_ink(drawing.rgb, *coverage, MADE)
    return drawing.rgb


def check_free(name: str, folder: Path) -> None:
    """Raises InputError where `folder` has a file of a page of this name."""
    for suffix in SUFFIXES:
        if (folder / f"{name}{suffix}").exists():
            raise InputError(f"{folder / name}{suffix} is already there", "give another --output, or rename the page")


def write(name: str, findings: PageFindings, folder: Path) -> None:
    """Writes the record as it should be, the picture and the JSON file of a page to `folder`, all of them or none.

    Raises:
      InputError: one of them is there.
    """
    check_free(name, folder)
    signal_mv = findings.repair.signal
    units = np.rint(np.nan_to_num(signal_mv) * GAIN).clip(INT16.min + 1, INT16.max).astype(int)
    with tempfile.TemporaryDirectory(prefix=".incomplete.", dir=folder) as draft:
        wfdb.wrsamp(
            name,
            fs=findings.whole.fs_hz,
            units=["mV"] * len(LEADS),
            sig_name=list(LEADS),
            d_signal=np.where(np.isfinite(signal_mv), units, _MISSING),
            fmt=["16"] * len(LEADS),
            adc_gain=[GAIN] * len(LEADS),
            baseline=[0] * len(LEADS),
            comments=comments(findings),
            write_dir=draft,
        )
        cv2.imwrite(f"{draft}/{name}.png", cv2.cvtColor(picture(name, findings), cv2.COLOR_RGB2BGR))
        content = json.dumps(as_json(name, findings), indent=1, allow_nan=False)
        Path(draft, f"{name}.json").write_text(content + "\n")
        for suffix in SUFFIXES:
            os.replace(f"{draft}/{name}{suffix}", folder / f"{name}{suffix}")
