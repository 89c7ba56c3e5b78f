"""Networks by name."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from ecgjax import leads
from ecgjax.beats import BeatWindow
from ecgjax.errors import InputError
from ecgjax.models.activation_cnn import ActivationCNN
from ecgjax.models.arrangement_net import ArrangementNet
from ecgjax.models.beat_cnn import BeatCNN
from ecgjax.models.beat_encoder import BeatEncoder
from ecgjax.models.beat_net import BeatNet
from ecgjax.models.beat_reader import BeatReader
from ecgjax.models.cnn_bilstm import CnnBiLSTM
from ecgjax.models.gaf_net import GafNet
from ecgjax.models.heart_reader import ActivationReader, HeartEncoder, PotentialReader
from ecgjax.models.inception_time import InceptionTime
from ecgjax.models.kachuee_net import KachueeNet
from ecgjax.models.lead_filler import LeadFiller
from ecgjax.models.lead_set_net import LeadSetNet
from ecgjax.models.ml_resnet import MLResNet
from ecgjax.models.placement_net import PlacementNet
from ecgjax.models.residual34 import Residual34
from ecgjax.models.rhythm_reader import RhythmReader
from ecgjax.models.ribeiro_net import RibeiroFullRateNet, RibeiroNet
from ecgjax.models.shallow_cnn import ShallowCNN
from ecgjax.models.squeeze_net import SqueezeNet
from ecgjax.models.state_space import StateSpaceNet
from ecgjax.models.uresnet import UResNet
from ecgjax.models.xresnet1d import XResNet1D
from ecgjax.options import fitting_options

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
"""What networks compute in, by name."""


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


def _beat_encoder(given: dict[str, Any], dtype: jnp.dtype) -> BeatEncoder:
    """Takes its options out of those of the network that it serves."""
    window = BeatWindow(**{field.name: given.pop(field.name) for field in dataclasses.fields(BeatWindow)})
    names = ("patch", "features", "hidden", "num_blocks", "fine_gain", "dropout_rate")
    return BeatEncoder(window=window, dtype=dtype, **{name: given.pop(name) for name in names})


def _beat_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    given = options.to_dict()
    return BeatNet(num_outputs=num_outputs, encoder=_beat_encoder(given, dtype), **given)


def _lead_filler(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    given = options.to_dict()
    return LeadFiller(num_outputs=num_outputs, encoder=_beat_encoder(given, dtype), dtype=dtype, **given)


def _beat_reader(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return BeatReader(num_outputs=num_outputs, dtype=dtype, **options.to_dict())


def _heart_encoder(given: dict[str, Any], dtype: jnp.dtype) -> HeartEncoder:
    """Takes its options out of those of the network that it serves."""
    names = ("num_samples", "fine", "features", "kernel_size", "hidden", "num_blocks", "dropout_rate")
    return HeartEncoder(dtype=dtype, **{name: given.pop(name) for name in names})


def _activation_reader(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    given = options.to_dict()
    return ActivationReader(num_outputs=num_outputs, encoder=_heart_encoder(given, dtype), **given)


def _potential_reader(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    given = options.to_dict()
    return PotentialReader(num_outputs=num_outputs, encoder=_heart_encoder(given, dtype), **given)


def _xresnet1d(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return XResNet1D(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _inception_time(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return InceptionTime(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _state_space(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return StateSpaceNet(num_outputs=num_outputs, dtype=dtype, **options.to_dict())


def _ribeiro_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return RibeiroNet(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _ribeiro_full_rate_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return RibeiroFullRateNet(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _residual34(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return Residual34(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _rhythm_reader(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return RhythmReader(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _ml_resnet(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return MLResNet(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _uresnet(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    given = options.to_dict()
    indices = tuple(map(leads.LEADS.index, leads.lead_subset(given.pop("leads"))))
    return UResNet(num_outputs=num_outputs, lead_indices=indices, dtype=dtype, axis_name=axis_name, **given)


def _beat_cnn(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return BeatCNN(num_outputs=num_outputs, dtype=dtype, **options.to_dict())


def _kachuee_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return KachueeNet(num_outputs=num_outputs, dtype=dtype, **options.to_dict())


def _gaf_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return GafNet(num_outputs=num_outputs, dtype=dtype, **options.to_dict())


def _squeeze_net(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return SqueezeNet(num_outputs=num_outputs, dtype=dtype, **options.to_dict())


def _activation_cnn(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return ActivationCNN(num_outputs=num_outputs, dtype=dtype, axis_name=axis_name, **options.to_dict())


def _cnn_bilstm(options: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    return CnnBiLSTM(num_outputs=num_outputs, dtype=dtype, **options.to_dict())


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "placement_net": _placement_net,
    "shallow_cnn": _shallow_cnn,
    "arrangement_net": _arrangement_net,
    "lead_set_net": _lead_set_net,
    "beat_net": _beat_net,
    "beat_reader": _beat_reader,
    "activation_reader": _activation_reader,
    "potential_reader": _potential_reader,
    "lead_filler": _lead_filler,
    "xresnet1d": _xresnet1d,
    "inception_time": _inception_time,
    "state_space": _state_space,
    "ribeiro_net": _ribeiro_net,
    "ribeiro_full_rate_net": _ribeiro_full_rate_net,
    "residual34": _residual34,
    "rhythm_reader": _rhythm_reader,
    "ml_resnet": _ml_resnet,
    "uresnet": _uresnet,
    "beat_cnn": _beat_cnn,
    "kachuee_net": _kachuee_net,
    "gaf_net": _gaf_net,
    "squeeze_net": _squeeze_net,
    "activation_cnn": _activation_cnn,
    "cnn_bilstm": _cnn_bilstm,
}


def build(config: ConfigDict, num_outputs: int, dtype: jnp.dtype, axis_name: str | None) -> nn.Module:
    """The network `config.name` with the options in the group of that name, called as `(signal_mv, is_training)`."""
    if config.name not in _BUILDERS:
        raise InputError(f"unknown model.name {config.name!r}", f"use one of {', '.join(_BUILDERS)}")
    if config.name not in config:
        known = ", ".join(name for name in _BUILDERS if name in config)
        raise InputError(f"the config has no group model.{config.name}", f"use one of {known}")
    with fitting_options():
        return _BUILDERS[config.name](config[config.name], num_outputs, dtype, axis_name)
