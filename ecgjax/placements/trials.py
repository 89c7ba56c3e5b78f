"""Cables exchanged on purpose: the mistakes that are tried on a record, and how often each is put right.

A decision about a record is made for several shares of wrong records, each with its own prior. A record counts as
exactly right when every sample is that of the rightly wired record.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ecgjax import leads, metrics
from ecgjax.leads import Placement
from ecgjax.metrics import Metric
from ecgjax.placements import repair
from ecgjax.placements.hypotheses import CORRECT, SINGLE_SWAPS

PREVALENCES = (0.5, 0.05, 0.02, 0.005)
SINGLE = "single"
SINGLE_GROUPS = ("two limb cables", "a limb and a chest cable", "two chest cables")
"""Single exchanges by how many chest cables they take; `SINGLE` is all of them together."""

NONE, WITH_RL = "none", "with RL"
RECIPES = ("order of the chest", "limb and chest at once", "two exchanges")
"""How random mistakes of several cables are made: any order of V1..V6 that is no single exchange; a limb placement with
an exchange of two chest cables; two exchanges among all nine signal electrodes at once."""

_TOLERANCE_MV = 1e-4


@dataclasses.dataclass(frozen=True)
class Trial:
    """A way to wire a record, and the group under which it is counted."""

    group: str
    placement: Placement


@dataclasses.dataclass(frozen=True)
class Counted:
    """What became of each record `[record, trial]` at one prevalence.

    Attributes:
      flagged: held to be wrong, more likely than not.
      named: the most probable hypothesis writes the same leads as the true one.
      exact: every sample comes out right, by the verdict.
      exact_best_guess: the same where the most probable hypothesis is undone however probable it is.
      changed: the verdict changes the record.
      cannot_tell: the verdict leaves it undecided.
    """

    flagged: np.ndarray
    named: np.ndarray
    exact: np.ndarray
    exact_best_guess: np.ndarray
    changed: np.ndarray
    cannot_tell: np.ndarray


OUTCOMES = tuple(field.name for field in dataclasses.fields(Counted))


def fixed_trials() -> list[Trial]:
    """The correct wiring, each exchange of two signal electrodes, and those with RL that can be seen."""
    singles = [
        Trial(SINGLE_GROUPS[sum(jack in leads.PRECORDIAL_LEADS for jack in swap.reads)], swap) for swap in SINGLE_SWAPS
    ]
    return [Trial(NONE, leads.CORRECT), *singles, *(Trial(WITH_RL, swap) for swap in leads.NEUTRAL_SWAPS)]


def random_trials(rng: np.random.Generator, number: int) -> list[Trial]:
    """Mistakes of several cables, by each of RECIPES in turn."""
    return [Trial(recipe, _drawn(rng, recipe)) for recipe in (RECIPES * number)[:number]]


def _drawn(rng: np.random.Generator, recipe: str) -> Placement:
    sources = list(leads.ELECTRODES)
    chest = len(leads.LIMB_ELECTRODES)
    if recipe == "two exchanges":
        a, b, c, d = rng.choice(len(sources), 4, replace=False)
        sources[a], sources[b], sources[c], sources[d] = sources[b], sources[a], sources[d], sources[c]
    elif recipe == "limb and chest at once":
        limb = (*leads.LIMB_SWAPS, *leads.LIMB_CYCLES)[rng.integers(5)]
        sources[:chest] = [limb.reads.get(jack, jack) for jack in leads.LIMB_ELECTRODES]
        a, b = chest + rng.choice(len(leads.PRECORDIAL_LEADS), 2, replace=False)
        sources[a], sources[b] = sources[b], sources[a]
    else:
        while sum(a != b for a, b in zip(sources, leads.ELECTRODES, strict=True)) <= 2:
            sources[chest:] = rng.permutation(leads.PRECORDIAL_LEADS).tolist()
    return leads.permutation(sources)


def written_leads(signal_mv: np.ndarray, trials: Sequence[Trial], neutral_mv: np.ndarray) -> np.ndarray:
    """`[trial, time, lead]`: what the recorder writes of `[time, lead]`; `neutral_mv` `[time]` is RL above LL."""
    return np.stack([trial.placement.apply(signal_mv, neutral_mv).astype(np.float32) for trial in trials])


def decisions(
    signal_mv: np.ndarray,
    written: np.ndarray,
    trials: Sequence[Trial],
    posterior: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """`[trial, outcome]` bool in the order of OUTCOMES, from the `posterior` `[trial, hypothesis]` of `written`."""
    outcomes = np.zeros((len(trials), len(OUTCOMES)), bool)
    for row, (trial, signal, probability) in enumerate(zip(trials, written, posterior, strict=True)):
        if repair.unusable(signal):
            outcomes[row, OUTCOMES.index("cannot_tell")] = True
            continue
        result = repair.decide(signal, probability, threshold)
        found = result.placement
        if found is None:
            outcomes[row, OUTCOMES.index("cannot_tell")] = True
            continue
        guess = repair.undoing(found).apply(signal)
        is_undecided = result.verdict == repair.CANNOT_TELL
        outcomes[row] = (
            probability[CORRECT] < 0.5,
            np.allclose(found.matrix, trial.placement.matrix, atol=1e-6),
            _is_same(result.signal, signal_mv) and not is_undecided,
            _is_same(guess, signal_mv),
            not np.array_equal(result.signal, signal),
            is_undecided,
        )
    return outcomes


def _is_same(one_mv: np.ndarray, other_mv: np.ndarray) -> bool:
    return bool(np.allclose(one_mv, other_mv, rtol=0, atol=_TOLERANCE_MV))


def figures(
    counted: dict[float, Counted], trials: list[list[Trial]], patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, dict[str, Metric]]:
    """Group of trials, or name of an exchange -> figure -> Metric.

    Of the wrong records of a group: `recall`, `type_accuracy`, `repair_exact` and more; of the correct ones
    `specificity` and `repair_harm`; `ppv` of a flag; each `_at_Ppct` of the prevalence that decisions are made for.
    """
    columns: dict[tuple[str, str], np.ndarray] = {}
    for prevalence, found in counted.items():
        at = f"_at_{100 * prevalence:g}pct"
        for name, is_member in _memberships(trials).items():
            columns |= _of_wrong(name, at, found, is_member)
        columns[NONE, f"specificity{at}"] = ~found.flagged[:, 0]
        columns[NONE, f"repair_harm{at}"] = found.changed[:, 0]
        columns[NONE, f"cannot_tell{at}"] = found.cannot_tell[:, 0]
    values = np.stack([column.astype(float) for column in columns.values()], axis=1)
    rows = {key: i for i, key in enumerate(columns)}

    def weighted(weights: np.ndarray) -> dict[str, np.ndarray]:
        means = weights @ values / weights.sum(axis=-1)[..., None]
        named = {"\t".join(key): means[..., i] for key, i in rows.items()}
        for prevalence in counted:
            at = f"_at_{100 * prevalence:g}pct"
            specificity = means[..., rows[NONE, f"specificity{at}"]]
            for group, name in rows:
                if name == f"recall{at}":
                    recall = means[..., rows[group, name]]
                    named[f"{group}\tppv{at}"] = metrics.ppv_at(prevalence, recall, specificity)
        return named

    found_all = metrics.with_intervals(weighted, np.ones(len(values)), patient_ids, num_bootstrap)
    by_group: dict[str, dict[str, Metric]] = {}
    for key, metric in found_all.items():
        group, name = key.split("\t")
        by_group.setdefault(group, {})[name] = metric
    return by_group


def group_names(trials: list[list[Trial]]) -> list[str]:
    """The groups of wrong trials, all single exchanges first."""
    return [SINGLE, *dict.fromkeys(trial.group for trial in trials[0] if trial.group != NONE)]


def _memberships(trials: list[list[Trial]]) -> dict[str, np.ndarray]:
    """Group or name of an exchange -> its trials, `[record, trial]` bool."""
    groups = np.array([[trial.group for trial in of_record] for of_record in trials])
    members = {name: groups == name for name in group_names(trials)}
    members[SINGLE] = np.isin(groups, SINGLE_GROUPS)
    for index, trial in enumerate(fixed_trials()[1:], 1):
        members[trial.placement.name] = np.broadcast_to(np.arange(groups.shape[1]) == index, groups.shape)
    return members


def _of_wrong(group: str, at: str, found: Counted, is_member: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Per record, shares of the trials of a group `[record, trial]`."""
    shares = {
        "recall": found.flagged,
        "type_accuracy": found.named,
        "repair_exact": found.exact,
        "repair_exact_best_guess": found.exact_best_guess,
        "cannot_tell": found.cannot_tell,
    }
    number = is_member.sum(axis=1)
    return {(group, f"{name}{at}"): (values & is_member).sum(axis=1) / number for name, values in shares.items()}
