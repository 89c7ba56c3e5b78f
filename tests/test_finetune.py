"""Runs that begin with the weights of another one."""

import fake_task
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import common
from ecgjax import finetune
from ecgjax.checkpoints import Checkpoints
from ecgjax.errors import InputError
from ecgjax.train import train_and_evaluate
from ecgjax.workdir import CHECKPOINTS, read_config


def best_variables(workdir):
    with Checkpoints(workdir / CHECKPOINTS, read_config(workdir).to_dict(), writes=False) as checkpoints:
        return checkpoints.restore_best_variables()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The folder of a finished run."""
    workdir = tmp_path_factory.mktemp("source")
    with fake_task.installed():
        train_and_evaluate(fake_task.fake_config(), workdir)
    return workdir


def further(source, **changes):
    config = fake_task.fake_config()
    config.init = str(source)
    for name, value in changes.items():
        config.freeze[name] = value
    return config


def test_begins_with_the_weights_of_the_run_as_far_as_they_fit(source):
    learnt = best_variables(source)
    fresh = jax.tree.map(lambda x: np.full_like(x, 7), learnt)
    fresh["params"]["Dense_1"]["kernel"] = np.full((8, 5), 7, np.float32)
    found = finetune.initial_variables(further(source), fresh, ())
    np.testing.assert_array_equal(found["params"]["Dense_0"]["kernel"], learnt["params"]["Dense_0"]["kernel"])
    np.testing.assert_array_equal(
        found["batch_stats"]["BatchNorm_0"]["mean"], learnt["batch_stats"]["BatchNorm_0"]["mean"]
    )
    assert (found["params"]["Dense_1"]["kernel"] == 7).all()


def test_an_output_for_other_labels_begins_at_zero(source, monkeypatch):
    learnt = best_variables(source)
    fresh = jax.tree.map(np.ones_like, learnt)
    head = ("Dense_1/kernel", "Dense_1/bias")
    same = finetune.initial_variables(further(source), fresh, head)["params"]
    np.testing.assert_array_equal(same["Dense_1"]["kernel"], learnt["params"]["Dense_1"]["kernel"])
    monkeypatch.setattr(finetune, "_answers_alike", lambda config, source: False)
    other = finetune.initial_variables(further(source), fresh, head)["params"]
    assert not other["Dense_1"]["kernel"].any()
    np.testing.assert_array_equal(other["Dense_0"]["kernel"], learnt["params"]["Dense_0"]["kernel"])


@pytest.mark.parametrize("steps", [10_000, finetune.ALWAYS])
def test_frozen_weights_stay_until_they_thaw(source, tmp_path, steps):
    learnt = best_variables(source)["params"]
    config = further(source, weights="Dense_0", steps=steps)
    with fake_task.installed():
        train_and_evaluate(config, tmp_path)
    found = best_variables(tmp_path)["params"]
    np.testing.assert_array_equal(found["Dense_0"]["kernel"], learnt["Dense_0"]["kernel"])
    assert np.abs(found["Dense_1"]["kernel"] - learnt["Dense_1"]["kernel"]).max() > 0


def test_they_move_from_the_step_on_that_is_named():
    options = common.base().freeze
    options.weights, options.steps = "^body", 2
    params = {"body": jnp.ones(3), "head": jnp.ones(3)}
    optimizer = finetune.thawing(optax.sgd(0.1), options)
    state, moves = optimizer.init(params), []
    for _ in range(3):
        updates, state = optimizer.update({"body": jnp.ones(3), "head": jnp.ones(3)}, state, params)
        moves.append((float(updates["body"][0]), float(updates["head"][0])))
    np.testing.assert_allclose(moves, [(0, -0.1), (0, -0.1), (-0.1, -0.1)], rtol=1e-6)


@pytest.mark.parametrize(("field", "value"), [("fold", 3), ("leave_out", "device=X")])
def test_a_run_that_has_seen_the_tested_records_is_refused(source, field, value):
    config = further(source)
    config.data[field] = value
    with pytest.raises(InputError, match=f"trained with data.{field}=.* may have seen"):
        finetune.initial_variables(config, best_variables(source), ())


def test_mistakes_are_told_in_one_line(source, tmp_path):
    with pytest.raises(InputError, match="no weight of .* fits"):
        finetune.initial_variables(further(source), {"params": {"other": np.zeros(2)}}, ())
    with pytest.raises(InputError, match=r"there is no .*config\.json"):
        finetune.initial_variables(further(tmp_path), {}, ())
    options = further(source, weights="(", steps=1).freeze
    with pytest.raises(InputError, match="no regular expression"):
        finetune.thawing(optax.sgd(0.1), options)
    options.weights = "nothing"
    with pytest.raises(InputError, match="names no weight; use one of head"):
        finetune.thawing(optax.sgd(0.1), options).init({"head": np.zeros(2)})
