"""The twelve leads of a heart: what one millivolt at each node writes on them.

The wall is a source of current with the density -sigma_i grad Vm in a homogeneous conducting sphere (Geselowitz,
Proc IEEE 1989, 77:857); the cavities' blood and the lungs are taken to conduct as the rest.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.simulate.activation.population import BODY, SOURCE
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.torso import Torso, lead_field, to_leads


def draw_orientation(draws: Draws) -> jax.Array:
    """[3, 3]: the heart's axes x, y, z as columns in the torso's."""
    base = -_normalised(np.array(BODY.apex))
    anterior = np.array(BODY.anterior)
    inferior = -_normalised(anterior - base * (anterior @ base))
    mean = np.stack([np.cross(inferior, base), inferior, base], axis=1)
    tilt = jnp.deg2rad(jnp.array(BODY.tilt_sd_deg)) * draws.normal(3)
    return rotation(tilt) @ jnp.asarray(mean, jnp.float32)


def rotation(vector: jax.Array) -> jax.Array:
    """[3, 3] that turns about a vector by its length in radians (Rodrigues)."""
    angle = jnp.sqrt(jnp.sum(vector**2) + 1e-12)
    x, y, z = vector / angle
    cross = jnp.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return jnp.eye(3) + jnp.sin(angle) * cross + (1 - jnp.cos(angle)) * cross @ cross


def _normalised(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def place(torso: Torso, orientation: jax.Array, node_mm: jax.Array) -> jax.Array:
    """[node, 3] cm in the torso: the nodes' centre lies where the torso has its heart."""
    return torso.heart_cm + (node_mm - node_mm.mean(axis=0)) @ orientation.T / 10


def leads_from_nodes(
    tets: np.ndarray, node_cm: jax.Array, fibres: jax.Array, conducts: jax.Array, torso: Torso
) -> jax.Array:
    """[12 lead, node]: mV of ECG for a mV of transmembrane potential, which is linear in each tetrahedron.

    Args:
      tets: int [tet, 4].
      node_cm: [node, 3] in the torso's coordinates.
      fibres: [node, 3] unit vectors in them.
      conducts: bool [node]; there is no source between cells that do not.
      torso: the sphere and its electrodes.
    """
    corner_cm = node_cm[tets]
    volume_gradients = volume_times_gradients(corner_cm)
    along = jnp.einsum("tni,tnj->tij", fibres[tets], fibres[tets]) / 4
    sigma = conducts[tets].all(axis=1)[:, None, None] * (
        SOURCE.across_ms_per_cm * jnp.eye(3) + (SOURCE.along_ms_per_cm - SOURCE.across_ms_per_cm) * along
    )
    # mS/cm times mV times cm is uA cm; the lead field is for mA cm.
    dipole_ma_cm = -jnp.einsum("tij,tnj->tni", sigma, volume_gradients) / 1000
    field = lead_field(torso, corner_cm.mean(axis=1))
    per_corner = jnp.einsum("tei,tni->tne", field, dipole_ma_cm)
    per_node = jnp.zeros((node_cm.shape[0], field.shape[1])).at[tets].add(per_corner)
    return to_leads(per_node).T


def volume_times_gradients(corner: jax.Array) -> jax.Array:
    """[tet, 4, 3]: the gradient of each corner's linear hat function times the volume, for corners [tet, 4, 3]."""
    e1, e2, e3 = (corner[:, i] - corner[:, 0] for i in (1, 2, 3))
    normals = jnp.stack([jnp.cross(e2, e3), jnp.cross(e3, e1), jnp.cross(e1, e2)], axis=1)
    orientation = jnp.sign(jnp.sum(e1 * normals[:, 0], axis=-1))[:, None, None]
    others = orientation * normals / 6
    return jnp.concatenate([-others.sum(axis=1, keepdims=True), others], axis=1)
