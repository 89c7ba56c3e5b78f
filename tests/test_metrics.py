"""Metrics against scikit-learn, closed forms and simulation."""

import json
import time

import numpy as np
import pytest
import sklearn.metrics as reference

from ecgjax import metrics

NUM_CLASSES = 5
BINARY = (metrics.recall, metrics.specificity, metrics.precision, metrics.f1)


@pytest.fixture(params=[0, 1, 2])
def sample(request):
    """Weighted examples with many tied scores."""
    rng = np.random.default_rng(request.param)
    n = 300
    targets = rng.integers(NUM_CLASSES, size=n)
    scores = np.round(rng.dirichlet(np.ones(NUM_CLASSES), size=n) + 0.4 * metrics.one_hot(targets, NUM_CLASSES), 1)
    weights = rng.choice([0.0, 0.5, 1.0, 3.0], size=n)
    return targets, scores / scores.sum(1, keepdims=True), weights


def test_binary_figures_equal_sklearn(sample):
    targets, scores, weights = sample
    truth, flagged = targets > 1, scores[:, 0] < 0.2
    expected = {
        metrics.recall: reference.recall_score(truth, flagged, sample_weight=weights),
        metrics.specificity: reference.recall_score(truth, flagged, sample_weight=weights, pos_label=0),
        metrics.precision: reference.precision_score(truth, flagged, sample_weight=weights),
        metrics.f1: reference.f1_score(truth, flagged, sample_weight=weights),
    }
    for figure in BINARY:
        np.testing.assert_allclose(figure(truth, flagged, weights), expected[figure], rtol=1e-12)


def test_ranking_figures_equal_sklearn_with_ties(sample):
    targets, scores, weights = sample
    assert len(np.unique(scores[:, 0])) < len(scores) / 2
    truth = targets == 0
    np.testing.assert_allclose(
        metrics.auroc(truth, scores[:, 0], weights),
        reference.roc_auc_score(truth, scores[:, 0], sample_weight=weights),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        metrics.auprc(truth, scores[:, 0], weights),
        reference.average_precision_score(truth, scores[:, 0], sample_weight=weights),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        metrics.brier(truth, scores[:, 0], weights),
        reference.brier_score_loss(truth, scores[:, 0], sample_weight=weights),
        rtol=1e-12,
    )


def test_class_figures_equal_sklearn(sample):
    targets, scores, weights = sample
    predicted = scores.argmax(1)
    confusion = metrics.confusion_matrix(targets, predicted, weights, NUM_CLASSES)
    np.testing.assert_allclose(confusion, reference.confusion_matrix(targets, predicted, sample_weight=weights))
    by_class = {"average": None, "sample_weight": weights}
    np.testing.assert_allclose(
        metrics.recall_by_class(confusion), reference.recall_score(targets, predicted, **by_class)
    )
    np.testing.assert_allclose(metrics.f1_by_class(confusion), reference.f1_score(targets, predicted, **by_class))
    np.testing.assert_allclose(
        metrics.macro_f1(confusion), reference.f1_score(targets, predicted, average="macro", sample_weight=weights)
    )
    np.testing.assert_allclose(
        metrics.balanced_accuracy(confusion),
        reference.balanced_accuracy_score(targets, predicted, sample_weight=weights),
    )
    np.testing.assert_allclose(
        metrics.accuracy(targets, predicted, weights),
        reference.accuracy_score(targets, predicted, sample_weight=weights),
    )


def test_macro_curves_equal_sklearn(sample):
    targets, scores, weights = sample
    is_class = metrics.one_hot(targets, NUM_CLASSES)
    np.testing.assert_allclose(
        metrics.macro_auroc(is_class, scores, weights),
        reference.roc_auc_score(is_class, scores, average="macro", sample_weight=weights),
    )
    np.testing.assert_allclose(
        metrics.macro_auprc(is_class, scores, weights),
        reference.average_precision_score(is_class, scores, average="macro", sample_weight=weights),
    )


def test_leading_axes_equal_one_by_one(sample):
    targets, scores, _ = sample
    weights = np.random.default_rng(7).integers(0, 3, size=(2, 3, len(targets))).astype(float)
    truth, flagged, predicted = targets > 1, scores[:, 0] < 0.2, scores.argmax(1)
    figures = {
        "auroc": lambda w: metrics.auroc(truth, scores[:, 0], w),
        "auprc": lambda w: metrics.auprc(truth, scores[:, 0], w),
        "ece": lambda w: metrics.ece(predicted == targets, scores.max(1), w),
        "brier": lambda w: metrics.brier(truth, scores[:, 0], w),
        "accuracy": lambda w: metrics.accuracy(targets, predicted, w),
        "macro_f1": lambda w: metrics.macro_f1(metrics.confusion_matrix(targets, predicted, w, NUM_CLASSES)),
        "macro_auroc": lambda w: metrics.macro_auroc(metrics.one_hot(targets, NUM_CLASSES), scores, w),
    } | {figure.__name__: lambda w, figure=figure: figure(truth, flagged, w) for figure in BINARY}
    for name, figure in figures.items():
        together = figure(weights)
        assert together.shape == (2, 3), name
        for index in np.ndindex(2, 3):
            np.testing.assert_allclose(together[index], figure(weights[index]), rtol=1e-12, err_msg=name)


def test_a_weight_is_a_repetition(sample):
    targets, scores, _ = sample
    times = np.random.default_rng(3).integers(0, 4, size=len(targets))
    truth, score = targets == 1, scores[:, 1]
    repeated, ones = np.repeat(np.arange(len(targets)), times), np.ones(times.sum())
    for figure in (metrics.auroc, metrics.auprc, metrics.ece, metrics.brier):
        np.testing.assert_allclose(
            figure(truth, score, times.astype(float)), figure(truth[repeated], score[repeated], ones), rtol=1e-12
        )


def test_ranking_figures_ignore_the_scale_of_scores_and_weights(sample):
    targets, scores, weights = sample
    truth, score = targets == 1, scores[:, 1]
    for figure in (metrics.auroc, metrics.auprc):
        value = figure(truth, score, weights)
        np.testing.assert_allclose(
            figure(truth, np.unique(score, return_inverse=True)[1] ** 3, 7 * weights), value, rtol=1e-12
        )
    np.testing.assert_allclose(
        metrics.auroc(truth, -score, weights), 1 - metrics.auroc(truth, score, weights), rtol=1e-12
    )


def test_closed_forms():
    ones = np.ones(4)
    truth = np.array([False, False, True, True])
    assert metrics.auroc(truth, np.array([0.1, 0.4, 0.35, 0.8]), ones) == 0.75
    assert metrics.auroc(truth, np.zeros(4), ones) == 0.5
    assert metrics.auprc(truth, np.zeros(4), ones) == 0.5
    np.testing.assert_allclose(metrics.ppv_at(0.02, 0.9, 0.95), 0.9 * 0.02 / (0.9 * 0.02 + 0.05 * 0.98))
    assert metrics.ppv_at(0.5, 0.8, 1.0) == 1.0
    # Two bins hold all: 0.95 said and half came true, 0.05 said and none did.
    probability = np.array([0.95, 0.95, 0.05, 0.05])
    np.testing.assert_allclose(metrics.ece(np.array([1, 0, 0, 0]), probability, ones), (0.45 + 0.05) / 2)
    assert metrics.ece(np.array([1, 1]), np.ones(2), np.ones(2)) == 0


def test_precision_at_the_weights_prevalence_is_ppv(sample):
    targets, scores, _ = sample
    truth, flagged = targets > 1, scores[:, 0] < 0.2
    for prevalence in (0.02, 0.5):
        weights = metrics.weights_at_prevalence(truth, prevalence)
        np.testing.assert_allclose((weights.sum(), weights[truth].sum()), (1, prevalence))
        sensitivity, specificity = (f(truth, flagged, weights) for f in (metrics.recall, metrics.specificity))
        np.testing.assert_allclose(
            metrics.ppv_at(prevalence, sensitivity, specificity), metrics.precision(truth, flagged, weights)
        )


def test_calibration_of_drawn_outcomes():
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=200_000)
    came_true = rng.uniform(size=probability.size) < probability
    ones = np.ones(probability.size)
    assert metrics.ece(came_true, probability, ones) < 0.01
    assert abs(metrics.ece(came_true, probability / 2, ones) - 0.25) < 0.01


def test_undefined_is_nan_and_stays_out_of_the_interval():
    truth, flagged = np.array([True, False, False, False]), np.array([True, False, True, False])
    patients = np.array(["a", "b", "c", "d"])
    no_positive = np.array([0.0, 1.0, 1.0, 1.0])
    assert np.isnan(metrics.recall(truth, flagged, no_positive))
    assert np.isnan(metrics.auroc(truth, flagged.astype(float), no_positive))
    assert np.isnan(metrics.auprc(truth, flagged.astype(float), no_positive))
    confusion = metrics.confusion_matrix(np.array([0, 0]), np.array([0, 1]), np.ones(2), 3)
    np.testing.assert_allclose(metrics.recall_by_class(confusion), [0.5, np.nan, np.nan])
    np.testing.assert_allclose(metrics.macro_f1(confusion), (2 / 3 + 0) / 2)
    for figure in (metrics.recall, metrics.precision, metrics.f1):
        found = metrics.with_interval(lambda w, f=figure: f(truth, flagged, w), np.ones(4), patients, 200)
        assert not np.isnan(np.array(found.ci95, float)).any()
    assert (
        metrics.with_interval(lambda w: metrics.recall(truth & False, flagged, w), np.ones(4), patients, 50).ci95
        is None
    )


def test_bootstrap_resamples_patients_whole():
    patients = np.array(["a", "b", "a", "c", "b", "a"])
    weights = metrics.bootstrap_weights(patients, 500, seed=1)
    assert weights.shape == (500, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    np.testing.assert_array_equal(weights[:, 0] + weights[:, 1] + weights[:, 3], np.full(500, 3))
    assert abs(weights.mean() - 1) < 0.1
    np.testing.assert_array_equal(weights, metrics.bootstrap_weights(patients, 500, seed=1))
    assert (weights != metrics.bootstrap_weights(patients, 500, seed=2)).any()


def test_interval_covers_the_truth_and_knows_that_patients_cluster():
    rng = np.random.default_rng(0)
    num_patients, per_patient, trials = 60, 4, 200
    patients = np.repeat(np.arange(num_patients), per_patient)
    covered = {"by patient": 0, "by record": 0}
    for _ in range(trials):
        right = np.repeat(rng.uniform(size=num_patients) < 0.7, per_patient)
        for name, ids in (("by patient", patients), ("by record", np.arange(len(patients)))):
            low, high = metrics.with_interval(
                lambda w, right=right: metrics.accuracy(right, np.ones_like(right), w), np.ones(len(right)), ids, 200
            ).ci95
            covered[name] += low <= 0.7 <= high
    # 95 % nominal, binomial deviation 1.5 % over 200 trials; the percentile interval is slightly narrow at 60 patients.
    assert 0.89 <= covered["by patient"] / trials <= 0.99
    assert covered["by record"] / trials < 0.8


def test_interval_does_not_depend_on_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    truth, score, patients = rng.uniform(size=90) < 0.4, rng.uniform(size=90), rng.integers(40, size=90)

    def figure(w):
        return metrics.auroc(truth, score, w)

    whole = metrics.with_interval(figure, np.ones(90), patients, 100)
    monkeypatch.setattr(metrics, "_BLOCK_BYTES", 8 * 90 * 7)
    assert metrics.with_interval(figure, np.ones(90), patients, 100) == whole
    replicates = figure(metrics.bootstrap_weights(patients, 100, metrics.BOOTSTRAP_SEED))
    np.testing.assert_allclose(whole.ci95, np.percentile(replicates, (2.5, 97.5)))


def test_no_interval_where_there_is_nothing_to_resample():
    def figure(w):
        return w.sum(-1)

    assert metrics.with_interval(figure, np.array([1.0, 0.0, 2.0]), np.array([1, 2, 3]), 0) == metrics.Metric(
        3.0, None, 2
    )
    assert metrics.with_interval(figure, np.ones(3), np.array([1, 1, 1]), 100).ci95 is None


def test_mcnemar_closed_form():
    first = np.array([True] * 8 + [False] * 2 + [True] * 5)
    second = np.array([False] * 8 + [True] * 2 + [True] * 5)
    found = metrics.mcnemar(first, second)
    assert (found.only_first, found.only_second) == (8, 2)
    # Two-sided sign test of 8 against 2: 2 (1 + 10 + 45) / 2^10.
    np.testing.assert_allclose(found.p_value, 2 * 56 / 1024)
    assert metrics.mcnemar(first, first).p_value == 1.0


def test_json_has_no_nan():
    assert json.dumps(metrics.Metric(float("nan"), None, 3).to_json(), allow_nan=False)
    assert metrics.Metric(0.5, (0.4, 0.6), 3).to_json() == {"value": 0.5, "ci95": [0.4, 0.6], "n": 3}


def test_a_thousand_replicates_take_seconds():
    rng = np.random.default_rng(0)
    n, num_classes = 126 * 19, 19
    targets, patients = np.arange(n) % num_classes, np.arange(n) // num_classes
    scores = rng.dirichlet(np.ones(num_classes), size=n)
    predicted, is_class = scores.argmax(1), metrics.one_hot(targets, num_classes)

    def figures(weights):
        return {
            "macro_auroc": metrics.macro_auroc(is_class, scores, weights),
            "macro_f1": metrics.macro_f1(metrics.confusion_matrix(targets, predicted, weights, num_classes)),
            "ece": metrics.ece(predicted == targets, scores.max(1), weights),
        }

    start = time.process_time()
    metrics.with_intervals(figures, np.ones(n), patients, 1000)
    assert time.process_time() - start < 12
