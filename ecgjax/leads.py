"""Lead algebra: nine signal electrodes, twelve leads, and every way to plug the cables in wrongly.

The recorder sees nine potentials against the neutral electrode RL and writes twelve differences of
them. That map has rank 8: a common offset is lost, nothing else. So the potentials are recovered
exactly, in the gauge in which Wilson's central terminal is zero, and any exchange of electrodes is one
constant 12x12 matrix (Jekova et al., Sensors 2019, 19(13):2920). Signals are `[..., time, lead]` in mV.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecgjax.errors import InputError

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS = LEADS[:6]
PRECORDIAL_LEADS = LEADS[6:]
INDEPENDENT_LEADS = ("I", "II", *PRECORDIAL_LEADS)

LEAD_SETS = {
    "precordial": PRECORDIAL_LEADS,
    "+II": ("II", *PRECORDIAL_LEADS),
    "+I": ("I", *PRECORDIAL_LEADS),
    "+I,II,III": ("I", "II", "III", *PRECORDIAL_LEADS),
    "+aVF": ("aVF", *PRECORDIAL_LEADS),
    "+I,aVF": ("I", "aVF", *PRECORDIAL_LEADS),
    "limb": LIMB_LEADS,
    "augmented": ("aVR", "aVL", "aVF", *PRECORDIAL_LEADS),
    "independent": INDEPENDENT_LEADS,
    "all": LEADS,
}
"""Sets of simultaneous leads by name; `+` adds to the precordial leads."""

IDENTITIES = (
    {"I": 1.0, "III": 1.0, "II": -1.0},
    {"aVR": 1.0, "aVL": 1.0, "aVF": 1.0},
    {"aVR": 2.0, "I": 1.0, "II": 1.0},
    {"aVL": 2.0, "I": -1.0, "III": 1.0},
    {"aVF": 2.0, "II": -1.0, "III": -1.0},
)
"""Weighted sums of limb leads that are zero at every instant, however the limb electrodes are exchanged."""

LIMB_ELECTRODES = ("RA", "LA", "LL")
NEUTRAL = "RL"
ELECTRODES = (*LIMB_ELECTRODES, *PRECORDIAL_LEADS)
"""The signal electrodes, which are also the recorder's input jacks. V1..V6 name an electrode and its lead."""


def _leads_from_electrodes() -> np.ndarray:
    ra, la, ll, *chest = np.eye(len(ELECTRODES))
    wilson_terminal = (ra + la + ll) / 3
    limb = [la - ra, ll - ra, ll - la, ra - (la + ll) / 2, la - (ra + ll) / 2, ll - (ra + la) / 2]
    return np.stack(limb + [v - wilson_terminal for v in chest])


def _electrodes_from_leads() -> np.ndarray:
    lead = dict(zip(LEADS, np.eye(len(LEADS)), strict=True))
    one, two = lead["I"], lead["II"]
    limb = [-(one + two) / 3, (2 * one - two) / 3, (2 * two - one) / 3]
    return np.stack(limb + [lead[v] for v in PRECORDIAL_LEADS])


LEADS_FROM_ELECTRODES = _leads_from_electrodes()
"""[12 lead, 9 electrode]: the differences that the recorder writes."""

ELECTRODES_FROM_LEADS = _electrodes_from_leads()
"""[9 electrode, 12 lead]: the potentials against Wilson's central terminal."""

INDEPENDENT_COLUMNS = np.array([LEADS.index(name) for name in INDEPENDENT_LEADS])
"""Where the independent leads stand among the twelve."""

LEADS_FROM_INDEPENDENT = LEADS_FROM_ELECTRODES @ ELECTRODES_FROM_LEADS[:, INDEPENDENT_COLUMNS]
"""[12 lead, 8 independent lead]: III, aVR, aVL and aVF follow from I and II."""


def _limb_completions() -> np.ndarray:
    from_two = LEADS_FROM_INDEPENDENT[: len(LIMB_LEADS), :2]
    completions = np.zeros((2 ** len(LIMB_LEADS), len(LIMB_LEADS), len(LIMB_LEADS)))
    for mask, completion in enumerate(completions):
        given = [i for i in range(len(LIMB_LEADS)) if mask >> i & 1]
        if len(given) == 1:
            completion[given, given] = 1.0
        elif given:
            # Any two limb leads span all six; of more, the least squares average their rounding.
            completion[:, given] = from_two @ np.linalg.pinv(from_two[given])
            completion[given] = np.eye(len(LIMB_LEADS))[given]
    return completions


LIMB_COMPLETIONS = _limb_completions()
"""[64, 6, 6]: the limb leads that follow from the given ones, bit i of the first index saying that LIMB_LEADS[i] is.

Given leads stay as they are; what does not follow is zero.
"""

_LIMB_BITS = 1 << np.arange(len(LIMB_LEADS))


def limb_mask(is_given: Any) -> Any:
    """The first index into LIMB_COMPLETIONS for bool `[12]`, an array of NumPy or JAX."""
    return (is_given[: len(LIMB_LEADS)] * _LIMB_BITS).sum()


@dataclasses.dataclass(frozen=True)
class Placement:
    """Which electrode each input jack of the recorder is connected to.

    Attributes:
      name: short identifier, the class name in every result.
      description: what a cardiographer would say.
      reads: jack -> electrode, only where they differ; the electrode may be the neutral RL.
    """

    name: str
    description: str
    reads: Mapping[str, str]

    @functools.cached_property
    def _jacks(self) -> np.ndarray:
        """[9 jack, 10 electrode], the last column RL."""
        sources = (*ELECTRODES, NEUTRAL)
        return np.stack([np.eye(len(sources))[sources.index(self.reads.get(jack, jack))] for jack in ELECTRODES])

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """[12, 12]: written leads = matrix @ true leads, with the potential of RL taken as that of LL."""
        ll = ELECTRODES_FROM_LEADS[ELECTRODES.index("LL")]
        return LEADS_FROM_ELECTRODES @ self._jacks @ np.vstack([ELECTRODES_FROM_LEADS, ll])

    @functools.cached_property
    def neutral_gain(self) -> np.ndarray:
        """[12]: how the potential of RL above LL enters each written lead; zero unless a jack reads RL."""
        return LEADS_FROM_ELECTRODES @ self._jacks[:, -1]

    @property
    def uses_neutral(self) -> bool:
        """Whether a jack reads RL: two limb potentials coincide and the record cannot be put right exactly."""
        return NEUTRAL in self.reads.values()

    @functools.cached_property
    def inverse(self) -> "Placement":
        """The placement that undoes this one.

        Raises:
          InputError: a jack reads RL, so a potential was never recorded.
        """
        if self.uses_neutral:
            raise InputError(
                f"{self.name} connects a jack to the neutral electrode and lost a limb potential", "record again"
            )
        return Placement(f"undo {self.name}", f"undo: {self.description}", {e: jack for jack, e in self.reads.items()})

    def apply(self, signal_mv: np.ndarray, neutral_mv: np.ndarray | None = None) -> np.ndarray:
        """What the recorder writes, `[..., time, lead]`, from a rightly recorded `signal_mv`.

        `neutral_mv` `[..., time]` is the potential of RL above LL, absent for none.
        """
        written = signal_mv @ self.matrix.T
        return written if neutral_mv is None else written + neutral_mv[..., None] * self.neutral_gain


def permutation(sources: Sequence[str], name: str = "", description: str = "") -> Placement:
    """The placement in which the nine jacks RA, LA, LL, V1..V6 read `sources`, in that order.

    Raises:
      InputError: `sources` is not an arrangement of the nine signal electrodes.
    """
    if sorted(sources) != sorted(ELECTRODES):
        raise InputError(
            f"a permutation holds each of {', '.join(ELECTRODES)} once, not {', '.join(sources)}", "list all nine"
        )
    reads = {jack: source for jack, source in zip(ELECTRODES, sources, strict=True) if jack != source}
    return Placement(name or "/".join(sources), description or f"jacks read {', '.join(sources)}", reads)


def swap(*pairs: tuple[str, str]) -> Placement:
    """The placement in which the two cables of each pair are exchanged; RL may be one of them.

    Raises:
      InputError: an electrode is unknown or occurs twice.
    """
    named = [electrode for pair in pairs for electrode in pair]
    unknown = [e for e in named if e not in (*ELECTRODES, NEUTRAL)]
    if unknown:
        raise InputError(f"unknown electrode {unknown[0]!r}", f"choose from {', '.join((*ELECTRODES, NEUTRAL))}")
    if len(set(named)) < len(named):
        raise InputError(f"an electrode occurs twice in {named}", "name each electrode once")
    reads = {jack: e for a, b in pairs for jack, e in ((a, b), (b, a)) if jack != NEUTRAL}
    return Placement(
        "+".join(f"{a}-{b}" for a, b in pairs),
        " and ".join(f"{a} and {b} exchanged" for a, b in pairs),
        reads,
    )


CORRECT = Placement("none", "placed correctly", {})
LIMB_SWAPS = (swap(("RA", "LA")), swap(("RA", "LL")), swap(("LA", "LL")))
LIMB_CYCLES = (
    Placement(
        "RA-LA-LL", "limb cables turned: RA reads LA, LA reads LL, LL reads RA", {"RA": "LA", "LA": "LL", "LL": "RA"}
    ),
    Placement(
        "RA-LL-LA", "limb cables turned: RA reads LL, LL reads LA, LA reads RA", {"RA": "LL", "LL": "LA", "LA": "RA"}
    ),
)
NEUTRAL_SWAPS = (swap(("RA", "RL")), swap(("LA", "RL")), swap(("RA", "RL"), ("LA", "LL")))
PRECORDIAL_SWAPS = tuple(
    swap((f"V{i}", f"V{j}")) for i, j in ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (1, 3), (2, 4), (3, 5), (4, 6))
)
PRECORDIAL_REVERSED = Placement(
    "V1..V6 reversed", "chest cables in reverse order", {f"V{i}": f"V{7 - i}" for i in range(1, 7)}
)

PLACEMENTS = (CORRECT, *LIMB_SWAPS, *LIMB_CYCLES, *NEUTRAL_SWAPS, *PRECORDIAL_SWAPS, PRECORDIAL_REVERSED)
"""The 19 classes of the reversal task, `none` first.

LL-RL is none of them: the legs carry the same potential, so that it writes the same twelve leads.
"""


_CANONICAL = {name.upper(): name for name in LEADS}


def canonical_lead(name: str) -> str:
    """The house spelling of a lead name: `AVR` and `avr` are `aVR`, `lead i` is `I`.

    Raises:
      InputError: no such lead.
    """
    key = name.strip().upper().removeprefix("LEAD").strip(" _-")
    if key not in _CANONICAL:
        raise InputError(f"unknown lead name {name!r}", f"use {', '.join(LEADS)}")
    return _CANONICAL[key]


def lead_set(text: str) -> tuple[str, ...]:
    """The leads of a set, in the order of `LEADS`: by its name in `LEAD_SETS`, or listed as in `I,V1,V5` or `I+V1+V5`.

    A leading `+` adds to the precordial leads.

    Raises:
      InputError: a lead is unknown, or fewer than two are named.
    """
    if text in LEAD_SETS:
        return LEAD_SETS[text]
    named = [canonical_lead(name) for name in text.removeprefix("+").replace("+", ",").split(",")]
    named += PRECORDIAL_LEADS if text.startswith("+") else ()
    if len(set(named)) < 2:
        raise InputError(f"{text!r} names fewer than two leads", f"list two or more, or use {', '.join(LEAD_SETS)}")
    return tuple(name for name in LEADS if name in named)


def lead_subset(text: str) -> tuple[str, ...]:
    """As `lead_set`, but one lead is enough."""
    if text in LEAD_SETS:
        return LEAD_SETS[text]
    names = {canonical_lead(name) for name in text.replace("+", ",").split(",")}
    return tuple(name for name in LEADS if name in names)


def derivable(names: Sequence[str]) -> tuple[str, ...]:
    """The leads that are known where `names` are, these included: from two limb leads follow all six."""
    matrix = completion(names)
    return tuple(name for name, row in zip(LEADS, matrix, strict=True) if row.any())


def completion(names: Sequence[str]) -> np.ndarray:
    """[12, 12]: takes a record to one that holds the leads `names`, those that follow from them, and zeros."""
    is_given = np.array([name in names for name in LEADS])
    matrix = np.diag(is_given.astype(float))
    matrix[: len(LIMB_LEADS), : len(LIMB_LEADS)] = LIMB_COMPLETIONS[limb_mask(is_given)]
    return matrix


def to_standard_order(signal: np.ndarray, lead_names: Sequence[str]) -> np.ndarray:
    """Reorders `[..., lead]` from the order of `lead_names` to `LEADS`.

    Raises:
      InputError: a lead is unknown, missing or there twice.
    """
    names = [canonical_lead(name) for name in lead_names]
    if sorted(names) != sorted(LEADS):
        missing = [name for name in LEADS if name not in names]
        problem = f"missing {', '.join(missing)}" if missing else f"{len(names)} names with repeats"
        raise InputError(f"expected the twelve leads, {problem}", f"give each of {', '.join(LEADS)} once")
    return signal[..., [names.index(name) for name in LEADS]]
