"""Random changes to one record, `[time, lead]` in mV, that keep it a possible twelve-lead ECG.

Everything linear (body, gain, electrode exchange) is composed into one 12x12 matrix a record, so that the
compiled step multiplies once. All functions are for one record; the step maps them over the batch by `vmap`.
"""

import jax
import jax.numpy as jnp

from ecgjax import leads

_TO_ELECTRODES = jnp.asarray(leads.ELECTRODES_FROM_LEADS, jnp.float32)
_TO_LEADS = jnp.asarray(leads.LEADS_FROM_ELECTRODES, jnp.float32)
_NUM_LIMB = len(leads.LIMB_ELECTRODES)
_NUM_CHEST = len(leads.PRECORDIAL_LEADS)

# Samples between the knots of slow noise: 4 Hz at a rate of 100 Hz, between baseline wander and the T wave.
_SLOW_SAMPLES = 25


def rotate_frontal_plane(angle_rad: jax.Array) -> jax.Array:
    """`[9, 9]` on electrode potentials: turns the frontal axis of the heart by `angle_rad`.

    Einthoven's triangle is equilateral, and limb potentials against Wilson's terminal sum to zero; so a turn of the
    frontal plane is a rotation of (RA, LA, LL) about (1, 1, 1).
    """
    axis = jnp.ones(3) / jnp.sqrt(3.0)
    cross = jnp.cross(jnp.eye(3), axis)
    # Rodrigues' formula.
    rotation = jnp.eye(3) + jnp.sin(angle_rad) * cross + (1 - jnp.cos(angle_rad)) * cross @ cross
    return jnp.eye(_NUM_LIMB + _NUM_CHEST).at[:_NUM_LIMB, :_NUM_LIMB].set(rotation)


def displace_chest_electrodes(shift: jax.Array) -> jax.Array:
    """`[9, 9]` on electrode potentials: moves each of V1..V6 towards its neighbour by `shift` `[6]` of their distance.

    Positive shifts go towards V6. The potential between two electrodes is interpolated; beyond V1 and V6 it is theirs.
    """
    place = jnp.clip(jnp.arange(_NUM_CHEST) + shift, 0, _NUM_CHEST - 1)
    weight = jnp.clip(1 - jnp.abs(place[:, None] - jnp.arange(_NUM_CHEST)), 0)
    return jnp.eye(_NUM_LIMB + _NUM_CHEST).at[_NUM_LIMB:, _NUM_LIMB:].set(weight)


def vary_body(key: jax.Array, rotation_rad: float, displacement: float, gain: float) -> jax.Array:
    """`[12, 12]` on leads: another axis, other electrode sites and another gain.

    `rotation_rad`, `displacement` (of the distance between chest electrodes; half common to all, half of each alone)
    and `gain` (of its logarithm) are standard deviations.
    """
    rotation_key, common_key, single_key, gain_key = jax.random.split(key, 4)
    rotation = rotate_frontal_plane(rotation_rad * jax.random.normal(rotation_key))
    shift = jax.random.normal(common_key) + jax.random.normal(single_key, (_NUM_CHEST,))
    chest = displace_chest_electrodes(displacement * jnp.sqrt(0.5) * jnp.clip(shift, -2.0, 2.0))
    factor = jnp.exp(gain * jax.random.normal(gain_key))
    return factor * _TO_LEADS @ chest @ rotation @ _TO_ELECTRODES


def electrode_noise(key: jax.Array, num_samples: int, sd_mv: float) -> jax.Array:
    """`[time, lead]` of muscle and motion noise that arises at the electrodes and so obeys Einthoven's law.

    Each electrode has its own level, half-normal with deviation `sd_mv`, and its own mixture of white and slow noise.
    """
    num_electrodes = len(leads.ELECTRODES)
    white_key, slow_key, share_key, level_key = jax.random.split(key, 4)
    white = jax.random.normal(white_key, (num_samples, num_electrodes))
    place = jnp.arange(num_samples) / _SLOW_SAMPLES
    knots = jnp.arange(num_samples // _SLOW_SAMPLES + 2)
    between = jnp.clip(1 - jnp.abs(place[:, None] - knots), 0)
    # Linear interpolation leaves two thirds of the variance.
    slow = jnp.sqrt(1.5) * between @ jax.random.normal(slow_key, (len(knots), num_electrodes))
    share = jax.random.uniform(share_key, (num_electrodes,))
    level = sd_mv * jnp.abs(jax.random.normal(level_key, (num_electrodes,)))
    return (level * (jnp.sqrt(share) * slow + jnp.sqrt(1 - share) * white)) @ _TO_LEADS.T
