"""Figures of lead identification against scikit-learn, counting by hand and naive resampling."""

import time

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from ecgjax import metrics
from ecgjax.leads import LEADS
from ecgjax.tasks.lead_id_figures import exchanged_pairs, is_injective, lead_confusion, lead_id_figures

SET = ("I", "II", "V1", "V2", "V3")


def random_predictions(num_records, num_leads, seed):
    """Scores that are often right, names given once each, and patients with several records."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.normal(size=(num_records, num_leads, num_leads)) + 4.0 * np.eye(num_leads)
    scores = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assigned = np.tile(np.arange(num_leads), (num_records, 1))
    mixed = rng.random(num_records) < 0.3
    assigned[mixed] = rng.permuted(assigned[mixed], axis=1)
    return scores.astype(np.float32), assigned, rng.integers(0, num_records // 2, num_records).astype(str)


def test_values_are_those_of_sklearn_and_of_counting():
    scores, assigned, patient_ids = random_predictions(200, len(SET), seed=0)
    found = lead_id_figures(scores, assigned, patient_ids, SET, num_bootstrap=0)
    truth = np.tile(np.arange(len(SET)), (200, 1))
    for named, suffix in ((scores.argmax(axis=2), ""), (assigned, "_assigned")):
        recalls = recall_score(truth.ravel(), named.ravel(), average=None)
        right = named == truth
        expected = {
            "lead_accuracy": accuracy_score(truth.ravel(), named.ravel()),
            "set_accuracy": np.mean([list(row) == list(range(len(SET))) for row in named]),
            "lead_accuracy_limb": right[:, :2].mean(),
            "set_accuracy_limb": right[:, :2].all(axis=1).mean(),
            "lead_accuracy_precordial": right[:, 2:].mean(),
            "set_accuracy_precordial": right[:, 2:].all(axis=1).mean(),
        }
        for name, value in expected.items():
            assert found[f"{name}{suffix}"].value == pytest.approx(value, abs=1e-12)
        for name, recall in zip(SET, recalls, strict=True):
            assert found[f"recall{suffix}/{name}"].value == pytest.approx(recall, abs=1e-12)
    repeated = [len(set(row)) < len(SET) for row in scores.argmax(axis=2)]
    assert found["not_injective"].value == pytest.approx(np.mean(repeated))
    assert 0 < found["not_injective"].value < 1
    is_right = scores.argmax(axis=2) == truth
    ece = metrics.ece(is_right.ravel(), scores.max(axis=2).ravel(), np.ones(is_right.size))
    assert found["ece"].value == pytest.approx(float(ece), abs=1e-6)
    assert {metric.ci95 for metric in found.values()} == {None}


def test_parts_are_only_judged_where_the_set_has_others():
    scores, assigned, patient_ids = random_predictions(20, 6, seed=1)
    found = lead_id_figures(scores, assigned, patient_ids, LEADS[6:], num_bootstrap=0)
    assert not [name for name in found if "precordial" in name or "limb" in name]


def test_intervals_resample_patients():
    scores, assigned, patient_ids = random_predictions(60, len(SET), seed=2)
    found = lead_id_figures(scores, assigned, patient_ids, SET, num_bootstrap=200)
    patients = np.unique(patient_ids)
    counts = np.random.default_rng(metrics.BOOTSTRAP_SEED).multinomial(
        len(patients), np.full(len(patients), 1 / len(patients)), size=200
    )
    replicates = []
    for drawn in counts:
        rows = np.concatenate(
            [np.flatnonzero(patient_ids == p) for p, times in zip(patients, drawn, strict=True) for _ in range(times)]
        )
        replicates.append((scores[rows].argmax(axis=2) == np.arange(len(SET))).all(axis=1).mean())
    assert found["set_accuracy"].ci95 == pytest.approx(tuple(np.percentile(replicates, (2.5, 97.5))))
    alone = lead_id_figures(scores[:3], assigned[:3], np.full(3, "p"), SET, num_bootstrap=200)
    assert alone["lead_accuracy"].ci95 is None


def test_all_of_ptbxl_takes_seconds():
    scores, assigned, patient_ids = random_predictions(22_000, 12, seed=3)
    began = time.perf_counter()
    found = lead_id_figures(scores, assigned, patient_ids, LEADS, num_bootstrap=1000)
    assert time.perf_counter() - began < 20
    low, high = found["set_accuracy"].ci95
    assert low < found["set_accuracy"].value < high
    assert found["set_accuracy"].n == 22_000


def test_confusion_and_exchanged_pairs():
    scores, assigned, _ = random_predictions(50, len(SET), seed=4)
    truth = np.tile(np.arange(len(SET)), 50)
    named = scores.argmax(axis=2)
    np.testing.assert_array_equal(lead_confusion(named), confusion_matrix(truth, named.ravel()))
    by_hand = np.array([[0, 1, 2], [1, 0, 2], [1, 0, 2], [0, 2, 1], [1, 2, 0], [0, 0, 2]])
    assert exchanged_pairs(by_hand, ("V1", "V2", "V3")) == {"V1-V2": 2, "V2-V3": 1}
    np.testing.assert_array_equal(is_injective(by_hand), [True] * 5 + [False])
    assert is_injective(assigned).all()
