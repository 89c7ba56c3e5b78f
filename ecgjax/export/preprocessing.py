"""What `ecgjax.preprocess` does to a record on the host, as products and convolutions for signals of one length.

Resampling and the band-pass are linear, so that their matrices are read off the host's own functions: a strided
convolution for the first, for the second the products that pass the state of the filter from block to block.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pywt
import scipy.linalg
import scipy.signal

from ecgjax.data.signals import INT16
from ecgjax.data.split import GAIN
from ecgjax.preprocess import Preprocess, bandpass_padding, bandpass_sections, rate_ratio, resample

Signal = Callable[[jax.Array], jax.Array]
"""Takes `[time, lead]` in mV to the same, of another rate or filtered."""

_BLOCK_SAMPLES = 64


def preprocessing(preprocess: Preprocess, num_samples: int, fs_hz: float, length: int, *, rounds: bool) -> Signal:
    """What makes `[length, lead]` at `preprocess.fs_hz` of `[num_samples, lead]` at `fs_hz`, as a split in memory is.

    Filtered, the middle cut out or zeros added at the end, and with `rounds` rounded to what int16 holds.
    """
    time = preprocess.num_samples(num_samples, fs_hz)
    steps = [] if fs_hz == preprocess.fs_hz else [_resampled(num_samples, fs_hz, preprocess.fs_hz)]
    if preprocess.filter == "wavelet_bandpass":
        steps.append(_wavelet_denoised(time))
    if preprocess.filter != "none":
        steps.append(_bandpassed(time, preprocess.fs_hz, preprocess.low_hz, preprocess.high_hz))
    start = max(0, (time - length) // 2)

    def apply(signal_mv: jax.Array) -> jax.Array:
        for step in steps:
            signal_mv = step(signal_mv)
        kept = jnp.pad(signal_mv[start : start + length], ((0, max(0, length - time)), (0, 0)))
        return jnp.clip(jnp.round(kept * GAIN), INT16.min, INT16.max) / GAIN if rounds else kept

    return apply


def _resampled(num_samples: int, from_hz: float, to_hz: float) -> Signal:
    up, down = rate_ratio(from_hz, to_hz)
    length = -(-num_samples * up // down)
    # The filter reaches ten samples of the slower rate; the responses to single samples around one whole period of
    # the two rates are its weights, one row for each place in the period.
    reach = math.ceil(10 * max(up, down) / up) + 1
    margin = 2 * (reach // down + 1)
    window = np.arange(margin * down - reach, (margin + 1) * down + reach)
    impulses = np.zeros(((2 * margin + 1) * down, len(window)))
    impulses[window, np.arange(len(window))] = 1.0
    weights = resample(impulses, from_hz, to_hz)[margin * up : (margin + 1) * up].astype(np.float32)
    # Beyond its ends a record is continued by the line through its first and last sample.
    ramp = np.arange(num_samples) / max(num_samples - 1, 1)
    lines = np.stack([1 - ramp, ramp], axis=1)
    at_ends, seen_at_ends = lines.astype(np.float32), resample(lines, from_hz, to_hz).astype(np.float32)
    num_periods = -(-length // up)
    after = max(0, (num_periods - 1) * down + len(window) - reach - num_samples)

    def apply(signal_mv: jax.Array) -> jax.Array:
        ends = jnp.stack([signal_mv[0], signal_mv[-1]])
        about_line = signal_mv - _product("te,el->tl", at_ends, ends)
        periods = jax.lax.conv_general_dilated(
            about_line.T[:, None],
            jnp.asarray(weights[:, None]),
            (down,),
            [(reach, after)],
            precision=jax.lax.Precision.HIGHEST,
        )[..., :num_periods]
        filtered = periods.transpose(2, 1, 0).reshape(num_periods * up, -1)[:length]
        return filtered + _product("te,el->tl", seen_at_ends, ends)

    return apply


def _bandpassed(time: int, fs_hz: float, low_hz: float, high_hz: float) -> Signal:
    sections, padding = bandpass_sections(fs_hz, low_hz, high_hz), bandpass_padding(time, fs_hz, low_hz)
    one_way = _recursion(sections, time + 2 * padding)

    def apply(signal_mv: jax.Array) -> jax.Array:
        # Continued by what is turned about the first and the last sample.
        before = 2 * signal_mv[:1] - signal_mv[1 : padding + 1][::-1]
        after = 2 * signal_mv[-1:] - signal_mv[time - 1 - padding : time - 1][::-1]
        there = one_way(jnp.concatenate([before, signal_mv, after]))
        return one_way(there[::-1])[::-1][padding : padding + time]

    return apply


def _recursion(sections: np.ndarray, num_samples: int) -> Signal:
    """A recursive filter over `[num_samples, lead]` that begins as if the first sample had come for ever.

    Its state after a block of samples is linear in the state before and in the block, and so is what comes out.
    """
    num_states = 2 * len(sections)
    num_blocks = -(-num_samples // _BLOCK_SAMPLES)
    at_rest, units = np.zeros((len(sections), 2, _BLOCK_SAMPLES)), np.eye(num_states).reshape(-1, 2, num_states)
    from_block, state_of_block = scipy.signal.sosfilt(sections, np.eye(_BLOCK_SAMPLES), axis=0, zi=at_rest)
    silence = np.zeros((_BLOCK_SAMPLES, num_states))
    from_state, state_of_state = scipy.signal.sosfilt(sections, silence, axis=0, zi=units)
    state_of_block, state_of_state = (x.reshape(num_states, -1) for x in (state_of_block, state_of_state))
    first = scipy.signal.sosfilt_zi(sections).reshape(-1)
    # In the filter's own coordinates states are large and cancel; here noise would move all of them by as much.
    gramian = scipy.linalg.solve_discrete_lyapunov(state_of_state, state_of_block @ state_of_block.T)
    unit = np.linalg.cholesky(gramian)
    from_state, state_of_state = from_state @ unit, np.linalg.solve(unit, state_of_state @ unit)
    state_of_block, first = np.linalg.solve(unit, state_of_block), np.linalg.solve(unit, first)
    # [block, state, given, state]: given are the first state, and what each block adds to the one after it.
    states = np.zeros((num_blocks, num_states, num_blocks, num_states))
    power = np.eye(num_states)
    for distance in range(num_blocks):
        for block in range(distance, num_blocks):
            states[block, :, block - distance] = power
        power = power @ state_of_state
    single = [x.astype(np.float32) for x in (from_block, state_of_block, from_state, states, first)]
    from_block, state_of_block, from_state, carry, first = single

    def apply(signal_mv: jax.Array) -> jax.Array:
        padded = jnp.pad(signal_mv, ((0, num_blocks * _BLOCK_SAMPLES - num_samples), (0, 0)))
        blocks = padded.reshape(num_blocks, _BLOCK_SAMPLES, -1)
        added = _product("st,btl->bsl", state_of_block, blocks)
        given = jnp.concatenate([(first[:, None] * signal_mv[0])[None], added[:-1]])
        state = _product("bsgr,grl->bsl", carry, given)
        filtered = _product("ut,btl->bul", from_block, blocks) + _product("us,bsl->bul", from_state, state)
        return filtered.reshape(num_blocks * _BLOCK_SAMPLES, -1)[:num_samples]

    return apply


def _wavelet_denoised(time: int) -> Signal:
    level = pywt.dwt_max_level(time, "db4")
    parts = pywt.wavedec(np.eye(time), "db4", "periodic", level=level, axis=0)
    sizes = [len(part) for part in parts]
    of_signal = np.concatenate(parts[1:]).astype(np.float32)
    units = np.split(np.eye(sum(sizes)), np.cumsum(sizes)[:-1])
    from_details = pywt.waverec(units, "db4", "periodic", axis=0)[:time, sizes[0] :].astype(np.float32)

    def apply(signal_mv: jax.Array) -> jax.Array:
        details = _product("dt,tl->dl", of_signal, signal_mv)
        finest = details[-sizes[-1] :]
        sigma = jnp.mean(jnp.abs(finest - jnp.mean(finest, axis=0)), axis=0) / 0.6745
        kept = jnp.where(jnp.abs(details) > sigma * np.sqrt(2 * np.log(time)), details, 0.0)
        return _product("td,dl->tl", from_details, kept)

    return apply


def _product(subscripts: str, first: np.ndarray, second: jax.Array) -> jax.Array:
    # Accelerators may round the factors of single precision otherwise.
    return jnp.einsum(subscripts, first, second, precision=jax.lax.Precision.HIGHEST)
