"""What the devices have to exchange in one training step, read off the program."""

import collections
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend import core

from ecgjax.data.resident import resident
from ecgjax.data.split import Split
from ecgjax.experiment import Experiment
from ecgjax.parallel import AXIS


def step_arguments(built: Experiment, split: Split) -> tuple[Any, Any, Any]:
    """Shapes and types of the arguments of `Experiment.train_step` for one step."""
    data = jax.tree.map(_shape, resident(split, built.task.targets(split)))
    return built.abstract_state(), data, {"index": jax.ShapeDtypeStruct((1, built.config.batch_size), np.int32)}


def exchanged_bytes(step: Callable, arguments: tuple[Any, Any, Any]) -> tuple[int, ...]:
    """Bytes of every round of all-reduces in a per-device step.

    What does not wait for another exchange belongs to one round, as XLA combines it on GPUs; the next round needs the
    results of the one before. A step without statistics of the whole batch has one round, that of the gradients.
    """
    program = jax.make_jaxpr(step, axis_env=[(AXIS, 2)])(*arguments)
    rounds: collections.Counter[int] = collections.Counter()
    _follow(program.jaxpr, [0] * len(program.jaxpr.invars), rounds)
    return tuple(rounds[number] for number in sorted(rounds))


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    array = np.asarray(x)
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _follow(program: core.Jaxpr, depths: list[int], rounds: collections.Counter[int]) -> list[int]:
    """Exchanges that lie before each result, given those before each argument; adds bytes to `rounds`."""
    depth = dict(zip(program.invars, depths, strict=True))

    def of(variable: Any) -> int:
        return 0 if isinstance(variable, core.Literal) else depth.get(variable, 0)

    def num_bytes(variable: Any) -> int:
        return variable.aval.size * variable.aval.dtype.itemsize

    for equation in program.eqns:
        before = [of(variable) for variable in equation.invars]
        inner = next((_program(value) for value in equation.params.values() if _program(value) is not None), None)
        if equation.primitive.name.startswith("psum"):
            after = [max(before) + 1] * len(equation.outvars)
            rounds[after[0]] += sum(map(num_bytes, equation.invars))
        elif inner is not None and len(inner.invars) == len(before) and len(inner.outvars) == len(equation.outvars):
            after = _follow(inner, before, rounds)
        else:
            after = [max(before, default=0)] * len(equation.outvars)
        depth.update(zip(equation.outvars, after, strict=True))
    return [of(variable) for variable in program.outvars]


def _program(value: Any) -> core.Jaxpr | None:
    if isinstance(value, core.ClosedJaxpr):
        return value.jaxpr
    return value if isinstance(value, core.Jaxpr) else None
