"""Tasks by name."""

from collections.abc import Callable

from ml_collections import ConfigDict

from ecgjax.errors import InputError
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.reversal import Reversal
from ecgjax.tasks.task import Task

_BUILDERS: dict[str, Callable[..., Task]] = {"reversal": Reversal}


def build(config: ConfigDict) -> Task:
    """The task `config.task` with the options in the group of that name."""
    if config.task not in _BUILDERS:
        raise InputError(f"unknown task {config.task!r}", f"use one of {', '.join(_BUILDERS)}")
    preprocess = Preprocess(**config.preprocess.to_dict())
    return _BUILDERS[config.task](preprocess=preprocess, seed=config.seed, **config[config.task].to_dict())
