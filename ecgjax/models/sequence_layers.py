"""Layers over `[time, sequence, channel]`, as plain matrix products.

With time first, a shift in time moves whole blocks of memory: a convolution is one product with a sum of shifted blocks
before or after it, and a recurrent layer reads one block a step. Weights start as they do in PyTorch, uniform within
1 / sqrt(inputs).
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.layers import add_bias, column_sum

Initializer = Callable[..., jax.Array]


def uniform(num_inputs: float) -> Initializer:
    """Uniform within 1 / sqrt(`num_inputs`)."""
    bound = num_inputs**-0.5
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -bound, bound)


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[..., channel] @ [channel, features]` as a product of two matrices."""
    return (_rows(x) @ kernel.astype(x.dtype)).reshape(*x.shape[:-1], kernel.shape[-1])


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


class Linear(nn.Module):
    """A dense layer that starts as PyTorch's does, unless told otherwise."""

    features: int
    dtype: jnp.dtype
    use_bias: bool = True
    kernel_init: Initializer | None = None
    bias_init: Initializer | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        start, channels = uniform(x.shape[-1]), x.shape[-1]
        y = product(x.astype(self.dtype), self.param("kernel", self.kernel_init or start, (channels, self.features)))
        if not self.use_bias:
            return y
        return add_bias(y, self.param("bias", self.bias_init or start, (self.features,)).astype(self.dtype))


class Conv(nn.Module):
    """A convolution over time that keeps its length; the kernel spans an odd number of samples."""

    features: int
    kernel_size: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        start = uniform(channels * self.kernel_size)
        kernel = self.param("kernel", start, (self.kernel_size, channels, self.features))
        bias = self.param("bias", start, (self.features,))
        return add_bias(convolve(x.astype(self.dtype), kernel.astype(self.dtype)), bias.astype(self.dtype))


@jax.custom_vjp
def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[time, sequence, channel]` with `[tap, channel, features]`, zeros beyond both ends, as one product.

    Of input and output the one with fewer channels is held once for every tap.
    """
    taps, channels, features = kernel.shape
    if channels < features:
        return product(_by_tap(x, taps), kernel.reshape(-1, features))
    spread = product(_padded(x, taps), kernel.transpose(1, 0, 2).reshape(channels, -1))
    return functools.reduce(
        jnp.add, (spread[i : i + len(x), :, i * features : (i + 1) * features] for i in range(taps))
    )


def _padded(x: jax.Array, taps: int) -> jax.Array:
    return jnp.pad(x, ((taps // 2, taps // 2), (0, 0), (0, 0)))


def _by_tap(x: jax.Array, taps: int) -> jax.Array:
    """`[time, sequence, tap * channel]`"""
    padded = _padded(x, taps)
    return jnp.concatenate([padded[i : i + len(x)] for i in range(taps)], axis=-1)


def _convolve_backward(kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    taps, channels, features = kernel.shape
    turned = kernel[::-1].transpose(0, 2, 1)
    if channels < features:
        of_kernel = (_rows(_by_tap(x, taps)).T @ _rows(gradient)).reshape(kernel.shape)
    else:
        by_tap = _rows(x).T @ _rows(_by_tap(gradient, taps))
        of_kernel = by_tap.reshape(channels, taps, features).transpose(1, 0, 2)[::-1]
    return convolve(gradient, turned), of_kernel


convolve.defvjp(lambda x, kernel: (convolve(x, kernel), (x, kernel)), _convolve_backward)


def max_pool(x: jax.Array) -> jax.Array:
    """The larger of every two samples; a last odd one is left out."""
    pairs = x[: len(x) // 2 * 2].reshape(len(x) // 2, 2, *x.shape[1:])
    return jnp.maximum(pairs[:, 0], pairs[:, 1])


def max_of_neighbours(x: jax.Array) -> jax.Array:
    """The largest of every sample and the ones before and after it."""
    padded = jnp.pad(x, ((1, 1), (0, 0), (0, 0)), constant_values=-jnp.inf)
    return jnp.maximum(jnp.maximum(padded[:-2], x), padded[2:])


class GRU(nn.Module):
    """A gated recurrent layer from past to future, with PyTorch's gates: reset acts on the recurrent product and bias.

    Cho et al. 2014, arXiv:1406.1078. The products with the inputs of all samples are one; the scan holds the other.
    """

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        start, width = uniform(self.features), 3 * self.features
        input_kernel = self.param("input_kernel", start, (x.shape[-1], width))
        input_bias = self.param("input_bias", start, (width,))
        recurrent_kernel = self.param("recurrent_kernel", start, (self.features, width))
        recurrent_bias = self.param("recurrent_bias", start, (width,))
        inputs = add_bias(product(x.astype(self.dtype), input_kernel), input_bias.astype(self.dtype))
        return recur(inputs, recurrent_kernel.astype(self.dtype), recurrent_bias.astype(self.dtype))


@jax.custom_vjp
def recur(inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """States `[time, sequence, features]` from the inputs `[time, sequence, reset | update | new]` of the gates."""
    return _states_and_gates(inputs, kernel, bias)[0]


def _states_and_gates(inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, tuple]:
    def step(state: jax.Array, of_input: jax.Array) -> tuple[jax.Array, tuple]:
        reset_in, update_in, new_in = jnp.split(of_input, 3, axis=-1)
        reset_rec, update_rec, new_rec = jnp.split(state @ kernel + bias, 3, axis=-1)
        reset, update = jax.nn.sigmoid(reset_in + reset_rec), jax.nn.sigmoid(update_in + update_rec)
        new = jnp.tanh(new_in + reset * new_rec)
        state = new + update * (state - new)
        return state, (state, (reset, update, new, new_rec))

    start = jnp.zeros((inputs.shape[1], len(kernel)), inputs.dtype)
    return jax.lax.scan(step, start, inputs)[1]


def _recur_forward(inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, tuple]:
    states, gates = _states_and_gates(inputs, kernel, bias)
    return states, (states, gates, kernel)


def _recur_backward(kept: tuple, gradient: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The scan holds one product; the gradients of kernel and bias are products over all samples after it."""
    states, gates, kernel = kept
    before = jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])
    back = kernel.T

    def step(of_state: jax.Array, now: tuple) -> tuple[jax.Array, jax.Array]:
        of_output, previous, (reset, update, new, new_rec) = now
        of_state = of_state + of_output
        of_new = of_state * (1 - update) * (1 - new**2)
        of_update = of_state * (previous - new) * update * (1 - update)
        of_reset = of_new * new_rec * reset * (1 - reset)
        of_recurrent = jnp.concatenate([of_reset, of_update, of_new * reset], axis=-1)
        of_input = jnp.concatenate([of_reset, of_update, of_new], axis=-1)
        return of_state * update + of_recurrent @ back, of_input

    _, of_inputs = jax.lax.scan(step, jnp.zeros_like(states[0]), (gradient, before, gates), reverse=True)
    both, of_new = jnp.split(of_inputs, [2 * len(kernel)], axis=-1)
    of_recurrent = _rows(jnp.concatenate([both, of_new * gates[0]], axis=-1))
    of_kernel = _rows(before).T @ of_recurrent
    return of_inputs, of_kernel, column_sum(of_recurrent).astype(kernel.dtype)


recur.defvjp(_recur_forward, _recur_backward)
