"""The rhythm task: classes and weights, the challenge's score, decisions, baselines and examples."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from made_rhythms import made_rhythms, task
from sklearn.metrics import f1_score, roc_auc_score

from ecgjax.data.feed import ResidentFeed
from ecgjax.data.rhythms import CLASSES
from ecgjax.errors import InputError
from ecgjax.evaluate import Evaluator
from ecgjax.parallel import Parallel
from ecgjax.tasks import rhythm_baselines
from ecgjax.tasks.rhythm_figures import best_offsets

RHYTHMS = "NNNNNNAAAOO~"


class Counts(nn.Module):
    """Outputs that betray the recording: its length."""

    @nn.compact
    def __call__(self, signal, is_training):
        return jnp.sum(signal[..., 1], axis=1, keepdims=True) * jnp.array([1e-3, 0, 0, 0])


def predictions(made, split, scores):
    return {
        "targets": made.targets(split)["classes"],
        "scores": np.asarray(scores, np.float32),
        "patient_ids": split.patient_ids,
        "record_ids": split.record_ids,
    }


def test_every_recording_is_scored_once_with_its_own_class():
    split, made = made_rhythms(RHYTHMS), task()
    parallel = Parallel("pmap")
    evaluator = Evaluator(made, Counts(), parallel, 8, windows=None)
    found, _ = evaluator.predict([{}], ResidentFeed(parallel, split, made.targets(split)), split)
    np.testing.assert_array_equal(found["record_ids"], split.record_ids)
    np.testing.assert_array_equal(found["targets"], [CLASSES.index(name) for name in RHYTHMS])
    logits = np.zeros((len(split), 4))
    logits[:, 0] = 1e-3 * split.labels["num_samples"]
    np.testing.assert_allclose(found["scores"], scipy.special.softmax(logits, axis=1), rtol=1e-4)


@pytest.mark.parametrize(("weighting", "power"), [("none", 0), ("inverse", -1), ("sqrt_inverse", -0.5)])
def test_rare_classes_weigh_more(weighting, power):
    expected = np.array([float(RHYTHMS.count(name)) for name in RHYTHMS]) ** power
    weight = task(weighting=weighting).targets(made_rhythms(RHYTHMS))["loss_weight"]
    np.testing.assert_allclose(weight, expected / expected.mean(), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_its_formula_and_unweighted_in_evaluation(smoothing):
    split, made = made_rhythms(RHYTHMS), task(label_smoothing=smoothing, weighting="inverse")
    targets = {name: jnp.asarray(values) for name, values in made.targets(split).items()}
    outputs = np.random.default_rng(0).normal(size=(len(split), 4)).astype(np.float32)
    wanted = (1 - smoothing) * np.eye(4)[targets["classes"]] + smoothing / 4
    expected = -(wanted * scipy.special.log_softmax(outputs, axis=1)).sum(axis=1)
    np.testing.assert_allclose(made.loss(outputs, targets), expected * targets["loss_weight"], rtol=1e-4)
    records = {"signal_mv": jnp.zeros((len(split), 300, 1)), "num_samples": jnp.full(len(split), 300), **targets}
    shown = jax.vmap(made.evaluation_view, (0, None))(records, jnp.int32(0))
    np.testing.assert_allclose(made.loss(outputs, shown), expected, rtol=1e-4)


def test_figures_are_those_of_scikit_learn():
    split, made = made_rhythms(RHYTHMS * 5), task()
    scores = np.random.default_rng(1).dirichlet(np.ones(4), len(split))
    given = predictions(made, split, scores)
    found = made.metrics(given, 20)
    truth, decided = given["targets"], scores.argmax(axis=1)
    by_class = f1_score(truth, decided, average=None)
    assert found["f1_ano"].value == pytest.approx(by_class[:3].mean())
    assert found["f1_ano"].ci95[0] < found["f1_ano"].value < found["f1_ano"].ci95[1]
    assert found["macro_f1"].value == pytest.approx(by_class.mean())
    assert found["accuracy"].value == pytest.approx(np.mean(truth == decided))
    for k, name in enumerate(CLASSES):
        assert found[f"f1/{name}"].value == pytest.approx(by_class[k])
        assert found[f"recall/{name}"].value == pytest.approx(np.mean(decided[truth == k] == k))
        assert found[f"auroc/{name}"].value == pytest.approx(roc_auc_score(truth == k, given["scores"][:, k]))
    assert {f"precision/{name}" for name in CLASSES} | {"macro_auroc"} <= found.keys()


def test_tuned_decisions_raise_the_score_of_the_challenge():
    split, made = made_rhythms("N" * 40 + "A" * 8 + "O" * 20 + "~" * 4), task(decision="tuned")
    truth = made.targets(split)["classes"]
    logits = np.zeros((len(split), 4))
    logits[:, 0] = 1.0
    logits[truth > 0, truth[truth > 0]] = 0.6
    logits[:, 3] -= 1
    given = predictions(made, split, scipy.special.softmax(logits, axis=1))
    before, tuned = made.metrics(given, 0), made.tuned(given)
    after = tuned.metrics(given, 0)
    assert after["f1_ano"].value == 1 > before["f1_ano"].value
    assert after["offset/N"].value == 0 < after["offset/A"].value < 1
    assert not any(name.startswith("offset") for name in before)
    plain = task()
    assert plain.tuned({}) is plain


def test_what_is_right_already_is_not_moved():
    truth = np.array([0, 1, 2, 3] * 3)
    assert best_offsets(truth, 0.7 * np.eye(4)[truth] + 0.075) == (0, 0, 0, 0)


def test_features_beat_the_majority_and_gains_are_paired():
    train, test = made_rhythms(RHYTHMS * 4, seed=1), made_rhythms(RHYTHMS, seed=2)
    made = task()
    truth = made.targets(test)["classes"]
    found = made.baselines(made.rivals(train, test), test, predictions(made, test, np.eye(4)[truth]), num_bootstrap=20)
    assert list(found) == ["majority_class", "features"]
    assert found["majority_class"]["accuracy"].value == 0.5
    assert found["majority_class"]["gain/accuracy"].value == 0.5
    assert found["features"]["f1_ano"].value > 0.9
    assert found["features"]["gain/f1_ano"].value == pytest.approx(1 - found["features"]["f1_ano"].value)


def test_trees_of_one_class_know_no_other():
    train, test = made_rhythms("NNN"), made_rhythms("NA")
    scores = rhythm_baselines.class_scores(train, np.zeros(3, int), test, 100, seed=0)["features"]
    np.testing.assert_array_equal(scores, [[1, 0, 0, 0]] * 2)


def test_examples_hold_right_and_wrong_recordings_of_each_class():
    split, made = made_rhythms(RHYTHMS), task()
    truth = made.targets(split)["classes"]
    named = np.where(np.arange(len(truth)) % 2, truth, (truth + 1) % 4)
    found = made.examples(split, predictions(made, split, np.eye(4)[named]))
    for name, expected in (("N", (2, 2)), ("A", (1, 2)), ("O", (1, 1)), ("~", (1, 0))):
        is_right = (found["truth"] == found["prediction"])[found["truth"] == name]
        assert (is_right.sum(), (~is_right).sum()) == expected
    row = list(split.record_ids).index(found["record_ids"][0])
    np.testing.assert_allclose(found["strip_mv"][0], split.ecg[row, :, 0] / 1000, rtol=1e-6)
    assert found["strip_samples"][0] == split.labels["num_samples"][row]


def test_other_datasets_and_bad_options_are_refused():
    split = made_rhythms("NA")
    assert task().excluded(split) == {}
    for labels in ({}, {"rhythm": np.array(["sinus", "afib"])}):
        with pytest.raises(InputError, match="cinc2017/default holds no rhythms to tell; use simulated_rhythms"):
            task().excluded(dataclasses.replace(split, labels=labels))
    for option in ("weighting", "decision"):
        with pytest.raises(InputError, match=f"unknown rhythm.{option} 'x'"):
            task(**{option: "x"})
    for option, value in (("label_smoothing", 1.0), ("baseline_records", 0)):
        with pytest.raises(InputError, match=f"rhythm.{option} is"):
            task(**{option: value})
