"""A function whose arguments are written to memory before it begins, whatever XLA would rather do.

XLA on CPU fuses what makes an argument into the loop that reads it, and makes it anew wherever the loop reads it: a sum
over twelve leads gathers the record twelve times. It drops `jax.lax.optimization_barrier` before it fuses, but leaves
calls alone that are not to be inlined.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
from jax.experimental.xla_metadata import set_xla_metadata

Function = TypeVar("Function", bound=Callable[..., Any])


def apart(function: Function) -> Function:
    """`function` of arrays, as a computation of its own on CPU; elsewhere it stays what it is."""

    @jax.jit
    def compiled(*arrays: Any) -> Any:
        # Functions of JAX that are calls themselves shall be inlined.
        with set_xla_metadata(inlineable=None):
            return function(*arrays)

    def on_cpu(*arrays: Any) -> Any:
        with set_xla_metadata(inlineable="false"):
            return compiled(*arrays)

    @functools.wraps(function)
    def called(*arrays: Any) -> Any:
        return jax.lax.platform_dependent(*arrays, cpu=on_cpu, default=function)

    return cast(Function, called)
