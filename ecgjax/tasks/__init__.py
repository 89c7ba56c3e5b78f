"""Tasks by name."""

from collections.abc import Callable

from ml_collections import ConfigDict

from ecgjax.beats import BeatWindow
from ecgjax.errors import InputError
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.reversal import Reversal
from ecgjax.tasks.task import Task


def _reversal(config: ConfigDict) -> Task:
    return Reversal(
        preprocess=Preprocess(**config.preprocess.to_dict()),
        window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
        seed=config.seed,
        **config.reversal.to_dict(),
    )


_BUILDERS: dict[str, Callable[[ConfigDict], Task]] = {"reversal": _reversal}


def build(config: ConfigDict) -> Task:
    """The task that `config` describes."""
    if config.task not in _BUILDERS:
        raise InputError(f"unknown task {config.task!r}", f"use one of {', '.join(_BUILDERS)}")
    return _BUILDERS[config.task](config)
