"""Runs of other versions: the option that is missing or unknown is named."""

import jax.numpy as jnp
import pytest

from configs import reversal
from ecgjax import models, tasks
from ecgjax.errors import InputError
from ecgjax.options import fitting_options


def build(config):
    return tasks.build(config), models.build(config.model, 20, jnp.float32, None)


@pytest.mark.parametrize(
    "path", ["reversal.noise_mv", "beat.before_s", "preprocess.filter", "model.placement_net.patch"]
)
def test_a_missing_option_is_named(path):
    config = reversal.get_config()
    *groups, name = path.split(".")
    group = config
    for one in groups:
        group = group[one]
    del group[name]
    with pytest.raises(InputError, match=f"the config lacks the option '{name}'; add it as configs/ describes it, or"):
        build(config)


@pytest.mark.parametrize(
    ("path", "kind"), [("reversal", "Reversal"), ("preprocess", "Preprocess"), ("model.placement_net", "PlacementNet")]
)
def test_an_unknown_option_is_named(path, kind):
    config = reversal.get_config()
    group = config
    for one in path.split("."):
        group = group[one]
    group.outdated = 1.0
    message = f"the config has an option 'outdated', which {kind} does not take; remove it, or use the version"
    with pytest.raises(InputError, match=message):
        build(config)


def test_other_mistakes_stay_what_they_are():
    with pytest.raises(TypeError, match="not supported"), fitting_options():
        reversal.get_config() < 1  # noqa: B015 - the mistake
