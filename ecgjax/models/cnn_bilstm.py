"""Convolutions and a recurrence in both directions, from an electrocardiogram to the sites of a heart at every sample.

The recurrence holds one product a sample for each direction and keeps what its gradient needs; all other products are
over all samples at once.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.layers import Dense, add_bias
from ecgjax.models.sequence_layers import product, uniform
from ecgjax.models.three_tap_conv import ThreeTapConv


class BiLSTM(nn.Module):
    """A recurrent layer with memory (Hochreiter and Schmidhuber 1997) from past to future and another back.

    Gates and both biases are those of PyTorch: input, forget, new, output.

    Attributes:
      features: width of the state of each direction.
      dtype: of products and states; memory and parameters are float32.
    """

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[time, sequence, channel]` -> `[time, sequence, forward | backward]`."""
        start, width = uniform(self.features), 4 * self.features
        input_kernel = self.param("input_kernel", start, (2, x.shape[-1], width))
        recurrent_kernel = self.param("recurrent_kernel", start, (2, self.features, width))
        biases = [self.param(name, start, (2, width)) for name in ("input_bias", "recurrent_bias")]
        kernel = input_kernel.transpose(1, 0, 2).reshape(x.shape[-1], 2 * width)
        bias = (biases[0] + biases[1]).reshape(2 * width).astype(self.dtype)
        forward, backward = jnp.split(add_bias(product(x.astype(self.dtype), kernel), bias), 2, axis=-1)
        inputs = jnp.stack([forward, backward[::-1]], axis=1)
        states = recur(inputs, recurrent_kernel.astype(self.dtype))
        return jnp.concatenate([states[:, 0], states[::-1, 1]], axis=-1)


@jax.custom_vjp
def recur(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """States `[time, direction, sequence, features]` from the inputs of the gates.

    Args:
      inputs: `[time, direction, sequence, input | forget | new | output]`, the time of each direction running forward.
      kernel: `[direction, features, input | forget | new | output]`.
    """
    return _states_and_gates(inputs, kernel)[0]


def _states_and_gates(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """States, and in float32 what the gates let through and the memories."""

    def step(carry: tuple[jax.Array, jax.Array], of_input: jax.Array) -> tuple[tuple, tuple]:
        state, memory = carry
        raw = (of_input + _products(state, kernel)).astype(jnp.float32)
        enter, keep, new, leave = jnp.split(raw, 4, axis=-1)
        enter, keep, leave, new = *map(jax.nn.sigmoid, (enter, keep, leave)), jnp.tanh(new)
        memory = keep * memory + enter * new
        state = (leave * jnp.tanh(memory)).astype(inputs.dtype)
        return (state, memory), (state, jnp.concatenate([enter, keep, new, leave], axis=-1), memory)

    _, _, sequence, width = inputs.shape
    memory = jnp.zeros((2, sequence, width // 4), jnp.float32)
    _, (states, gates, memories) = jax.lax.scan(step, (memory.astype(inputs.dtype), memory), inputs)
    return states, (gates, memories)


def _recur_forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple]:
    states, kept = _states_and_gates(inputs, kernel)
    return states, (states, *kept, kernel)


def _recur_backward(kept: tuple, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The scan holds one product a direction; the gradient of the kernel is one over all samples after it."""
    states, gates, memories, kernel = kept
    back = kernel.transpose(0, 2, 1)

    def earlier(x: jax.Array) -> jax.Array:
        return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])

    def step(carry: tuple[jax.Array, jax.Array], now: tuple) -> tuple[tuple, jax.Array]:
        of_state, of_memory = carry
        of_output, gates, memory, previous = now
        of_state = of_state + of_output
        enter, keep, new, leave = jnp.split(gates, 4, axis=-1)
        shown = jnp.tanh(memory)
        of_memory = of_memory + of_state * leave * (1 - shown**2)
        of_gates = jnp.concatenate(
            [
                of_memory * new * enter * (1 - enter),
                of_memory * previous * keep * (1 - keep),
                of_memory * enter * (1 - new**2),
                of_state * shown * leave * (1 - leave),
            ],
            axis=-1,
        ).astype(kernel.dtype)
        return (_products(of_gates, back).astype(jnp.float32), of_memory * keep), of_gates

    nothing = jnp.zeros_like(memories[0])
    steps = (gradient, gates, memories, earlier(memories))
    _, of_inputs = jax.lax.scan(step, (nothing, nothing), steps, reverse=True)
    before = earlier(states)
    of_kernel = [_rows(before[:, i]).T @ _rows(of_inputs[:, i]) for i in range(2)]
    return of_inputs, jnp.stack(of_kernel)


recur.defvjp(_recur_forward, _recur_backward)


def _products(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Of each direction; one product over both would keep to a single core of a CPU."""
    return jnp.stack([x[0] @ kernel[0], x[1] @ kernel[1]])


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


class CnnBiLSTM(nn.Module):
    """Three convolutions over three samples, recurrent layers in both directions, and one output for each sample.

    With 256, 128 and 64 channels, two recurrent layers 256 wide, twelve leads and 75 outputs 2,407,435 parameters.

    Attributes:
      num_outputs: channels of the output.
      features: channels of each convolution.
      hidden: width of the state of each direction.
      num_layers: recurrent layers.
      dropout_rate: after every convolution.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    features: tuple[int, ...]
    hidden: int
    num_layers: int
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, time, num_outputs]`."""
        x = signal_mv
        for i, features in enumerate(self.features):
            x = nn.relu(ThreeTapConv(features, self.dtype, name=f"conv_{i}")(x))
            x = nn.Dropout(self.dropout_rate, deterministic=not is_training)(x)
        x = x.transpose(1, 0, 2)
        for i in range(self.num_layers):
            x = BiLSTM(self.hidden, self.dtype, name=f"lstm_{i}")(x)
        return Dense(self.num_outputs, jnp.dtype("float32"), name="out")(x.transpose(1, 0, 2))
