"""Subsets of the twelve leads, and which of them carry the same information.

A subset is an integer whose bit i says that `LEADS[i]` is in it. The six limb leads span two dimensions: from any two
of them follow all six, so that of the 4,095 subsets only 511 differ in what a network can know.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from ecgjax.leads import INDEPENDENT_LEADS, LEADS, LIMB_LEADS, PRECORDIAL_LEADS

NUM_LEADS = len(LEADS)
NUM_SUBSETS = 2**NUM_LEADS
_BITS = 1 << np.arange(NUM_LEADS)
_LIMB = (1 << len(LIMB_LEADS)) - 1
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")

CANDIDATES: Mapping[str, tuple[str, ...]] = MappingProxyType({"all": LEADS, "independent": INDEPENDENT_LEADS})
"""Leads that an elimination may begin with: 4,095 and 255 subsets."""

WEARABLE_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "I (watch)": ("I",),
        "II (single-lead monitor)": ("II",),
        "I+II (six-lead hand-held)": ("I", "II"),
        "I+II+V1 (five-electrode monitor)": ("I", "II", "V1"),
        "I+II+V2": ("I", "II", "V2"),
        "I+II+V3 (Mason 2024)": ("I", "II", "V3"),
        "I+II+V5 (five-electrode monitor)": ("I", "II", "V5"),
        "II+V2+V6 (quasi-orthogonal)": ("II", "V2", "V6"),
        "aVF+V2+V6 (EASI-like)": ("aVF", "V2", "V6"),
        "I+II+V1+V4 (six-electrode monitor)": ("I", "II", "V1", "V4"),
        "I+II+V2+V5 (six-electrode monitor)": ("I", "II", "V2", "V5"),
        "limb leads": LIMB_LEADS,
        "chest leads": PRECORDIAL_LEADS,
        "I+II+V1..V6": INDEPENDENT_LEADS,
        "all twelve": LEADS,
    }
)
"""Leads of devices with fewer electrodes.

Mason et al. 2024 rebuild twelve leads from two limb leads and V3. The quasi-orthogonal leads are those that Kors et al.
(Eur Heart J 1990, 11:1083-1092) found closest to the axes of the vectorcardiogram. EASI electrodes (Dower et al.,
J Electrocardiol 1988, 21 suppl:S182-187) write no standard lead: the set has V6, whose electrode is EASI's A, the
nearest chest lead to E, and the vertical that S and E span.
"""


def subset_of(names: Sequence[str]) -> int:
    """The subset that holds the leads `names`."""
    return sum(1 << LEADS.index(name) for name in set(names))


def names_of(subset: int) -> tuple[str, ...]:
    """The leads of a subset, in the order of `LEADS`."""
    return tuple(name for i, name in enumerate(LEADS) if subset >> i & 1)


def is_in(subsets: ArrayLike) -> np.ndarray:
    """Bool `[..., 12]`: which leads are in each of `subsets` `[...]`."""
    return (np.asarray(subsets)[..., None] & _BITS) != 0


def size_of(subsets: ArrayLike) -> np.ndarray:
    """Number of leads of each of `subsets` `[...]`."""
    return is_in(subsets).sum(-1)


def all_subsets(names: Sequence[str]) -> np.ndarray:
    """Every subset but the empty one of the leads `names`, `[2 ** len(names) - 1]`, ascending."""
    subsets = np.arange(1, NUM_SUBSETS)
    return subsets[(subsets & ~subset_of(names)) == 0]


def known_leads(subsets: ArrayLike) -> np.ndarray:
    """`[...]`: the subset of all that follows from each of `subsets`: any two limb leads give all six.

    Two subsets carry the same information exactly where this is equal.
    """
    subsets = np.asarray(subsets)
    return np.where(size_of(subsets & _LIMB) >= 2, subsets | _LIMB, subsets)


def name_of(subset: int) -> str:
    """Short name that also names folders: `limb+V1+V2`, `I+V5`."""
    names = names_of(subset)
    if subset & _LIMB == _LIMB:
        names = ("limb", *names[len(LIMB_LEADS) :])
    return "+".join(names)


def describe(tied: Sequence[int]) -> str:
    """What subsets of equal merit have in common, in words.

    `any two of I, II, III, aVR, aVL, aVF + V2 + V5` where rank alone makes them equal; alternatives otherwise.
    """
    groups: dict[int, list[int]] = {}
    for subset in sorted(map(int, tied)):
        groups.setdefault(int(known_leads(subset)), []).append(subset)
    return " or ".join(_describe_group(group) for group in groups.values())


def _describe_group(group: Sequence[int]) -> str:
    """Subsets that carry the same information: they share their chest leads."""
    if len(group) == 1:
        return "+".join(names_of(group[0]))
    limb = names_of(int(np.bitwise_or.reduce(np.array(group))) & _LIMB)
    always = names_of(int(np.bitwise_and.reduce(np.array(group))) & _LIMB)
    number = int(size_of(group[0] & _LIMB)) - len(always)
    free = [name for name in limb if name not in always]
    if len(group) < math.comb(len(free), number):
        return " or ".join("+".join(names_of(subset)) for subset in group)
    any_of = f"any {_NUMBERS[number]} of {', '.join(free)}"
    return " + ".join([*always, any_of, *names_of(group[0] & ~_LIMB)])
