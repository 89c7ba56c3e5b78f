"""What can be wrong with a record, as one sentence each."""

import dataclasses

import numpy as np

from ecgjax.leads import LEADS, LIMB_LEADS, PRECORDIAL_LEADS

KINDS = ("missing", "flat", "clipped", "noisy", "gain", "polarity", "order", "contradiction", "placement")
"""What a finding can be about: `placement` is of how the electrodes were plugged in, all others of the signal."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about a record that a person should know.

    Attributes:
      kind: one of `KINDS`.
      leads: the leads concerned, by their standard names and in standard order.
      sentence: what it is and what to do about it, without a full stop.
      probability: that it is so; None where it is a plain fact.
      is_fault: whether the record should be mended or taken anew because of it; otherwise it is a remark.
    """

    kind: str
    leads: tuple[str, ...]
    sentence: str
    probability: float | None
    is_fault: bool


def chosen(names: tuple[str, ...], is_one: np.ndarray) -> tuple[str, ...]:
    """Those of the names for which bool `[lead]` holds."""
    return tuple(name for name, holds in zip(names, is_one, strict=True) if holds)


def listed(names: tuple[str, ...]) -> str:
    """The leads as a person would say them: `I, II and V1`, `all leads`."""
    if names == LEADS:
        return "all leads"
    if names in (LIMB_LEADS, PRECORDIAL_LEADS):
        return "all limb leads" if names == LIMB_LEADS else "all chest leads"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def are(names: tuple[str, ...]) -> str:
    """The verb that agrees."""
    return "is" if len(names) == 1 else "are"


def has(names: tuple[str, ...]) -> str:
    """The verb that agrees."""
    return "has" if len(names) == 1 else "have"
