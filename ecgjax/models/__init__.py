"""Networks by name."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.models.arrangement_net import ArrangementNet
from ecgjax.models.lead_set_net import LeadSetNet
from ecgjax.models.placement_net import PlacementNet
from ecgjax.models.shallow_cnn import ShallowCNN


def _placement_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return PlacementNet(num_outputs=num_outputs, dtype=dtype, **options.to_dict())


def _arrangement_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    given = options.to_dict()
    names = leads.lead_set(given.pop("leads"))
    if len(names) != num_outputs:
        raise InputError(
            f"arrangement_net names {len(names)} leads and the task wants {num_outputs} outputs",
            "train it with the task lead_id, or choose another model.name",
        )
    return ArrangementNet(names=names, dtype=dtype, **given)


def _shallow_cnn(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return ShallowCNN(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _lead_set_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return LeadSetNet(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "placement_net": _placement_net,
    "shallow_cnn": _shallow_cnn,
    "arrangement_net": _arrangement_net,
    "lead_set_net": _lead_set_net,
}


def build(config: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    """The network `config.name` with the options in the group of that name, called as `(signal_mv, is_training)`."""
    if config.name not in _BUILDERS:
        raise InputError(f"unknown model.name {config.name!r}", f"use one of {', '.join(_BUILDERS)}")
    if config.name not in config:
        known = ", ".join(name for name in _BUILDERS if name in config)
        raise InputError(f"the config has no group model.{config.name}", f"use one of {known}")
    return _BUILDERS[config.name](config[config.name], num_outputs, dtype, axis_name)
