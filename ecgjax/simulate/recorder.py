"""What the recorder adds to nine electrode potentials: wander, muscle, mains and electrode motion.

Noise arises at the skin under each electrode, so the twelve leads share it as they share the electrodes, and
Einthoven's law holds in it too. Gain and quantisation belong to data preparation.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.leads import ELECTRODES
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import RECORDER

_ELECTRODES = len(ELECTRODES)
_WANDERS = 6


def draw_noise(
    draws: Draws, key: jax.Array, time_s: jax.Array, fs_hz: float, breath_hz: jax.Array, breath_phase: jax.Array
) -> jax.Array:
    """[time, 9 electrode] in mV."""
    each = jnp.exp(RECORDER.electrode_log_sd * draws.normal(2, _ELECTRODES))
    each = each * jnp.array([RECORDER.wander_by_electrode, RECORDER.muscle_by_electrode])
    wander = _wander(draws, time_s, breath_hz, breath_phase) * each[0]
    muscle = _muscle(draws, key, time_s, fs_hz) * each[1]
    return wander + muscle + _mains(draws, time_s, fs_hz) + _motion(draws, time_s)


def _wander(draws: Draws, time_s: jax.Array, breath_hz: jax.Array, breath_phase: jax.Array) -> jax.Array:
    """Slow drift: breathing, and random tones whose power falls with the square of frequency."""
    size = RECORDER.wander_mv * jnp.exp(RECORDER.wander_log_sd * draws.normal())
    low, high = RECORDER.wander_hz
    tone_hz = low * (high / low) ** draws.uniform(_WANDERS)
    amplitude = draws.normal(2 * _WANDERS + 1, _ELECTRODES)
    angle = 2 * jnp.pi * tone_hz * time_s[:, None]
    breath = jnp.sin(2 * jnp.pi * breath_hz * time_s + breath_phase)[:, None]
    waves = jnp.concatenate([jnp.sin(angle), jnp.cos(angle), breath], axis=1)
    fall = jnp.concatenate([low / tone_hz, low / tone_hz, 0.3 * jnp.ones(1)])
    return size * waves @ (amplitude * fall[:, None])


def _muscle(draws: Draws, key: jax.Array, time_s: jax.Array, fs_hz: float) -> jax.Array:
    """Nearly white in the recorder's band, with at times a burst of a second or two."""
    density = RECORDER.muscle_uv_per_rt_hz * jnp.exp(RECORDER.muscle_log_sd * draws.normal())
    u = draws.uniform(3)
    middle, width = u[1] * time_s[-1], 0.4 + 1.5 * u[2]
    burst = jnp.where(u[0] < RECORDER.burst, RECORDER.burst_gain, 0) * jnp.exp(-0.5 * ((time_s - middle) / width) ** 2)
    white = _nearly_normal(key, time_s.shape[0])
    return 1e-3 * density * jnp.sqrt(fs_hz / 2) * (1 + burst)[:, None] * white


def _nearly_normal(key: jax.Array, time: int) -> jax.Array:
    """[time, electrode] of unit variance, falling towards half the rate: sums of bytes, near to normal.

    Normal deviates proper would take a third of the simulator's time.
    """
    count = (time + 2) * _ELECTRODES
    bits = jax.random.bits(key, ((count + 1) // 2,))
    halves = jnp.concatenate([bits & 0xFFFF, bits >> 16])[:count].reshape(time + 2, _ELECTRODES)
    sums = ((halves & 0xFF) + (halves >> 8)).astype(jnp.float32) - 255
    smooth = sums[1:-1] + 0.35 * (sums[2:] + sums[:-2])
    return smooth / np.sqrt((1 + 2 * 0.35**2) * 2 * (256**2 - 1) / 12)


def _mains(draws: Draws, time_s: jax.Array, fs_hz: float) -> jax.Array:
    """A tone at the mains frequency, absent where the recorder's anti-alias filter removes it."""
    u, z = draws.uniform(2), draws.normal(1 + _ELECTRODES)
    mains_hz = jnp.where(u[0] < RECORDER.mains_60, RECORDER.mains_hz[1], RECORDER.mains_hz[0])
    size = RECORDER.mains_mv * jnp.exp(RECORDER.mains_log_sd * z[0]) * (mains_hz < 0.45 * fs_hz)
    return size * jnp.sin(2 * jnp.pi * (mains_hz * time_s + u[1]))[:, None] * z[1:]


def _motion(draws: Draws, time_s: jax.Array) -> jax.Array:
    """A step at one electrode that the recorder's high-pass lets fade."""
    u = draws.uniform(4)
    size = RECORDER.motion_mv * draws.normal() * (u[0] < RECORDER.motion)
    electrode = jax.nn.one_hot((u[3] * _ELECTRODES).astype(int), _ELECTRODES)
    since_s = time_s - u[1] * time_s[-1]
    fade_s = 0.2 + 1.5 * u[2]
    step = jax.nn.sigmoid(since_s / 0.02) * jnp.exp(-jnp.maximum(since_s, 0) / fade_s)
    return size * step[:, None] * electrode
