"""The published residual network and its copy at the full rate: sizes as published, and what fits them."""

import jax
import jax.numpy as jnp
import pytest

from configs.diagnosis import get_config
from ecgjax import models
from ecgjax.errors import InputError


def build(name="ribeiro_net", **options):
    model = get_config(f"model={name}").model
    model[name].update(options)
    return models.build(model, 6, jnp.dtype("float32"), None)


def sizes(module, time):
    """Number of parameters and of statistics."""
    signal = jax.ShapeDtypeStruct((1, time, 12), jnp.float32)
    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, is_training=False), signal)
    return {group: sum(x.size for x in jax.tree.leaves(tree)) for group, tree in shapes.items()} | {"tree": shapes}


def test_parameters_as_published():
    of = sizes(build(factors=(4, 4, 4, 4)), 4096)
    convolutions, inputs = 16 * 12 * 64, 64
    for features in (128, 196, 256, 320):
        convolutions += 16 * (inputs + features) * features + inputs * features
        inputs = features
    norms, head = 2 * (64 + 2 * (128 + 196 + 256 + 320)), 16 * 320 * 6 + 6
    assert of["params"] == convolutions + norms + head == 6_421_910
    assert of["batch_stats"] == norms


@pytest.mark.parametrize(
    ("factors", "time"), [((4, 4, 4, 4), 4000), ((2, 2, 2, 2), 250), ((1, 4, 4, 4), 1000), ((5, 4, 4, 4), 5000)]
)
def test_other_rates_leave_as_many_samples_before_the_head(factors, time):
    assert sizes(build(factors=factors), time)["params"] == 6_421_910


@pytest.mark.parametrize(("time", "total"), [(1000, 32_310_482), (5000, 160_310_482)])
def test_parameters_at_the_full_rate_as_counted(time, total):
    of = sizes(build("ribeiro_full_rate_net"), time)
    head = sum(x.size for x in jax.tree.leaves(of["tree"]["params"]["head"]))
    assert of["params"] - head == 309_776
    assert of["params"] == total


def test_mean_reads_signals_of_any_length_and_flatten_of_one():
    def output(pooling, time):
        module = build(channels=(4, 6), factors=(2, 3), pooling=pooling)
        variables = sizes(module, 60)["tree"]
        signal = jax.ShapeDtypeStruct((2, time, 12), jnp.float32)
        return jax.eval_shape(lambda variables, x: module.apply(variables, x, is_training=False), variables, signal)

    assert output("mean", 43).shape == output("mean", 60).shape == output("flatten", 60).shape == (2, 6)
    with pytest.raises(InputError, match=r"ends in 48 values where .* reads 60, .*set evaluation.window_stride_s"):
        output("flatten", 43)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "unknown pooling 'max'; use one of flatten, mean"),
        (
            {"factors": (4, 4)},
            r"4 residual units cannot shorten the signal by \(4, 4\); give model.ribeiro_net.factors",
        ),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        sizes(build(**options), 100)
