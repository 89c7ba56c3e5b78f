"""Leads that are too large or too small for a heart: all of them, all limb or all chest leads, or one chest lead.

The logarithms of the heights of QRS complexes are nearly normal, so that the factor by which some of them are off, the
others given, is a mean of them weighed by the population's precision, with a known deviation.
"""

import numpy as np

from ecgjax.leads import LEADS, LIMB_LEADS, PRECORDIAL_LEADS
from ecgjax.quality.findings import Finding, are, listed
from ecgjax.quality.population import LEAD_SIZE_DEVIATION, LEAD_SIZE_MEAN, SIZE_MEAN, probability, size_precision

LIMITS = {
    "all": (4.4, 5.0),
    "limb": (6.0, 5.4),
    "chest": (6.5, 5.4),
    "V1": (6.6, 4.4),
    "V2": (5.4, 4.4),
    "V3": (7.0, 5.6),
    "V4": (8.0, 6.0),
    "V5": (8.0, 6.0),
    "V6": (5.4, 7.0),
    "one": (5.5, 5.0),
}
"""Deviations below and above the population from which a gain counts as wrong, a fourth above the greatest of the 1,490
records of PTB-XL's folds 1-8 (V3 to V5 below: one record is beyond). `one` is for a single lead without the others.
In fold 9, after which the limits were widened, two of 242 records are still beyond. Of samples of its records, gains of
ten are found in 97 % for all leads, all limb leads or a single chest lead, gains of a tenth in 97 %, for a single chest
lead in 82 %; gains of two hardly ever, since right records differ as much."""

REMARKED = 0.9
"""Share of a limit from which a gain is remarked."""

LEAST_FACTOR = 2.0
NAMED = {1000.0: ", as when uV are taken for mV", 0.001: ", as when V are taken for mV"}
SMALLEST_MV = 1e-7


def unusual_gain(qrs_mv: np.ndarray) -> tuple[Finding, ...]:
    """Of the heights of the typical QRS complex in mV `[12]`, 0 for leads that are not there."""
    is_there = qrs_mv > SMALLEST_MV
    sizes = np.log(np.maximum(qrs_mv, SMALLEST_MV))
    limb = [0] if is_there[:6].all() else []
    present = (*limb, *(k - 5 for k in range(6, 12) if is_there[k]))
    if len(present) < 2:
        return unusual_alone(LEADS, qrs_mv)
    limb_size = 0.5 * np.log(np.mean(np.exp(2 * sizes[:6])))
    departure = np.concatenate([[limb_size], sizes[6:]])[list(present)] - np.array(SIZE_MEAN)[list(present)]
    return _worst(departure, present)


def _worst(departure: np.ndarray, present: tuple[int, ...]) -> tuple[Finding, ...]:
    """The group of leads whose common factor explains the most."""
    precision = size_precision(present)
    index = np.array(present)
    groups = {"all": np.ones(len(index)), "limb": index == 0, "chest": index > 0}
    if len(index) > 2:
        groups |= {f"V{k}": index == k for k in present if k}
    found = []
    for name, group in groups.items():
        if not group.any() or (name != "all" and group.all()):
            continue
        weight = precision @ group
        information = float(group @ weight)
        log_factor = float(departure @ weight) / information
        score = log_factor * np.sqrt(information)
        limit = LIMITS[name][int(score > 0)]
        found.append((abs(score) / limit, score**2, name, log_factor))
    beyond = [one for one in found if one[0] > REMARKED and abs(one[3]) > np.log(LEAST_FACTOR)]
    if not beyond:
        return ()
    # The likelihood that it explains, not how rare it is: a wrong lead makes all groups that it is in look wrong.
    ratio, _, name, log_factor = max(beyond, key=lambda one: one[1])
    concerned = {"all": LEADS, "limb": LIMB_LEADS, "chest": PRECORDIAL_LEADS}.get(name, (name,))
    written = {0: LIMB_LEADS} | {k: (f"V{k}",) for k in range(1, 7)}
    there = [lead for k in present for lead in written[k]]
    leads = tuple(lead for lead in concerned if lead in there)
    return (_finding(leads, log_factor, ratio, "" if leads == tuple(there) else " beside the others"),)


def unusual_alone(names: tuple[str, ...], qrs_mv: np.ndarray) -> tuple[Finding, ...]:
    """The same of leads `[lead]` that are not compared with each other, by the middle one of those that are there."""
    is_there = qrs_mv > SMALLEST_MV
    if not is_there.any():
        return ()
    log_factor = float(np.median(np.log(qrs_mv[is_there]))) - LEAD_SIZE_MEAN
    ratio = abs(log_factor) / LEAD_SIZE_DEVIATION / LIMITS["one"][int(log_factor > 0)]
    if ratio <= REMARKED:
        return ()
    there = tuple(name for name, is_one in zip(names, is_there, strict=True) if is_one)
    return (_finding(there, log_factor, ratio, ""),)


def _finding(leads: tuple[str, ...], log_factor: float, ratio: float, others: str) -> Finding:
    factor, note = said_factor(float(np.exp(log_factor)))
    size = "large" if log_factor > 0 else "small"
    sentence = (
        f"{listed(leads)} {are(leads)} about {factor} times too {size}{others}{note}: check the units and the gain"
    )
    return Finding("gain", leads, sentence, probability(ratio, 1.0), bool(ratio > 1))


def said_factor(factor: float) -> tuple[str, str]:
    """A factor as a person would say it, above 1, and what it may come from."""
    for exact, note in NAMED.items():
        if abs(np.log(factor / exact)) < np.log(3.0):
            return "1000", note
    above = max(factor, 1 / factor)
    return f"{above:.2g}" if above < 100 else f"{round(above, -1):.0f}", ""
