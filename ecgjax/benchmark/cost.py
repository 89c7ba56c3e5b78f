"""What a step computes, moves and keeps in memory, by XLA's analysis of its program."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
from jax.extend import core

from ecgjax.native.library import KERNEL_GRADIENT

Arguments = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one call of a function, on one device.

    Attributes:
      flops: floating-point operations that the program as written asks for; a multiplication and addition are two.
      bytes: what the operations of the compiled program read and write, each once, caches or not.
      memory_bytes: the most that arguments, results and what is kept between operations take together.
    """

    flops: float
    bytes: float
    memory_bytes: float


def shapes(tree: Any) -> Any:
    """Shape, type and place of every array: enough to compile for, also after the arrays are donated."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def step_cost(step: Callable, arguments: Arguments, num_read: int) -> Cost:
    """Of `step`, compiled by jax.jit or jax.pmap, for arguments of these `shapes`; the second holds records.

    Of the records `num_read` are gathered, while XLA takes whatever gathers to read all. FLOPs are counted before
    compilation, since compilers hide products and convolutions in calls of libraries. XLA counts the body of a loop
    once, so that what lies in a scan is counted apart as often as it runs; a loop of unknown length is counted once.
    """
    # What waits for a step is no compiled function itself.
    function = step if hasattr(step, "lower") else jax.jit(step)
    lowered = function.lower(*arguments)
    compiled = lowered.compile()
    memory = compiled.memory_analysis()
    equations = list(_equations(jax.make_jaxpr(function)(*arguments).jaxpr, 1))
    repeated = [
        _repeated(equation.params["jaxpr"], times * (equation.params["length"] - 1))
        for equation, times in equations
        if equation.primitive.name == "scan" and equation.params["length"] > 1
    ]
    unread = _unread_bytes(compiled.as_text(), arguments[1], num_read)
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return Cost(
        flops=_counted(lowered, "flops") + sum(flops for flops, _ in repeated) + _native_flops(equations),
        bytes=_counted(compiled, "bytes accessed") + sum(moved for _, moved in repeated) - unread,
        memory_bytes=total - memory.alias_size_in_bytes,
    )


def _unread_bytes(program: str, data: Any, num_read: int) -> float:
    """Bytes of `data` that operations of the compiled program have as operands and do not read."""
    entry = program[program.index("\nENTRY ") :]
    unread = 0.0
    # Records of one dimension, such as their classes, are next to nothing.
    for shape, itemsize in {(x.shape, x.dtype.itemsize) for x in jax.tree.leaves(data) if x.ndim > 1}:
        dimensions = ",".join(map(str, shape))
        names = re.findall(rf"%(\S+) = \w+\[{dimensions}\]\S* parameter\(", entry)
        reads = sum(len(re.findall(rf"%{re.escape(name)}[,)]", entry)) for name in names)
        unread += reads * itemsize * math.prod(shape[1:]) * (shape[0] - num_read)
    return unread


def _counted(stage: Any, name: str) -> float:
    return float((stage.cost_analysis() or {}).get(name, 0.0))


def native_flops(function: Callable, arguments: Arguments) -> float:
    """FLOPs of the native code that a function calls, which XLA's analysis leaves out."""
    return _native_flops(_equations(jax.make_jaxpr(function)(*arguments).jaxpr, 1))


def _native_flops(equations: Iterable[tuple[core.JaxprEqn, int]]) -> float:
    flops = 0.0
    for equation, times in equations:
        if equation.params.get("target_name") == KERNEL_GRADIENT:
            gradient: Any = equation.invars[1].aval
            kernel: Any = equation.outvars[0].aval
            flops += times * 2 * math.prod(gradient.shape) * math.prod(kernel.shape[-3:-1])
    return flops


def _equations(jaxpr: core.Jaxpr, times: int) -> Iterator[tuple[core.JaxprEqn, int]]:
    """All within that are run `times`, and how often each is."""
    for equation in jaxpr.eqns:
        yield equation, times
        length = equation.params["length"] if equation.primitive.name == "scan" else 1
        for inner in jax.tree.leaves(_compiled(equation)):
            if isinstance(inner, core.ClosedJaxpr):
                yield from _equations(inner.jaxpr, times * length)
            elif isinstance(inner, core.Jaxpr):
                yield from _equations(inner, times * length)


def _compiled(equation: core.JaxprEqn) -> list[Any]:
    """Parameters of an equation; of branches for several platforms the one that is compiled here alone."""
    platforms = equation.params.get("branches_platforms")
    if platforms is None:
        return list(equation.params.values())
    fits = [names is None or jax.default_backend() in names for names in platforms]
    return [equation.params["branches"][fits.index(True)]]


def _repeated(body: core.ClosedJaxpr, times: int) -> tuple[float, float]:
    """FLOPs and bytes of so many runs of the body of a loop."""
    lowered = jax.jit(core.jaxpr_as_fun(body)).lower(*(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in body.in_avals))
    return times * _counted(lowered, "flops"), times * _counted(lowered.compile(), "bytes accessed")
