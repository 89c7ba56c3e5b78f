"""The interactive drawing of a recording: signals and what is known of them as HTML, drawn by viewer.js."""

import base64
import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ecgjax.leads import LEADS
from ecgjax.viewer.document import escape

if TYPE_CHECKING:
    from ecgjax.placements.repair import Undoing  # brings JAX

MOST_VALUES = 2_500_000
"""Samples of all leads that a page holds, 2 bytes each before they become text."""

LEAST_FS_HZ = 100.0
"""Rate below which no record is brought to save room; what is longer is cut."""

_FINEST_MV = 0.001
_LARGEST = 32767
_GAP = -32768
_HEAT_LARGEST = 127


@dataclasses.dataclass(frozen=True)
class Heat:
    """How much each part of the twelve leads speaks for a finding.

    Attributes:
      values: [time, 12] positive for it, negative against it.
      fs_hz: rate of the values.
      start_s: time of the first value in the record.
    """

    values: np.ndarray
    fs_hz: float
    start_s: float


@dataclasses.dataclass(frozen=True)
class Packed:
    """A signal as a page holds it.

    Attributes:
      units: int16 [lead, time]; the least integer where there is no sample.
      mv_per_unit: size of a unit.
      fs_hz: the rate.
      said: what was left out to bound the page, "" for nothing.
    """

    units: np.ndarray
    mv_per_unit: float
    fs_hz: float
    said: str


def pack(signal_mv: np.ndarray, fs_hz: float) -> Packed:
    """`[time, lead]` in units of 1 µV, or of more where it would not fit; means of neighbours where it is long.

    What is too long even so is cut at the end.
    """
    said = ""
    most = MOST_VALUES // max(signal_mv.shape[1], 1)
    factor = max(min(-(-len(signal_mv) // most), int(fs_hz // LEAST_FS_HZ)), 1)
    kept = signal_mv[: most * factor]
    if factor > 1:
        whole = len(kept) // factor * factor
        kept = kept[:whole].reshape(-1, factor, kept.shape[1]).mean(axis=1)
        said = f"drawn at {fs_hz / factor:g} Hz, means of {factor} samples"
    if len(signal_mv) > most * factor:
        shown_min, all_min = (n / fs_hz / 60 for n in (most * factor, len(signal_mv)))
        said += f"{', ' if said else ''}the first {shown_min:.0f} of {all_min:.0f} min"
    is_there = np.isfinite(kept)
    highest = np.abs(kept, where=is_there, out=np.zeros_like(kept)).max(initial=0.0)
    mv_per_unit = max(_FINEST_MV, float(highest) / _LARGEST)
    units = np.where(is_there, np.rint(np.nan_to_num(kept) / mv_per_unit), _GAP)
    return Packed(np.ascontiguousarray(units.T.astype("<i2")), mv_per_unit, fs_hz / factor, said)


def viewer(
    signal_mv: np.ndarray,
    fs_hz: float,
    lead_names: Sequence[str],
    *,
    label: str,
    undoing: "Undoing | None" = None,
    heat: Heat | None = None,
) -> str:
    """HTML that shows `[time, lead]`, and as it should be where `undoing` says how the first twelve are put right."""
    is_there = np.isfinite(signal_mv).any(axis=0)
    packed = pack(signal_mv[:, is_there], fs_hz)
    content = {
        "label": f"{label}: signals over time. Arrow keys move and set the gain, plus and minus zoom, 0 resets.",
        "leads": list(lead_names),
        "stored": np.flatnonzero(is_there).tolist(),
        "fs_hz": packed.fs_hz,
        "num_samples": packed.units.shape[1],
        "mv_per_unit": packed.mv_per_unit,
        "samples": _text(packed.units),
        "undo": _undo(undoing, len(lead_names)),
        "changed": list(undoing.changed) if undoing else [],
        "notes": _notes(undoing) if undoing else {},
        "heat": _heat(heat) if heat else None,
    }
    # "<" within text could end the script element.
    data = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    note = f'<p class="small">{escape(packed.said[:1].upper() + packed.said[1:])}.</p>' if packed.said else ""
    return (
        f'<div class="ecg"><script type="application/json">{data}</script>'
        f"<noscript>The signals are drawn by the script in this page.</noscript></div>{note}"
    )


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _undo(undoing: "Undoing | None", num_leads: int) -> list | None:
    """For each lead the written ones and their weights; None where it was never recorded."""
    if undoing is None:
        return None
    rows: list = [
        None if np.isnan(row).any() else [[int(k), float(row[k])] for k in np.flatnonzero(row)]
        for row in undoing.mixture
    ]
    return rows + [[[k, 1.0]] for k in range(len(LEADS), num_leads)]


def _notes(undoing: "Undoing") -> dict[str, str]:
    """What was written under another name, by lead."""
    notes = {}
    for name in undoing.changed:
        lead = LEADS.index(name)
        sign, source = undoing.sign[lead], LEADS[undoing.source[lead]]
        if name in undoing.lost:
            notes[name] = "lost"
        else:
            notes[name] = f"was {'−' if sign < 0 else ''}{source}" if sign else "computed"
    return notes


def _heat(heat: Heat) -> dict[str, object]:
    scaled = heat.values / (np.abs(heat.values).max() or 1.0) * _HEAT_LARGEST
    return {
        "fs_hz": heat.fs_hz,
        "start_s": heat.start_s,
        "num_samples": len(heat.values),
        "values": _text(np.ascontiguousarray(np.rint(scaled).T.astype(np.int8))),
    }
