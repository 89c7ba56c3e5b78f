"""Training that begins with the weights of an earlier run, some of them kept as they are for a while."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ecgjax import models
from ecgjax.bundled import learnt_variables, workdir_of
from ecgjax.data.record_files import RecordFiles, dataset_dir, parsed
from ecgjax.errors import InputError
from ecgjax.runlog import say
from ecgjax.state import Variables
from ecgjax.workdir import read_config

LABELLED = "labelled"
"""The task of a user's labels."""

BEGUN_WITH = {LABELLED: "diagnosis"}
"""Task -> that of the network that `bundled` stands for, where it is another."""

ALWAYS = -1
"""`freeze.steps` of weights that never move."""


def source_of(config: ConfigDict) -> Path:
    """The folder of the run that `config.init` names.

    Raises:
      InputError: no network is bundled, or its files are damaged.
    """
    return workdir_of(config.init, BEGUN_WITH.get(config.task, config.task))


def initial_variables(config: ConfigDict, fresh: Variables, head: Collection[str]) -> Variables:
    """`fresh` with what the run `config.init` learnt in place of all that has the same name and shape.

    What that run learnt of its own classes does not serve others: the weights of `head` are taken only from a run of
    the same task and labels, and are else zero, so that nothing is known before the first step: what random ones say is
    wrong, and a few records do not suffice to unlearn it.

    Raises:
      InputError: nothing fits, or the run has seen records that `config` tests.
    """
    workdir = source_of(config)
    source = read_config(workdir)
    _check_unseen(config, source)
    learnt = _named(learnt_variables(workdir))
    names = _named(fresh)
    apart = () if _answers_alike(config, source) else {f"params/{name}" for name in head}
    fitting = {
        name
        for name, value in names.items()
        if name in learnt and learnt[name].shape == value.shape and name not in apart
    }
    if not fitting:
        raise InputError(f"no weight of {workdir} fits this network", "set model.name to that of the run")
    left = [name for name in names if name not in fitting]
    say(f"{len(fitting)} arrays from {workdir}; new: {', '.join(left) or 'none'}")

    def begun(path: tuple, value: Any) -> Any:
        name = _name(path)
        if name in fitting:
            return learnt[name].astype(value.dtype)
        return 0 * value if name in apart else value

    return jax.tree.map_with_path(begun, fresh)


def head_weights(config: ConfigDict, num_outputs: int, signal_shape: tuple[int, int]) -> tuple[str, ...]:
    """Names of the weights whose shapes follow from `num_outputs`, in the network of `config.model`.

    Those of a network that has only one number of outputs are none.
    """

    def shapes(outputs: int) -> dict[str, tuple[int, ...]]:
        network: nn.Module = models.build(config.model, outputs, jnp.float32, None)
        made = jax.eval_shape(
            lambda: network.init(jax.random.key(0), jnp.zeros((1, *signal_shape)), is_training=False)["params"]
        )
        return {name: value.shape for name, value in _named(made).items()}

    try:
        wider = shapes(num_outputs + 1)
    except InputError:
        return ()
    return tuple(name for name, shape in shapes(num_outputs).items() if wider[name] != shape)


def _answers_alike(config: ConfigDict, source: ConfigDict) -> bool:
    """Whether outputs of a run of `source` mean what those of `config` are to mean."""
    if source.task != config.task:
        return False
    return config.task != LABELLED or all(
        source.labelled[name] == config.labelled[name] for name in ("kind", "columns", "classes")
    )


def _check_unseen(config: ConfigDict, source: ConfigDict) -> None:
    """Simulated records tell nothing of real ones, nor other people's of a user's; else splits have to agree."""
    if source.kfold:
        raise InputError(f"{config.init} holds {source.kfold} networks", "give a run without kfold")
    if source.data.name.startswith("simulated") and not config.data.name.startswith("simulated"):
        return
    if config.task == LABELLED:
        _check_unseen_patients(config, source)
        return
    for name in ("fold", "leave_out"):
        if source.data[name] != config.data[name]:
            raise InputError(
                f"{config.init} was trained with data.{name}={source.data[name]!r}, this run tests "
                f"{config.data[name]!r}: it may have seen these records",
                f"give a run with data.{name}={config.data[name]!r}",
            )


def _check_unseen_patients(config: ConfigDict, source: ConfigDict) -> None:
    """Of two runs on one folder, each may have divided it in its own way."""
    if source.task != LABELLED or source.labelled.folder != config.labelled.folder:
        return
    seen = _patients(source, ("train", "validation")) & _patients(config, ("test",))
    if seen:
        raise InputError(
            f"{config.init} was trained on {len(seen)} of the patients that this run tests",
            "let a column of the table name the split, for both",
        )


def _patients(config: ConfigDict, parts: Collection[str]) -> set[bytes]:
    """Those of some splits of the dataset of `config`."""
    files = RecordFiles(dataset_dir(config.data.name, config.data.variant, config.data.dir))
    return {
        parsed(files.example(part, index))["patient_id"].bytes_list.value[0]
        for part in parts
        for index in range(files.count([part]))
    }


def thawing(optimizer: optax.GradientTransformation, config: ConfigDict) -> optax.GradientTransformation:
    """`optimizer`, but that weights whose name `config.weights` finds do not move for `config.steps` steps.

    Raises:
      InputError: the expression is none, or the number of steps is no such number.
    """
    if config.steps < ALWAYS:
        raise InputError(f"freeze.steps is {config.steps}", f"give 0 (off) or more, or {ALWAYS} for all steps")
    if not config.steps:
        return optimizer
    try:
        pattern = re.compile(config.weights)
    except re.error as error:
        raise InputError(f"freeze.weights {config.weights!r} is no regular expression ({error})", "mend it") from error

    def init(params: Any) -> Any:
        if not any(pattern.search(name) for name in _named(params)):
            raise InputError(
                f"freeze.weights {config.weights!r} names no weight", f"use one of {', '.join(_named(params))}"
            )
        return jnp.int32(0)

    def update(updates: Any, step: jax.Array, params: Any = None) -> tuple[Any, jax.Array]:
        del params
        moves = ((step >= config.steps) & (config.steps != ALWAYS)).astype(jnp.float32)
        held = jax.tree.map_with_path(
            lambda path, value: value * moves.astype(value.dtype) if pattern.search(_name(path)) else value, updates
        )
        return held, step + 1

    return optax.chain(optimizer, optax.GradientTransformation(init, update))


def _named(tree: Any) -> dict[str, Any]:
    return {_name(path): value for path, value in jax.tree.leaves_with_path(tree)}


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
