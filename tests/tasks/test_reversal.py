"""The reversal task: what a record becomes, and what is counted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from configs.reversal import get_config
from ecgjax import leads, tasks
from ecgjax.data.split import Split
from ecgjax.tasks.reversal_figures import CLASS_NAMES, at_prior, prior, reversal_figures

TASK = tasks.build(get_config("ptbxl"))
TASK = dataclasses.replace(TASK, view="signal")
STILL = dataclasses.replace(
    TASK, rotation_rad=0.0, elongation=0.0, displacement=0.0, gain=0.0, noise_mv=0.0, neutral_noise_mv=0.0
)


def record(seed=0):
    potentials = np.random.default_rng(seed).normal(size=(300, len(leads.ELECTRODES)))
    signal_mv = (potentials @ leads.LEADS_FROM_ELECTRODES.T).astype(np.float32)
    return {"signal_mv": jnp.asarray(signal_mv), "record_hash": jnp.int32(7)}


def written():
    """`[placement, time, lead]`: the record under every placement."""
    return np.stack([placement.apply(np.asarray(record()["signal_mv"])) for placement in leads.PLACEMENTS])


def evaluation_views(task):
    """The record under every view, `[view, ...]`."""
    views = jnp.arange(len(CLASS_NAMES))
    return jax.jit(jax.vmap(lambda view: task.evaluation_view(record(), view)))(views)


def training_views(task, count):
    keys = jax.random.split(jax.random.key(0), count)
    drawn = jax.jit(jax.vmap(lambda key: task.training_view(key, record())))(keys)
    return np.asarray(drawn["signal_mv"]), np.asarray(drawn["placement"])


def test_evaluation_view_is_the_record_under_that_placement():
    shown = evaluation_views(STILL)
    np.testing.assert_allclose(shown["signal_mv"], written(), atol=1e-4)
    np.testing.assert_array_equal(shown["placement"], np.arange(len(CLASS_NAMES)))


def test_neutral_noise_shows_only_where_the_neutral_electrode_is_read():
    noisy, still = (evaluation_views(task)["signal_mv"] for task in (TASK, STILL))
    is_noisy = np.abs(noisy - still).max(axis=(1, 2)) > 1e-3
    assert is_noisy.tolist() == [placement.uses_neutral for placement in leads.PLACEMENTS]


def test_training_draws_the_placements_it_names_at_their_shares():
    signal_mv, placement = training_views(STILL, 4000)
    counts = np.bincount(placement, minlength=len(CLASS_NAMES)) / len(placement)
    np.testing.assert_allclose(counts, prior(TASK.none_share), atol=4 * np.sqrt(0.2 * 0.8 / len(placement)))
    np.testing.assert_allclose(signal_mv[:40], written()[placement[:40]], atol=1e-4)


def test_random_chest_orders_are_typed_only_where_they_are_a_class():
    task = dataclasses.replace(STILL, random_chest_share=1.0, none_share=0.0001)
    signal_mv, placement = training_views(task, 500)
    is_same = np.stack([np.isclose(signal_mv, one, atol=1e-4).all(axis=(1, 2)) for one in written()], axis=1)
    is_typed = placement != -1
    assert is_typed.mean() < 0.1
    np.testing.assert_array_equal(is_typed, is_same.any(axis=1))
    assert is_same[is_typed, placement[is_typed]].all()


def test_loss_at_training_shares_is_that_of_outputs_at_even_priors():
    """A network that knows nothing at even priors has the loss of the training shares' own entropy."""
    outputs = jnp.concatenate([jnp.zeros(1), jnp.log(jnp.asarray(prior(0.5)))])[None]
    placements = jnp.arange(len(CLASS_NAMES))
    losses = TASK.loss(jnp.tile(outputs, (len(placements), 1)), {"placement": placements})
    share = prior(TASK.none_share)
    binary = np.where(np.arange(len(share)) == 0, TASK.none_share, 1 - TASK.none_share)
    np.testing.assert_allclose(losses, -np.log(share) - np.log(binary), rtol=1e-5)


def test_unlisted_placements_train_detection_alone():
    rng = np.random.default_rng(0)
    outputs = jnp.asarray(rng.normal(size=(1, TASK.num_outputs)), jnp.float32)
    gradient = jax.grad(lambda o: TASK.loss(o, {"placement": jnp.array([-1])}).sum())(outputs)
    assert gradient[0, 0] != 0
    assert not np.any(gradient[0, 1:])


def test_prior_is_carried_over_by_bayes_rule():
    probability = np.array([0.5, *[0.5 / 18] * 18])
    np.testing.assert_allclose(at_prior(probability, 0.98), prior(0.98), rtol=1e-12)
    np.testing.assert_allclose(at_prior(probability, 0.5), probability, rtol=1e-12)


def some_predictions(num_records=40):
    rng = np.random.default_rng(0)
    placement = np.repeat(np.arange(19), num_records)
    logits = 2.5 * np.eye(19)[placement] + rng.normal(size=(len(placement), 19))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    patients = np.tile(np.arange(num_records) // 2, 19).astype(str)
    return placement, 1 - scores[:, 0], scores, patients


def test_figures_agree_with_sklearn_under_the_even_prior():
    placement, any_reversal, scores, patients = some_predictions()
    figures = reversal_figures(placement, any_reversal, scores, patients, 0)
    weights = np.where(placement == 0, 0.5 / 40, 0.5 / (18 * 40))
    truth, flagged = placement > 0, any_reversal >= 0.5
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(truth, flagged, sample_weight=weights),
        "precision": sklearn.metrics.precision_score(truth, flagged, sample_weight=weights),
        "recall": sklearn.metrics.recall_score(truth, flagged, sample_weight=weights),
        "auroc": sklearn.metrics.roc_auc_score(truth, any_reversal, sample_weight=weights),
        "macro_f1": sklearn.metrics.f1_score(placement, scores.argmax(1), average="macro", sample_weight=weights),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name].value, value, rtol=1e-9, err_msg=name)
    limb = placement < 6
    auroc_limb = sklearn.metrics.roc_auc_score(truth[limb], any_reversal[limb])
    np.testing.assert_allclose(figures["auroc_limb"].value, auroc_limb, rtol=1e-9)


def test_rare_reversals_are_judged_at_their_own_prior():
    placement, any_reversal, scores, patients = some_predictions()
    figures = reversal_figures(placement, any_reversal, scores, patients, 0)
    flagged = any_reversal > 0.98
    sensitivity, false_alarms = np.mean(flagged[placement > 0]), np.mean(flagged[placement == 0])
    ppv = 0.02 * sensitivity / (0.02 * sensitivity + 0.98 * false_alarms)
    np.testing.assert_allclose(figures["ppv_at_2pct"].value, ppv, rtol=1e-9)
    np.testing.assert_allclose(figures["specificity_at_2pct"].value, 1 - false_alarms, rtol=1e-9)


def test_intervals_hold_their_value():
    figures = reversal_figures(*some_predictions(), 100)
    for name in ("accuracy", "macro_f1", "auroc", "recall/RA-LA"):
        low, high = figures[name].ci95
        assert low <= figures[name].value <= high, name


@pytest.mark.parametrize("typed", [True, False])
def test_examples_are_mistakes_and_successes_as_written_by_the_recorder(typed):
    placement, any_reversal, scores, patients = some_predictions()
    ids = np.tile([f"r{i}" for i in range(40)], 19)
    ecg = np.random.default_rng(0).integers(-500, 500, (40, 50, 12)).astype(np.int16)
    split = Split("simulated", "test", ecg, 1000.0, 100.0, leads.LEADS, ids[:40], patients[:40], {})
    task = dataclasses.replace(TASK, typed=typed)
    scores = scores if typed else np.stack([1 - any_reversal, any_reversal], axis=1)
    targets = placement if typed else (placement > 0).astype(int)
    chosen = task.examples(
        split, {"targets": targets, "placement": placement, "scores": scores, "record_ids": ids, "view": placement}
    )
    is_right = chosen["truth"] == chosen["prediction"]
    assert is_right.tolist() == [False] * 3 + [True] * 3
    assert len(set(chosen["record_ids"][:3])) == 3
    assert chosen["truth"][3] == "none"
    row = int(chosen["record_ids"][3][1:])
    independent = [leads.LEADS.index(name) for name in leads.INDEPENDENT_LEADS]
    np.testing.assert_allclose(chosen["signal_mv"][3][:, independent], ecg[row][:, independent] / 1000, atol=1e-6)
