"""Tasks by name."""

from collections.abc import Callable

from ml_collections import ConfigDict

from ecgjax.beats import BeatWindow
from ecgjax.errors import InputError
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.lead_id import LeadId
from ecgjax.tasks.reversal import Reversal
from ecgjax.tasks.task import Task


def _reversal(config: ConfigDict) -> Task:
    return Reversal(
        preprocess=Preprocess.from_config(config),
        window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
        seed=config.seed,
        **config.reversal.to_dict(),
    )


def _lead_id(config: ConfigDict) -> Task:
    return LeadId(
        preprocess=Preprocess.from_config(config),
        window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
        seed=config.seed,
        **config.lead_id.to_dict(),
    )


_BUILDERS: dict[str, Callable[[ConfigDict], Task]] = {"reversal": _reversal, "lead_id": _lead_id}


def build(config: ConfigDict) -> Task:
    """The task that `config` describes."""
    if config.task not in _BUILDERS:
        raise InputError(f"unknown task {config.task!r}", f"use one of {', '.join(_BUILDERS)}")
    return _BUILDERS[config.task](config)
