"""Figures of several labels a record against scikit-learn, closed forms and counting."""

import time

import numpy as np
import pytest
import sklearn.metrics

from ecgjax import metrics
from ecgjax.tasks import diagnosis_figures as figures

NAMES = ("A", "B", "C", "never")


def predictions(num_records=300, seed=0):
    """Rare and frequent classes, one that no record has, rounded scores that tie, and two records a patient."""
    rng = np.random.default_rng(seed)
    is_class = rng.uniform(size=(num_records, len(NAMES))) < (0.05, 0.3, 0.6, 0.0)
    scores = 1 / (1 + np.exp(-rng.normal(size=is_class.shape) - 1.5 * is_class))
    return is_class, np.round(scores, 2).astype(np.float32), (np.arange(num_records) // 2).astype(str)


def test_areas_are_those_of_sklearn():
    is_class, scores, patients = predictions()
    found = figures.ranking_figures(is_class, scores, patients, NAMES, 0)
    expected = {"auroc": sklearn.metrics.roc_auc_score, "auprc": sklearn.metrics.average_precision_score}
    for name, reference in expected.items():
        values = [reference(is_class[:, k], scores[:, k]) for k in range(3)]
        np.testing.assert_allclose([found[f"{name}/{c}"].value for c in NAMES[:3]], values, atol=1e-12)
        assert found[f"macro_{name}"].value == pytest.approx(np.mean(values))
        assert np.isnan(found[f"{name}/never"].value)
    prevalence = is_class[:, :3].mean(axis=0)
    np.testing.assert_allclose([found[f"auprc_no_skill/{c}"].value for c in NAMES[:3]], prevalence)
    assert found["macro_auprc_no_skill"].value == pytest.approx(prevalence.mean())


def test_both_areas_under_weights_are_those_of_repeated_records():
    is_class, scores, _ = predictions()
    weights = metrics.bootstrap_weights(np.arange(len(scores)), 5, seed=1)
    aurocs, auprcs = metrics.areas_by_class(is_class[:, :3], scores[:, :3], weights)
    for row, auroc, auprc in zip(weights.astype(int), aurocs, auprcs, strict=True):
        drawn = np.repeat(np.arange(len(scores)), row)
        for k in range(3):
            truth, score = is_class[drawn, k], scores[drawn, k]
            assert auroc[k] == pytest.approx(sklearn.metrics.roc_auc_score(truth, score))
            assert auprc[k] == pytest.approx(sklearn.metrics.average_precision_score(truth, score))


def test_thresholds_are_the_best_there_are():
    is_class, scores, _ = predictions()
    chosen = figures.chosen_thresholds(is_class, scores)
    for k in range(3):
        truth, score = is_class[:, k], scores[:, k]
        candidates = np.append(np.unique(score) - 0.005, 0.0)
        best = max(sklearn.metrics.f1_score(truth, score > threshold) for threshold in candidates)
        assert sklearn.metrics.f1_score(truth, score > chosen.f1[k]) == pytest.approx(best)
        measures = [_g2(truth, score > threshold) for threshold in figures.GRID]
        assert _g2(truth, score > chosen.challenge[k]) == pytest.approx(np.nanmax(measures))
    assert (chosen.f1[3], chosen.challenge[3]) == (figures.FALLBACK, figures.FALLBACK)


def test_a_threshold_that_names_every_record():
    (threshold,) = figures.chosen_thresholds(np.ones((3, 1), bool), np.array([[0.2], [0.4], [0.3]])).f1
    assert 0 <= threshold < 0.2


def _g2(truth, is_named):
    named = is_named.sum() + 2 * (truth & ~is_named).sum()
    return (truth & is_named).sum() / named if named else np.nan


def test_figures_at_thresholds_by_counting():
    is_class = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], bool)
    scores = np.array([[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.1, 0.3, 0.2], [0.4, 0.9, 0.1], [0.1, 0.2, 0.3]])
    thresholds = figures.Thresholds((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    patients = np.arange(5)

    def found(names_one):
        return figures.threshold_figures(
            is_class, scores, thresholds, patients, "ABC", names_one=names_one, num_bootstrap=0
        )

    # Named: A of records 0 and 1, B of 1 and 3; record 0 has two labels and weighs one half.
    values = {name: metric.value for name, metric in found(False).items()}
    assert values["f1/A"] == 1
    assert values["f1/B"] == pytest.approx(2 / 4)
    assert values["f1/C"] == 0
    assert values["macro_f1"] == pytest.approx(0.5)
    f2_b = 5 * 1 / (5 * 1 + 1 + 4 * 0.5)
    assert values["challenge_f2"] == pytest.approx((1 + f2_b + 0) / 3)
    assert values["challenge_g2"] == pytest.approx((1 + 1 / (1 + 1 + 2 * 0.5) + 0) / 3)
    assert values["threshold/A"] == 0.5
    # With at least one label each, C of record 4 is found and B of record 2 is false; F1 stays as it is.
    values = {name: metric.value for name, metric in found(True).items()}
    assert values["f1/C"] == 0
    assert values["challenge_g2"] == pytest.approx((1 + 1 / (1 + 2 + 2 * 0.5) + 1) / 3)


def test_gains_are_paired():
    is_class, scores, patients = predictions()
    worse = np.random.default_rng(1).uniform(size=scores.shape)
    gains = figures.paired_gains(is_class, scores, worse, patients, 200)
    alone = [figures.ranking_figures(is_class, s, patients, NAMES, 0) for s in (scores, worse)]
    for name in ("macro_auroc", "macro_auprc"):
        assert gains[f"gain/{name}"].value == pytest.approx(alone[0][name].value - alone[1][name].value)
        assert gains[f"gain/{name}"].ci95[0] > 0
    same = figures.paired_gains(is_class, scores, scores, patients, 20)
    assert {metric.ci95 for metric in same.values()} == {(0.0, 0.0)}


def test_all_labels_of_the_benchmark_take_seconds():
    rng = np.random.default_rng(0)
    is_class = rng.uniform(size=(2198, 71)) < rng.uniform(0.002, 0.3, 71)
    scores, patients = rng.uniform(size=is_class.shape), np.arange(2198)
    began = time.process_time()
    names = [f"{k}" for k in range(71)]
    figures.ranking_figures(is_class, scores, patients, names, 1000)
    thresholds = figures.chosen_thresholds(is_class, scores)
    figures.threshold_figures(is_class, scores, thresholds, patients, names, names_one=True, num_bootstrap=1000)
    assert time.process_time() - began < 15
