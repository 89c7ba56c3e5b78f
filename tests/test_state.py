import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fake_task import fake_config, fake_split

from configs import common
from ecgjax import state
from ecgjax.data.resident import BatchOrder
from ecgjax.errors import InputError
from ecgjax.experiment import build
from ecgjax.optimizers import SCHEDULES, build_optimizer, build_schedule, optimizer_names
from ecgjax.parallel import to_host

PARAMS = {"kernel": jnp.full((3, 4), 2.0), "bias": jnp.ones(4)}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_rise_to_the_rate_and_fall(name):
    config = common.base().schedule
    config.name, config.learning_rate, config.warmup_fraction, config.final_fraction = name, 0.5, 0.1, 0.01
    rates = np.array([build_schedule(config, 100)(step) for step in range(101)])
    assert rates[0] < 0.05
    assert rates[10] == pytest.approx(0.5)
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) <= 1e-7).all()
    final = {"constant": 0.5, "cosine": 0.005, "linear": 0.005, "exponential": 0.005, "step": 0.0005}
    assert rates[100] == pytest.approx(final.get(name, 0.0), abs=1e-4)


def test_cosine_is_the_closed_form():
    config = common.base().schedule
    config.warmup_fraction, config.final_fraction, config.learning_rate = 0.0, 0.1, 2.0
    rates = [build_schedule(config, 50)(step) for step in range(51)]
    phase = np.arange(51) / 50
    np.testing.assert_allclose(rates, 2.0 * (0.1 + 0.9 * (1 + np.cos(np.pi * phase)) / 2), rtol=1e-5)


@pytest.mark.parametrize("name", optimizer_names())
def test_every_named_optimizer_updates(name):
    config = common.base().optimizer
    config.name = name
    tx = build_optimizer(config, optax.constant_schedule(0.01))
    opt_state = tx.init(PARAMS)
    gradients = jax.tree.map(lambda x: 0.1 * x, PARAMS)
    for _ in range(2):
        updates, opt_state = tx.update(gradients, opt_state, PARAMS)
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(updates))
    assert any(bool(jnp.any(x != 0)) for x in jax.tree.leaves(updates))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_decay_spares_biases(name):
    config = common.base().optimizer
    config.name, config.weight_decay, config.clip_norm = name, 0.5, 0.0
    tx = build_optimizer(config, optax.constant_schedule(0.1))
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, PARAMS), tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.5 * PARAMS["kernel"], rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], 0.0)


def test_gradients_are_clipped_together():
    config = common.base().optimizer
    config.name, config.weight_decay, config.clip_norm = "sgd", 0.0, 0.25
    tx = build_optimizer(config, optax.constant_schedule(1.0))
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    assert optax.tree.norm(updates) == pytest.approx(0.25, rel=1e-5)
    np.testing.assert_allclose(updates["kernel"][0, 0] / updates["bias"][0], 2.0, rtol=1e-6)


def test_options_reach_the_optimizer():
    config = common.base().optimizer
    config.name, config.options, config.weight_decay, config.clip_norm = "sgd", "momentum=0.5", 0.0, 0.0
    tx = build_optimizer(config, optax.constant_schedule(1.0))
    opt_state = tx.init(PARAMS)
    for _ in range(2):
        updates, opt_state = tx.update(PARAMS, opt_state, PARAMS)
    np.testing.assert_allclose(updates["bias"], -1.5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("optimizer.name", "adamm", "unknown optimizer.name 'adamm'; use one of .*adamw"),
        ("optimizer.options", "momentun=1", "optimizer.options holds 'momentun=1'; give NAME=VALUE.*b1"),
        ("optimizer.options", "b1=x", "optimizer.options holds 'b1=x'"),
        ("schedule.name", "cosin", "unknown schedule.name 'cosin'; use one of constant, cosine"),
        ("schedule.warmup_fraction", "2", "between 0 and 1"),
    ],
)
def test_unknown_names_are_told(field, value, message):
    config = common.base()
    common.set_field(config, field, value)
    with pytest.raises(InputError, match=message):
        build_optimizer(config.optimizer, build_schedule(config.schedule, 10))


def run_steps(config, num_steps: int) -> tuple[list, list]:
    """States and figures after each of `num_steps` steps."""
    split = fake_split("train", 37)
    experiment = build(config, split)
    data = experiment.resident(split)
    step = experiment.parallel.compile(experiment.train_step(), donate=False)
    order = BatchOrder(37, config.batch_size, config.seed, None)
    states, figures = [experiment.parallel.replicate(experiment.initial_state())], []
    for number in range(num_steps):
        batch = experiment.parallel.shard({"index": order.indices(number, 1)})
        new, told = step(states[-1], data, batch)
        states.append(new)
        figures.append(to_host(told))
    return states, figures


def test_average_follows_its_recursion(fake):
    config = fake_config()
    config.ema_decay = 0.6
    states, _ = run_steps(config, 8)
    average = states[0].variables
    for number, new in enumerate(states[1:]):
        decay = min(0.6, (1 + number) / (10 + number))
        average = jax.tree.map(lambda old, x, d=decay: d * old + (1 - d) * x, average, new.variables)
    assert set(states[-1].average) == {"params", "batch_stats"}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), states[-1].evaluated(), average)


def test_without_average_evaluation_uses_the_weights(fake):
    states, _ = run_steps(fake_config(), 1)
    assert states[-1].average == {}
    assert states[-1].evaluated() is states[-1].variables


def test_logged_figures_are_means_over_the_interval(fake):
    config = fake_config()
    config.log_every = 1
    _, each = run_steps(config, 8)
    config.log_every = 4
    _, means = run_steps(config, 8)
    for name in ("loss", "grad_norm"):
        expected = np.mean([figures[name] for figures in each[4:8]])
        assert means[7][name] == pytest.approx(expected, rel=1e-6)


def test_first_bad_step_is_remembered(fake):
    config = fake_config()
    config.optimizer.name, config.optimizer.clip_norm, config.schedule.warmup_fraction = "sgd", 0.0, 0.0
    config.schedule.learning_rate = 1e38
    _, figures = run_steps(config, 6)
    bad = [int(told["bad_step"]) for told in figures]
    first = next(step for step in bad if step > 0)
    assert first > 1
    assert bad == [-1] * (first - 1) + [first] * (7 - first)


def test_seed_decides_the_weights(fake):
    config = fake_config()
    split = fake_split("train", 37)
    first, again = (build(config, split).initial_state() for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    config.seed = 1
    other = build(config, split).initial_state()
    kernel = "Dense_0", "kernel"
    assert not np.array_equal(
        other.variables["params"][kernel[0]][kernel[1]], first.variables["params"][kernel[0]][kernel[1]]
    )


def test_everything_but_compute_stays_float32(fake):
    config = fake_config()
    config.dtype = "bfloat16"
    states, figures = run_steps(config, 2)
    floats = {x.dtype for x in jax.tree.leaves(states[-1]) if jnp.issubdtype(x.dtype, jnp.floating)}
    assert floats == {jnp.dtype("float32")}
    assert figures[-1]["loss"].dtype == np.float32
    config.dtype = "float32"
    _, exact = run_steps(config, 2)
    assert figures[-1]["loss"] == pytest.approx(exact[-1]["loss"], rel=0.02)
    assert figures[-1]["loss"] != exact[-1]["loss"]


def test_num_parameters_leaves_statistics_out(fake):
    assert build(fake_config(), fake_split("train", 4)).num_parameters() == 3 * 8 + 8 + 8 + 8 * 1 + 1
    assert state.num_parameters(build(fake_config(), fake_split("train", 4)).initial_state()) == 49
