"""The table of statements against PTB-XL's own, the benchmark's counts, and what labels a record gets."""

import numpy as np
import pytest

from data_prep.ptbxl import read_statements
from ecgjax import leads, scp
from ecgjax.data.split import Split
from ecgjax.errors import InputError

# Published with the benchmark (Strodthoff et al., IEEE J Biomed Health Inform 2021, 25:1519, table I).
NUM_CLASSES = {"six": 6, "all": 71, "diagnostic": 44, "subclass": 23, "superclass": 5, "form": 19, "rhythm": 12}


def split_with(labels, num_records):
    ids = np.array([f"r{i}" for i in range(num_records)])
    return Split("made", "test", np.zeros((num_records, 4, 12), np.int16), 1000.0, 100.0, leads.LEADS, ids, ids, labels)


def coded(*codes):
    column = np.empty(len(codes), object)
    column[:] = [np.array(each, str) for each in codes]
    return split_with({"scp_codes": column}, len(codes))


def named(split, label_set):
    names = np.array(scp.class_names(label_set))
    return [names[row].tolist() for row in scp.labels(split, label_set)]


def simulated(**changes):
    truth = {
        "rhythm": "sinus",
        "conduction": "normal",
        "infarct": "none",
        "hypertrophy": False,
        "abnormal_t": False,
        "pr_ms": 160.0,
        "heart_rate_bpm": 70.0,
    } | changes
    return split_with({name: np.array([value]) for name, value in truth.items()}, 1)


def test_the_table_is_that_of_ptbxl(sample_data):
    own = {
        code: {"superclass": s.superclass, "subclass": s.subclass, "kinds": list(s.kinds)}
        for code, s in scp.STATEMENTS.items()
    }
    for statement in (published := read_statements(sample_data / "ptb-xl")).values():
        statement.pop("description")
    assert own == published


@pytest.mark.parametrize(("label_set", "expected"), NUM_CLASSES.items())
def test_every_set_has_as_many_classes_as_published(label_set, expected):
    names = scp.class_names(label_set)
    assert len(names) == len(set(names)) == expected
    if label_set != "six":
        assert list(names) == sorted(names)


def test_sets_are_parts_of_each_other():
    everything = set(scp.class_names("all"))
    kinds = [set(scp.class_names(kind)) for kind in ("diagnostic", "form", "rhythm")]
    assert set.union(*kinds) == everything
    assert kinds[0] & kinds[1] == {"NDT", "NST_", "DIG", "LNGQT"}
    assert set(scp.SIX) <= everything


def test_codes_put_records_into_classes():
    split = coded(["AFIB", "IMI", "ILMI"], [], ["1AVB", "LVOLT", "SR"], ["MADEUP", "SR"])
    assert named(split, "six") == [["AFIB"], [], ["1AVB"], []]
    assert named(split, "all") == [["AFIB", "ILMI", "IMI"], [], ["1AVB", "LVOLT", "SR"], ["SR"]]
    assert named(split, "diagnostic") == [["ILMI", "IMI"], [], ["1AVB"], []]
    assert named(split, "subclass") == [["IMI"], [], ["_AVB"], []]
    assert named(split, "superclass") == [["MI"], [], ["CD"], []]
    assert named(split, "form") == [[], [], ["LVOLT"], []]
    assert named(split, "rhythm") == [["AFIB"], [], ["SR"], ["SR"]]


@pytest.mark.parametrize(
    ("changes", "six", "superclass"),
    [
        ({}, [], ["NORM"]),
        ({"pr_ms": 201.0}, ["1AVB"], ["CD"]),
        ({"rhythm": "afib", "pr_ms": np.nan, "heart_rate_bpm": 130.0}, ["AFIB"], ["NORM"]),
        ({"rhythm": "flutter", "pr_ms": np.nan, "heart_rate_bpm": 40.0}, [], ["NORM"]),
        ({"heart_rate_bpm": 101.0}, ["STACH"], ["NORM"]),
        ({"heart_rate_bpm": 49.0, "conduction": "lbbb"}, ["CLBBB", "SBRAD"], ["CD"]),
        ({"conduction": "rbbb", "infarct": "anterior"}, ["CRBBB"], ["CD", "MI"]),
        ({"conduction": "rbbb+lafb", "hypertrophy": True}, ["CRBBB"], ["CD", "HYP"]),
        ({"conduction": "irbbb", "abnormal_t": True}, [], ["CD", "STTC"]),
    ],
)
def test_the_simulators_truth(changes, six, superclass):
    split = simulated(**changes)
    assert named(split, "six") == [six]
    assert named(split, "superclass") == [superclass]


def test_what_cannot_be_had_is_refused():
    with pytest.raises(InputError, match="unknown set of labels 'seven'"):
        scp.labels(coded(["SR"]), "seven")
    with pytest.raises(InputError, match="made does not know the set of labels 'form'"):
        scp.labels(simulated(), "form")
    with pytest.raises(InputError, match="made has no diagnoses"):
        scp.labels(split_with({}, 1), "six")
