"""Where and when a beat starts: paced sites, or the early endocardial sites of the Purkinje network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.simulate.activation.eikonal import NEVER_MS
from ecgjax.simulate.activation.mesh import Mesh
from ecgjax.simulate.activation.population import CONDUCTION, PATTERN
from ecgjax.simulate.draws import Draws

KINDS = ("pace", "pace two", "purkinje", "purkinje lbbb", "purkinje rbbb")

REACH_MM = 10.0
"""Nodes so near to a stimulus, and the nearest one in any case, are reached in a straight line."""

_NUM_PACED = 2
_CANDIDATES = 4
# Angle in degrees, height and delay in ms of early sites (Durrer et al., Circulation 1970, 41:899).
_LV_EARLY = ((235, 0.5, 0), (155, 0.42, 0), (80, 0.42, 0))
# On the free wall, the turn along the arch in place of the angle.
_RV_EARLY = ((65, 0.45, 0), (120, 0.45, 2), (45, 0.7, 6))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Pattern:
    """Stimuli of a beat.

    Attributes:
      kind: index into `KINDS`.
      position_mm: [stimulus, 3], the paced ones first.
      time_ms: [stimulus] in the record, `NEVER_MS` for those that this beat does not have.
    """

    kind: jax.Array
    position_mm: jax.Array
    time_ms: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scar:
    """Where a heart does not conduct: `conducts` bool [node] is false within `radius_mm`, 0 in most, of `centre_mm`."""

    conducts: jax.Array
    centre_mm: jax.Array
    radius_mm: jax.Array


def draw_scar(draws: Draws, mesh: Mesh, node_mm: jax.Array) -> Scar:
    """A ball around a place in the left ventricle, in few hearts."""
    u = draws.uniform(3)
    num_lv = int(np.count_nonzero(~mesh.is_rv))
    centre_mm = node_mm[(u[0] * num_lv).astype(int)]
    low, high = CONDUCTION.scar_radius_mm
    radius_mm = jnp.where(u[1] < CONDUCTION.scar, low + (high - low) * u[2], 0.0)
    return Scar(jnp.linalg.norm(node_mm - centre_mm, axis=-1) >= radius_mm, centre_mm, radius_mm)


def draw_pattern(draws: Draws, mesh: Mesh, node_mm: jax.Array, scar: Scar) -> Pattern:
    """One beat of a heart."""
    u = draws.uniform(4)
    purkinje = jnp.where(u[1] < PATTERN.lbbb, 3, jnp.where(u[1] < PATTERN.lbbb + PATTERN.rbbb, 4, 2))
    kind = jnp.where(
        u[0] < PATTERN.paced_once, 0, jnp.where(u[0] < PATTERN.paced_once + PATTERN.paced_twice, 1, purkinje)
    )
    low, high = PATTERN.onset_ms
    onset_ms = low + (high - low) * u[2]
    paced = jnp.stack([_point_in_wall(draws, mesh, node_mm, scar) for _ in range(_NUM_PACED)])
    paced_ms = jnp.where(jnp.array([kind <= 1, kind == 1]), jnp.stack([0.0, PATTERN.second_delay_ms * u[3]]), NEVER_MS)
    lv, rv = _early_nodes(mesh)
    early, early_ms = _early_sites(draws, mesh, node_mm, lv, rv)
    is_lv = np.arange(len(early_ms)) < len(lv)
    fires = (kind >= 2) & ~(is_lv & (kind == 3)) & ~(~is_lv & (kind == 4))
    # The beat begins with whatever comes first.
    early_ms = jnp.where(fires, early_ms, NEVER_MS)
    early_ms = jnp.where(fires, early_ms - early_ms.min(), NEVER_MS)
    time_ms = jnp.concatenate([paced_ms, early_ms])
    return Pattern(kind, jnp.concatenate([paced, early]), jnp.where(time_ms < NEVER_MS, time_ms + onset_ms, NEVER_MS))


def start_ms(pattern: Pattern, node_mm: jax.Array, inverse_d: jax.Array) -> jax.Array:
    """[node] when the stimuli reach the nodes near them, `NEVER_MS` for the others."""
    away = node_mm[:, None] - pattern.position_mm
    travel = jnp.sqrt(jnp.einsum("nsi,nij,nsj->ns", away, inverse_d, away))
    apart = jnp.sum(away**2, axis=-1)
    is_near = apart <= jnp.maximum(apart.min(axis=0), REACH_MM**2)
    return jnp.min(jnp.where(is_near, pattern.time_ms + travel, NEVER_MS), axis=1, initial=NEVER_MS)


def nearest_sites(pattern: Pattern, site_mm: jax.Array) -> jax.Array:
    """int [paced] of the two paced positions."""
    apart = jnp.linalg.norm(site_mm - pattern.position_mm[:_NUM_PACED, None], axis=-1)
    return jnp.argmin(apart, axis=-1)


def _point_in_wall(draws: Draws, mesh: Mesh, node_mm: jax.Array, scar: Scar) -> jax.Array:
    """[3] anywhere in the walls outside the scar."""
    u = draws.uniform(_CANDIDATES, 5)
    tet = jnp.asarray(mesh.tets)[(u[:, 0] * len(mesh.tets)).astype(int)]
    weights = -jnp.log1p(-u[:, 1:])
    points = jnp.einsum("cn,cni->ci", weights / weights.sum(axis=1, keepdims=True), node_mm[tet])
    keep_mm = jnp.where(scar.radius_mm > 0, scar.radius_mm + REACH_MM, 0.0)
    clear = jnp.linalg.norm(points - scar.centre_mm, axis=-1) > keep_mm
    return points[jnp.argmax(clear)]


def _early_nodes(mesh: Mesh) -> tuple[list[int], list[int]]:
    lv_endo = ~mesh.is_rv & (mesh.depth == 0)
    rv_endo = mesh.is_rv & (mesh.depth == 0)

    def nearest(is_there: np.ndarray, angle: np.ndarray, deg: float, height: float) -> int:
        apart = np.angle(np.exp(1j * (angle - np.deg2rad(deg)))) ** 2 + (3 * (mesh.height - height)) ** 2
        return int(np.argmin(np.where(is_there, apart, np.inf)))

    return (
        [nearest(lv_endo, mesh.theta, deg, height) for deg, height, _ in _LV_EARLY],
        [nearest(rv_endo, mesh.turn, deg, height) for deg, height, _ in _RV_EARLY],
    )


def _early_sites(
    draws: Draws, mesh: Mesh, node_mm: jax.Array, lv: list[int], rv: list[int]
) -> tuple[jax.Array, jax.Array]:
    """[early, 3] endocardial nodes near the mean ones, and [early] their delays in ms."""
    z = draws.normal(len(lv) + len(rv), 4)
    wanted = node_mm[jnp.array(lv + rv)] + PATTERN.early_spread_mm * z[:, :3]
    is_rv = np.repeat([False, True], [len(lv), len(rv)])
    allowed = (mesh.depth == 0) & (mesh.is_rv == is_rv[:, None])
    apart = jnp.sum((wanted[:, None] - node_mm) ** 2, axis=-1)
    nodes = jnp.argmin(jnp.where(allowed, apart, jnp.inf), axis=1)
    delay_ms = jnp.array([d for _, _, d in _LV_EARLY] + [d + PATTERN.rv_delay_ms for _, _, d in _RV_EARLY])
    return node_mm[nodes], delay_ms + PATTERN.early_delay_sd_ms * z[:, 3]
