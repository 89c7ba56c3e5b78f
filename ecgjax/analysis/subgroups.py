"""Groups of records that a figure is looked at by itself: diagnosis, noise, device, sex, age and more.

What a dataset does not label makes no groups. In PTB-XL an SCP code counts whatever its likelihood, which is 0 for
rhythms; the superclass of a record follows from all its codes, so that it may have several.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping

import numpy as np
import scipy.stats

from ecgjax.data.record_files import dataset_dir
from ecgjax.data.split import Split
from ecgjax.errors import InputError

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
NO_SUPERCLASS = "no superclass"
REMARKS = {
    "noise": ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems"),
    "extra beats": ("extra_beats",),
    "pacemaker": ("pacemaker",),
}
"""Family -> labels that are text where a reader remarked on something, and empty elsewhere."""

CATEGORIES = ("sex", "site", "device", "rhythm", "conduction", "infarct")
"""Labels whose every value is a group."""

ALL = "all"
NONE_NOTED = "none noted"
_MANY = ("code", "site", "device")
_OLDEST_DECADE = 90


@dataclasses.dataclass(frozen=True)
class Subgroup:
    """Some of the records, `is_member` `[record]` bool, under a name within a family of groups."""

    family: str
    name: str
    is_member: np.ndarray


def superclass_of_code(name: str, variant: str, data_dir: str) -> dict[str, str]:
    """SCP code -> superclass, as the prepared dataset knows them; empty for one without SCP codes."""
    path = dataset_dir(name, variant, data_dir) / "metadata.json"
    statements = json.loads(path.read_text()).get("scp_statements", {}) if path.exists() else {}
    return {code: statement["superclass"] for code, statement in statements.items() if statement["superclass"]}


def subgroups(labels: Mapping[str, np.ndarray], superclass_of: Mapping[str, str], min_records: int) -> list[Subgroup]:
    """All groups, from `labels` `[record, ...]` as a Split holds them; the first is that of all records.

    Codes, sites and devices are many: only those of at least `min_records` records make a group. A group that holds
    every record says nothing new and is left out.
    """
    everything = np.ones(len(next(iter(labels.values()))), bool)
    found = [Subgroup(ALL, "all records", everything)]
    for group in _groups(labels, superclass_of):
        size = group.is_member.sum()
        if (min_records if group.family in _MANY else 1) <= size < len(everything):
            found.append(group)
    return found


def _groups(labels: Mapping[str, np.ndarray], superclass_of: Mapping[str, str]) -> Iterator[Subgroup]:
    if "scp_codes" in labels:
        has = codes_of_records(labels["scp_codes"])
        if superclass_of:
            yield from _by_superclass(has, superclass_of)
        for code in sorted(has, key=lambda code: -has[code].sum()):
            yield Subgroup("code", code, has[code])
    for family, names in REMARKS.items():
        noted = {name: labels[name] != "" for name in names if name in labels}
        for name, is_noted in noted.items():
            yield Subgroup(family, name.replace("_", " "), is_noted)
        if noted:
            yield Subgroup(family, NONE_NOTED, ~np.any(list(noted.values()), axis=0))
    for name in CATEGORIES:
        if name in labels:
            for value in sorted(set(labels[name]) - {""}):
                words = f"{name} {value}" if value.isdigit() else " ".join(value.split())
                yield Subgroup(name, words, labels[name] == value)
    if "age_years" in labels:
        yield from _by_age(labels["age_years"], labels.get("age_over_89"))
    for name, values in labels.items():
        if values.dtype == bool and name != "age_over_89":
            words = name.replace("_", " ")
            yield Subgroup(words, words, values)
            yield Subgroup(words, f"not {words}", ~values)


def codes_of_records(codes: np.ndarray) -> dict[str, np.ndarray]:
    """Code -> which records have it `[record]`, from an object array of arrays of text."""
    known = sorted({str(code) for of_record in codes for code in of_record})
    column = {code: i for i, code in enumerate(known)}
    has = np.zeros((len(codes), len(known)), bool)
    for row, of_record in enumerate(codes):
        has[row, [column[str(code)] for code in of_record]] = True
    return {code: has[:, i] for code, i in column.items()}


def _by_superclass(has: Mapping[str, np.ndarray], superclass_of: Mapping[str, str]) -> Iterator[Subgroup]:
    of_class = {
        name: [is_member for code, is_member in has.items() if superclass_of.get(code) == name] for name in SUPERCLASSES
    }
    members = {name: np.any(codes, axis=0) for name, codes in of_class.items() if codes}
    for name, is_member in members.items():
        yield Subgroup("superclass", name, is_member)
    if members:
        yield Subgroup("superclass", NO_SUPERCLASS, ~np.any(list(members.values()), axis=0))


def _by_age(age_years: np.ndarray, is_over_89: np.ndarray | None) -> Iterator[Subgroup]:
    oldest = age_years >= _OLDEST_DECADE
    if is_over_89 is not None:
        oldest = oldest | is_over_89
    for decade in range(0, _OLDEST_DECADE, 10):
        in_decade = (age_years >= decade) & (age_years < decade + 10) & ~oldest
        yield Subgroup("age", f"{decade}-{decade + 9} years", in_decade)
    yield Subgroup("age", "90 years and more", oldest)


def rows_of(record_ids: np.ndarray, split: Split) -> np.ndarray:
    """`[n]`: where the records `record_ids` `[n]` stand in `split`.

    Raises:
      InputError: the split lacks one.
    """
    order = np.argsort(split.record_ids)
    found = order[np.searchsorted(split.record_ids, record_ids, sorter=order).clip(max=len(order) - 1)]
    missing = record_ids[split.record_ids[found] != record_ids]
    if len(missing):
        raise InputError(
            f"{split.dataset} {split.split} lacks record {str(missing[0])!r}, which the run was scored on",
            "give the dataset as it was then",
        )
    return found


@dataclasses.dataclass(frozen=True)
class Association:
    """How much more often records of a group are wrong than the others.

    Attributes:
      name: of the group.
      n: its records.
      num_wrong: those of them that are wrong.
      odds_ratio: with half a record added to each cell, so that it is finite (Haldane, Ann Hum Genet 1956, 20:309).
      ci95: of the odds ratio (Woolf, Ann Hum Genet 1955, 19:251).
      p_value: Fisher's exact test, two-sided.
      q_value: the same, adjusted for the number of groups (Benjamini and Hochberg, J R Stat Soc B 1995, 57:289).
    """

    name: str
    n: int
    num_wrong: int
    odds_ratio: float
    ci95: tuple[float, float]
    p_value: float
    q_value: float


def over_represented(groups: list[Subgroup], is_wrong: np.ndarray) -> list[Association]:
    """Groups by how they go with errors, `is_wrong` `[record]` bool; the smallest p-value first.

    Records are taken as independent, which those of one patient are not quite.
    """
    if not groups:
        return []
    tables = [_table(group.is_member, is_wrong) for group in groups]
    p_values = np.array([scipy.stats.fisher_exact(table).pvalue for table in tables])
    q_values = scipy.stats.false_discovery_control(p_values)
    found = []
    for group, table, p_value, q_value in zip(groups, tables, p_values, q_values, strict=True):
        odds_ratio, ci95 = _odds_ratio(table)
        n, num_wrong = int(table[0].sum()), int(table[0, 0])
        found.append(Association(group.name, n, num_wrong, odds_ratio, ci95, float(p_value), float(q_value)))
    return sorted(found, key=lambda association: association.p_value)


def _table(is_member: np.ndarray, is_wrong: np.ndarray) -> np.ndarray:
    """Numbers `[member or not, wrong or right]`."""
    return np.array([[np.sum(of & which) for which in (is_wrong, ~is_wrong)] for of in (is_member, ~is_member)])


def _odds_ratio(table: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Of a table of four numbers, with its interval."""
    cells = table + 0.5
    log_odds = np.log(cells[0, 0] * cells[1, 1] / (cells[0, 1] * cells[1, 0]))
    reach = scipy.stats.norm.ppf(0.975) * np.sqrt((1 / cells).sum())
    low, high = np.exp([log_odds - reach, log_odds + reach])
    return float(np.exp(log_odds)), (float(low), float(high))
