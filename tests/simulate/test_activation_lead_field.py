import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slab import slab

from ecgjax.leads import LEADS_FROM_ELECTRODES, PLACEMENTS
from ecgjax.simulate.activation.geometry import draw_fibres, draw_nodes, wall_normals
from ecgjax.simulate.activation.lead_field import (
    draw_orientation,
    leads_from_nodes,
    place,
    rotation,
    volume_times_gradients,
)
from ecgjax.simulate.activation.mesh import heart_mesh
from ecgjax.simulate.activation.population import SOURCE
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import TORSO
from ecgjax.simulate.subject import draw_subject
from ecgjax.simulate.torso import Torso, draw_torso

leads = jax.jit(leads_from_nodes)


def nodal(tets: np.ndarray, node_cm: jax.Array, fibres: jax.Array, torso: Torso) -> np.ndarray:
    return np.asarray(leads(tets, node_cm, fibres, np.ones(len(node_cm), bool), torso))


@pytest.fixture(scope="module")
def heart() -> tuple[np.ndarray, jax.Array, jax.Array, Torso]:
    mesh = heart_mesh()

    @jax.jit
    def draw(key):
        draws = Draws(key, 0)
        node_mm = draw_nodes(draws, mesh)
        fibres = draw_fibres(draws, mesh, wall_normals(mesh, node_mm))
        torso = draw_torso(draws, draw_subject(draws))
        orientation = draw_orientation(draws)
        return place(torso, orientation, node_mm), fibres @ orientation.T, torso

    return mesh.tets, *draw(jax.random.key(5))


def test_a_small_cube_in_the_middle_is_a_dipole_in_an_infinite_medium(heart):
    torso = heart[-1]
    node_mm, tets = slab((3, 3, 3), (1.0, 1.0, 1.0))
    fibres = np.broadcast_to(np.float32([0, 1, 0]), node_mm.shape)
    gradient = np.array([50.0, -20.0, 30.0])  # mV/cm
    node_cm = (node_mm - node_mm.mean(axis=0)) / 10
    found = nodal(tets, node_cm, fibres, torso) @ (node_cm @ gradient)
    sigma = np.array([SOURCE.across_ms_per_cm, SOURCE.along_ms_per_cm, SOURCE.across_ms_per_cm])
    dipole_ma_cm = -sigma * gradient * 0.2**3 / 1000
    electrode_cm = np.asarray(torso.electrode_cm, float)
    distance = np.linalg.norm(electrode_cm, axis=1)
    # On an insulated sphere around it the potential is three times that in an infinite medium.
    infinite_mv = 1000 * electrode_cm @ dipole_ma_cm / (4 * np.pi * TORSO.conductivity_ms_per_cm * distance**3)
    np.testing.assert_allclose(found, LEADS_FROM_ELECTRODES @ (3 * infinite_mv), rtol=0.01, atol=2e-6)


def test_hat_functions():
    corner = np.random.default_rng(0).normal(size=(20, 4, 3)).astype(np.float32)
    gradients = np.asarray(jax.jit(volume_times_gradients)(corner))
    volume = np.abs(np.linalg.det(corner[:, 1:] - corner[:, :1])) / 6
    # A linear function's gradient is found from its corners.
    slope = np.array([1.0, -2.0, 0.5])
    found = np.einsum("tni,tn->ti", gradients, corner @ slope) / volume[:, None]
    np.testing.assert_allclose(found, np.broadcast_to(slope, found.shape), rtol=1e-3, atol=1e-3)


def test_the_same_potential_everywhere_writes_nothing(heart):
    found = nodal(*heart)
    assert np.abs(found.sum(axis=1)).max() < 1e-4 * np.abs(found).sum(axis=1).min()


def test_heart_and_electrodes_that_turn_together(heart):
    tets, node_cm, fibres, torso = heart
    turn = rotation(jnp.array([0.3, -0.8, 0.5]))
    turned = Torso(torso.radius_cm, torso.heart_cm @ turn.T, torso.electrode_cm @ turn.T)
    before, after = nodal(*heart), nodal(tets, node_cm @ turn.T, fibres @ turn.T, turned)
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())


def test_exchanged_electrodes_write_what_lead_algebra_says(heart):
    tets, node_cm, fibres, torso = heart
    exchanged = Torso(torso.radius_cm, torso.heart_cm, torso.electrode_cm[jnp.array([1, 0, *range(2, 9)])])
    placement = next(p for p in PLACEMENTS if p.reads == {"RA": "LA", "LA": "RA"})
    before = nodal(*heart)
    np.testing.assert_allclose(
        nodal(tets, node_cm, fibres, exchanged), placement.matrix @ before, atol=1e-5 * np.abs(before).max()
    )


def test_no_source_where_nothing_conducts(heart):
    tets, node_cm, fibres, torso = heart
    conducts = jnp.arange(len(node_cm)) % 400 > 40
    found = np.asarray(leads(tets, node_cm, fibres, conducts, torso))
    inside = ~np.isin(np.arange(len(node_cm)), tets[np.asarray(conducts)[tets].all(axis=1)])
    assert inside.any()
    assert (found[:, inside] == 0).all()
    assert np.abs(found.sum(axis=1)).max() < 1e-4 * np.abs(found).sum(axis=1).min()
