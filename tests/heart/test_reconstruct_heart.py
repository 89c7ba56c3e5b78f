"""scripts/reconstruct.py on runs that look behind the electrodes: what it writes, says and refuses."""

import csv
import dataclasses
import functools
from types import SimpleNamespace

import heart_run
import numpy as np
import pytest
from PIL import Image

from ecgjax.data.intracardiac import SITES, activation_ms
from ecgjax.errors import InputError
from ecgjax.heart import reconstruction
from ecgjax.heart.reconstruction import heart_of
from ecgjax.heart.record import from_dataset
from ecgjax.heart.template import mean_heart
from scripts import reconstruct as command

DEFAULTS = {
    "dataset": None, "data_dir": None, "beat": 0, "before_ms": 20.0, "step_ms": 250.0, "mesh": None, "points": None,
    "method": "smooth",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {task: (folder / task, heart_run.saved_run(folder / task, task)) for task in heart_run.CONFIGS}


@pytest.fixture
def run(monkeypatch, tmp_path, runs):
    # Fine triangles and points take seconds to draw.
    monkeypatch.setattr(reconstruction, "_DPI", 40)
    coarse = functools.partial(reconstruction.activation_on_heart, min_triangles=1)
    monkeypatch.setattr(reconstruction, "activation_on_heart", coarse)

    def main(task, **given):
        flags = {**DEFAULTS, "workdir": str(runs[task][0]), "output": str(tmp_path / "out"), **given}
        monkeypatch.setattr(command.flags, "FLAGS", SimpleNamespace(**flags))
        with heart_run.installed(task):
            command.main()

    return main


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_map_is_written_beside_its_truth(run, runs, tmp_path, capsys):
    run("activation_map", dataset="made_hearts", record="test 0")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("test 0: made_hearts/default, test, mean error ")
    assert said[0].endswith(" ms; on a mesh through its own sites")
    stems = ["activation.csv", "columns.png", "map.png", "activation.vtu"]
    assert said[1:] == [f"{tmp_path}/out/test_0_{name}" for name in stems]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(f"test_0_{name}" for name in stems)
    table = rows(tmp_path / "out" / "test_0_activation.csv")
    assert [row["site"] for row in table] == list(SITES)
    assert (table[0]["chamber"], table[0]["layer"]) == ("LV", "endo")
    made = heart_run.made_hearts("test", 6)
    options = heart_run.CONFIGS["activation_map"].get_config("smoke").activation_map
    outputs = (made.ecg[0] / 1000).mean(axis=0) @ runs["activation_map"][1]
    predicted_ms = [float(row["predicted_ms"]) for row in table]
    np.testing.assert_allclose(predicted_ms, options.centre_ms + options.spread_ms * outputs, atol=2e-3)
    true_ms = made.labels["activation_ms"][0]
    assert [row["true_ms"] == "" for row in table] == np.isnan(true_ms).tolist()
    known = ~np.isnan(true_ms)
    np.testing.assert_allclose([float(row["true_ms"]) for row in table if row["true_ms"]], true_ms[known], atol=1e-3)
    with pytest.raises(InputError, match=r"test_0_activation\.csv is already there; give another --output"):
        run("activation_map", dataset="made_hearts", record="test 0")


def test_potentials_are_written_with_an_animation_and_a_series(run, runs, tmp_path):
    run("transmembrane", dataset="made_hearts", record="test 1")
    out = tmp_path / "out"
    potentials = np.genfromtxt(out / "test_1_potentials.csv", delimiter=",", names=True, deletechars="")
    assert potentials.dtype.names == ("time_ms", *SITES)
    vm_mv = np.stack([potentials[site] for site in SITES], axis=1)
    assert vm_mv.shape == (500, 75)
    found = [row["predicted_ms"] for row in rows(out / "test_1_activation.csv")]
    np.testing.assert_array_equal([text == "" for text in found], np.isnan(activation_ms(vm_mv)))
    with Image.open(out / "test_1_potentials.gif") as picture:
        assert picture.n_frames == 2
    assert (out / "test_1_potentials.pvd").exists()
    assert len(list((out / "test_1_potentials").iterdir())) == 2
    assert (out / "test_1_potentials.png").exists()


def test_a_recording_is_drawn_on_a_mean_heart(run, sample_data, tmp_path, capsys):
    run("activation_map", record=str(sample_data / "ptb-xl" / "records500" / "00000" / "00001_hr.hea"))
    said = capsys.readouterr().out.splitlines()[0]
    assert "beats, from 20 ms before the QRS complex; on a mean heart, since its own is not known" in said
    table = rows(tmp_path / "out" / "00001_hr_activation.csv")
    assert "true_ms" not in table[0]
    assert float(table[3]["predicted_ms"]) - float(table[3]["after_qrs_onset_ms"]) == pytest.approx(20)


def test_the_heart_is_that_of_the_files_else_of_the_record_else_a_mean_one(sample_data):
    with heart_run.installed("activation_map"):
        config = heart_run.CONFIGS["activation_map"].get_config("smoke")
        record = from_dataset(config, "made_hearts", "test 0", None)
    mesh, points = (sample_data / "llnl-geometry" / name for name in ("heart_mesh.vtk", "points.csv"))
    found = heart_of(record, mesh, points)
    assert (found[0].corners.shape, found[1]) == ((26854, 4), "on heart_mesh.vtk")
    fitted = heart_of(record, None, points)
    np.testing.assert_array_equal(fitted[0].site_mm, found[0].site_mm)
    assert fitted[1] == "on a mesh through points.csv"
    np.testing.assert_array_equal(heart_of(record, None, None)[0].site_mm, record.site_mm)
    unknown = dataclasses.replace(record, site_mm=None)
    np.testing.assert_array_equal(heart_of(unknown, None, None)[0].site_mm, mean_heart().site_mm)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mesh": "heart.vtk"}, "--mesh is given without --points"),
        ({"mesh": "heart.vtk", "points": "points.csv"}, "cannot read heart.vtk"),
        ({"points": "points.csv"}, "cannot read points.csv"),
        ({"record": "test 9"}, "has no record 'test 9'"),
        ({"dataset": None, "record": "none.hea"}, r"no file none\.hea"),
        ({"output": "file/x"}, "cannot write to file/x"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(run, tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message):
        run("activation_map", **{"dataset": "made_hearts", "record": "test 0", **given})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
