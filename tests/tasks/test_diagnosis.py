"""The diagnosis task: targets and weights, what is left out, and that every record is scored once as itself."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from test_reversal_baselines import population

from configs import diagnosis as config_file
from ecgjax import scp, tasks
from ecgjax.data.feed import ResidentFeed
from ecgjax.errors import InputError
from ecgjax.evaluate import Evaluator
from ecgjax.parallel import Parallel

CODES = (["NORM", "SR"], ["AFIB", "CLBBB"], ["1AVB", "SR"], [], ["STACH"], ["LVOLT", "SBRAD"], ["NORM"])


def task(**options):
    config = config_file.get_config("smoke")
    config.diagnosis.update(options)
    return tasks.build(config)


def coded_population(num_records, seed):
    """Records with statements by turns, in an order of their own."""
    split = population(num_records, seed)
    column = np.empty(num_records, object)
    turns = np.random.default_rng(seed).permutation(num_records)
    column[:] = [np.array(CODES[k % len(CODES)], str) for k in turns]
    return dataclasses.replace(split, labels={"scp_codes": column})


class FirstSamples(nn.Module):
    """Outputs that betray the record: its first sample in six leads."""

    @nn.compact
    def __call__(self, signal_mv, is_training):
        return signal_mv[:, 0, :6]


@pytest.mark.parametrize("batch_size", [4, 11, 16])
def test_every_record_is_scored_once_with_its_own_labels(batch_size):
    split, made = coded_population(11, seed=0), task()
    parallel = Parallel("pmap")
    evaluator = Evaluator(made, FirstSamples(), parallel, batch_size, windows=None)
    predictions, _ = evaluator.predict([{}], ResidentFeed(parallel, split, made.targets(split)), split)
    np.testing.assert_array_equal(predictions["record_ids"], split.record_ids)
    np.testing.assert_array_equal(predictions["targets"], scp.labels(split, "six"))
    expected = jax.nn.sigmoid(split.ecg[:, 0, :6] / np.float32(split.gain))
    np.testing.assert_allclose(predictions["scores"], expected, atol=1e-6)


def test_only_sets_that_all_records_belong_to_leave_out_records():
    split = coded_population(14, seed=0)
    assert task().excluded(split) == {}
    ((reason, is_out),) = task(labels="superclass").excluded(split).items()
    assert reason == "no label of the set superclass"
    has_diagnosis = [any(scp.STATEMENTS[code].superclass for code in codes) for codes in split.labels["scp_codes"]]
    np.testing.assert_array_equal(is_out, ~np.array(has_diagnosis))


def test_balanced_positives_weigh_as_much_as_all_negatives():
    split = coded_population(21, seed=0)
    plain, balanced = (task(weighting=name).targets(split) for name in ("none", "balanced"))
    assert (plain["loss_weight"] == 1).all()
    is_class, weight = balanced["classes"], balanced["loss_weight"]
    occurs = is_class.any(axis=0)
    positives, negatives = (np.where(where, weight, 0).sum(axis=0) for where in (is_class, ~is_class))
    np.testing.assert_allclose(positives[occurs], negatives[occurs], rtol=1e-6)
    assert not occurs.all()
    assert (weight[:, ~occurs] == 1).all()


def test_loss_is_weighted_cross_entropy_and_plain_in_evaluation():
    split, made = coded_population(14, seed=0), task(weighting="balanced")
    targets = {name: jnp.asarray(values) for name, values in made.targets(split).items()}
    outputs = np.random.default_rng(0).normal(size=(14, 6)).astype(np.float32)
    probability = 1 / (1 + np.exp(-outputs.astype(float)))
    each = -np.log(np.where(targets["classes"], probability, 1 - probability))
    loss = made.loss(outputs, targets)
    np.testing.assert_allclose(loss, (each * targets["loss_weight"]).mean(axis=1), rtol=1e-5)
    record = {"signal_mv": jnp.zeros((250, 12)), **{name: values[1] for name, values in targets.items()}}
    trained = jax.jit(made.training_view)(jax.random.key(0), record)
    np.testing.assert_array_equal(trained["loss_weight"], targets["loss_weight"][1])
    shown = jax.jit(made.evaluation_view)(record, jnp.int32(0))
    plain = sklearn.metrics.log_loss(targets["classes"][1], probability[1])
    np.testing.assert_allclose(made.loss(outputs[1:2], jax.tree.map(lambda x: x[None], shown)), plain, rtol=1e-5)


def test_tuned_on_validation_and_measured_on_test():
    made = task()
    rng = np.random.default_rng(0)
    is_class = rng.uniform(size=(60, 6)) < 0.3
    scores = (0.2 + 0.1 * is_class + 0.01 * rng.uniform(size=is_class.shape)).astype(np.float32)
    given = {"targets": is_class.astype(np.int8), "scores": scores, "patient_ids": np.arange(60).astype(str)}
    assert "macro_f1" not in made.metrics(given, 0)
    found = made.tuned(given).metrics(given, 0)
    assert found["macro_f1"].value == found["challenge_f2"].value == found["challenge_g2"].value == 1
    assert 0.21 < found["threshold/AFIB"].value < 0.3
    split = coded_population(60, seed=0)
    examples = made.tuned(given).examples(split, {**given, "record_ids": split.record_ids})
    assert examples["signal_mv"].shape == (5, split.ecg.shape[1], 12)
    np.testing.assert_array_equal(examples["truth"], examples["prediction"])


def test_baselines_beat_chance_where_there_is_something_to_learn():
    rng = np.random.default_rng(0)
    train, test = population(120, seed=1), population(60, seed=2)
    splits = []
    for split in (train, test):
        is_large = rng.uniform(size=len(split)) < 0.5
        column = np.empty(len(split), object)
        column[:] = [np.array(["LVH"] if large else ["NORM"], str) for large in is_large]
        gain = np.where(is_large, 1.5, 1.0)[:, None, None]
        ecg = np.round(split.ecg * gain).astype(np.int16)
        splits.append(dataclasses.replace(split, ecg=ecg, labels={"scp_codes": column}))
    train, test = splits
    made = task(labels="superclass", leads="I+V2")
    truth = scp.labels(test, "superclass")
    predictions = {"targets": truth, "scores": truth + 0.0, "patient_ids": test.patient_ids}
    found = made.baselines(made.rivals(train, test), test, predictions, num_bootstrap=50)
    assert list(found) == ["no_skill", "logistic_regression"]
    assert found["no_skill"]["macro_auroc"].value == 0.5
    assert found["logistic_regression"]["macro_auroc"].value > 0.8
    assert found["logistic_regression"]["macro_auprc"].value > found["no_skill"]["macro_auprc"].value
    assert found["no_skill"]["gain/macro_auroc"].value == 0.5


def test_unknown_options_are_refused():
    with pytest.raises(InputError, match="unknown set of labels 'seven'"):
        task(labels="seven")
    with pytest.raises(InputError, match="unknown diagnosis.weighting 'some'"):
        task(weighting="some")
