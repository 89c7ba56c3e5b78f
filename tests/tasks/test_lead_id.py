import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_reversal_baselines import population

from configs import lead_id as config_file
from ecgjax import leads, tasks
from ecgjax.errors import InputError


def task(**options):
    config = config_file.get_config("smoke")
    config.lead_id.update(options)
    return tasks.build(config)


def record(split, row):
    return {"signal_mv": jnp.asarray(split.ecg[row] / split.gain, jnp.float32), "record_hash": jnp.int32(7 + row)}


def training_views(made, split, count):
    keys = jax.random.split(jax.random.key(0), count)
    return jax.jit(jax.vmap(lambda key: made.training_view(key, record(split, 0))))(keys)


@pytest.fixture(scope="module")
def split():
    return population(4, seed=0)


@pytest.mark.parametrize("view", ["beat", "signal"])
def test_views_shuffle_leads_and_know_their_names(view, split):
    shown = jax.jit(task(view=view).evaluation_view)(record(split, 0), jnp.int32(0))
    ordered = shown["signal_mv"][:, shown["lead_of"]]
    np.testing.assert_array_equal(shown["names"][shown["lead_of"]], np.arange(12))
    np.testing.assert_allclose(ordered[:, 0] + ordered[:, 2], ordered[:, 1], atol=3e-3)
    if view == "signal":
        np.testing.assert_allclose(ordered, split.ecg[0] / split.gain, atol=1e-6)


def test_every_record_is_shuffled_anew_in_training_and_always_alike_in_evaluation(split):
    made = task(view="signal")
    orders = {tuple(names) for names in training_views(made, split, 8)["names"].tolist()}
    assert len(orders) > 3
    view = jax.jit(made.evaluation_view)
    names = [view(record(split, row), jnp.int32(0))["names"].tolist() for row in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def test_training_shows_at_least_min_leads(split):
    made = task(view="signal", min_leads=2)
    views = training_views(made, split, 200)
    asked = np.asarray(views["is_asked"])
    assert {2, 12} <= set(asked.sum(axis=1).tolist())
    visible = np.any(np.asarray(views["signal_mv"]) != 0, axis=1)
    np.testing.assert_array_equal(np.take_along_axis(visible, np.asarray(views["lead_of"]), axis=1), asked)


def test_loss_and_scores_belong_to_the_true_leads(split):
    made = task(view="signal")
    views = training_views(made, split, 8)
    outputs = 20.0 * jax.nn.one_hot(views["names"], 12)
    assert np.all(made.loss(outputs, views) < 1e-4)
    predictions = {name: np.asarray(values) for name, values in made.predict(outputs, views).items()}
    np.testing.assert_array_equal(predictions["scores"].argmax(axis=2), predictions["targets"])
    np.testing.assert_array_equal(made.decode(predictions)["assigned"], predictions["targets"])
    assert np.all(made.loss(jnp.roll(outputs, 1, axis=2), views) > 10)


def test_leads_by_set_or_list():
    assert task(leads="precordial", min_leads=0).class_names() == leads.PRECORDIAL_LEADS
    assert task(leads="v5,I,avr").class_names() == ("I", "aVR", "V5")
    with pytest.raises(InputError, match="unknown lead name 'V9'"):
        task(leads="V1,V9")
    with pytest.raises(InputError, match="fewer than two leads"):
        task(leads="V1")
    with pytest.raises(InputError, match="min_leads is 13"):
        task(min_leads=13)
    with pytest.raises(InputError, match="unknown lead_id.view 'beats'"):
        task(view="beats")


def test_baselines_and_examples(split):
    made = task()
    many = population(40, seed=1)
    found = made.baselines(made.rivals(many, split), split, {}, num_bootstrap=10)
    assert set(found) == {"chance", "identities_alone", "each_lead_alone"}
    assert found["identities_alone"]["set_accuracy_limb"].value == 1
    assert found["each_lead_alone"]["lead_accuracy"].value > found["chance"]["lead_accuracy"].value
    scores = np.tile(np.eye(12, dtype=np.float32)[[1, 0, *range(2, 12)]], (4, 1, 1))
    predictions = {"scores": scores, "record_ids": split.record_ids, **made.decode({"scores": scores})}
    drawn = made.examples(split, predictions)
    assert drawn["signal_mv"].shape == (3, split.ecg.shape[1], 12)
    assert set(drawn["prediction"]) == {"II for I, I for II"}
    assert dataclasses.is_dataclass(made)
