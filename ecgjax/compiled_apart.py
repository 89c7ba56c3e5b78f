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


def apart(function: Function, static_argnums: int | tuple[int, ...] = ()) -> Function:
    """`function` of arrays, and of what `static_argnums` names as in `jax.jit`, as a computation of its own on CPU.

    Elsewhere it stays what it is.
    """

    @functools.partial(jax.jit, static_argnums=static_argnums)
    def compiled(*arguments: Any) -> Any:
        # Functions of JAX that are calls themselves shall be inlined.
        with set_xla_metadata(inlineable=None):
            return function(*arguments)

    @functools.wraps(function)
    def called(*arguments: Any) -> Any:
        if jax.default_backend() != "cpu":
            return function(*arguments)
        with set_xla_metadata(inlineable="false"):
            return compiled(*arguments)

    return cast(Function, called)
