"""Embeddings and their geometry against networks by hand, scikit-learn and scipy."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
import sklearn.decomposition
from explained_run import EachLead, LeadsTask, fake_run

from ecgjax.errors import InputError
from ecgjax.explain import figures as explain_plots
from ecgjax.explain.embeddings import Embedding, choose, embed, layers
from ecgjax.explain.projections import (
    angle_deg,
    arc_figures,
    between_share,
    frontal_directions,
    frontal_figures,
    frontal_fit,
    groups,
    plane,
    project,
)
from ecgjax.explain.runs import examples, write_explanation
from ecgjax.leads import LEADS, LIMB_LEADS, PRECORDIAL_LEADS
from scripts import embed as script


@pytest.fixture(scope="module")
def leads_run():
    return fake_run(task=LeadsTask(), module=EachLead())


@pytest.fixture(scope="module")
def record_run():
    return fake_run()


def test_layers_tell_where_the_batch_is(leads_run):
    found = layers(leads_run)
    assert list(found) == ["timewise", "folded", "pairs", "together", "name"]
    assert {name: (layer.shape, layer.batch_axis, layer.multiple) for name, layer in found.items()} == {
        "timewise": ((40, 3, 5), 1, 3),
        "folded": ((3, 6), 0, 3),
        "pairs": ((6, 6), 0, 6),
        "together": ((1, 4), 0, 1),
        "name": ((1, 3, 3), 0, 1),
    }


def test_vectors_of_leads_are_in_the_order_of_their_names(leads_run):
    names = ("timewise", "folded", "name")
    timewise, folded, name = embed(leads_run, examples(leads_run, 0, 0), [choose(leads_run, n) for n in names])
    params = leads_run.variables["params"]
    x = leads_run.split.ecg.transpose(0, 2, 1)[..., None] / np.float32(1000)
    expected = {}
    expected["timewise"] = x @ params["timewise"]["kernel"] + params["timewise"]["bias"]
    hidden = np.tanh(expected["timewise"]).mean(axis=2)
    expected["folded"] = hidden @ params["folded"]["kernel"] + params["folded"]["bias"]
    expected["name"] = np.tanh(expected["folded"]) @ params["name"]["kernel"] + params["name"]["bias"]
    expected["timewise"] = expected["timewise"].mean(axis=2)
    for embedding in (timewise, folded, name):
        wanted = np.asarray(expected[embedding.layer])
        np.testing.assert_allclose(embedding.vectors, wanted.reshape(33, -1), atol=1e-5)
        np.testing.assert_array_equal(embedding.classes, np.tile(np.arange(3), 11))
        np.testing.assert_array_equal(embedding.example, np.repeat(np.arange(11), 3))
        np.testing.assert_array_equal(embedding.patient_ids, leads_run.split.patient_ids[embedding.example])


def test_vectors_of_records_have_the_class_of_the_view(record_run):
    chosen = examples(record_run, 7, 1)
    (embedding,) = embed(record_run, chosen, [choose(record_run, "Dense_0")])
    mean = record_run.split.ecg[chosen.index].mean(axis=1) / 1000 * (1 - 2 * chosen.view)[:, None]
    np.testing.assert_allclose(embedding.vectors, mean @ record_run.variables["params"]["Dense_0"]["kernel"], atol=1e-5)
    assert embedding.class_names == ("positive", "none")
    is_positive = record_run.split.labels["is_positive"][chosen.index] ^ (chosen.view == 1)
    np.testing.assert_array_equal(embedding.classes, np.where(is_positive, 0, 1))


def test_hypotheses_are_taken_one_at_a_time():
    # The leads are hypotheses to a task that does not name them.
    run = fake_run(module=EachLead())
    run = dataclasses.replace(run, experiment=dataclasses.replace(run.experiment, task=Plain()))
    chosen = examples(run, 0, 0)
    each = embed(run, chosen, [choose(run, f"folded[{i}]") for i in range(3)])
    (name,) = embed(run, chosen, [choose(run, "name")])
    assert [embedding.layer for embedding in each] == ["folded[0]", "folded[1]", "folded[2]"]
    params = run.variables["params"]["name"]
    by_hand = [np.tanh(e.vectors) @ params["kernel"] + params["bias"] for e in each]
    np.testing.assert_allclose(name.vectors, np.mean(by_hand, axis=0), atol=1e-5)
    with pytest.raises(InputError, match=r"folded gives \[3, 6\] and no vector for each record; use folded\[0\]"):
        choose(run, "folded")
    with pytest.raises(InputError, match=r"use folded\[0\] to folded\[2\]"):
        choose(run, "folded[3]")
    assert choose(run, "").name == "pairs[0]"


class Plain(LeadsTask):
    """Presents leads as they are."""

    def evaluation_view(self, record, view):
        return record

    def predict(self, outputs, batch):
        return {"scores": jnp.mean(outputs, axis=1), "targets": batch["number"] % 3}


def test_layers_that_cannot_be_taken_are_refused(leads_run):
    assert choose(leads_run, "").name == "folded"
    with pytest.raises(InputError, match="no layer 'x'; use one of timewise, folded, pairs, together, name"):
        choose(leads_run, "x")
    for name in ("together", "pairs", "folded[0]"):
        with pytest.raises(InputError, match="no vector for each lead"):
            choose(leads_run, name)


def embedding_of(points, classes, class_names):
    ids = np.arange(len(points)).astype(str)
    return Embedding(
        "layer", np.asarray(points, np.float32), np.asarray(classes), class_names, np.arange(len(points)), ids
    )


def test_components_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(90, 7)) @ rng.normal(size=(7, 7))
    embedding = embedding_of(points, np.arange(90) % 3, ("a", "b", "c", "never"))
    projection = project(embedding, 3, None)
    expected = sklearn.decomposition.PCA(3, svd_solver="full").fit(points.astype(np.float32))
    np.testing.assert_allclose(projection.explained, expected.explained_variance_ratio_, rtol=1e-4)
    difference = np.abs(projection.coordinates) - np.abs(expected.transform(points.astype(np.float32)))
    np.testing.assert_allclose(difference, 0, atol=1e-3)
    assert projection.class_names == ("a", "b", "c")
    np.testing.assert_allclose(projection.centroids()[1], projection.coordinates[1::3].mean(axis=0))
    part = project(embedding, 2, ("c", "a"))
    assert part.class_names == ("c", "a")
    np.testing.assert_array_equal(part.classes[:4], [1, 0, 1, 0])
    with pytest.raises(InputError, match="90 points of 7 features"):
        project(embedding, 8, None)


def test_variance_between_classes():
    points = np.array([[0.0, 0], [2, 0], [10, 0], [12, 0]])
    assert between_share(embedding_of(points, [0, 0, 1, 1], ("a", "b"))) == pytest.approx(100 / 104)
    assert between_share(embedding_of(points, [0, 1, 2, 3], tuple("abcd"))) == pytest.approx(1)
    assert between_share(embedding_of(points, [0, 0, 0, 0], ("a",))) == 0


def test_plane_is_the_one_that_points_lie_in():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    points = rng.normal(size=(50, 2)) @ axes[:2] + 4.0
    found = plane(points)
    assert found.off_plane == pytest.approx(0, abs=1e-12)
    assert abs(found.normal @ axes[2]) == pytest.approx(1)
    turned = plane(points @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    assert angle_deg(found, found) == pytest.approx(0, abs=1e-4)
    expected = np.degrees(np.arccos(abs(found.normal @ turned.normal)))
    assert angle_deg(found, turned) == pytest.approx(expected)
    assert plane(rng.normal(size=(20_000, 3))).off_plane == pytest.approx(1 / 3, abs=0.02)


def around(angles_deg, names, spread=0.05, num=20):
    """Points about directions in a plane of five dimensions."""
    rng = np.random.default_rng(0)
    angles = np.radians(angles_deg)
    centroids = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.repeat(centroids, num, axis=0) + spread * rng.normal(size=(num * len(names), 2))
    return embedding_of(points @ rng.normal(size=(2, 5)), np.repeat(np.arange(len(names)), num), tuple(names))


def test_classes_on_an_arc_are_in_order_and_others_are_not():
    arc = [0, 60, 120, 180, 240, 300]
    flat = embedding_of(np.eye(6)[:, :2], np.arange(6), PRECORDIAL_LEADS)
    for angles, in_order in ((arc, 1.0), (arc[::-1], 1.0), ([0, 120, 60, 180, 240, 300], 0.0)):
        points = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)
        embedding = dataclasses.replace(flat, vectors=points.astype(np.float32))
        found = arc_figures(project(embedding, 2, None), 0)
        assert found["arc/in_order"].value == in_order
        if in_order:
            assert found["arc/turn_deg"].value == pytest.approx(300, abs=0.01)
    noisy = arc_figures(project(around(arc, PRECORDIAL_LEADS, 0.2), 2, None), 200)
    low, high = noisy["arc/turn_deg"].ci95
    assert low < noisy["arc/turn_deg"].value < high


def test_frontal_fit_is_that_of_scipy():
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(4, 6, 2))
    directions = frontal_directions(LIMB_LEADS)
    fitted, explained = frontal_fit(centroids, LIMB_LEADS)
    for one, r2, points in zip(centroids, explained, fitted, strict=True):
        _, expected, disparity = scipy.spatial.procrustes(directions, one)
        assert r2 == pytest.approx(1 - disparity)
        scale = np.linalg.norm(directions - directions.mean(axis=0))
        np.testing.assert_allclose(points - directions.mean(axis=0), expected * scale, atol=1e-9)
    mirrored = embedding_of(3 * directions @ [[0, 1], [1, 0]] + 1, np.arange(6), LIMB_LEADS)
    assert frontal_figures(project(mirrored, 2, None), 0)["frontal/r2"].value == pytest.approx(1)


def test_groups_are_of_leads_alone():
    assert groups(LEADS) == {"limb": LIMB_LEADS, "precordial": PRECORDIAL_LEADS}
    assert groups(("I", "II", "V1", "V2", "V3")) == {"precordial": ("V1", "V2", "V3")}
    assert groups(("none", "any", "V1")) == {}


def test_figures_hold_the_points_and_the_centroids():
    embedding = around([10 * i for i in range(12)], LEADS)
    embedding = dataclasses.replace(embedding, vectors=np.hstack([embedding.vectors, embedding.vectors[:, :1] ** 2]))
    projection = project(embedding, 3, None)
    figure = explain_plots.scatter_2d({"one": projection, "two": projection})
    for axes in figure.axes:
        cloud, *centroids = axes.collections
        drawn = np.sort(np.asarray(cloud.get_offsets())[:, 0])
        np.testing.assert_allclose(drawn, np.sort(projection.coordinates[:, 0]))
        np.testing.assert_allclose([c.get_offsets()[0] for c in centroids], projection.centroids()[:, :2])
        assert [text.get_text() for text in axes.texts] == list(LEADS)
    assert len(set(explain_plots.class_colours(LEADS))) == 12
    assert len(set(map(tuple, explain_plots.class_colours([str(i) for i in range(19)])))) == 19


def test_script_describes_layers(leads_run, tmp_path):
    content, arrays, figures = script.describe_all(leads_run, ["folded", "timewise"], 0)
    write_explanation(tmp_path / "out", "embeddings", content, arrays, figures)
    table = json.loads((tmp_path / "out" / "embeddings.json").read_text())
    assert set(table["layers"]) == {"folded", "timewise"}
    folded = table["layers"]["folded"]
    assert set(folded["centroids"]) == {"I", "II", "III"}
    assert set(folded["planes"]) == {"limb"}
    assert 0 <= folded["metrics"]["frontal/r2"]["value"] <= 1
    assert folded["n_points"] == 33
    with np.load(tmp_path / "out" / "embeddings.npz") as file:
        assert file["vectors_1"].shape == (33, 5)
        assert list(file["layers"]) == ["folded", "timewise"]
    names = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert names == {"2d", "3d_folded", "3d_timewise", "frontal_folded", "frontal_timewise"}
