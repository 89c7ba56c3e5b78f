"""Random changes to one record, `[time, lead]` in mV, that keep it a possible twelve-lead ECG.

Eight independent leads tell all twelve. What is linear (body, gain, electrode exchange, leads shown) is composed into
one matrix a record from these eight to the leads seen, so that the compiled step multiplies once and adds noise in the
same pass. All functions are for one record; the step maps them over the batch by `vmap`.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.compiled_apart import apart
from ecgjax.fast_random import coin_throws, normals, split, uniforms

FROM_INDEPENDENT = leads.LEADS_FROM_INDEPENDENT.astype(np.float32)
"""[12 lead, 8 independent lead]"""

_FROM_ELECTRODES = leads.LEADS_FROM_ELECTRODES[leads.INDEPENDENT_COLUMNS].astype(np.float32)

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
# [3 axis to, 3 axis from] -> what a change of the dipole adds to [8 independent lead to, 8 from].
_CHANGE_OF_DIPOLE = np.einsum("ti,jf->ijtf", DOWER, _DIPOLE)
_NUM_CHEST = len(leads.PRECORDIAL_LEADS)

# Samples between the knots of slow noise: 4 Hz at a rate of 100 Hz, between baseline wander and the T wave.
SLOW_SAMPLES = 25


def turn_heart(rotation_rad: jax.Array, stretch: jax.Array) -> jax.Array:
    """`[8, 8]` on independent leads: turns the heart's dipole by a rotation vector `[3]`, axes by exp(`stretch`).

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
    return jnp.eye(len(leads.INDEPENDENT_LEADS)) + jnp.tensordot(change, _CHANGE_OF_DIPOLE, axes=2)


def displace_chest_electrodes(shift: jax.Array) -> jax.Array:
    """`[6, 6]` on chest leads: moves each of V1..V6 towards its neighbour by `shift` `[6]` of their distance.

    Positive shifts go towards V6. The potential between two electrodes is interpolated; beyond V1 and V6 it is theirs.
    """
    place = jnp.clip(jnp.arange(_NUM_CHEST) + shift, 0, _NUM_CHEST - 1)
    return jnp.clip(1 - jnp.abs(place[:, None] - jnp.arange(_NUM_CHEST)), 0)


def vary_body(key: jax.Array, rotation_rad: float, elongation: float, displacement: float, gain: float) -> jax.Array:
    """`[8, 8]` on independent leads: another position of the heart, other electrode sites and another gain.

    `rotation_rad` (about each axis), `elongation` (of the logarithm of each axis of the dipole), `displacement` (of the
    distance between chest electrodes; half common to all, half of each alone) and `gain` (of its logarithm) are
    standard deviations.
    """
    turn, stretch, common, of_gain, single = jnp.split(normals(key, (8 + _NUM_CHEST,)), (3, 6, 7, 8))
    heart = turn_heart(rotation_rad * turn, elongation * stretch)
    chest = displace_chest_electrodes(displacement * jnp.sqrt(0.5) * jnp.clip(common + single, -2.0, 2.0))
    # Weights of the chest electrodes sum to 1, so that their common reference stays what it is.
    return jnp.exp(gain * of_gain) * jnp.concatenate([heart[:-_NUM_CHEST], chest @ heart[-_NUM_CHEST:]])


class BodyOptions(Protocol):
    """What `vary_body` asks for, as options of a task."""

    @property
    def rotation_rad(self) -> float: ...

    @property
    def elongation(self) -> float: ...

    @property
    def displacement(self) -> float: ...

    @property
    def gain(self) -> float: ...


def another_body(key: jax.Array, options: BodyOptions) -> jax.Array | None:
    """`vary_body` by the `options` of a task; None where all of them are 0."""
    deviations = options.rotation_rad, options.elongation, options.displacement, options.gain
    return vary_body(key, *deviations) if any(deviations) else None


class ElectrodeNoise(NamedTuple):
    """Noise of some leads in its parts, which `seen_through` adds up.

    Attributes:
      white: two of `[time, 4]`, independent numbers.
      mixture: `[8, lead]`, takes them to leads.
      knots: `[knot, lead]` of slow noise, `SLOW_SAMPLES` apart.
    """

    white: tuple[jax.Array, jax.Array]
    mixture: jax.Array
    knots: jax.Array


def electrode_noise(key: jax.Array, num_samples: int, sd_mv: float, on_leads: jax.Array) -> ElectrodeNoise | None:
    """Muscle and motion noise that arises at the electrodes and so obeys Einthoven's law; None where `sd_mv` is 0.

    Each electrode has its own level, half-normal with deviation `sd_mv`, and its own mixture of white and slow noise.
    `on_leads` `[lead, 8]` is what becomes of the independent leads after it.
    """
    if not sd_mv:
        return None
    num_electrodes, num_stretches = len(leads.ELECTRODES), -(-num_samples // SLOW_SAMPLES)
    white_key, few_key, share_key = split(key, 3)
    *knots, level = normals(few_key, (num_stretches + 2, num_electrodes))
    share = uniforms(share_key, (num_electrodes, 1))
    level_mv, seen = sd_mv * jnp.abs(level)[:, None], (on_leads @ _FROM_ELECTRODES).T
    # Linear interpolation leaves two thirds of the variance.
    slow = jnp.stack(knots) @ (jnp.sqrt(1.5 * share) * level_mv * seen)
    mixture = _differences(jnp.sqrt(1 - share) * level_mv)
    white = coin_throws(white_key, (num_samples, len(mixture) // 2))
    return ElectrodeNoise(white, mixture @ seen[1:], slow)


def seen_through(change: jax.Array, signal_mv: jax.Array, noise: ElectrodeNoise | None = None) -> jax.Array:
    """`[time, lead]`: what `change` `[lead, 8]` makes of the independent ones of `[time, 12]`, with their noise."""
    independent_mv = signal_mv[:, leads.INDEPENDENT_COLUMNS]
    if noise is None:
        return _product(independent_mv, change.T)
    return _noisy_product(independent_mv, change.T, *noise.white, noise.mixture, noise.knots)


def _multiplied(signal: jax.Array, matrix: jax.Array) -> jax.Array:
    """`[time, channel]` times `[channel, lead]`, as a loop that XLA fuses.

    Its product of a matrix for every record takes twice as long, and what is added to it another pass.
    """
    return jnp.asarray(sum(signal[:, channel, None] * row for channel, row in enumerate(matrix)))


_product = apart(_multiplied)


@apart
def _noisy_product(
    signal: jax.Array, matrix: jax.Array, white: jax.Array, more: jax.Array, mixture: jax.Array, knots: jax.Array
) -> jax.Array:
    both = _multiplied(white, mixture[:4]) + _multiplied(more, mixture[4:])
    return _multiplied(signal, matrix) + both + _interpolated(knots)[: len(signal)]


def _differences(deviation: jax.Array) -> jax.Array:
    """`[electrode - 1, electrode - 1]`: takes independent noise to noise of electrodes, less that of the first.

    Leads know no more of it. With deviations `[electrode, 1]`, the covariance is a diagonal matrix plus one of rank
    one, D (1 + u u') D, whose root (1 + u u' / (1 + sqrt(1 + u'u))) D needs no decomposition.
    """
    first, others = deviation[0], deviation[1:] + 1e-9
    ratio = first / others
    root = jnp.eye(len(others)) + ratio @ ratio.T / (1 + jnp.sqrt(1 + jnp.sum(ratio**2)))
    return root * others.T


def _interpolated(knots: jax.Array) -> jax.Array:
    """`[knot, lead]` -> `[SLOW_SAMPLES * (knot - 1), lead]`, linearly."""
    share = jnp.arange(SLOW_SAMPLES)[:, None] / SLOW_SAMPLES
    return (knots[:-1, None] + share * (knots[1:] - knots[:-1])[:, None]).reshape(-1, knots.shape[1])


def lead_noise(key: jax.Array, signal_mv: jax.Array, highest_mv: float) -> jax.Array:
    """`[time, lead]` of white noise that arises in each lead alone, from rounding to separate filters.

    It breaks Einthoven's law. The level is log-uniform over the two decades below `highest_mv`, one for all leads.
    """
    level_key, noise_key = split(key, 2)
    level_mv = highest_mv * 10 ** (-2 * uniforms(level_key, ()))
    return level_mv * normals(noise_key, signal_mv.shape)


def stretch_time(key: jax.Array, signal_mv: jax.Array, centre: int, sd: float) -> jax.Array:
    """Stretches `[time, lead]` about the sample `centre` by a factor whose logarithm has deviation `sd`."""
    place = centre + (jnp.arange(signal_mv.shape[0]) - centre) * jnp.exp(sd * normals(key, ()))
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


def show_leads(signal_mv: jax.Array, is_given: jax.Array | np.ndarray) -> jax.Array:
    """`[time, 12]` with the leads of `is_given` bool `[12]`, those that follow from them, and zeros elsewhere."""
    return signal_mv @ showing(is_given).T


def showing(is_given: jax.Array | np.ndarray) -> jax.Array:
    """`[12, 12]`: the matrix on leads of `show_leads`."""
    num_limb = len(leads.LIMB_LEADS)
    limb = jnp.asarray(leads.LIMB_COMPLETIONS, jnp.float32)[leads.limb_mask(is_given)]
    chest = jnp.diag(is_given[num_limb:].astype(jnp.float32))
    return jax.scipy.linalg.block_diag(limb, chest)


def some_leads(key: jax.Array, is_shown: np.ndarray, share: float) -> jax.Array:
    """bool `[12]`: `is_shown` bool `[12]`, or in a `share` of the draws a random subset of it."""
    subset_key, share_key = split(key, 2)
    subset = random_leads(subset_key) & is_shown
    return jnp.where((uniforms(share_key, ()) < share) & subset.any(), subset, is_shown)


def random_leads(key: jax.Array) -> jax.Array:
    """A random subset of the twelve leads, bool `[12]`, for networks that shall know all of them.

    What matters is which signals are known: all six limb leads (in half of the draws), one of them or none, and a
    number of chest leads that is drawn first. All twelve come up in a fourteenth of the draws; nothing at all, never.
    """
    num_limb, num_chest = len(leads.LIMB_LEADS), len(leads.PRECORDIAL_LEADS)
    # Their order is a random order of the chest leads.
    *of_chest, known, which, number, fallback = uniforms(key, (num_chest + 4,))
    is_one = jnp.arange(num_limb) == jnp.floor(num_limb * which)
    limb = (known >= 0.5) | ((known >= 0.2) & is_one)
    rank = jnp.sum(jnp.stack(of_chest)[:, None] > jnp.stack(of_chest), axis=1)
    is_given = jnp.concatenate([limb, rank < jnp.floor((num_chest + 1) * number)])
    return is_given | (~is_given.any() & (jnp.arange(len(is_given)) == jnp.floor(len(is_given) * fallback)))
