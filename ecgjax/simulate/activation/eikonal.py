"""Activation times by the anisotropic eikonal equation on a tetrahedral mesh, for many hearts and beats at once.

sqrt(grad t . D grad t) = 1 with the squared velocities D (Colli Franzone and Guerri, Math Biosci 1993, 113:145). A node
is reached at the earliest over its tetrahedra of the time at a point of the opposite face, interpolated, plus the time
from there on (Hopf-Lax; Bornemann and Rasch, Comput Vis Sci 2006, 9:57): plane waves are exact. All nodes are updated
together until none changes, which suits a vector unit better than a queue (Fu et al., SIAM J Sci Comput 2013, 35:C473).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

NEVER_MS = 1e4
"""Stands for the time of a node that is not reached, in place of an infinity that would make differences undefined."""

MAX_SWEEPS = 200
_TOLERANCE_MS = 1e-3
_CORNERS = ((0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2))


@dataclasses.dataclass(frozen=True)
class Updates:
    """Every way to reach a node across one of its tetrahedra.

    Attributes:
      node: int [update] that is reached.
      face: int [update, 3] from where.
      incoming: int [node, most] the updates of a node, padded with the number of updates.
    """

    node: np.ndarray
    face: np.ndarray
    incoming: np.ndarray


def updates_of(tets: np.ndarray, num_nodes: int) -> Updates:
    """The updates of a mesh with tetrahedra [tet, 4]."""
    corners = np.concatenate([tets[:, corner] for corner in _CORNERS])
    corners = corners[np.argsort(corners[:, 0], kind="stable")]
    node = corners[:, 0]
    counts = np.bincount(node, minlength=num_nodes)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(node)) - starts[node]
    incoming = np.full((num_nodes, counts.max()), len(node))
    incoming[node, place] = np.arange(len(node))
    return Updates(node, corners[:, 1:], incoming)


def metric(
    normals: jax.Array, fibres: jax.Array, is_endo: np.ndarray, along: jax.Array, across: jax.Array, endo: jax.Array
) -> jax.Array:
    """[node, 3, 3] ms2/mm2, the inverse of D.

    In the wall `along` and `across` are the velocities in mm/ms relative to the fibres; the endocardial layer conducts
    with `endo` in every direction along the surface, as the Purkinje network in it.
    """
    eye = jnp.eye(3)
    fibre = fibres[:, :, None] * fibres[:, None, :]
    normal = normals[:, :, None] * normals[:, None, :]
    wall = (eye - fibre) / across**2 + fibre / along**2
    surface = (eye - normal) / endo**2 + normal / across**2
    return jnp.where(is_endo[:, None, None], surface, wall)


def travel_coefficients(updates: Updates, node_mm: jax.Array, inverse_d: jax.Array) -> jax.Array:
    """[9, update]: each face in the metric of the node that is reached, as `solve` wants it.

    In an orthonormal frame of the face with its first vertex as the origin and the second on the first axis: the
    coordinates of the other two (a, 0) and (b, c), their inverses, and of the reached node its foot and its height.
    """
    inverse_d = inverse_d[updates.node]
    first, second, third = (node_mm[updates.face[:, i]] for i in range(3))

    def dot(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.einsum("ui,uij,uj->u", a, inverse_d, b)

    u, v, w = second - first, third - first, node_mm[updates.node] - first
    a = jnp.sqrt(dot(u, u) + 1e-9)
    b = dot(u, v) / a
    c = jnp.sqrt(jnp.maximum(dot(v, v) - b**2, 1e-6))
    foot_1 = dot(w, u) / a
    foot_2 = (dot(w, v) - foot_1 * b) / c
    height = jnp.sqrt(jnp.maximum(dot(w, w) - foot_1**2 - foot_2**2, 1e-6))
    return jnp.stack([a, b, c, 1 / a, -b / (a * c), 1 / c, foot_1, foot_2, height])


def solve(updates: Updates, coefficients: jax.Array, start_ms: jax.Array, conducts: jax.Array) -> jax.Array:
    """Activation times in ms, `NEVER_MS` where none arrives; the trailing axes are hearts and beats.

    Args:
      updates: of the mesh.
      coefficients: [9, update, ...] of `travel_coefficients`.
      start_ms: [node, ...] when a node is stimulated, `NEVER_MS` where it is not.
      conducts: bool [node, ...].
    """
    start_ms = jnp.where(conducts, start_ms, NEVER_MS)
    never = jnp.full((1, *start_ms.shape[1:]), NEVER_MS)

    def sweep(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        times, _, count = state
        arrival = arrivals(coefficients, *(times[updates.face[:, i]] for i in range(3)))
        arrival = jnp.concatenate([arrival, never])
        earliest = jnp.min(arrival[updates.incoming], axis=1)
        new = jnp.minimum(times, jnp.where(conducts, earliest, NEVER_MS))
        return new, jnp.max(times - new), count + 1

    def goes_on(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (state[1] > _TOLERANCE_MS) & (state[2] < MAX_SWEEPS)

    times, _, _ = jax.lax.while_loop(goes_on, sweep, (start_ms, jnp.array(jnp.inf), jnp.array(0)))
    return times


def arrivals(coefficients: jax.Array, first: jax.Array, second: jax.Array, third: jax.Array) -> jax.Array:
    """[update, ...] the earliest arrival across a face with the times of its three vertices.

    The plane wave through them comes through one point of the face's plane. Where that is outside, the nearest
    weights inside are taken: any point of the face gives an arrival that is possible, so none is too early.
    """
    a, b, c, inv_a, shear, inv_c, foot_1, foot_2, height = coefficients
    late_2, late_3 = second - first, third - first
    slope_1 = late_2 * inv_a
    slope_2 = late_3 * inv_c + late_2 * shear
    ahead = height * jax.lax.rsqrt(jnp.maximum(1 - slope_1**2 - slope_2**2, 1e-4))
    at_1, at_2 = foot_1 - ahead * slope_1, foot_2 - ahead * slope_2
    weight_3 = jnp.maximum(at_2 * inv_c, 0.0)
    weight_2 = jnp.maximum(at_1 * inv_a + at_2 * shear, 0.0)
    total = jnp.maximum(weight_2 + weight_3, 1.0)
    weight_2, weight_3 = weight_2 / total, weight_3 / total
    left_1 = foot_1 - weight_2 * a - weight_3 * b
    left_2 = foot_2 - weight_3 * c
    return first + weight_2 * late_2 + weight_3 * late_3 + jnp.sqrt(height**2 + left_1**2 + left_2**2)
