"""Hearts to draw on: boundaries, axes, files and the mesh that is fitted to sites."""

import numpy as np
import pytest

from ecgjax.data.intracardiac import NUM_SITES, SITES
from ecgjax.errors import InputError
from ecgjax.heart.mesh import Heart, boundary, heart_axes, read_heart, read_sites
from ecgjax.heart.template import fitted_heart, mean_heart

CUBE_MM = np.array([[x, y, z] for x in (0, 2.0) for y in (0, 2.0) for z in (0, 2.0)])
CUBE = np.array([[0, 4, 6, 7], [0, 6, 2, 7], [0, 2, 3, 7], [0, 3, 1, 7], [0, 1, 5, 7], [0, 5, 4, 7]])


def enclosed_mm3(points_mm, triangles):
    """By the divergence theorem: negative where triangles turn the other way."""
    a, b, c = np.moveaxis(points_mm[triangles], 1, 0)
    return (np.cross(a, b) * c).sum() / 6


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 2, 3]], ids=["right-handed", "left-handed"])
def test_the_boundary_of_a_cube_is_its_faces_turned_outwards(order):
    triangles = boundary(CUBE_MM, CUBE[:, order])
    assert len(triangles) == 12
    assert enclosed_mm3(CUBE_MM, triangles) == pytest.approx(8)
    a, b, c = np.moveaxis(CUBE_MM[triangles], 1, 0)
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2 == pytest.approx(24)


def test_axes_turn_with_the_heart():
    site_mm = mean_heart().site_mm
    axes = heart_axes(site_mm)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    np.testing.assert_allclose(heart_axes(site_mm @ turn.T + 5) @ turn, axes, atol=1e-12)
    # The left ventricle is to the left, its anterior wall in front, its apex below.
    front, left, base = (site_mm @ axes.T).T
    for high, low, along in (("AHA05", "RV02", left), ("AHA01", "AHA04", front), ("AHA05", "AHA17", base)):
        assert along[SITES.index(high)] > along[SITES.index(low)] + 20


def test_a_mesh_is_fitted_exactly_at_sites_and_to_any_affine_change():
    mean = mean_heart()
    change = np.array([[1.1, 0.2, 0], [0, 0.9, -0.1], [0.3, 0, 1.2]])
    heart = fitted_heart(mean.site_mm @ change + 40)
    np.testing.assert_allclose(heart.points_mm, mean.points_mm @ change + 40, atol=1e-6)
    np.testing.assert_array_equal(heart.corners, mean.corners)


def test_an_opened_heart_shows_its_rear_half():
    heart = mean_heart()
    whole, opened = (heart.surface(is_opened) for is_opened in (False, True))
    ahead = heart.points_mm @ heart.axes()[0]
    assert ahead[opened].max() < ahead[whole].max() - 20
    assert ahead[opened].min() == ahead[whole].min()
    assert enclosed_mm3(heart.points_mm, whole) > enclosed_mm3(heart.points_mm, opened) > 0


def test_triangles_are_their_own_surface():
    heart = Heart(CUBE_MM, np.array([[0, 1, 2]]), mean_heart().site_mm)
    np.testing.assert_array_equal(heart.surface(False), [[0, 1, 2]])


def test_the_published_heart_is_read(sample_data):
    folder = sample_data / "llnl-geometry"
    heart = read_heart(folder / "heart_mesh.vtk", folder / "points.csv")
    assert heart.points_mm.shape == (8033, 3)
    assert heart.corners.shape == (26854, 4)
    assert heart.site_mm.shape == (NUM_SITES, 3)
    np.testing.assert_allclose(heart.site_mm[SITES.index("AHA01")], [61.16196, 7.492082, 65.41046])
    edges = heart.points_mm[heart.corners[:, 1:]] - heart.points_mm[heart.corners[:, :1]]
    volume_mm3 = np.abs(np.linalg.det(edges)).sum() / 6
    assert enclosed_mm3(heart.points_mm, heart.surface(False)) == pytest.approx(volume_mm3)
    nearest = np.linalg.norm(heart.points_mm - heart.site_mm[:, None], axis=2).min(axis=1)
    assert nearest.max() < 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "has 74 of 75 sites, SEPTM_AHA14_RV13 is missing"),
        (lambda lines: [*lines, lines[1]], "AHA01 is twice"),
        (lambda lines: [*lines, "1,2,3,'AHA18'"], "AHA18 is no site"),
        (lambda lines: [lines[0], "nan,2,3,'AHA01'", *lines[2:]], "AHA01 is without a place"),
        (lambda lines: [lines[0], "1,2,'AHA01'", *lines[2:]], "is no site; give x,y,z,name"),
    ],
)
def test_wrong_sites_are_refused(tmp_path, change, message):
    path = tmp_path / "points.csv"
    lines = ["x,y,z,name", *(f"{k},{2 * k},{3 * k},'{name}'" for k, name in enumerate(SITES))]
    path.write_text("\n".join(reversed(lines[1:])).join(["x,y,z,name\n", "\n"]))
    np.testing.assert_array_equal(read_sites(path)[:, 1], 2 * np.arange(NUM_SITES))
    path.write_text("\n".join(change(lines)))
    with pytest.raises(InputError, match=message):
        read_sites(path)


def test_a_missing_file_of_sites_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.csv"):
        read_sites(tmp_path / "none.csv")
