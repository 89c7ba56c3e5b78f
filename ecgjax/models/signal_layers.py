"""Layers over `[batch, time, channel]` that stay fast on CPU in every shape, and a head that reads every sample."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.compiled_apart import apart
from ecgjax.errors import InputError
from ecgjax.models.layers import Dense, add_bias
from ecgjax.native.kernel_gradient import kernel_gradient


def _padding(num_samples: int, size: int, stride: int) -> tuple[int, int, int]:
    """How many windows start `stride` apart, one for every `stride` begun, and the padding of both ends they need."""
    num_windows = -(-num_samples // stride)
    total = max((num_windows - 1) * stride + size - num_samples, 0)
    return num_windows, total // 2, total - total // 2


def _windows(x: jax.Array, size: int, stride: int, beyond: float) -> list[jax.Array]:
    """For each sample of a window, what it is in all windows: `size` times `[batch, window, channel]`."""
    num_windows, before, after = _padding(x.shape[1], size, stride)
    padded = jnp.pad(x, ((0, 0), (before, after), (0, 0)), constant_values=beyond)
    reach = (num_windows - 1) * stride + 1
    return [padded[:, i : i + reach : stride] for i in range(size)]


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """`[batch, time, channel]` with `[tap, channel, features]` -> `[batch, ceil(time / stride), features]`.

    Zeros lie beyond both ends; where their number is odd, the end has one more.
    """
    num_outputs, before, after = _padding(x.shape[1], len(kernel), stride)
    if num_outputs < len(kernel):
        # Here XLA's convolution on CPU takes ten times as long as one product with all taps side by side.
        rows = jnp.concatenate(_windows(x, len(kernel), stride, 0.0), axis=-1)
        product = rows.reshape(-1, rows.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
        return product.reshape(*rows.shape[:2], -1)
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_convolve_on_cpu, stride=stride, padding=(before, after)),
        default=lambda x, kernel: _convolve(x, kernel, stride, (before, after)),
    )


def _convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: tuple[int, int]) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (stride,), [padding], dimension_numbers=("NWC", "WIO", "NWC"))


_LEAST_CHANNELS = 8
"""With fewer, vector registers stay half empty on CPU."""


def _convolve_on_cpu(x: jax.Array, kernel: jax.Array, stride: int, padding: tuple[int, int]) -> jax.Array:
    """`_convolve` with a stride of 1 over blocks of samples taken as channels, each of which gives a block of outputs.

    The gradient of XLA's strided convolution takes four times as long on CPU as its forward pass.
    """
    (batch, num_samples, channels), (size, _, features) = x.shape, kernel.shape
    at_once = max(1, _LEAST_CHANNELS // (stride * channels))
    step = at_once * stride
    if step == 1:
        return _convolve_by_ones(x, kernel, padding)
    num_outputs = (sum(padding) + num_samples - size) // stride + 1
    # Zeros in front of the kernel make whole blocks of what lies before the signal, so that no copy of it is padded.
    before, front = -(-padding[0] // step), -padding[0] % step
    taps = -(-(front + (at_once - 1) * stride + size) // step)
    shifts = range(front, front + step, stride)
    shifted = [jnp.pad(kernel, ((shift, taps * step - size - shift), (0, 0), (0, 0))) for shift in shifts]
    wide = jnp.stack(shifted, axis=2).reshape(taps, step * channels, at_once * features)
    num_read = -(-num_outputs // at_once) + taps - 1 - before
    whole = jnp.pad(x, ((0, 0), (0, -num_samples % step), (0, 0)))
    blocks = whole.reshape(batch, -1, step * channels)[:, :num_read]
    y = _convolve_by_ones(blocks, wide, (before, num_read - blocks.shape[1]))
    return y.reshape(batch, -1, features)[:, :num_outputs]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve_by_ones(x: jax.Array, kernel: jax.Array, padding: tuple[int, int]) -> jax.Array:
    """`_convolve` with a stride of 1, whose gradients are fast on CPU."""
    return _convolve(x, kernel, 1, padding)


def _convolve_by_ones_forward(
    x: jax.Array, kernel: jax.Array, padding: tuple[int, int]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve(x, kernel, 1, padding), (x, kernel)


def _convolve_by_ones_backward(
    padding: tuple[int, int], kept: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    _, of_x = jax.vjp(lambda x: _convolve(x, kernel, 1, padding), x)
    by_xla = functools.partial(_kernel_gradient, padding=padding)
    return *of_x(gradient), kernel_gradient(x, gradient, padding[0], len(kernel), by_xla)


def _kernel_gradient(x: jax.Array, gradient: jax.Array, padding: tuple[int, int]) -> jax.Array:
    """The signal convolved with the gradient, channels in the place of records."""
    # Transposed before the product reads each value many times, not while it does.
    signal = apart(functools.partial(_channels_first, padding=padding))(x)
    return _convolve(signal, _time_first(gradient), 1, (0, 0)).transpose(1, 0, 2)


def _channels_first(x: jax.Array, padding: tuple[int, int]) -> jax.Array:
    """`[batch, time, channel]` -> `[channel, padded time, batch]`."""
    return jnp.pad(x, ((0, 0), padding, (0, 0))).transpose(2, 1, 0)


@apart
def _time_first(x: jax.Array) -> jax.Array:
    """`[batch, time, channel]` -> `[time, batch, channel]`."""
    return x.transpose(1, 0, 2)


_convolve_by_ones.defvjp(_convolve_by_ones_forward, _convolve_by_ones_backward)


def max_pool(x: jax.Array, size: int, stride: int) -> jax.Array:
    """`[batch, time, channel]` -> `[batch, ceil(time / stride), channel]`: the largest of `size` samples each.

    As comparisons of whole blocks; the gradient of XLA's own pooling is slow on CPU.
    """
    return functools.reduce(jnp.maximum, _windows(x, size, stride, -jnp.inf))


class Conv(nn.Module):
    """A convolution over time that gives one sample for every `stride` begun.

    Attributes:
      features: channels of the output.
      kernel_size: samples that it spans.
      stride: samples between outputs.
      use_bias: whether it adds a learnt constant.
      dtype: of the computation; parameters are float32.
    """

    features: int
    kernel_size: int
    stride: int
    use_bias: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.he_normal(), (self.kernel_size, x.shape[-1], self.features))
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        if not self.use_bias:
            return y
        return add_bias(y, self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype))


def adaptive_mean(x: jax.Array, num_bins: int) -> jax.Array:
    """`[batch, time, channel]` -> `[batch, num_bins, channel]`: means of equal stretches, which overlap where needed.

    The stretches are those of PyTorch's AdaptiveAvgPool.
    """
    sample, edge = np.arange(x.shape[1]), np.arange(num_bins + 1) * x.shape[1]
    is_in = (sample >= edge[:-1, None] // num_bins) & (sample < -(-edge[1:, None] // num_bins))
    weight = is_in / is_in.sum(axis=1, keepdims=True)
    return jnp.einsum("bt,ntc->nbc", weight.astype(x.dtype), x)


def flat_rows(head: nn.Module, x: jax.Array, first: str) -> jax.Array:
    """`[batch, time, channel]` -> `[batch, time * channel]` for the dense layer of `head` that is named `first`.

    Raises:
      InputError: the signal is not as long as those that the parameters are for.
    """
    rows = x.reshape(len(x), -1)
    trained = head.variables.get("params", {}).get(first)
    if trained is not None and len(trained["kernel"]) != rows.shape[-1]:
        raise InputError(
            f"the signal ends in {rows.shape[-1]} values where the network's first dense layer reads "
            f"{len(trained['kernel'])}, since its length is not that of training",
            "show it windows of data.crop_s: set evaluation.window_stride_s",
        )
    return rows


class FlatHead(nn.Module):
    """Every sample of every channel into dense layers: a rectified one where `hidden` is not 0, then the output.

    Such a head fits signals of one length alone.

    Attributes:
      num_outputs: width of the output.
      hidden: width of the layer before it; 0 leaves that out.
      dtype: of the hidden layer; parameters and output are float32.
    """

    num_outputs: int
    hidden: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`."""
        rows = flat_rows(self, x, "hidden" if self.hidden else "out")
        if self.hidden:
            rows = nn.relu(Dense(self.hidden, self.dtype, name="hidden")(rows))
        return nn.Dense(self.num_outputs, name="out")(rows.astype(jnp.float32))
