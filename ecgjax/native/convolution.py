"""Convolutions over time of `[batch, time, channel]` in native code, and the gradients of their kernels.

Each is given a function that does the same in XLA, for devices, types and sizes that native code is not for or not
faster at.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.native import library

MOST_WEIGHTS_PER_SAMPLE = 400
"""With more, kernels that no cache holds are read anew for every few samples."""

Operation = Callable[[jax.Array, jax.Array], jax.Array]


def convolve(x: jax.Array, kernel: jax.Array, padding: tuple[int, int], by_xla: Operation) -> jax.Array:
    """`[batch, time, channel]` with `[tap, channel, features]` and so many zeros beyond both ends."""
    batch, num_samples, _ = x.shape
    shape = (batch, num_samples + sum(padding) - len(kernel) + 1, kernel.shape[-1])
    return _call("convolution", x, kernel, kernel.shape, shape, padding[0], by_xla)


def kernel_gradient(x: jax.Array, gradient: jax.Array, padding: tuple[int, int], by_xla: Operation) -> jax.Array:
    """That of `convolve` where `gradient` `[batch, time, features]` is the output's."""
    _, num_samples, channels = x.shape
    shape = (num_samples + sum(padding) - gradient.shape[1] + 1, channels, gradient.shape[-1])
    return _call("kernel_gradient", x, gradient, shape, shape, padding[0], by_xla)


def _call(
    name: str,
    x: jax.Array,
    other: jax.Array,
    of_kernel: tuple[int, ...],
    shape: tuple[int, ...],
    before: int,
    by_xla: Operation,
) -> jax.Array:
    is_fit = x.dtype == other.dtype == jnp.float32
    if not library.is_loaded or not is_fit or np.prod(of_kernel) > MOST_WEIGHTS_PER_SAMPLE * x.shape[0] * x.shape[1]:
        return by_xla(x, other)
    function = jax.ffi.ffi_call(
        library.PREFIX + name, jax.ShapeDtypeStruct(shape, jnp.float32), vmap_method="broadcast_all"
    )
    return jax.lax.platform_dependent(
        x, other, cpu=lambda x, other: function(x, other, before=np.int64(before)), default=by_xla
    )
