"""The SCP statements of PTB-XL, and the sets of labels that are made of them.

A statement counts wherever it stands, whatever its likelihood: rhythms have none. Sets and classes are those of
Strodthoff et al., IEEE J Biomed Health Inform 2021, 25:1519, and `six` those of Ribeiro et al., Nat Commun 2020,
11:1760.
"""

import dataclasses

import numpy as np

from ecgjax.data.split import Split
from ecgjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Statement:
    """What a code is: `kinds` among diagnostic, form and rhythm; classes are "" for what is not diagnostic."""

    kinds: tuple[str, ...]
    superclass: str
    subclass: str


_DIAGNOSTIC = {
    "NORM": {"NORM": "NORM"},
    "MI": {
        "AMI": "ALMI AMI ASMI INJAL INJAS INJLA",
        "IMI": "ILMI IMI INJIL INJIN IPLMI IPMI",
        "LMI": "LMI",
        "PMI": "PMI",
    },
    "STTC": {
        "STTC": "ANEUR DIG EL LNGQT NDT",
        "NST_": "NST_",
        "ISC_": "ISC_",
        "ISCA": "ISCAL ISCAN ISCAS ISCLA",
        "ISCI": "ISCIL ISCIN",
    },
    "HYP": {
        "LVH": "LVH",
        "RVH": "RVH",
        "SEHYP": "SEHYP",
        "LAO/LAE": "LAO/LAE",
        "RAO/RAE": "RAO/RAE",
    },
    "CD": {
        "LAFB/LPFB": "LAFB LPFB",
        "IRBBB": "IRBBB",
        "CRBBB": "CRBBB",
        "ILBBB": "ILBBB",
        "CLBBB": "CLBBB",
        "IVCD": "IVCD",
        "WPW": "WPW",
        "_AVB": "1AVB 2AVB 3AVB",
    },
}
"""Superclass -> subclass -> codes."""

_FORM = "ABQRS DIG HVOLT INVT LNGQT LOWT LPR LVOLT NDT NST_ NT_ PAC PRC(S) PVC QWAVE STD_ STE_ TAB_ VCLVH"
_RHYTHM = "AFIB AFLT BIGU PACE PSVT SARRH SBRAD SR STACH SVARR SVTAC TRIGU"


def _statements() -> dict[str, Statement]:
    classes = {
        code: (superclass, subclass)
        for superclass, subclasses in _DIAGNOSTIC.items()
        for subclass, codes in subclasses.items()
        for code in codes.split()
    }
    members = {"diagnostic": set(classes), "form": set(_FORM.split()), "rhythm": set(_RHYTHM.split())}
    return {
        code: Statement(tuple(kind for kind, codes in members.items() if code in codes), *classes.get(code, ("", "")))
        for code in sorted(set.union(*members.values()))
    }


STATEMENTS = _statements()
"""Code -> statement, all 71."""

SIX = ("1AVB", "CRBBB", "CLBBB", "SBRAD", "AFIB", "STACH")


def _classes_of_code() -> dict[str, dict[str, str]]:
    """Set of labels -> code -> the class that it puts a record in."""
    sets: dict[str, dict[str, str]] = {"six": {code: code for code in SIX}, "all": {code: code for code in STATEMENTS}}
    for label_set in ("diagnostic", "subclass", "superclass", "form", "rhythm"):
        kind = "diagnostic" if label_set.endswith("class") else label_set
        members = {code: statement for code, statement in STATEMENTS.items() if kind in statement.kinds}
        sets[label_set] = {code: getattr(statement, label_set, code) for code, statement in members.items()}
    return sets


_CLASS_OF_CODE = _classes_of_code()

LABEL_SETS = tuple(_CLASS_OF_CODE)
"""Names of the sets of labels."""

_SIMULATED = ("rhythm", "conduction", "infarct", "hypertrophy", "abnormal_t", "pr_ms", "heart_rate_bpm")
LONG_PR_MS, FAST_BPM, SLOW_BPM = 200.0, 100.0, 50.0


def class_names(label_set: str) -> tuple[str, ...]:
    """The classes of a set: alphabetically, but for `six`.

    Raises:
      InputError: there is no such set.
    """
    if label_set not in LABEL_SETS:
        raise InputError(f"unknown set of labels {label_set!r}", f"use one of {', '.join(LABEL_SETS)}")
    return SIX if label_set == "six" else tuple(sorted(set(_CLASS_OF_CODE[label_set].values())))


def labels(split: Split, label_set: str) -> np.ndarray:
    """Whether each record is in each class of the set: bool [record, class].

    From the statements of PTB-XL or, for `six` and `superclass`, from what the simulator knows.

    Raises:
      InputError: there is no such set, or the dataset does not know it.
    """
    names = class_names(label_set)
    if "scp_codes" in split.labels:
        class_of_code = _CLASS_OF_CODE[label_set]
        column = {name: k for k, name in enumerate(names)}
        found = np.zeros((len(split), len(names)), bool)
        for row, codes in zip(found, split.labels["scp_codes"], strict=True):
            # Codes outside the set, or unknown to PTB-XL, say nothing here.
            row[[column[class_of_code[code]] for code in codes if code in class_of_code]] = True
        return found
    if not set(_SIMULATED) <= set(split.labels):
        raise InputError(f"{split.dataset} has no diagnoses", "use ptbxl, records in its layout, or simulated")
    known = {"six": _simulated_six, "superclass": _simulated_superclass}
    if label_set not in known:
        raise InputError(
            f"{split.dataset} does not know the set of labels {label_set!r}", f"use one of {', '.join(known)}, or ptbxl"
        )
    of_class = known[label_set](split.labels)
    return np.stack([of_class[name] for name in names], axis=1)


def always_labelled(label_set: str) -> bool:
    """Whether only records with a label of the set belong to it; `six` takes all, most of which have none."""
    return label_set != "six"


def _simulated_six(truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    is_sinus, rate_bpm = truth["rhythm"] == "sinus", truth["heart_rate_bpm"]
    return {
        "1AVB": is_sinus & (truth["pr_ms"] > LONG_PR_MS),
        "CRBBB": np.isin(truth["conduction"], ("rbbb", "rbbb+lafb")),
        "CLBBB": truth["conduction"] == "lbbb",
        "SBRAD": is_sinus & (rate_bpm < SLOW_BPM),
        "AFIB": truth["rhythm"] == "afib",
        "STACH": is_sinus & (rate_bpm > FAST_BPM),
    }


def _simulated_superclass(truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {
        "MI": truth["infarct"] != "none",
        "HYP": truth["hypertrophy"].astype(bool),
        "CD": (truth["conduction"] != "normal") | (truth["pr_ms"] > LONG_PR_MS),
        "STTC": truth["abnormal_t"].astype(bool),
    }
    return {**found, "NORM": ~np.any(list(found.values()), axis=0)}
