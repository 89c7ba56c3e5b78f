"""One heart's shape: where the nodes of the mesh lie, and how the fibres run there.

Coordinates in mm: x lateral, y inferior, z from the apex to the base, the origin in the left ventricle's equator.
"""

import jax
import jax.numpy as jnp

from ecgjax.simulate.activation.mesh import Mesh
from ecgjax.simulate.activation.population import CONDUCTION, GEOMETRY
from ecgjax.simulate.draws import Draws

_SEPTUM_RAD = 2.7


def draw_nodes(draws: Draws, mesh: Mesh) -> jax.Array:
    """[node, 3] mm of one heart."""
    z = draws.normal(11)
    size = jnp.exp(GEOMETRY.size_log_sd * z[0])
    radius = size * GEOMETRY.radius_mm * jnp.exp(GEOMETRY.radius_log_sd * z[1])
    half = size * GEOMETRY.half_length_mm * jnp.exp(GEOMETRY.half_length_log_sd * z[2])
    wall = size * GEOMETRY.wall_mm * jnp.exp(GEOMETRY.wall_log_sd * z[3])
    thickness = wall * (1 + GEOMETRY.septal_sd * z[4] * jnp.cos(mesh.theta - _SEPTUM_RAD)) * mesh.depth
    cosine = jnp.cos(mesh.polar)
    width = (radius + thickness) * jnp.sin(mesh.polar) * (1 + GEOMETRY.cone_sd * z[5] * cosine)
    oval = 1 + GEOMETRY.ovality_sd * z[6] / 2
    lv = jnp.stack(
        [
            width * jnp.cos(mesh.theta) * oval,
            width * jnp.sin(mesh.theta) / oval,
            -(half + GEOMETRY.apical_wall * wall * mesh.depth) * cosine,
        ],
        axis=-1,
    )
    rv_wall = size * GEOMETRY.rv_wall_mm * jnp.exp(GEOMETRY.rv_wall_log_sd * z[7])
    bulge = size * GEOMETRY.bulge_mm * jnp.exp(GEOMETRY.bulge_log_sd * z[8])
    front, back = lv[mesh.arch[:, 0]], lv[mesh.arch[:, 1]]
    half_chord = jnp.linalg.norm(front - back, axis=-1, keepdims=True) / 2
    across = (front - back) / (2 * half_chord + 1e-6)
    # A third of the chord keeps the pocket clear of the septum, which bulges into it.
    rise = mesh.rise[:, None]
    out = bulge * (1 - (1 - rise) ** 2.3) + 0.35 * half_chord
    angle = mesh.bulge[:, None] + jnp.deg2rad(GEOMETRY.bulge_turn_sd_deg) * z[9]
    direction = jnp.concatenate([jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)], axis=-1)
    cosine, sine = jnp.cos(mesh.turn)[:, None], jnp.sin(mesh.turn)[:, None]
    # Half an ellipse, and its normal, which turns down where the pocket closes.
    rv = (front + back) / 2 + half_chord * cosine * across + out * sine * direction
    normal = _unit(out * cosine * across + half_chord * sine * direction)
    normal = _unit(normal - sine * (1 - rise) ** 1.5 * jnp.array([0.0, 0.0, 1.0]))
    rv = rv + rv_wall * mesh.depth[:, None] * normal
    return jnp.where(mesh.is_rv[:, None], rv, lv)


def wall_normals(mesh: Mesh, node_mm: jax.Array) -> jax.Array:
    """[node, 3] unit vectors through the wall, towards the epicardium."""
    return _unit(node_mm[mesh.ends[:, 1]] - node_mm[mesh.ends[:, 0]])


def draw_fibres(draws: Draws, mesh: Mesh, normals: jax.Array) -> jax.Array:
    """[node, 3] unit vectors along the fibres, which turn through the wall.

    The angle is from the circumference, as Streeter's: positive on the endocardium.
    """
    z = draws.normal(2)
    endo = CONDUCTION.endo_fibre_deg + CONDUCTION.fibre_sd_deg * z[0]
    epi = CONDUCTION.epi_fibre_deg + CONDUCTION.fibre_sd_deg * z[1]
    angle = jnp.deg2rad(endo + (epi - endo) * mesh.depth)[:, None]
    around = _unit(jnp.cross(jnp.array([0.0, 0.0, 1.0]), normals))
    along = jnp.cross(normals, around)
    return jnp.cos(angle) * around + jnp.sin(angle) * along


def _unit(vectors: jax.Array) -> jax.Array:
    """Vectors of length one; shorter where they are too short to have a direction, as around the apex."""
    return vectors / jnp.sqrt(jnp.sum(vectors**2, axis=-1, keepdims=True) + 1e-6)
