"""Figures of beats against scikit-learn and counting."""

import numpy as np
import pytest
import sklearn.metrics

from ecgjax.tasks import heartbeat_figures as figures

NAMES = ("N", "S", "V", "F")


def predictions(num_beats=400, seed=0):
    """Rare and frequent classes in five recordings, and probabilities that are right more often than not."""
    rng = np.random.default_rng(seed)
    targets = rng.choice(4, num_beats, p=[0.6, 0.1, 0.25, 0.05])
    outputs = rng.normal(size=(num_beats, 4)) + 1.5 * np.eye(4)[targets]
    scores = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    patients = np.sort(rng.choice(["100", "101", "105", "200", "201"], num_beats))
    return targets, scores.astype(np.float32), patients


def test_class_figures_are_those_of_sklearn():
    targets, scores, patients = predictions()
    decided = scores.argmax(axis=1)
    found = figures.class_figures(targets, scores, decided, patients, NAMES, 20)
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(targets, decided)
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        np.testing.assert_allclose([found[f"{name}/{c}"].value for c in NAMES], values)
        assert found[f"macro_{name}"].value == pytest.approx(values.mean())
    assert found["accuracy"].value == pytest.approx(sklearn.metrics.accuracy_score(targets, decided))
    assert found["balanced_accuracy"].value == pytest.approx(recall.mean())
    rest = sklearn.metrics.recall_score(targets != 2, decided != 2)
    assert found["specificity/V"].value == pytest.approx(rest)
    areas = [sklearn.metrics.roc_auc_score(targets == k, scores[:, k]) for k in range(4)]
    assert found["macro_auroc"].value == pytest.approx(np.mean(areas))
    low, high = found["f1/V"].ci95
    assert low < found["f1/V"].value < high


def test_a_class_that_is_never_named_has_precision_0_and_one_that_is_not_there_none():
    targets, scores, patients = predictions()
    targets = np.where(targets == 3, 0, targets)
    decided = np.where(targets == 1, 0, targets)
    found = figures.class_figures(targets, scores, decided, patients, NAMES, 0)
    assert found["precision/S"].value == found["recall/S"].value == 0
    assert np.isnan(found["precision/F"].value)
    assert found["macro_precision"].value == pytest.approx(np.mean([found[f"precision/{c}"].value for c in "NSV"]))


def test_detection_figures_are_those_of_sklearn():
    targets, scores, patients = predictions()
    is_abnormal, is_flagged = targets > 0, scores[:, 0] < 0.4
    found = figures.detection_figures(is_abnormal, is_flagged, patients, 0)
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(is_abnormal, is_flagged),
        "f1": sklearn.metrics.f1_score(is_abnormal, is_flagged),
        "macro_f1": sklearn.metrics.f1_score(is_abnormal, is_flagged, average="macro"),
        "sensitivity": sklearn.metrics.recall_score(is_abnormal, is_flagged),
        "specificity": sklearn.metrics.recall_score(~is_abnormal, ~is_flagged),
        "precision": sklearn.metrics.precision_score(is_abnormal, is_flagged),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value)


def test_recordings_count_once_each():
    targets, scores, patients = predictions()
    decided = scores.argmax(axis=1)
    record_ids = np.array([f"{name} {k:05d}" for k, name in enumerate(patients)])
    found = figures.recording_figures(targets, decided, record_ids, patients, 2, 50)
    names = np.unique(patients)
    accuracy = [np.mean(targets[patients == name] == decided[patients == name]) for name in names]
    f1 = [sklearn.metrics.f1_score(*((x[patients == name] == 2) for x in (targets, decided))) for name in names]
    np.testing.assert_allclose([found[f"recording_accuracy/{name}"].value for name in names], accuracy)
    assert found["recording_accuracy"].value == pytest.approx(np.mean(accuracy))
    assert found["recording_f1_v"].value == pytest.approx(np.mean(f1))
    assert found["recording_accuracy"].n == 5
    assert min(accuracy) <= found["recording_accuracy"].ci95[0] <= np.mean(accuracy)


def test_recordings_with_few_beats_have_no_figures_of_their_own():
    patients = np.repeat(["100", "101", "102"], (50, 50, 20))
    targets = np.where(np.arange(120) < 15, 2, 0)
    record_ids = np.array([f"{name} {k}" for k, name in enumerate(patients)])
    found = figures.recording_figures(targets, targets, record_ids, patients, 2, 0)
    assert (found["recording_f1_v"].value, found["recording_f1_v"].n) == (1, 1)
    by_recording = {name for name in found if "/" in name}
    assert by_recording == {"recording_accuracy/100", "recording_accuracy/101", "recording_f1_v/100"}
    numbers = np.arange(120).astype(str)
    assert figures.recording_figures(targets, targets, numbers, numbers, 2, 0) == {}


def test_the_threshold_is_the_best_there_is():
    targets, scores, _ = predictions()
    is_abnormal, probability = targets > 0, 1 - scores[:, 0]
    reached = sklearn.metrics.f1_score(is_abnormal, probability > figures.best_threshold(is_abnormal, probability))
    candidates = [sklearn.metrics.f1_score(is_abnormal, probability > t) for t in np.linspace(0, 1, 21)]
    assert reached >= max(candidates) - 1e-12


def test_offsets_are_none_where_nothing_is_to_gain():
    targets = np.array([0, 0, 0, 1, 2, 3])
    assert (figures.best_offsets(targets, np.eye(4)[targets]) == 0).all()


def test_gains_of_a_method_over_itself_are_nothing():
    targets, scores, patients = predictions()
    both = (scores, scores.argmax(axis=1))
    found = figures.paired_gains(targets, both, both, patients, 20)
    assert all(metric.value == 0 and metric.ci95 == (0, 0) for metric in found.values())
    worse = (scores, np.zeros(len(targets), int))
    gain = figures.paired_gains(targets, both, worse, patients, 20)
    assert gain["gain/accuracy"].value == pytest.approx(np.mean(scores.argmax(1) == targets) - np.mean(targets == 0))
