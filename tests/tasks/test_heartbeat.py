"""The heartbeat task: classes and weights, what is left out, losses, decisions, baselines and examples."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from made_beats import made_beats, task

from ecgjax.data.feed import ResidentFeed
from ecgjax.data.heartbeats import CLASSES, CUT_SAMPLES
from ecgjax.errors import InputError
from ecgjax.evaluate import Evaluator
from ecgjax.parallel import Parallel
from ecgjax.tasks import heartbeat_baselines
from ecgjax.tasks.heartbeat_view import log_intervals

BEATS = "NNNNNNVVVSSFQ"


class FirstSamples(nn.Module):
    """Outputs that betray the beat: its first samples."""

    num_outputs: int

    @nn.compact
    def __call__(self, signal_mv, is_training):
        return signal_mv[:, : self.num_outputs, 0]


def predictions(made, split, scores):
    return {
        "targets": made.targets(split)["classes"],
        "scores": np.asarray(scores, np.float32),
        "patient_ids": split.patient_ids,
        "record_ids": split.record_ids,
    }


@pytest.mark.parametrize("classes", ["aami", "binary"])
def test_every_beat_is_scored_once_with_its_own_class(classes):
    split, made = made_beats(BEATS), task(classes=classes)
    parallel = Parallel("pmap")
    evaluator = Evaluator(made, FirstSamples(made.num_outputs), parallel, 8, windows=None)
    found, _ = evaluator.predict([{}], ResidentFeed(parallel, split, made.targets(split)), split)
    np.testing.assert_array_equal(found["record_ids"], split.record_ids)
    expected = [CLASSES.index(name) if classes == "aami" else name != "N" for name in BEATS]
    np.testing.assert_array_equal(found["targets"], expected)
    assert found["scores"].shape == (len(BEATS), len(made.class_names()))
    np.testing.assert_allclose(found["scores"].sum(axis=1), 1, atol=1e-6)


def test_four_classes_leave_the_fifth_out_and_two_need_none():
    split = made_beats(BEATS)
    ((reason, is_out),) = task(classes="aami4").excluded(split).items()
    assert reason == "class Q"
    np.testing.assert_array_equal(is_out, split.labels["beat_class"] == "Q")
    assert task(classes="aami").excluded(split) == {}
    unknown = dataclasses.replace(split, labels={**split.labels, "beat_class": np.array([""] * len(split))})
    assert task(classes="binary").excluded(unknown) == {}
    with pytest.raises(InputError, match=r"does not know the class of every beat; use heartbeat\.classes=binary"):
        task(classes="aami").excluded(unknown)


def test_weights_have_mean_one_and_follow_their_formulas():
    split = made_beats(BEATS)
    count = np.array([BEATS.count(name) for name in BEATS])
    formulas = {
        "none": np.ones(len(BEATS)),
        "inverse": 1 / count,
        "sqrt_inverse": 1 / np.sqrt(count),
        "effective": (1 - 0.9) / (1 - 0.9**count),
    }
    for weighting, expected in formulas.items():
        weight = task(weighting=weighting, effective_beta=0.9).targets(split)["loss_weight"]
        np.testing.assert_allclose(weight, expected / expected.mean(), rtol=1e-6)


def test_balanced_sampling_draws_classes_equally_often():
    split = made_beats(BEATS)
    assert task(sampling="natural").sampling_weights(split) is None
    for sampling, power in (("balanced", 0.0), ("sqrt", 0.5)):
        weight = task(sampling=sampling).sampling_weights(split)
        by_class = [weight[split.labels["beat_class"] == name].sum() for name in CLASSES]
        expected = np.array([BEATS.count(name) for name in CLASSES]) ** power
        np.testing.assert_allclose(np.array(by_class) / sum(by_class), expected / expected.sum())


@pytest.mark.parametrize("classes", ["aami", "binary"])
@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_losses_are_their_formulas_and_plain_in_evaluation(classes, loss):
    split, made = made_beats(BEATS), task(classes=classes, loss=loss, focal_gamma=2.0, weighting="inverse", view="cut")
    targets = {name: jnp.asarray(values) for name, values in made.targets(split).items()}
    outputs = np.random.default_rng(0).normal(size=(len(split), made.num_outputs)).astype(np.float32)
    if classes == "binary":
        log_p = np.where(targets["classes"] == 1, 1, -1) * outputs[:, 0].astype(float)
        log_p = -np.log1p(np.exp(-log_p))
    else:
        log_p = scipy.special.log_softmax(outputs.astype(float), axis=1)[np.arange(len(split)), targets["classes"]]
    expected = -log_p * ((1 - np.exp(log_p)) ** 2 if loss == "focal" else 1)
    np.testing.assert_allclose(made.loss(outputs, targets), expected * targets["loss_weight"], rtol=1e-4)
    signal_mv = jnp.asarray(split.ecg / split.gain, jnp.float32)
    shown = jax.vmap(made.evaluation_view, (0, None))({"signal_mv": signal_mv, **targets}, jnp.int32(0))
    assert shown["signal_mv"].shape == (len(split), CUT_SAMPLES, 1)
    np.testing.assert_allclose(made.loss(outputs, shown), expected, rtol=1e-4)


def test_focal_loss_has_finite_gradients_where_all_is_right():
    made = task(loss="focal", focal_gamma=0.5)
    batch = {"classes": jnp.array([0]), "loss_weight": jnp.ones(1)}
    gradient = jax.grad(lambda outputs: made.loss(outputs, batch).sum())(jnp.array([[200.0, 0, 0, 0, 0]]))
    assert np.isfinite(gradient).all()


def test_threshold_is_tuned_and_stated():
    split, made = made_beats(BEATS), task(classes="binary")
    is_abnormal = split.labels["is_abnormal"]
    probability = 0.2 + 0.1 * is_abnormal
    given = predictions(made, split, np.stack([1 - probability, probability], axis=1))
    before = made.metrics(given, 0)
    assert before["auroc"].value == before["auprc"].value == 1
    assert "f1" not in before
    found = made.tuned(given).metrics(given, 20)
    for name in ("accuracy", "balanced_accuracy", "f1", "sensitivity", "specificity", "precision", "macro_f1"):
        assert found[name].value == 1
    assert found["threshold"].value == pytest.approx(0.25)
    assert found["accuracy"].ci95 == (1, 1)


def test_prior_correction_names_rare_classes_that_are_ranked_rightly():
    split, made = made_beats("N" * 60 + "V" * 6 + "SFQ"), task(decision="prior_corrected")
    truth = made.targets(split)["classes"]
    scores = np.full((len(truth), 5), 0.01)
    scores[:, 0] = 0.7
    scores[truth > 0, truth[truth > 0]] = 0.3
    given = predictions(made, split, scores / scores.sum(axis=1, keepdims=True))
    assert made.metrics(given, 0)["recall/V"].value == 0
    found = made.tuned(given).metrics(given, 0)
    assert found["macro_f1"].value == found["balanced_accuracy"].value == 1
    assert found["offset/V"].value > found["offset/N"].value
    plain = task()
    assert plain.tuned({}) is plain


def test_trees_tell_widths_apart_and_gains_are_paired():
    train, test = made_beats("NV" * 40, seed=1), made_beats("NV" * 20, seed=2)
    made = task(classes="binary")
    truth = test.labels["is_abnormal"]
    given = predictions(made, test, np.stack([~truth, truth], axis=1))
    found = made.tuned(given).baselines(made.rivals(train, test), test, given, num_bootstrap=20)
    assert list(found) == ["majority_class", "boosted_trees"]
    assert found["majority_class"]["auroc"].value == 0.5
    assert found["majority_class"]["gain/auroc"].value == 0.5
    assert found["boosted_trees"]["auroc"].value > 0.95


def test_trees_learn_from_the_rare_classes_first():
    classes = np.repeat([0, 1, 3], [500, 40, 5])
    drawn = heartbeat_baselines.drawn_evenly(classes, 100, seed=0)
    assert len(np.unique(drawn)) == 100
    np.testing.assert_array_equal(np.bincount(classes[drawn]), [55, 40, 0, 5])
    assert len(heartbeat_baselines.drawn_evenly(classes, 10_000, seed=0)) == len(classes)


@pytest.mark.parametrize("view", ["cut", "wide"])
def test_trees_see_what_the_network_sees(view):
    split, made = made_beats(BEATS), task(view=view, scaling="mv")
    seen = heartbeat_baselines.inputs(split, made.targets(split), made.shown)
    if view == "cut":
        assert seen.shape == (len(split), CUT_SAMPLES)
        assert (seen[:, 120:] == 0).all()
    else:
        np.testing.assert_allclose(seen[:, :500].reshape(-1, 250, 2), split.ecg[:, :, ::2] / 1000, atol=1e-6)
        np.testing.assert_allclose(seen[:, 500:], log_intervals(split), atol=1e-6)


def test_examples_hold_right_and_wrong_beats_of_each_class():
    split, made = made_beats(BEATS), task()
    truth = made.targets(split)["classes"]
    named = np.where(np.arange(len(truth)) % 2, truth, (truth + 1) % 5)
    found = made.examples(split, predictions(made, split, np.eye(5)[named]))
    for name, expected in (("N", (3, 2)), ("V", (1, 2)), ("S", (1, 1)), ("F", (1, 0)), ("Q", (0, 1))):
        is_right = (found["truth"] == found["prediction"])[found["truth"] == name]
        assert (is_right.sum(), (~is_right).sum()) == expected
    row = list(split.record_ids).index(found["record_ids"][0])
    np.testing.assert_allclose(found["beat_mv"][0], split.ecg[row][:, ::2] / 1000, rtol=1e-6)
    assert found["r_sample"] == 63


def test_bad_options_are_refused():
    for option in ("classes", "loss", "weighting", "sampling", "decision", "view", "scaling"):
        with pytest.raises(InputError, match=f"unknown heartbeat.{option} 'x'"):
            task(**{option: "x"})
    for option, value in (("effective_beta", 1.0), ("focal_gamma", -1.0), ("baseline_beats", 0)):
        with pytest.raises(InputError, match=f"heartbeat.{option} is"):
            task(**{option: value})
