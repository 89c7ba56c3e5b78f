"""The torso: where the heart lies, where the nine electrodes are, and what a dipole writes on them.

Coordinates are Frank's: x to the left arm, y to the feet, z to the back; the origin is the torso's centre.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.leads import LEADS_FROM_ELECTRODES
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import TORSO
from ecgjax.simulate.subject import Subject


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Torso:
    """One subject's geometry, in cm.

    Attributes:
      radius_cm: [] of the conducting sphere.
      heart_cm: [3] centre of the ventricles.
      electrode_cm: [9, 3] on the sphere, in the order of `ecgjax.leads.ELECTRODES`.
    """

    radius_cm: jax.Array
    heart_cm: jax.Array
    electrode_cm: jax.Array


def draw_torso(draws: Draws, subject: Subject) -> Torso:
    """A torso that fits the subject's body, with the electrodes where a technician may have put them."""
    z = draws.normal(20)
    stout = subject.stoutness
    radius = TORSO.radius_cm * (1 + TORSO.radius_per_stoutness * stout) * (subject.height_cm / 170) ** 0.5
    heart = jnp.array(TORSO.heart) + jnp.array(TORSO.heart_sd) * z[:3]
    heart = heart + stout * jnp.array(TORSO.heart_per_stoutness)
    # One shared shift (the whole chest strip misplaced) and one of each electrode's own.
    azimuth = jnp.array(TORSO.azimuth_deg) + TORSO.strip_azimuth_sd_deg * z[3] + TORSO.azimuth_sd_deg * z[4:10]
    height = jnp.array(TORSO.height) + TORSO.strip_height_sd * z[10] + TORSO.height_sd * z[11:17]
    limb_azimuth = jnp.array(TORSO.limb_azimuth_deg)
    limb_height = jnp.clip(jnp.array(TORSO.limb_height) + TORSO.limb_height_sd * z[17:20], -0.99, 0.99)
    unit = _on_sphere(jnp.concatenate([limb_azimuth, azimuth]), jnp.concatenate([limb_height, height]))
    return Torso(radius, radius * heart, radius * unit)


def _on_sphere(azimuth_deg: jax.Array, height: jax.Array) -> jax.Array:
    """[..., 3] points of the unit sphere: azimuth from the sternum to the left, height towards the feet."""
    azimuth = jnp.deg2rad(azimuth_deg)
    across = jnp.sqrt(1 - height**2)
    return jnp.stack([across * jnp.sin(azimuth), height, -across * jnp.cos(azimuth)], axis=-1)


def lead_field(torso: Torso, source_cm: jax.Array) -> jax.Array:
    """[source, electrode, 3]: mV at each electrode for 1 mA cm along x, y and z at each of `source_cm` [source, 3].

    A dipole anywhere in a homogeneous conducting sphere in air has the potential p . grad N, with N the Neumann
    function of the sphere: 2/d - ln(R^2 - r.s + R d)/R on its surface (Wilson and Bayley, Circulation 1950,
    1:84-92; Brody et al., IEEE Trans Biomed Eng 1973, 20:141-143). The potential falls off as the square of the
    distance d nearby, which is what makes V2-V4 large.
    """
    radius = torso.radius_cm
    electrode = torso.electrode_cm[None]
    source = source_cm[:, None]
    apart = electrode - source
    distance = jnp.linalg.norm(apart, axis=-1, keepdims=True)
    image = radius**2 - jnp.sum(electrode * source, axis=-1, keepdims=True) + radius * distance
    gradient = 2 * apart / distance**3 + (electrode + radius * apart / distance) / (radius * image)
    volts = gradient / (4 * jnp.pi * TORSO.conductivity_ms_per_cm)
    return 1000 * volts


def leads_from_sources(torso: Torso, source_cm: jax.Array, dipole_ma_cm: jax.Array) -> jax.Array:
    """[source, electrode]: the potential in mV that each dipole [source, 3] writes on each electrode."""
    return jnp.einsum("sec,sc->se", lead_field(torso, source_cm), dipole_ma_cm)


def to_leads(potential_mv: jax.Array) -> jax.Array:
    """[..., 12 lead] from [..., 9 electrode]."""
    return potential_mv @ jnp.asarray(np.asarray(LEADS_FROM_ELECTRODES.T, np.float32))
