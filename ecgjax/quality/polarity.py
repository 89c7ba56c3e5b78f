"""Leads written with the wrong sign where no law tells: one chest lead, all limb leads, or the whole record.

With W the precision of the leads in the population and S their scatter over the typical beat, a record is the likelier
the smaller sum(W * S). A lead with the wrong sign turns the products with all others round, which hardly any exchange
of electrodes imitates: a sign counts as wrong only where turning it makes a likelier record than undoing any exchange
of `leads.PLACEMENTS`. Which way round the whole record is, and not only its leads among each other, is told by its
waves.
"""

import functools

import numpy as np

from ecgjax.leads import INDEPENDENT_LEADS, LEADS, LEADS_FROM_INDEPENDENT, LIMB_LEADS, PLACEMENTS, PRECORDIAL_LEADS
from ecgjax.quality.findings import Finding, are, listed
from ecgjax.quality.population import SIGN_SCALES, SIGN_WEIGHTS, probability, shape_precision
from ecgjax.quality.typical_beat import P_S, QRS_S, T_S, Beats

CHEST_LIMIT, LIMB_LIMIT, ALL_LIMIT = 1.7, 0.5, 4.0
"""By how much the logarithm of the likelihood, for each independent sample, must grow over that of every placement
where a chest lead or all limb leads are turned, and the score of a record that is turned as a whole. One, none and none
of the 1,490 records of PTB-XL's folds 1-8 are beyond, and none of the 242 of fold 9, where a turned chest lead is found
and named in 88 % of records, all limb leads in 56 %, the whole record in 94 %. Fold 9 had a part in the choice."""

FLAT_SHARE = 0.15
FEWEST_LEADS = 5
"""Independent leads, I and II among them, among which signs can be judged."""

_COLUMNS = [LEADS.index(name) for name in INDEPENDENT_LEADS]


def wrong_signs(beats: Beats, typical_mv: np.ndarray) -> tuple[Finding, ...]:
    """Of the typical beat `[beat time, 12]`, NaN for leads that are not there."""
    independent = typical_mv[:, _COLUMNS].astype(float)
    is_there = np.isfinite(independent).all(axis=0) & (np.abs(independent).max(axis=0) > 0)
    present = tuple(np.flatnonzero(is_there).tolist())
    if len(present) < FEWEST_LEADS or not is_there[:2].all():
        return ()
    leads = independent[:, list(present)]
    scatter = leads.T @ leads / len(leads)
    signs, names = _turns(present)
    as_placed = _log_likelihood(scatter, _undone(present), present).max()
    turned = _log_likelihood(scatter, signs[:, :, None] * np.eye(len(present)), present)
    grown = turned - as_placed
    if _is_degenerate(typical_mv[:, :3]):
        grown[-1] = -np.inf
    margins = grown / np.array([LIMB_LIMIT if len(name) > 1 else CHEST_LIMIT for name in names])
    best = int(np.argmax(margins))
    is_whole = len(present) == len(_COLUMNS)
    found = []
    if margins[best] > 1:
        concerned = names[best]
        leads = leads * signs[best]
        if len(concerned) > 1 and is_whole and _uprightness(beats, leads) < 0:
            # Limb and chest leads are of opposite sign: whichever leaves the whole upright is turned.
            leads, concerned = -leads, PRECORDIAL_LEADS
        found.append(_finding(concerned, margins[best]))
    if is_whole and (score := _uprightness(beats, leads)) < -ALL_LIMIT:
        found.append(_finding(PRECORDIAL_LEADS if not found and grown[-1] > 0 else LEADS, -score / ALL_LIMIT))
    return tuple(found)


def _is_degenerate(bipolar_mv: np.ndarray) -> bool:
    """Whether one of the bipolar limb leads is all but flat: a cable reads the neutral electrode, no sign is told."""
    size = np.ptp(bipolar_mv, axis=0)
    return bool(size.min() < FLAT_SHARE * size.max())


def _finding(leads: tuple[str, ...], departure: float) -> Finding:
    sentence = f"{listed(leads)} {are(leads)} written with the wrong sign: turn {'it' if len(leads) == 1 else 'them'}"
    return Finding("polarity", leads, sentence, probability(departure, 1.0), True)


@functools.cache
def _turns(present: tuple[int, ...]) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Signs `[turn, lead]` with one chest lead or all limb leads turned, and the leads that are."""
    index = np.array(present)
    chest = [k for k in present if k > 1]
    signs = np.array([np.where(index == k, -1.0, 1.0) for k in chest] + [np.where(index < 2, -1.0, 1.0)])
    return signs, [(INDEPENDENT_LEADS[k],) for k in chest] + [LIMB_LEADS]


@functools.cache
def _undone(present: tuple[int, ...]) -> np.ndarray:
    """[placement, lead, lead]: the independent leads with each placement undone, as far as the present ones tell."""
    matrices = []
    for placement in PLACEMENTS:
        if placement.uses_neutral:
            continue
        whole = (placement.inverse.matrix @ LEADS_FROM_INDEPENDENT)[_COLUMNS]
        part = whole[np.ix_(present, present)]
        if np.allclose(np.abs(whole[list(present)]).sum(axis=1), np.abs(part).sum(axis=1)):
            matrices.append(part)
    return np.array(matrices)


def _log_likelihood(scatter: np.ndarray, matrices: np.ndarray, present: tuple[int, ...]) -> np.ndarray:
    """[matrix]: of the leads of this scatter after each matrix, for any size of the whole."""
    after = matrices @ scatter @ matrices.transpose(0, 2, 1)
    misfit = np.einsum("ij,kij->k", shape_precision(present), after)
    return -0.5 * len(present) * np.log(misfit) + np.log(np.abs(np.linalg.det(matrices)))


def _uprightness(beats: Beats, leads: np.ndarray) -> float:
    """How surely the eight independent leads `[beat time, 8]` are the right way round, negative for turned ones."""
    p, qrs, t = (leads[beats.within(span)] for span in (P_S, QRS_S, T_S))
    waves = np.array([p.mean(axis=0), qrs.mean(axis=0), (qrs.max(axis=0) + qrs.min(axis=0)) / 4, t.mean(axis=0)])
    size = np.sqrt(np.mean(leads**2)) * np.array(SIGN_SCALES)[:, None]
    return float(np.sum(np.array(SIGN_WEIGHTS) * np.tanh(waves / size)))
