"""Limb leads that are written wrongly, as the laws among them tell: names, signs, gains, leads that do not belong."""

import numpy as np

from ecgjax.leads import LIMB_COMPLETIONS, LIMB_LEADS
from ecgjax.quality.findings import Finding, are, listed
from ecgjax.quality.gain import said_factor
from ecgjax.quality.limb_laws import (
    BROKEN,
    CABRERA,
    CONTRADICTED,
    Explanation,
    contradiction,
    explain,
    limb_groups,
    odd_one,
)

REMARKED = 0.05
"""An unexplained contradiction between this and `CONTRADICTED` is remarked."""

PURE_SIGN = 0.15
"""A factor so near to -1, as a share, is a sign and no gain."""

Groups = list[tuple[tuple[int, ...], np.ndarray]]


def groups_of(stretches: list[np.ndarray]) -> Groups:
    """Which limb leads of `[time, 6]`, NaN where they are not recorded, are there together, and their covariance."""
    total: dict[tuple[int, ...], np.ndarray] = {}
    for signal_mv in stretches:
        for given, covariance in limb_groups(signal_mv):
            total[given] = total.get(given, 0) + covariance
    return list(total.items())


def broken_laws(groups: Groups) -> tuple[tuple[Finding, ...], dict[str, tuple[str, float]] | None]:
    """What is wrong, and how the limb leads are to be read: what each is called -> which it is and by what to divide.

    {} where all is right, None where the limb leads contradict each other and nothing explains it.
    """
    found: list[Finding] = []
    reading: dict[str, tuple[str, float]] | None = {}
    for given, covariance in groups:
        share = contradiction([(given, covariance)])
        if share <= BROKEN:
            continue
        explanation = explain(given, covariance)
        if explanation is not None:
            found += _explained(explanation)
            if reading is not None:
                for name, meant, factor in zip(explanation.names, explanation.meant, explanation.factors, strict=True):
                    reading[name] = (meant, factor)
            continue
        if share > REMARKED:
            found.append(_unexplained(given, covariance, share))
        if share > CONTRADICTED:
            reading = None
    return tuple(found), reading


def mended(typical_mv: np.ndarray, reading: dict[str, tuple[str, float]] | None) -> np.ndarray:
    """The limb leads `[beat time, 6]`, NaN for absent ones, as they are to be read, and what follows from them.

    All NaN where they contradict each other.
    """
    if reading is None:
        return np.full_like(typical_mv, np.nan)
    limb = typical_mv.copy()
    if reading:
        # A lead that is read as itself by one group of leads may not occur in another.
        limb[:] = np.nan
        for name, of_lead in zip(LIMB_LEADS, typical_mv.T, strict=True):
            meant, factor = reading.get(name, (name, 1.0))
            limb[:, LIMB_LEADS.index(meant)] = of_lead / factor
    is_there = np.isfinite(limb).all(axis=0)
    mask = int(is_there @ (1 << np.arange(len(LIMB_LEADS))))
    if 1 < is_there.sum() < len(LIMB_LEADS):
        limb = np.nan_to_num(limb) @ LIMB_COMPLETIONS[mask].T.astype(limb.dtype)
    return limb


def _explained(explanation: Explanation) -> list[Finding]:
    sure = 1 / explanation.num_alternatives
    doubt = "" if explanation.num_alternatives == 1 else " (or another mistake that looks the same)"
    concerned = explanation.concerned
    by_name = dict(zip(explanation.names, zip(explanation.meant, explanation.factors, strict=True), strict=True))
    if any(meant != name for name, (meant, _) in by_name.items()):
        if explanation.meant == CABRERA:
            sentence = "limb leads are in Cabrera's order (aVL, I, aVR, II, aVF, III), but not so named: rename"
            sentence += " and turn -aVR" if by_name["III"][1] < 0 else ""
            return [Finding("order", concerned, sentence, sure, True)]
        read_as = ", ".join(f"{name} is {'-' if by_name[name][1] < 0 else ''}{by_name[name][0]}" for name in concerned)
        sentence = f"the names of limb leads do not fit the laws among them: what is called {read_as}{doubt}; rename"
        return [Finding("order", concerned, sentence, sure, True)]
    found = []
    turned = tuple(name for name in concerned if by_name[name][1] < 0)
    if turned:
        turn = "turn it" if len(turned) == 1 else "turn them"
        sentence = (
            f"{listed(turned)} {are(turned)} written with the wrong sign, by the laws among limb leads{doubt}: {turn}"
        )
        found.append(Finding("polarity", turned, sentence, sure, True))
    factors: dict[str, list[str]] = {}
    for name in concerned:
        size = abs(by_name[name][1])
        if abs(size - 1) > PURE_SIGN:
            text, note = said_factor(size)
            factors.setdefault(f"{text} times too {'large' if size > 1 else 'small'}{note}", []).append(name)
    for text, names in factors.items():
        leads = tuple(names)
        sentence = f"{listed(leads)} {are(leads)} {text}, by the laws among limb leads{doubt}: correct the gain"
        found.append(Finding("gain", leads, sentence, sure, True))
    return found


def _unexplained(given: tuple[int, ...], covariance: np.ndarray, share: float) -> Finding:
    is_fault = share > CONTRADICTED
    odd = odd_one(given, covariance)
    if odd is not None:
        sentence = f"{odd} does not follow from the other limb leads, which agree: leave it out or record again"
        return Finding("contradiction", (odd,), sentence, None, is_fault)
    leads = tuple(LIMB_LEADS[k] for k in given)
    sentence = (
        f"{listed(leads)} contradict each other by {100 * share:.0f} %, and no other names, signs or gains explain it: "
        "they may be of different times or filters"
    )
    return Finding("contradiction", leads, sentence, None, is_fault)
