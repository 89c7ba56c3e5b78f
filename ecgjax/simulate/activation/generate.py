"""From a seed, a heart's number and a beat's to the potentials at 75 sites and the twelve leads."""

import concurrent.futures
import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.data.intracardiac import FS_HZ, NUM_SAMPLES, SITES
from ecgjax.errors import InputError
from ecgjax.simulate.activation import action_potential, eikonal, geometry, lead_field, pacing
from ecgjax.simulate.activation.mesh import Mesh, heart_mesh
from ecgjax.simulate.activation.population import ACTION_POTENTIAL, CONDUCTION, SOURCE
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.subject import draw_subject
from ecgjax.simulate.torso import draw_torso

HEARTS, BEATS = 8, 4
"""Hearts and beats of each that are solved together. Both start at multiples: a record never depends on the call."""


def generate(seed: int, num_hearts: int, num_beats: int, first_heart: int = 0) -> dict[str, np.ndarray]:
    """The first `num_beats` beats of each of `num_hearts` hearts, numbered from `first_heart`.

    A record depends on the seed, its heart's and its beat's number alone.

    Returns:
      `ecg_mv` float32 [record, 500, 12] and `vm_mv` float32 [record, 500, 75] at 1 kHz; `activation_ms` float32
      [record, 75] by the solver, NaN where a site is not reached within the record; `site_mm` float32 [record, 75, 3]
      in the heart's own axes; `heart` and `beat` int [record]; `pattern` text: `pace SITE`, `pace SITE+SITE` with the
      sites nearest to the stimuli, `purkinje`, `purkinje lbbb` or `purkinje rbbb`; `bcl_ms` and `gkr`, the share of
      the normal conductance. A heart's beats follow each other.

    Raises:
      InputError: a number is out of range.
    """
    if num_hearts < 1 or num_beats < 1 or first_heart < 0:
        raise InputError(
            f"cannot simulate {num_beats} beats of {num_hearts} hearts from number {first_heart}",
            "ask for at least one of each, from 0",
        )
    first, last = first_heart // HEARTS, (first_heart + num_hearts - 1) // HEARTS
    key = jax.random.key(seed)

    def simulate(chunk: int) -> dict[str, np.ndarray]:
        hearts = np.arange(chunk * HEARTS, (chunk + 1) * HEARTS, dtype=np.uint32)
        parts = [
            jax.device_get(_chunk(key, hearts, np.arange(beat, beat + BEATS, dtype=np.uint32)))
            for beat in range(0, num_beats, BEATS)
        ]
        return {name: np.concatenate([part[name] for part in parts], axis=1)[:, :num_beats] for name in parts[0]}

    # The first one compiles for the rest.
    chunks = [simulate(first)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        chunks += threads.map(simulate, range(first + 1, last + 1))
    start = first_heart - first * HEARTS
    joined = {name: np.concatenate([c[name] for c in chunks])[start : start + num_hearts] for name in chunks[0]}
    records = {name: values.reshape(-1, *values.shape[2:]) for name, values in joined.items()}
    paced = records.pop("paced")
    records["pattern"] = np.array([_name(kind, sites) for kind, sites in zip(records.pop("kind"), paced, strict=True)])
    return records


def _name(kind: int, sites: np.ndarray) -> str:
    names = [SITES[site] for site in sites[: kind + 1]]
    return f"pace {'+'.join(names)}" if kind <= 1 else pacing.KINDS[kind]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Heart:
    """What the beats of one heart share; see the modules that draw it.

    Attributes:
      node_mm: [node, 3].
      site_mm: [75, 3].
      inverse_d: [node, 3, 3].
      coefficients: [9, update].
      scar: where nothing conducts.
      gradients_ms: [node].
      leads: [12, node].
    """

    node_mm: jax.Array
    site_mm: jax.Array
    inverse_d: jax.Array
    coefficients: jax.Array
    scar: pacing.Scar
    gradients_ms: jax.Array
    leads: jax.Array


@jax.jit
def _chunk(key: jax.Array, numbers: jax.Array, beats: jax.Array) -> dict[str, jax.Array]:
    """Arrays [heart, beat, ...]."""
    mesh = heart_mesh()
    updates = eikonal.updates_of(mesh.tets, mesh.num_nodes)
    keys = jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number)))(numbers)
    hearts = jax.vmap(lambda heart_key: _draw_heart(Draws(heart_key, 0), mesh, updates))(keys[:, 0])

    def draw_beat(beats_key: jax.Array, heart: Heart, beat: jax.Array) -> dict[str, jax.Array]:
        return _draw_beat(Draws(jax.random.fold_in(beats_key, beat), 0), mesh, heart)

    drawn = jax.vmap(jax.vmap(draw_beat, (None, None, 0)), (0, 0, None))(keys[:, 1], hearts, beats)
    # The solver takes hearts last, so that what it needs of a face lies together for all of them.
    times_ms = eikonal.solve(
        updates,
        jnp.moveaxis(hearts.coefficients, 0, -1)[:, :, None],
        jnp.transpose(drawn.pop("start_ms"), (2, 1, 0)),
        jnp.transpose(hearts.scar.conducts)[:, None],
    )
    times_ms = jnp.transpose(times_ms, (2, 1, 0))
    size = times_ms.shape[:2]

    def each(values: jax.Array) -> jax.Array:
        """[heart, ...] for every beat."""
        return jnp.broadcast_to(values[:, None], (*size, *values.shape[1:]))

    # One beat after the other: what the potentials of all nodes take stays in the cache.
    flat = [x.reshape(-1, *x.shape[2:]) for x in (times_ms, drawn.pop("apd_ms"), each(hearts.leads))]
    waves = jax.lax.map(lambda one: _waves(mesh, *one), flat)
    waves = {name: x.reshape(*size, *x.shape[1:]) for name, x in waves.items()}
    return {
        **waves,
        **drawn,
        "site_mm": each(hearts.site_mm),
        "heart": each(numbers),
        "beat": jnp.broadcast_to(beats, size),
    }


def _draw_heart(draws: Draws, mesh: Mesh, updates: eikonal.Updates) -> Heart:
    node_mm = geometry.draw_nodes(draws, mesh)
    normals = geometry.wall_normals(mesh, node_mm)
    fibres = geometry.draw_fibres(draws, mesh, normals)
    z = draws.normal(4)
    along = CONDUCTION.along_mm_ms * jnp.exp(CONDUCTION.along_log_sd * z[0])
    across = along * CONDUCTION.across * jnp.exp(CONDUCTION.across_log_sd * z[1])
    endo = CONDUCTION.endo_mm_ms * jnp.exp(CONDUCTION.endo_log_sd * z[2])
    inverse_d = eikonal.metric(normals, fibres, mesh.is_endo, along, across, endo)
    scar = pacing.draw_scar(draws, mesh, node_mm)
    torso = draw_torso(draws, draw_subject(draws))
    orientation = lead_field.draw_orientation(draws)
    node_cm = lead_field.place(torso, orientation, node_mm)
    gain = jnp.exp(SOURCE.gain_log_sd * z[3])
    return Heart(
        node_mm=node_mm,
        site_mm=node_mm[mesh.sites].mean(axis=1),
        inverse_d=inverse_d,
        coefficients=eikonal.travel_coefficients(updates, node_mm, inverse_d),
        scar=scar,
        gradients_ms=action_potential.draw_gradients(draws, mesh),
        leads=gain * lead_field.leads_from_nodes(mesh.tets, node_cm, fibres @ orientation.T, scar.conducts, torso),
    )


def _draw_beat(draws: Draws, mesh: Mesh, heart: Heart) -> dict[str, jax.Array]:
    pattern = pacing.draw_pattern(draws, mesh, heart.node_mm, heart.scar)
    bcl_ms, gkr = (_log_uniform(draws, span) for span in (ACTION_POTENTIAL.bcl_ms, ACTION_POTENTIAL.gkr))
    return {
        "kind": pattern.kind,
        "paced": pacing.nearest_sites(pattern, heart.site_mm),
        "start_ms": pacing.start_ms(pattern, heart.node_mm, heart.inverse_d),
        "apd_ms": action_potential.duration_ms(heart.gradients_ms, bcl_ms, gkr),
        "bcl_ms": bcl_ms,
        "gkr": gkr,
    }


def _log_uniform(draws: Draws, span: tuple[float, float]) -> jax.Array:
    low, high = span
    return low * (high / low) ** draws.uniform()


def _waves(mesh: Mesh, times_ms: jax.Array, apd_ms: jax.Array, leads: jax.Array) -> dict[str, jax.Array]:
    """Potentials at the sites and the leads, from activation times and durations [node], and leads [12, node]."""
    sample_ms = jnp.arange(NUM_SAMPLES) * (1000 / FS_HZ)
    notch = jnp.asarray(ACTION_POTENTIAL.notch * mesh.depth)
    fires = (times_ms[mesh.sites] < eikonal.NEVER_MS).all(axis=1)
    site_ms = jnp.where(fires, times_ms[mesh.sites].mean(axis=1), eikonal.NEVER_MS)
    site_apd_ms, site_notch = (values[mesh.sites].mean(axis=1) for values in (apd_ms, notch))
    vm_mv = action_potential.potential_mv(
        sample_ms[:, None] - site_ms, site_apd_ms, ACTION_POTENTIAL.upstroke_ms, site_notch
    )
    nodes_mv = action_potential.potential_mv(
        sample_ms - times_ms[:, None], apd_ms[:, None], _rise_ms(mesh, times_ms)[:, None], notch[:, None]
    )
    return {
        "vm_mv": vm_mv,
        "activation_ms": jnp.where(site_ms < sample_ms[-1], site_ms, jnp.nan),
        "ecg_mv": (leads @ nodes_mv).T,
    }


def _rise_ms(mesh: Mesh, times_ms: jax.Array) -> jax.Array:
    """[node] scale of the upstroke of the mean potential around a node.

    A node stands for the wall that is nearer to it than to others, through which the front takes time. A hat as wide as
    its passage through a tetrahedron has the standard deviation of a logistic of 0.23 of that scale.
    """
    corner_ms = times_ms[mesh.tets]
    passage_ms = jnp.where(corner_ms.max(axis=1) < eikonal.NEVER_MS, corner_ms.max(axis=1) - corner_ms.min(axis=1), 0.0)
    total_ms = jnp.zeros(mesh.num_nodes).at[mesh.tets].add(passage_ms[:, None])
    around = np.bincount(mesh.tets.ravel(), minlength=mesh.num_nodes)
    return jnp.maximum(0.23 * total_ms / around, ACTION_POTENTIAL.upstroke_ms)
