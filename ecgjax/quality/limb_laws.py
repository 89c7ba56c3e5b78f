"""What the laws among the limb leads say of names, signs and gains.

Six limb leads are made of two differences of potentials (Einthoven: I + III = II; Goldberger: aVR = -(I + II) / 2 and
so on), at every instant and however the electrodes are exchanged. Leads that break these laws were not recorded wrongly
but written wrongly: under another lead's name, with the wrong sign, by another gain, or not at the same time. With C
the covariance of the leads and Q the projection on what no two potentials can make, the power that the laws leave
unexplained is sum(Q * C). Other names permute C, signs and gains d make it d (Q * C) d: so all 23,040 arrangements of
names and signs are tried at once, and the gains that serve the laws best are the least eigenvector of Q * C.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from ecgjax.leads import LEADS_FROM_INDEPENDENT, LIMB_LEADS

FEWEST = 3
"""Limb leads that obey a law among them."""

FEWEST_SAMPLES = 20

FEWEST_FOR_GAINS = 4
"""Three leads obey a single law, which some gains serve whatever the leads are."""

BROKEN = 0.02
"""Share of the limb leads' deviation that the laws may leave unexplained: the 1,490 records of PTB-XL's folds 1-8 that
were at hand have at most 0.006, by rounding. In fold 9 every limb lead that is turned, twice or half as large, or
exchanged with another by name is beyond, and is named."""

CONTRADICTED = 0.25
"""The same share where, unexplained, it forbids a verdict: on pictures of pages read rightly it is below 0.16, with
names in another order 0.5."""

EXPLAINED = 0.25
"""Share of a contradiction that an explanation of it may leave."""

AS_GOOD, ROUNDING = 2.0, 0.006
"""Explanations that leave no more than so many times what the best one leaves, and rounding, are as good as it."""

SMALLEST_SCALE = 1e-9
LEAST_FACTOR = 1.15
"""By which a gain differs from the others for the lead to be blamed: a ratio of 2 / sqrt(3), by which aVR is shorter
than I, would let every lead pass for its neighbour."""


@dataclasses.dataclass(frozen=True)
class Explanation:
    """How leads that break the laws must be read for the laws to hold.

    Attributes:
      names: the leads as they are called.
      meant: which lead each of them is.
      factors: by how much each is written too large, negative where its sign is wrong.
      contradiction: what the laws then leave unexplained.
      num_alternatives: explanations that are as good and as simple, this one included.
    """

    names: tuple[str, ...]
    meant: tuple[str, ...]
    factors: tuple[float, ...]
    contradiction: float
    num_alternatives: int

    @property
    def concerned(self) -> tuple[str, ...]:
        """The leads that are not what they are called."""
        return tuple(
            name
            for name, meant, factor in zip(self.names, self.meant, self.factors, strict=True)
            if name != meant or factor != 1.0
        )


def limb_contradiction(signal_mv: np.ndarray) -> float:
    """How far the limb leads of `[time, 6 or more]`, NaN where they are not recorded, are from any two potentials.

    The root of the share of their power that the best I and II leave unexplained at each instant, where three or more
    are there; levels do not count. 0 where there are never three.
    """
    return contradiction(limb_groups(signal_mv))


def limb_groups(signal_mv: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """The three or more limb leads that are there together, and their covariance times the number of samples."""
    limb_mv = signal_mv[:, : len(LIMB_LEADS)]
    bits = np.isfinite(limb_mv) @ (1 << np.arange(len(LIMB_LEADS)))
    for mask in np.unique(bits):
        given = tuple(k for k in range(len(LIMB_LEADS)) if mask >> k & 1)
        is_given = bits == mask
        if len(given) >= FEWEST and is_given.sum() >= FEWEST_SAMPLES:
            part = limb_mv[is_given][:, given].astype(float)
            part -= part.mean(axis=0)
            yield given, part.T @ part


def explain(given: tuple[int, ...], covariance: np.ndarray) -> Explanation | None:
    """The simplest reading of the limb leads `given` under which the laws hold; None where none is found.

    An exchange of electrodes turns signs and names in ways that no law can see; the fewest changes are taken.
    """
    most = EXPLAINED * contradiction([(given, covariance)])
    scaled = [candidate for candidate in _scaled(given, covariance) if candidate[0] <= most]
    candidates = [*_arranged(given, covariance, most), *scaled]
    if not candidates:
        return None
    best = min(left for left, *_ in candidates)
    good = [candidate for candidate in candidates if candidate[0] <= max(AS_GOOD * best, ROUNDING)]
    fewest = min(changes for _, changes, *_ in good)
    simplest = [candidate for candidate in good if candidate[1] == fewest]
    left, _, meant, factors = min(simplest, key=lambda candidate: candidate[0])
    # A gain that is fitted may be that of an arrangement, or of another fit.
    different = {(of, tuple(np.round(np.log10(np.abs(by)), 1) * np.sign(by))) for _, _, of, by in simplest}
    names = tuple(LIMB_LEADS[k] for k in given)
    return Explanation(names, tuple(names[k] for k in meant), factors, left, len(different))


def odd_one(given: tuple[int, ...], covariance: np.ndarray) -> str | None:
    """The one lead without which the laws hold among the others, if there is such a lead."""
    left = []
    for k in range(len(given) if len(given) >= FEWEST_FOR_GAINS else 0):
        others = [i for i in range(len(given)) if i != k]
        rest = covariance[np.ix_(others, others)]
        unexplained = float(np.sum(_unmade(tuple(given[i] for i in others)) * rest))
        left.append(np.sqrt(max(unexplained, 0) / max(float(np.trace(rest)), 1e-12)))
    return LIMB_LEADS[given[int(np.argmin(left))]] if left and min(left) < BROKEN else None


def contradiction(groups: Iterable[tuple[tuple[int, ...], np.ndarray]]) -> float:
    """The root of the share of their power that the laws leave unexplained in all `groups` together."""
    unexplained = total = 0.0
    for given, covariance in groups:
        unexplained += float(np.sum(_unmade(given) * covariance))
        total += float(np.trace(covariance))
    return float(np.sqrt(max(unexplained, 0) / total)) if total else 0.0


@functools.cache
def _unmade(given: tuple[int, ...]) -> np.ndarray:
    """[lead, lead]: takes leads to that part of them which no two potentials make."""
    from_two = LEADS_FROM_INDEPENDENT[list(given), :2]
    return np.eye(len(given)) - from_two @ np.linalg.pinv(from_two)


@functools.cache
def _arrangements(number: int) -> tuple[np.ndarray, np.ndarray]:
    """All orders `[order, lead]` of so many leads, and all signs `[signs, lead]` of which at most half are negative."""
    orders = np.array(list(itertools.permutations(range(number))))
    signs = np.array(list(itertools.product((1, -1), repeat=number)))
    # All signs turned make the same laws. Of three against three the augmented leads, which are computed, are blamed.
    total = signs.sum(axis=1)
    return orders, signs[(total > 0) | ((total == 0) & (signs[:, 0] > 0))]


CABRERA = ("aVL", "I", "aVR", "II", "aVF", "III")
"""The order by the direction of the leads, in which some devices write them, mostly with -aVR. One mistake."""

_Candidate = tuple[float, int, tuple[int, ...], tuple[float, ...]]
"""What is left, how many leads change, which lead each is, and by what factor each is too large."""


def _arranged(given: tuple[int, ...], covariance: np.ndarray, most: float) -> Iterator[_Candidate]:
    """Other names and signs: the best, and those as good, where they leave no more than `most`."""
    orders, signs = _arrangements(len(given))
    # sources[k] is the written lead that is meant as the k-th.
    weighed = _unmade(given) * covariance[orders[:, :, None], orders[:, None, :]]
    both = (signs[:, :, None] * signs[:, None, :]).reshape(len(signs), -1)
    left = weighed.reshape(len(orders), -1) @ both.T
    share = np.sqrt(np.maximum(left, 0) / np.trace(covariance))
    near = share <= min(max(AS_GOOD * share.min(), ROUNDING), most)
    names = tuple(LIMB_LEADS[k] for k in given)
    for order, sign in zip(*np.nonzero(near), strict=True):
        sources = orders[order]
        meant = np.argsort(sources)
        factors = signs[sign][meant]
        changes = int(np.sum((sources != np.arange(len(sources))) | (signs[sign] < 0)))
        turned = {names[k] for k in np.flatnonzero(signs[sign] < 0)}
        if tuple(names[k] for k in meant) == CABRERA and turned <= {"aVR"}:
            changes = 1
        yield float(share[order, sign]), changes, tuple(meant.tolist()), tuple(factors.astype(float).tolist())


def _scaled(given: tuple[int, ...], covariance: np.ndarray) -> Iterator[_Candidate]:
    """The names as they are, with other gains: those that serve the laws best, and for each lead that one's alone."""
    number = len(given)
    size = np.sqrt(np.diag(covariance))
    if number < FEWEST_FOR_GAINS or not size.all():
        return
    unmade = _unmade(given)
    _, vectors = np.linalg.eigh(unmade * (covariance / size / size[:, None]))
    for fitted in (*_alone(unmade * covariance), vectors[:, 0] / size):
        scale = _of_few(fitted)
        is_off = scale != 1.0
        if np.abs(scale).min() < SMALLEST_SCALE or not is_off.any():
            continue
        # In the power of the leads as they should be: a lead that is far too large would hide the others otherwise.
        mended = covariance * scale * scale[:, None]
        left = float(np.sqrt(max(np.sum(unmade * mended), 0) / np.trace(mended)))
        yield left, int(is_off.sum()), tuple(range(number)), tuple((1 / scale).tolist())


def _of_few(fitted: np.ndarray) -> np.ndarray:
    """Gains [lead], of which only ratios count, as those of the few that differ from the most, which are 1."""
    size = np.maximum(np.abs(fitted), SMALLEST_SCALE * np.abs(fitted).max())
    is_near = (np.abs(np.log(size[:, None] / size)) < np.log(LEAST_FACTOR)) & (fitted[:, None] * fitted > 0)
    # Where there is no majority, the standard leads come first.
    scale = fitted / np.median(fitted[is_near[np.argmax(is_near.sum(axis=1))]])
    is_off = (scale < 0) | (np.abs(np.log(np.maximum(np.abs(scale), SMALLEST_SCALE))) > np.log(LEAST_FACTOR))
    return np.where(is_off, scale, 1.0)


def _alone(weighed: np.ndarray) -> Iterator[np.ndarray]:
    """For each lead the gains [lead] that serve the laws best where all others are right."""
    for k in range(len(weighed)):
        scale = np.ones(len(weighed))
        others = np.arange(len(weighed)) != k
        if weighed[k, k] > 0:
            scale[k] = -weighed[k, others].sum() / weighed[k, k]
            yield scale
