"""What is read off an average beat: the peak of the QRS complex and the level of the ST segment, lead by lead.

Both stand against the level just before the QRS complex. Where that begins and ends is the same for all leads, found by
the power of the slope of the nine electrode potentials.
"""

import jax
import jax.numpy as jnp

from ecgjax.beats import POWER_METRIC, BeatWindow

# A ventricle takes no longer to begin before the steepest slope of a beat, or to end after it.
BEFORE_S, AFTER_S = 0.10, 0.12
# The complex is where the power of the slope is above this share of its highest.
EDGE = 0.05
LEVEL_S = 0.02
ST_S = 0.06


def qrs_and_st(true_mv: jax.Array, rebuilt_mv: jax.Array, window: BeatWindow) -> tuple[jax.Array, jax.Array]:
    """QRS peak and ST level of a true beat and of one rebuilt, `[time, 12]` in mV each: `[12, 2]` each, true first.

    The peak is the largest deflection of the true beat, with its sign; that of the rebuilt beat is the largest of the
    same sign, so that it need not come at the same instant. The ST level is that 60 ms after the J point.
    """
    slope = jnp.asarray(jnp.gradient(true_mv, axis=0))
    power = jnp.sum((slope @ POWER_METRIC) * slope, axis=-1)
    place = jnp.arange(window.num_samples) - window.num_before
    before, after = round(BEFORE_S * window.fs_hz), round(AFTER_S * window.fs_hz)
    power = jnp.where((place >= -before) & (place <= after), power, 0.0)
    is_steep = (power > EDGE * jnp.max(power)) | (place == 0)
    onset = jnp.argmax(is_steep)
    end = window.num_samples - 1 - jnp.argmax(is_steep[::-1])

    both = jnp.stack([true_mv, rebuilt_mv], axis=-1)
    num_level = max(1, round(LEVEL_S * window.fs_hz))
    both -= jnp.mean(both[jnp.maximum(onset - 1 - jnp.arange(num_level), 0)], axis=0)
    sample = jnp.arange(window.num_samples)
    in_qrs = ((sample >= onset) & (sample <= end))[:, None]
    largest = jnp.argmax(jnp.where(in_qrs, jnp.abs(both[..., 0]), -1.0), axis=0)
    true_peak = jnp.take_along_axis(both[..., 0], largest[None], axis=0)[0]
    sign = jnp.where(true_peak < 0, -1.0, 1.0)
    rebuilt_peak = sign * jnp.max(jnp.where(in_qrs, sign * both[..., 1], -jnp.inf), axis=0)
    st = both[jnp.minimum(end + 1 + round(ST_S * window.fs_hz), window.num_samples - 1)]
    return jnp.stack([true_peak, rebuilt_peak], axis=-1), st
