"""Structured state-space models: linear recurrences with complex poles, learnt in continuous time.

x' = A x + B u, y = 2 Re(C x) + D u with diagonal A, held constant over each sample (zero-order hold), so that sample k
turns into x_k = exp(A dt) x_(k-1) + (exp(A dt) - 1) / A B u_k. Every complex state stands for a conjugate pair.

S4D (Gu et al. 2022, arXiv:2206.11893) gives each channel states of its own; its output is one long convolution, done
by fast Fourier transforms. S5 (Smith et al. 2022, arXiv:2208.04933) has fewer states, which all channels share, and
runs the recurrence itself, as a parallel scan.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import scipy.fft

from ecgjax.errors import InputError
from ecgjax.models.layers import Dense, LayerNorm, multiply_scale
from ecgjax.models.sequence_layers import product

RECURRENCES = ("s4d", "s5")

_SHORTEST_DT, _LONGEST_DT = 1e-3, 1e-1  # of the initial time steps, in the unit of the poles' time


class StateSpaceNet(nn.Module):
    """A dense layer, residual blocks around state-space layers, the mean over time, and a dense layer.

    A block: layer normalisation, recurrence, GELU, a gated linear unit, dropout of whole channels. Mehari & Strodthoff
    2022, arXiv:2211.07579, normalise after the sum instead; before it, the sum keeps the amplitude in mV.

    Attributes:
      num_outputs: width of the output.
      recurrence: one of RECURRENCES.
      features: channels.
      num_layers: residual blocks.
      s4d_states: states of each channel in s4d, conjugates counted.
      s5_states: states of a layer in s5, conjugates counted.
      is_bidirectional: the recurrences also run from the end to the start, with output weights of their own.
      dropout_rate: after the recurrence and after the gated unit.
      dtype: of the dense layers; recurrences, parameters and output are float32.
    """

    num_outputs: int
    recurrence: str
    features: int
    num_layers: int
    s4d_states: int
    s5_states: int
    is_bidirectional: bool
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`."""
        if self.recurrence not in RECURRENCES:
            raise InputError(f"unknown recurrence {self.recurrence!r}", f"use one of {', '.join(RECURRENCES)}")
        # Whole channels are dropped; that also takes far fewer random numbers.
        dropout = nn.Dropout(self.dropout_rate, broadcast_dims=(1,), deterministic=not is_training)
        x = Dense(self.features, self.dtype, name="in")(signal_mv)
        for i in range(self.num_layers):
            y = LayerNorm(self.dtype, name=f"norm_{i}")(x)
            if self.recurrence == "s4d":
                y = S4D(self.s4d_states, self.is_bidirectional, name=f"s4d_{i}")(y)
            else:
                y = S5(self.s5_states, self.is_bidirectional, name=f"s5_{i}")(y)
            y = dropout(nn.gelu(y.astype(self.dtype)))
            x = x + dropout(nn.glu(Dense(2 * self.features, self.dtype, name=f"gate_{i}")(y)))
        return nn.Dense(self.num_outputs, name="out")(jnp.mean(x, axis=1, dtype=jnp.float32))


class S4D(nn.Module):
    """States of its own for each channel, as a convolution; float32 `[batch, time, channel]` of any input.

    Attributes:
      num_states: of each channel, conjugates counted.
      is_bidirectional: also from the end to the start.
    """

    num_states: int
    is_bidirectional: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        (_, time, channels), pairs = x.shape, _pairs(self.num_states)
        x = x.astype(jnp.float32)
        log_dt = self.param("log_dt", _log_dt, (channels,))
        exponent, gain = hold(_poles(self, channels, pairs), jnp.exp(log_dt)[:, None])
        directions = 1 + self.is_bidirectional
        # B only scales C where each state has one input and one output.
        weights = _complex(self.param("c", nn.initializers.normal(0.5**0.5), (2, directions, channels, pairs)))
        y = convolve(x, impulse_response(exponent, gain * weights, time))
        return y + multiply_scale(x, self.param("d", nn.initializers.normal(1.0), (channels,)))


class S5(nn.Module):
    """States that all channels share, as a parallel scan; float32 `[batch, time, channel]` of any input.

    Attributes:
      num_states: of the layer, conjugates counted.
      is_bidirectional: also from the end to the start.
    """

    num_states: int
    is_bidirectional: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels, pairs = x.shape[-1], _pairs(self.num_states)
        x = x.astype(jnp.float32).transpose(1, 0, 2)
        log_dt = self.param("log_dt", _log_dt, (pairs,))
        exponent, gain = hold(_poles(self, 1, pairs)[0], jnp.exp(log_dt))
        b = self.param("b", nn.initializers.lecun_normal(), (channels, 2 * pairs))
        real, imag = jnp.split(product(x, b), 2, axis=-1)
        driven = gain * jax.lax.complex(real, imag)
        states = [run(exponent, driven)]
        if self.is_bidirectional:
            states.append(run(exponent, driven[::-1])[::-1])
        parts = jnp.concatenate([part for state in states for part in (state.real, -state.imag)], axis=-1)
        c = self.param("c", nn.initializers.lecun_normal(), (parts.shape[-1], channels))
        y = 2 * product(parts, c) + multiply_scale(x, self.param("d", nn.initializers.normal(1.0), (channels,)))
        return y.transpose(1, 0, 2)


def hold(poles: jax.Array, dt: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A dt, and what a sample held for `dt` adds to the state, (exp(A dt) - 1) / A; both as wide as `poles`."""
    exponent = poles * dt
    return exponent, jnp.expm1(exponent) / poles


def impulse_response(exponent: jax.Array, weights: jax.Array, num_samples: int) -> jax.Array:
    """2 Re(sum over states of weights exp(exponent k)) for k from 0 on, float32 `[direction, channel, num_samples]`.

    From complex `[channel, state]` and `[direction, channel, state]`. Every power is one of whole blocks times one
    within a block, so that a matrix product stands for an exponential a sample.
    """
    block = max(1, math.isqrt(num_samples))
    num_blocks = -(-num_samples // block)
    whole = jnp.exp(exponent[:, None] * (block * jnp.arange(num_blocks))[:, None]) * weights[:, :, None]
    within = jnp.exp(exponent[:, None] * jnp.arange(block)[:, None])
    response = 2 * jnp.einsum(
        "dcbs,cws->dcbw",
        jnp.concatenate([whole.real, -whole.imag], axis=-1),
        jnp.concatenate([within.real, within.imag], axis=-1),
    )
    return response.reshape(*weights.shape[:2], -1)[..., :num_samples]


def convolve(x: jax.Array, response: jax.Array) -> jax.Array:
    """`[batch, time, channel]` with `[direction, channel, time]`: samples before with the first, after with the second.

    Both weigh the sample itself by their first value.
    """
    time = x.shape[1]
    # Long enough that nothing wraps around; a length of small prime factors is faster.
    length = scipy.fft.next_fast_len(2 * time - 1, real=True)
    transfer = jnp.fft.rfft(response, length)
    # The spectrum of a signal run backwards is the conjugate.
    both = transfer[0] + jnp.conj(transfer[1]) if len(response) > 1 else transfer[0]
    y = jnp.fft.irfft(jnp.fft.rfft(x.transpose(0, 2, 1), length) * both, length)
    return y[..., :time].transpose(0, 2, 1)


@jax.custom_vjp
def run(exponent: jax.Array, driven: jax.Array) -> jax.Array:
    """States x_k = exp(exponent) x_(k-1) + driven_k, complex `[time, batch, state]`, from `[state]` and such inputs.

    A parallel scan in two levels: all blocks of about sqrt(time) samples at once for their last states, those states
    from block to block, and all blocks again from where they start. On CPU it is four times faster than
    `jax.lax.associative_scan`, which joins pairs of samples instead, and as fast as going sample by sample.
    """
    time = len(driven)
    block = max(1, math.isqrt(time))
    missing = -time % block
    # Zeros before the first sample change nothing; [sample of the block, block, batch, state].
    blocks = jnp.pad(driven, ((missing, 0), (0, 0), (0, 0))).reshape(-1, block, *driven.shape[1:]).swapaxes(0, 1)
    power, power_of_block = jnp.exp(exponent), jnp.exp(exponent * block)

    def advance(state: jax.Array, added: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = power * state + added
        return state, state

    last, _ = jax.lax.scan(lambda x, added: (power * x + added, None), jnp.zeros_like(blocks[0]), blocks)
    _, first = jax.lax.scan(lambda x, added: (power_of_block * x + added, x), jnp.zeros_like(last[0]), last)
    _, states = jax.lax.scan(advance, first, blocks)
    return states.swapaxes(0, 1).reshape(-1, *driven.shape[1:])[missing:]


def _run_forward(exponent: jax.Array, driven: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    states = run(exponent, driven)
    return states, (exponent, states)


def _run_backward(kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The gradient runs through the same recurrence, backwards."""
    exponent, states = kept
    of_driven = run(exponent, gradient[::-1])[::-1]
    of_power = jnp.sum(of_driven[1:] * states[:-1], axis=(0, 1))
    return jnp.exp(exponent) * of_power, of_driven


run.defvjp(_run_forward, _run_backward)


def _poles(module: nn.Module, channels: int, pairs: int) -> jax.Array:
    """S4D-Lin: -1/2 + i pi n, `[channel, state]`; as flat parameters, so that weight decay leaves them alone."""
    decay = module.param("log_decay", nn.initializers.constant(math.log(0.5)), (channels * pairs,))
    frequency = module.param("frequency", lambda _, shape: jnp.pi * (jnp.arange(shape[0]) % pairs), decay.shape)
    return jax.lax.complex(-jnp.exp(decay), frequency).reshape(channels, pairs)


def _log_dt(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.uniform(key, shape, jnp.float32, math.log(_SHORTEST_DT), math.log(_LONGEST_DT))


def _pairs(num_states: int) -> int:
    if num_states < 2 or num_states % 2:
        raise InputError(f"{num_states} states are not whole conjugate pairs", "use an even number from 2")
    return num_states // 2


def _complex(parts: jax.Array) -> jax.Array:
    return jax.lax.complex(parts[0], parts[1])
