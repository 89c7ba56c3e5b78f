"""Random changes to one record, `[time, lead]` in mV, that keep it a possible twelve-lead ECG.

Everything linear (body, gain, electrode exchange) is composed into one 12x12 matrix a record, so that the
compiled step multiplies once. All functions are for one record; the step maps them over the batch by `vmap`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads

_TO_ELECTRODES = leads.ELECTRODES_FROM_LEADS.astype(np.float32)
_TO_LEADS = leads.LEADS_FROM_ELECTRODES.astype(np.float32)
_FROM_INDEPENDENT = leads.LEADS_FROM_INDEPENDENT.astype(np.float32)
_PICK_INDEPENDENT = np.eye(len(leads.LEADS), dtype=np.float32)[[leads.LEADS.index(n) for n in leads.INDEPENDENT_LEADS]]

# Lead vectors of I, II, V1..V6 (Dower, Machado and Osborne, Clin Cardiol 1980, 3:87-95).
DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ],
    np.float32,
)
_DIPOLE = np.linalg.pinv(DOWER)
_NUM_LIMB = len(leads.LIMB_ELECTRODES)
_NUM_CHEST = len(leads.PRECORDIAL_LEADS)

# Samples between the knots of slow noise: 4 Hz at a rate of 100 Hz, between baseline wander and the T wave.
SLOW_SAMPLES = 25


def turn_heart(rotation_rad: jax.Array, stretch: jax.Array) -> jax.Array:
    """`[12, 12]` on leads: turns the heart's dipole by a rotation vector `[3]`, axes scaled by exp(`stretch` `[3]`).

    The dipole (x left, y down, z back) is what Dower's lead vectors explain of the record; the rest, the nearby
    detail of each chest lead, stays as it is.
    """
    x, y, z = rotation_rad
    generator = jnp.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = jnp.linalg.norm(rotation_rad) + 1e-6
    # Rodrigues' formula.
    turn = jnp.eye(3) + jnp.sinc(angle / jnp.pi) * generator
    turn += 0.5 * jnp.sinc(angle / (2 * jnp.pi)) ** 2 * generator @ generator
    change = turn * jnp.exp(stretch) - jnp.eye(3)
    on_independent = jnp.eye(len(leads.INDEPENDENT_LEADS)) + DOWER @ change @ _DIPOLE
    return _FROM_INDEPENDENT @ on_independent @ _PICK_INDEPENDENT


def displace_chest_electrodes(shift: jax.Array) -> jax.Array:
    """`[9, 9]` on electrode potentials: moves each of V1..V6 towards its neighbour by `shift` `[6]` of their distance.

    Positive shifts go towards V6. The potential between two electrodes is interpolated; beyond V1 and V6 it is theirs.
    """
    place = jnp.clip(jnp.arange(_NUM_CHEST) + shift, 0, _NUM_CHEST - 1)
    weight = jnp.clip(1 - jnp.abs(place[:, None] - jnp.arange(_NUM_CHEST)), 0)
    return jnp.eye(_NUM_LIMB + _NUM_CHEST).at[_NUM_LIMB:, _NUM_LIMB:].set(weight)


def vary_body(key: jax.Array, rotation_rad: float, elongation: float, displacement: float, gain: float) -> jax.Array:
    """`[12, 12]` on leads: another position of the heart, other electrode sites and another gain.

    `rotation_rad` (about each axis), `elongation` (of the logarithm of each axis of the dipole), `displacement` (of the
    distance between chest electrodes; half common to all, half of each alone) and `gain` (of its logarithm) are
    standard deviations.
    """
    rotation_key, elongation_key, common_key, single_key, gain_key = jax.random.split(key, 5)
    heart = turn_heart(
        rotation_rad * jax.random.normal(rotation_key, (3,)), elongation * jax.random.normal(elongation_key, (3,))
    )
    shift = jax.random.normal(common_key) + jax.random.normal(single_key, (_NUM_CHEST,))
    chest = displace_chest_electrodes(displacement * jnp.sqrt(0.5) * jnp.clip(shift, -2.0, 2.0))
    factor = jnp.exp(gain * jax.random.normal(gain_key))
    return factor * _TO_LEADS @ chest @ _TO_ELECTRODES @ heart


def electrode_noise(key: jax.Array, num_samples: int, sd_mv: float) -> jax.Array:
    """`[time, lead]` of muscle and motion noise that arises at the electrodes and so obeys Einthoven's law.

    Each electrode has its own level, half-normal with deviation `sd_mv`, and its own mixture of white and slow noise.
    """
    num_electrodes = len(leads.ELECTRODES)
    white_key, slow_key, share_key, level_key = jax.random.split(key, 4)
    white = jax.random.normal(white_key, (num_samples, num_electrodes))
    place = jnp.arange(num_samples) / SLOW_SAMPLES
    knots = jnp.arange(num_samples // SLOW_SAMPLES + 2)
    between = jnp.clip(1 - jnp.abs(place[:, None] - knots), 0)
    # Linear interpolation leaves two thirds of the variance.
    slow = jnp.sqrt(1.5) * between @ jax.random.normal(slow_key, (len(knots), num_electrodes))
    share = jax.random.uniform(share_key, (num_electrodes,))
    level = sd_mv * jnp.abs(jax.random.normal(level_key, (num_electrodes,)))
    return (level * (jnp.sqrt(share) * slow + jnp.sqrt(1 - share) * white)) @ _TO_LEADS.T


def lead_noise(key: jax.Array, signal_mv: jax.Array, highest_mv: float) -> jax.Array:
    """`[time, lead]` of white noise that arises in each lead alone, from rounding to separate filters.

    It breaks Einthoven's law. The level is log-uniform over the two decades below `highest_mv`, one for all leads.
    """
    level_key, noise_key = jax.random.split(key)
    level_mv = highest_mv * 10 ** (-2 * jax.random.uniform(level_key))
    return level_mv * jax.random.normal(noise_key, signal_mv.shape)


def stretch_time(key: jax.Array, signal_mv: jax.Array, centre: int, sd: float) -> jax.Array:
    """Stretches `[time, lead]` about the sample `centre` by a factor whose logarithm has deviation `sd`."""
    place = centre + (jnp.arange(signal_mv.shape[0]) - centre) * jnp.exp(sd * jax.random.normal(key))
    return at_samples(signal_mv, place)


def at_samples(signal_mv: jax.Array, place: jax.Array) -> jax.Array:
    """`[time, lead]` at the samples `place` float `[place]`.

    Interpolated linearly; what would come from outside repeats the edge.
    """
    last = signal_mv.shape[0] - 1
    place = jnp.clip(place, 0, last)
    before = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, last - 1)
    share = (place - before)[:, None]
    return (1 - share) * signal_mv[before] + share * signal_mv[before + 1]


def show_leads(signal_mv: jax.Array, is_given: jax.Array) -> jax.Array:
    """`[time, 12]` with the leads of `is_given` bool `[12]`, those that follow from them, and zeros elsewhere."""
    num_limb = len(leads.LIMB_LEADS)
    completion = jnp.asarray(leads.LIMB_COMPLETIONS, signal_mv.dtype)[leads.limb_mask(is_given)]
    limb = signal_mv[:, :num_limb] @ completion.T
    return jnp.concatenate([limb, jnp.where(is_given[num_limb:], signal_mv[:, num_limb:], 0)], axis=1)


def random_leads(key: jax.Array) -> jax.Array:
    """A random subset of the twelve leads, bool `[12]`, for networks that shall know all of them.

    What matters is which signals are known: all six limb leads (in half of the draws), one of them or none, and a
    number of chest leads that is drawn first. All twelve come up in a fourteenth of the draws; nothing at all, never.
    """
    limb_key, lead_key, number_key, order_key, fallback_key = jax.random.split(key, 5)
    num_limb, num_chest = len(leads.LIMB_LEADS), len(leads.PRECORDIAL_LEADS)
    known = jax.random.choice(limb_key, 3, p=jnp.array([0.2, 0.3, 0.5]))
    one = jnp.arange(num_limb) == jax.random.randint(lead_key, (), 0, num_limb)
    limb = jnp.where(known == 2, True, (known == 1) & one)
    number = jax.random.randint(number_key, (), 0, num_chest + 1)
    chest = jax.random.permutation(order_key, num_chest) < number
    is_given = jnp.concatenate([limb, chest])
    fallback = jnp.arange(num_limb + num_chest) == jax.random.randint(fallback_key, (), 0, num_limb + num_chest)
    return jnp.where(is_given.any(), is_given, fallback)
