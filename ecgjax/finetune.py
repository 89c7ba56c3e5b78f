"""Training that begins with the weights of an earlier run, some of them kept as they are for a while."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ecgjax.checkpoints import Checkpoints
from ecgjax.errors import InputError
from ecgjax.runlog import say
from ecgjax.state import Variables
from ecgjax.workdir import CHECKPOINTS, read_config


def initial_variables(config: ConfigDict, fresh: Variables) -> Variables:
    """`fresh` with what the run `config.init.workdir` learnt in place of all that has the same name and shape.

    Raises:
      InputError: nothing fits, or the run has seen records that `config` tests.
    """
    workdir = Path(config.init.workdir)
    source = read_config(workdir)
    _check_unseen(config, source)
    with Checkpoints(workdir / CHECKPOINTS, source.to_dict(), writes=False) as checkpoints:
        learnt = _named(checkpoints.restore_best_variables())
    names = _named(fresh)
    fitting = {name for name, value in names.items() if name in learnt and learnt[name].shape == value.shape}
    if not fitting:
        raise InputError(f"no weight of {workdir} fits this network", "set model.name to that of the run")
    left = [name for name in names if name not in fitting]
    say(f"{len(fitting)} arrays from {workdir}; new: {', '.join(left) or 'none'}")
    return jax.tree.map_with_path(
        lambda path, value: learnt[_name(path)].astype(value.dtype) if _name(path) in fitting else value, fresh
    )


def _check_unseen(config: ConfigDict, source: ConfigDict) -> None:
    """Simulated records tell nothing of real ones; all others have to be divided as those of `config`."""
    if source.data.name.startswith("simulated") and not config.data.name.startswith("simulated"):
        return
    for name in ("fold", "leave_out"):
        if source.data[name] != config.data[name]:
            raise InputError(
                f"{config.init.workdir} was trained with data.{name}={source.data[name]!r}, this run tests "
                f"{config.data[name]!r}: it may have seen these records",
                f"give a run with data.{name}={config.data[name]!r}",
            )
    if source.kfold:
        raise InputError(f"{config.init.workdir} holds {source.kfold} networks", "give a run without kfold")


def thawing(optimizer: optax.GradientTransformation, config: ConfigDict) -> optax.GradientTransformation:
    """`optimizer`, but that weights whose name `config.frozen` finds do not move for `config.frozen_steps` steps.

    Raises:
      InputError: the expression is none.
    """
    if not config.frozen_steps:
        return optimizer
    try:
        pattern = re.compile(config.frozen)
    except re.error as error:
        raise InputError(f"init.frozen {config.frozen!r} is no regular expression ({error})", "mend it") from error

    def init(params: Any) -> Any:
        if not any(pattern.search(name) for name in _named(params)):
            raise InputError(
                f"init.frozen {config.frozen!r} names no weight", f"use one of {', '.join(_named(params))}"
            )
        return jnp.int32(0)

    def update(updates: Any, step: jax.Array, params: Any = None) -> tuple[Any, jax.Array]:
        del params
        moves = (step >= config.frozen_steps).astype(jnp.float32)
        held = jax.tree.map_with_path(
            lambda path, value: value * moves.astype(value.dtype) if pattern.search(_name(path)) else value, updates
        )
        return held, step + 1

    return optax.chain(optimizer, optax.GradientTransformation(init, update))


def _named(tree: Any) -> dict[str, Any]:
    return {_name(path): value for path, value in jax.tree.leaves_with_path(tree)}


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
