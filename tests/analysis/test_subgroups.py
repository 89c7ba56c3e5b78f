"""Groups of records against labels set by hand; associations against scipy and closed forms."""

import json

import numpy as np
import pytest
import scipy.stats
from fake_task import fake_split

from ecgjax.analysis import subgroups
from ecgjax.analysis.subgroups import Subgroup
from ecgjax.errors import InputError


def text_lists(*lists):
    ragged = np.empty(len(lists), object)
    for i, values in enumerate(lists):
        ragged[i] = np.array(values, str)
    return ragged


LABELS = {
    "scp_codes": text_lists(["NORM", "SR"], ["IMI", "LVH", "SR"], ["AFIB"], [], ["IMI", "NST_"]),
    "baseline_drift": np.array(["", ", V1,", "", "", ""]),
    "burst_noise": np.array(["", "v3", "v1", "", ""]),
    "extra_beats": np.array(["", "", "1ES", "", ""]),
    "pacemaker": np.array(["", "", "", "ja, pacemaker", ""]),
    "sex": np.array(["male", "female", "female", "", "male"]),
    "site": np.array(["0", "1", "1", "", "1"]),
    "device": np.array(["CS-12   E", "AT-6", "AT-6", "AT-6", ""]),
    "age_years": np.array([9.9, 89.0, np.nan, 60.0, 63.0], np.float32),
    "age_over_89": np.array([False, False, True, False, False]),
    "validated_by_human": np.array([True, True, False, True, True]),
    "num_samples": np.full(5, 1000),
}
SUPERCLASS_OF = {"NORM": "NORM", "IMI": "MI", "LVH": "HYP", "NST_": "STTC"}


def members(groups):
    return {(group.family, group.name): np.flatnonzero(group.is_member).tolist() for group in groups}


def test_groups_hold_the_records_that_their_labels_say():
    found = members(subgroups.subgroups(LABELS, SUPERCLASS_OF, min_records=1))
    assert found == {
        ("all", "all records"): [0, 1, 2, 3, 4],
        ("superclass", "NORM"): [0],
        ("superclass", "MI"): [1, 4],
        ("superclass", "STTC"): [4],
        ("superclass", "HYP"): [1],
        ("superclass", "no superclass"): [2, 3],
        ("code", "SR"): [0, 1],
        ("code", "IMI"): [1, 4],
        ("code", "NORM"): [0],
        ("code", "LVH"): [1],
        ("code", "AFIB"): [2],
        ("code", "NST_"): [4],
        ("noise", "baseline drift"): [1],
        ("noise", "burst noise"): [1, 2],
        ("noise", "none noted"): [0, 3, 4],
        ("extra beats", "extra beats"): [2],
        ("extra beats", "none noted"): [0, 1, 3, 4],
        ("pacemaker", "pacemaker"): [3],
        ("pacemaker", "none noted"): [0, 1, 2, 4],
        ("sex", "female"): [1, 2],
        ("sex", "male"): [0, 4],
        ("site", "site 0"): [0],
        ("site", "site 1"): [1, 2, 4],
        ("device", "AT-6"): [1, 2, 3],
        ("device", "CS-12 E"): [0],
        ("age", "0-9 years"): [0],
        ("age", "60-69 years"): [3, 4],
        ("age", "80-89 years"): [1],
        ("age", "90 years and more"): [2],
        ("validated by human", "validated by human"): [0, 1, 3, 4],
        ("validated by human", "not validated by human"): [2],
    }


def test_rare_codes_sites_and_devices_make_no_group():
    found = members(subgroups.subgroups(LABELS, SUPERCLASS_OF, min_records=2))
    assert [name for family, name in found if family == "code"] == ["IMI", "SR"]
    assert [name for family, name in found if family in ("site", "device")] == ["site 1", "AT-6"]
    assert ("superclass", "HYP") in found


def test_a_dataset_without_labels_has_one_group():
    assert list(members(subgroups.subgroups({"num_samples": np.full(3, 9)}, {}, 1))) == [("all", "all records")]


def test_superclasses_come_with_the_prepared_dataset(tmp_path):
    folder = tmp_path / "ptbxl" / "100hz" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    assert subgroups.superclass_of_code("ptbxl", "100hz", str(tmp_path)) == {}
    statements = {"IMI": {"superclass": "MI"}, "SR": {"superclass": ""}}
    (folder / "metadata.json").write_text(json.dumps({"scp_statements": statements}))
    assert subgroups.superclass_of_code("ptbxl", "", str(tmp_path)) == {"IMI": "MI"}


def test_rows_go_by_record_id():
    split = fake_split("test", 11)
    ids = np.array(["test10", "test2", "test2", "test0"])
    assert subgroups.rows_of(ids, split).tolist() == [10, 2, 2, 0]
    with pytest.raises(InputError, match="fake test lacks record 'test11', which the run was scored on"):
        subgroups.rows_of(np.array(["test1", "test11"]), split)


def test_associations_are_those_of_scipy_and_closed_forms():
    rng = np.random.default_rng(0)
    is_wrong = rng.random(300) < 0.2
    groups = [Subgroup("code", f"c{i}", rng.random(300) < np.where(is_wrong, 0.1 * i, 0.3)) for i in range(1, 7)]
    groups.append(Subgroup("code", "never wrong", ~is_wrong & (rng.random(300) < 0.1)))
    found = subgroups.over_represented(groups, is_wrong)
    assert [a.p_value for a in found] == sorted(a.p_value for a in found)
    by_name = {a.name: a for a in found}
    for group in groups:
        a = by_name[group.name]
        wrong, n = (group.is_member & is_wrong).sum(), group.is_member.sum()
        others_wrong, others = (~group.is_member & is_wrong).sum(), (~group.is_member).sum()
        assert (a.num_wrong, a.n) == (wrong, n)
        hypergeometric = scipy.stats.hypergeom(300, is_wrong.sum(), n)
        likelihood = hypergeometric.pmf(np.arange(n + 1))
        assert a.p_value == pytest.approx(likelihood[likelihood <= likelihood[wrong] * (1 + 1e-7)].sum())
        cells = np.array([wrong, n - wrong, others_wrong, others - others_wrong]) + 0.5
        assert a.odds_ratio == pytest.approx(cells[0] * cells[3] / cells[1] / cells[2])
        assert a.ci95[1] / a.odds_ratio == pytest.approx(np.exp(1.959964 * np.sqrt((1 / cells).sum())))
        assert a.ci95[0] * a.ci95[1] == pytest.approx(a.odds_ratio**2)
    # Benjamini and Hochberg: the k-th smallest of m times m/k, made monotone from the largest on.
    steps = np.array([a.p_value * len(found) / k for k, a in enumerate(found, 1)])
    np.testing.assert_allclose([a.q_value for a in found], np.minimum.accumulate(steps[::-1])[::-1].clip(max=1))
    assert subgroups.over_represented([], is_wrong) == []
