"""What decided between two placements, on the average beat: the beats of all leads with the parts that mattered."""

import numpy as np

from ecgjax.explain.placement_attribution import PlacementAttribution
from ecgjax.leads import LEADS, LIMB_LEADS
from ecgjax.placements.hypotheses import is_undoable, undo_matrices
from ecgjax.viewer.document import escape

_WIDTH, _HEIGHT = 150.0, 92.0
_LEAST_SHOWN = 0.03
_STRONGEST = 0.85
_SMOOTHING = np.array([1, 2, 3, 2, 1]) / 9
"""At the rates of networks as the eye wants it: parts of neighbouring samples have either sign."""


def smoothed(contributions: np.ndarray) -> np.ndarray:
    """`[time, lead]` with the parts of neighbouring samples joined."""
    return np.stack([np.convolve(lead, _SMOOTHING, mode="same") for lead in contributions.T], axis=1)


def decisive_beats(found: PlacementAttribution, is_repaired: bool) -> str:
    """HTML of twelve average beats `[time, lead]`, as written and, where `is_repaired`, as they should be."""
    written = found.written_beat_mv
    right = written @ undo_matrices()[found.best].T if is_repaired and is_undoable()[found.best] else written
    contributions = smoothed(found.beat)
    peak = float(np.abs(contributions).max()) or 1.0
    cells = []
    for k, (name, share) in enumerate((name, found.lead_shares()[name]) for name in LEADS):
        # Limb and chest leads have a scale each.
        group = slice(len(LIMB_LEADS)) if name in LIMB_LEADS else slice(len(LIMB_LEADS), None)
        low, high = (float(pick(np.stack([written, right])[..., group])) for pick in (np.min, np.max))
        span = max(high - low, 0.2)
        height, top = _HEIGHT / (1.06 * span), high + 0.03 * span
        parts = _heat(contributions[:, k] / peak)
        if np.abs(right[:, k] - written[:, k]).max() > 0.02 * span:
            parts += f'<path class="before" d="{_path((top - written[:, k]) * height)}"/>'
        parts += f'<path d="{_path((top - right[:, k]) * height)}"/>'
        said = f"{100 * share:.0f} %" if share >= 0.005 else ""
        cells.append(
            f"<div><span>{escape(name)}</span><small>{said}</small>"
            f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" aria-hidden="true">{parts}</svg></div>'
        )
    return f'<div class="beats">{"".join(cells)}</div>'


def _path(y: np.ndarray) -> str:
    x = np.linspace(0, _WIDTH, len(y))
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _heat(values: np.ndarray) -> str:
    """Columns behind the beat, as strong as the parts `[time]` of at most 1."""
    step = _WIDTH / (len(values) - 1)
    return "".join(
        f'<rect class="{"heat" if value > 0 else "against"}" x="{(k - 0.5) * step:.1f}" y="0" width="{step + 0.2:.1f}" '
        f'height="{_HEIGHT:g}" opacity="{_STRONGEST * np.sqrt(abs(value)):.2f}"/>'
        for k, value in enumerate(values)
        if abs(value) >= _LEAST_SHOWN
    )
