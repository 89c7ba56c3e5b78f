"""A function whose arguments are written to memory before it begins, whatever XLA would rather do.

XLA on CPU fuses what makes an argument into the loop that reads it, and makes it anew wherever the loop reads it: a sum
over twelve leads gathers the record twelve times. It drops `jax.lax.optimization_barrier` before it fuses, but leaves
calls alone that are not to be inlined.
"""

from collections.abc import Callable

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`function` of arrays, as a computation of its own on CPU; elsewhere as it is."""

    @jax.jit
    def compiled(*arrays: jax.Array) -> jax.Array:
        # Functions of JAX that are calls themselves shall be inlined.
        with set_xla_metadata(inlineable=None):
            return function(*arrays)

    def called(*arrays: jax.Array) -> jax.Array:
        if jax.default_backend() != "cpu":
            return function(*arrays)
        with set_xla_metadata(inlineable="false"):
            return compiled(*arrays)

    return called
