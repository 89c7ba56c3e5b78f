"""Judged predictions and paired comparisons against counting by hand, scipy and the figures of the tasks."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from ecgjax.analysis import comparison
from ecgjax.errors import InputError
from ecgjax.leads import PLACEMENTS
from ecgjax.tasks.lead_id_figures import lead_id_figures
from ecgjax.tasks.reversal_figures import reversal_figures


def lead_predictions(num_records, names, seed, ids=None):
    """A run that names leads, right more often than not, and assigns other names than the most probable."""
    rng = np.random.default_rng(seed)
    num_leads = len(names)
    scores = rng.dirichlet(np.full(num_leads, 0.3), size=(num_records, num_leads)) + 0.6 * np.eye(num_leads)
    assigned = np.tile(np.arange(num_leads), (num_records, 1))
    assigned[::3] = assigned[::3][:, ::-1]
    ids = np.array([f"r{i:03}" for i in range(num_records)]) if ids is None else ids
    return {
        "scores": scores / scores.sum(axis=-1, keepdims=True),
        "targets": np.tile(np.arange(num_leads), (num_records, 1)),
        "assigned": assigned,
        "record_ids": ids,
        "patient_ids": np.array([f"p{i // 2}" for i in range(num_records)]),
        "view": np.zeros(num_records, int),
        "class_names": np.array(names),
    }


def reversal_predictions(num_records, seed):
    """A typed detector; every record is shown under every placement."""
    rng = np.random.default_rng(seed)
    placement = np.tile(np.arange(len(PLACEMENTS)), num_records)
    scores = rng.dirichlet(np.full(len(PLACEMENTS), 0.1), size=len(placement)) + np.eye(len(PLACEMENTS))[placement]
    record = np.repeat(np.arange(num_records), len(PLACEMENTS))
    return {
        "scores": scores / 2,
        "targets": placement,
        "placement": placement,
        "any_reversal": np.clip((placement > 0) * 0.6 + rng.uniform(0, 0.6, len(placement)), 0, 1),
        "record_ids": np.array([f"r{i}" for i in record]),
        "patient_ids": np.array([f"p{i // 2}" for i in record]),
        "view": placement,
    }


def shuffled(predictions, seed):
    order = np.random.default_rng(seed).permutation(len(predictions["record_ids"]))
    return {name: values[order] if name != "class_names" else values for name, values in predictions.items()}


def test_figures_of_leads_are_those_of_the_task():
    names = ("I", "II", "V1")
    predictions = lead_predictions(41, names, seed=0)
    found = comparison.figures_of([comparison.answers(shuffled(predictions, 1))], num_bootstrap=50)
    arrays = [predictions[name] for name in ("scores", "assigned", "patient_ids")]
    expected = lead_id_figures(*arrays, names, num_bootstrap=50)
    assert set(found) == {"lead_accuracy", "set_accuracy", "lead_accuracy_assigned", "set_accuracy_assigned"}
    for name, metric in found.items():
        assert metric.value == pytest.approx(expected[name].value)
        assert metric.ci95 == pytest.approx(expected[name].ci95)


def test_figures_of_views_are_those_of_the_task_at_even_prior():
    predictions = reversal_predictions(20, seed=0)
    found = comparison.figures_of([comparison.answers(shuffled(predictions, 1))], num_bootstrap=0)
    arrays = [predictions[name] for name in ("placement", "any_reversal", "scores", "patient_ids")]
    assert found["accuracy"].value == pytest.approx(reversal_figures(*arrays, num_bootstrap=0)["accuracy"].value)
    named = (predictions["scores"].argmax(axis=1) == predictions["targets"]).reshape(20, -1)
    assert found["type_accuracy"].value == pytest.approx((named[:, 0].mean() + named[:, 1:].mean()) / 2)
    assert found["record_type_accuracy"].value == named.all(axis=1).mean()


def test_runs_are_compared_record_by_record():
    names = ("V1", "V2", "V3")
    runs = [lead_predictions(60, names, seed) for seed in (0, 1)]
    found = {c.name: c for c in comparison.compare(*([comparison.answers(run)] for run in runs), num_bootstrap=100)}
    right = [run["scores"].argmax(axis=-1) == np.arange(3) for run in runs]
    for name, outcomes, is_independent in (
        ("lead_accuracy", [r.ravel() for r in right], False),
        ("set_accuracy", [r.all(axis=1) for r in right], True),
    ):
        only_first, only_second = np.sum(outcomes[0] & ~outcomes[1]), np.sum(~outcomes[0] & outcomes[1])
        p_value = scipy.stats.binomtest(only_first, only_first + only_second).pvalue
        (test,) = found[name].mcnemar
        assert (test.only_first, test.only_second, test.p_value) == (only_first, only_second, pytest.approx(p_value))
        assert found[name].is_independent == is_independent
        assert found[name].difference.value == pytest.approx(outcomes[0].mean() - outcomes[1].mean())
        low, high = found[name].difference.ci95
        assert low < found[name].difference.value < high
    same = comparison.compare([comparison.answers(runs[0])], [comparison.answers(runs[0])], num_bootstrap=100)
    assert all(c.difference.ci95 == (0, 0) and c.mcnemar[0].p_value == 1 for c in same)


def test_other_sets_of_leads_are_compared_on_the_leads_of_both():
    small, large = lead_predictions(30, ("V1", "V2"), 0), lead_predictions(30, ("I", "V1", "V2"), 1)
    found = comparison.compare([comparison.answers(large)], [comparison.answers(small)], num_bootstrap=0)
    right = (large["scores"].argmax(axis=-1) == np.arange(3))[:, 1:]
    assert [c.parts for c in found] == [("V1", "V2")] * 4
    assert {c.name: c.first.value for c in found}["set_accuracy"] == pytest.approx(right.all(axis=1).mean())


def test_several_seeds_are_averaged_before_patients_are_resampled():
    runs = [comparison.answers(lead_predictions(40, ("V1", "V2"), seed)) for seed in range(4)]
    (found, *_) = comparison.compare(runs[:2], runs[2:], num_bootstrap=200)
    alone = [comparison.figures_of([run], num_bootstrap=0)["lead_accuracy"].value for run in runs]
    assert found.first.value == pytest.approx(np.mean(alone[:2]))
    assert found.difference.value == pytest.approx(np.mean(alone[:2]) - np.mean(alone[2:]))
    assert len(found.mcnemar) == 2
    (single, *_) = comparison.compare(runs[:1], runs[2:3], num_bootstrap=200)
    assert np.ptp(found.difference.ci95) < np.ptp(single.difference.ci95)


def test_regressions_are_compared_by_absolute_error():
    ids = np.array(["a", "b", "c"])
    truth_years = np.array([50.0, 60.0, 70.0])
    common = {"targets": truth_years, "record_ids": ids, "patient_ids": ids, "view": np.zeros(3, int)}
    runs = [comparison.answers({**common, "scores": truth_years[:, None] + error}) for error in (1.0, -4.0)]
    (found,) = comparison.compare(runs[:1], runs[1:], num_bootstrap=20)
    assert (found.name, found.mcnemar, found.difference.value) == ("absolute_error", (), -3.0)


def test_errors_are_those_of_defined_targets():
    targets, ids = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.nan]]), np.array(["a", "b"])
    common = {"targets": targets, "record_ids": ids, "patient_ids": ids, "view": np.zeros(2, int)}
    (answer,) = comparison.answers({**common, "scores": np.nan_to_num(targets) + 2}).of.values()
    np.testing.assert_array_equal(answer.right, [[2.0], [2.0]])


def test_labels_are_compared_by_the_log_loss_of_those_that_both_have():
    rng = np.random.default_rng(0)
    truth, scores = rng.uniform(size=(30, 3)) < 0.4, rng.uniform(0.01, 0.99, size=(2, 30, 3)).astype(np.float32)
    ids = np.arange(30).astype(str)
    common = {"targets": truth.astype(np.int8), "record_ids": ids, "patient_ids": ids, "view": np.zeros(30, int)}
    names = np.array(["AFIB", "STACH", "LBBB"]), np.array(["AFIB", "STACH", "NORM"])
    runs = [
        comparison.answers({**common, "scores": of_run, "class_names": of_names})
        for of_run, of_names in zip(scores, names, strict=True)
    ]
    (found,) = comparison.compare(runs[:1], runs[1:], num_bootstrap=20)
    expected = [np.mean([sklearn.metrics.log_loss(truth[:, i], s[:, i]) for i in range(2)]) for s in scores]
    assert (found.name, found.parts, found.mcnemar) == ("log_loss", ("AFIB", "STACH"), ())
    np.testing.assert_allclose([found.first.value, found.second.value], expected, rtol=1e-5)


def test_runs_that_cannot_be_compared_are_refused():
    one = comparison.answers(lead_predictions(6, ("V1", "V2"), 0))
    other = comparison.answers(lead_predictions(6, ("V1", "V2"), 0, ids=np.array([f"r{i:03}" for i in range(3, 9)])))
    with pytest.raises(InputError, match="the runs share 3 of 6 and 6 records; compare runs on the same dataset"):
        comparison.compare([one], [other], 0)
    assert comparison.compare([one], [comparison.answers(lead_predictions(6, ("I", "II"), 0))], 0) == []
    predictions = reversal_predictions(3, 0)
    with pytest.raises(InputError, match="different numbers of views"):
        comparison.answers({name: values[1:] for name, values in predictions.items()})
