"""The gradient of a convolution's kernel in native code, which takes half the time of XLA's on CPU."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.native import library

MOST_WEIGHTS_PER_SAMPLE = 400
"""With more, threads spend the time on sums that each has of its own."""


def kernel_gradient(
    x: jax.Array, gradient: jax.Array, before: int, num_taps: int, by_xla: Callable[[jax.Array, jax.Array], jax.Array]
) -> jax.Array:
    """`[tap, channel, features]` from the input `[batch, samples, channel]` of a convolution with `before` zeros in
    front of it and the gradient `[batch, time, features]` of its output.

    `by_xla(x, gradient)` gives the same for devices, types and sizes that native code is not for.
    """
    (batch, num_samples, channels), features = x.shape, gradient.shape[-1]
    is_small = num_taps * channels * features <= MOST_WEIGHTS_PER_SAMPLE * batch * num_samples
    is_for = library.is_wanted and is_small and x.dtype == gradient.dtype == jnp.float32
    # Compiled by the first that needs it: networks without convolutions need not wait.
    if not is_for or not library.load():
        return by_xla(x, gradient)
    native = jax.ffi.ffi_call(
        library.KERNEL_GRADIENT,
        jax.ShapeDtypeStruct((num_taps, channels, features), jnp.float32),
        vmap_method="broadcast_all",
    )
    return jax.lax.platform_dependent(
        x, gradient, cpu=functools.partial(native, before=np.int64(before)), default=by_xla
    )
