import csv

import jax
import numpy as np
import pytest

from ecgjax.data.intracardiac import LAYERS, SITES
from ecgjax.simulate.activation.geometry import draw_fibres, draw_nodes, wall_normals
from ecgjax.simulate.activation.mesh import heart_mesh
from ecgjax.simulate.draws import Draws


@pytest.fixture(scope="module")
def hearts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, normals and fibres [heart, node, 3]."""
    mesh = heart_mesh()

    @jax.jit
    @jax.vmap
    def draw(key):
        draws = Draws(key, 0)
        node_mm = draw_nodes(draws, mesh)
        normals = wall_normals(mesh, node_mm)
        return node_mm, normals, draw_fibres(draws, mesh, normals)

    return tuple(np.asarray(x) for x in draw(jax.random.split(jax.random.key(0), 64)))


def test_the_mesh_is_conforming_and_in_one_piece():
    mesh = heart_mesh()
    faces = np.sort(np.concatenate([np.delete(mesh.tets, i, axis=1) for i in range(4)]), axis=1)
    _, counts = np.unique(faces, axis=0, return_counts=True)
    assert set(counts) == {1, 2}
    reached = np.arange(mesh.num_nodes) == 0
    for _ in range(100):
        reached[mesh.tets[reached[mesh.tets].any(axis=1)]] = True
    assert reached.all()


def test_hardly_a_tetrahedron_turns_inside_out(hearts):
    node_mm, tets = hearts[0], heart_mesh().tets
    volume = np.linalg.det(node_mm[:, tets[:, 1:]] - node_mm[:, tets[:, :1]]) / 6
    usual = np.sign(np.median(volume, axis=0))
    assert (volume * usual <= 0).mean() < 1e-5
    wall_cm3 = np.abs(volume).sum(axis=1) / 1000
    assert ((wall_cm3 > 60) & (wall_cm3 < 220)).all()


def test_sites_lie_where_a_real_heart_has_them(hearts, sample_data):
    with (sample_data / "llnl-geometry" / "points.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    real = {name.strip("'"): [float(x), float(y), float(z)] for x, y, z, name in rows}
    real_mm = np.array([real[site] for site in SITES])
    mean_mm = hearts[0].mean(axis=0)[heart_mesh().sites].mean(axis=1)
    apart = (mean_mm - mean_mm.mean(axis=0)) - (real_mm - real_mm.mean(axis=0))
    assert np.sqrt((apart**2).sum(axis=1).mean()) < 7


def test_sites_are_in_their_layers():
    mesh = heart_mesh()
    depth = mesh.depth[mesh.sites].mean(axis=1)
    for site, layer, value in zip(SITES, LAYERS, depth, strict=True):
        right_face = site.startswith("RV") and not mesh.is_rv[mesh.sites[SITES.index(site)]].any()
        assert value == pytest.approx({"endo": float(right_face), "mid": 0.5, "epi": 1.0}[layer])
        assert layer != "endo" or mesh.is_endo[mesh.sites[SITES.index(site)]].all()


def test_fibres_turn_through_the_wall(hearts):
    _, normals, fibres = hearts
    mesh = heart_mesh()
    away_from_apex = mesh.is_rv | (mesh.polar > 0.2)
    np.testing.assert_allclose(np.linalg.norm(fibres[:, away_from_apex], axis=-1), 1, atol=1e-3)
    np.testing.assert_allclose((fibres * normals).sum(axis=-1), 0, atol=1e-3)
    around = np.cross([0.0, 0.0, 1.0], normals)
    along = np.cross(normals, around)
    angle = np.rad2deg(np.arctan2((fibres * along).sum(axis=-1), (fibres * around).sum(axis=-1)))
    for depth, mean in ((0.0, 60), (1.0, -60)):
        assert angle[:, away_from_apex & (mesh.depth == depth)].mean() == pytest.approx(mean, abs=4)
