"""Lead names in the spellings of devices, archives and languages, and leads from the potentials of electrodes."""

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from ecgjax.leads import ELECTRODES, INDEPENDENT_LEADS, LEADS, LEADS_FROM_ELECTRODES, LIMB_LEADS

_PREFIX = re.compile(
    r"(MDC[_ ]ECG[_ ]LEAD|MDC[_ ]ECG[_ ]ELEC[_ ]POTL|ELECTRODE|LEAD|ECG|EKG|ABLEITUNG|DERIVATION|DERIVACI[OÓ]N)"
    r"(-(?=\S)|[\s_:.]*)",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(ch|chan|channel|col|column|x|lead|signal|sig|val|ecg|unnamed:?)?[\s_-]*\d+", re.IGNORECASE)
_CHEST = re.compile(r"[VC]([1-9])(R?)|R[VC]([1-9])")
_FURTHER = re.compile(r"ML(I{1,3}|[1-3])|MV[1-6]|MCL[1-6]|C[CM][2-6]|[XYZ]")
_LIMB = {
    spelling: LIMB_LEADS[k]
    for k, spellings in enumerate(
        ("I DI D1 L1 LI", "II DII D2 L2 LII", "III DIII D3 L3 LIII", "AVR DAVR", "AVL DAVL", "AVF DAVF")
    )
    for spelling in spellings.split()
}
_LIMB_ELECTRODE = {"RA": "RA", "R": "RA", "LA": "LA", "L": "LA", "LL": "LL", "F": "LL"}
_ORDER = {
    name: k for k, name in enumerate((*LEADS, *(f"V{k}" for k in range(7, 10)), *(f"V{k}R" for k in range(1, 10))))
}


@functools.lru_cache(maxsize=4096)
def lead_of(text: str) -> tuple[str, int]:
    """The normalised name and the sign of a lead: `MDC_ECG_LEAD_AVR` is `aVR`, 1 and `-aVR` is `aVR`, -1.

    Leads beyond the twelve keep their own names (`V3R`, `MLII`, `X`); what is unknown stays as it is.
    """
    name = _plain(text)
    for is_prefixed, rest in _without_prefixes(name):
        sign = -1 if rest.startswith("-") else 1
        key = re.sub(r"[\s_.]", "", rest.lstrip("+-")).upper()
        if is_prefixed and key in ("1", "2", "3"):
            return LEADS[int(key) - 1], sign
        if key in _LIMB:
            return _LIMB[key], sign
        if chest := _CHEST.fullmatch(key):
            return (f"V{chest[3]}R" if chest[3] else f"V{chest[1]}{chest[2]}"), sign
        if _FURTHER.fullmatch(key):
            return key, sign
    return name[:40], 1


def _plain(text: str) -> str:
    """On one line and of plain characters, without quotes."""
    text = unicodedata.normalize("NFKC", text).replace("\u2212", "-")
    return " ".join("".join(c if c.isprintable() else " " for c in text).strip(" '\"").split())


def _without_prefixes(name: str) -> Iterator[tuple[bool, str]]:
    """The name, and the same with words such as `ECG` or `Lead` taken off, and whether any was."""
    yield False, name
    while (match := _PREFIX.match(name)) and match.end() < len(name):
        name = name[match.end() :]
        yield True, name


def is_lead(name: str) -> bool:
    """Whether a normalised name is one of a lead that is known."""
    return name in _ORDER or _FURTHER.fullmatch(name) is not None


def place_of(name: str) -> int:
    """For sorting normalised names: the twelve in standard order, then V7 to V9 and V1R to V9R, then all others."""
    return _ORDER.get(name, len(_ORDER))


def are_numbers(names: Sequence[str]) -> bool:
    """Whether the names are none: empty, or numbered columns such as `ch1` or `0`."""
    return all(not name.strip() or _NUMBERED.fullmatch(name.strip()) for name in names)


def assumed_names(num_channels: int) -> tuple[str, ...]:
    """The leads of that many unnamed channels: the twelve, the eight independent ones, or () for other counts."""
    return {len(LEADS): LEADS, len(INDEPENDENT_LEADS): INDEPENDENT_LEADS}.get(num_channels, ())


def missing_leads(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the twelve that neither are among `names` nor follow from two limb leads."""
    has_limb = sum(name in names for name in LIMB_LEADS) > 1
    return tuple(name for name in LEADS if name not in names and not (has_limb and name in LIMB_LEADS))


def electrodes_of(names: Sequence[str]) -> dict[str, int]:
    """Electrode -> its place in `names`, where these are potentials of electrodes; {} where they are leads.

    Potentials are three of the limbs, by AHA (RA, LA, LL) or IEC (R, L, F), without a limb lead beside them.
    """
    found: dict[str, int] = {}
    for place, text in enumerate(names):
        keys = [rest.upper() for _, rest in _without_prefixes(_plain(text))]
        limb = next((_LIMB_ELECTRODE[key] for key in keys if key in _LIMB_ELECTRODE), "")
        lead, _ = lead_of(text)
        if limb or lead in ELECTRODES:
            found.setdefault(limb or lead, place)
        elif lead in LIMB_LEADS:
            return {}
    return found if {"RA", "LA", "LL"} <= found.keys() else {}


def leads_from_potentials(potential_mv: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Lead -> samples [time] from electrode -> potential [time] in mV: of limbs and of the chest as far as given."""
    given = [electrode for electrode in ELECTRODES if electrode in potential_mv]
    leads = (*LIMB_LEADS, *given[3:])
    matrix = LEADS_FROM_ELECTRODES[[LEADS.index(name) for name in leads]]
    # One potential that was not recorded leaves the leads that it enters unknown, and no others.
    entering = matrix[:, [ELECTRODES.index(electrode) for electrode in given]]
    return {
        lead: sum(weight * potential_mv[e] for e, weight in zip(given, row, strict=True) if weight)
        for lead, row in zip(leads, entering, strict=True)
    }
