"""scripts/benchmark_wiring.py: what wirings do to a network whose outputs are known."""

import json
from types import SimpleNamespace

import heart_run
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.heart.wiring import Errors, figures, redundant, wirings
from ecgjax.tasks.activation_figures import activation_figures
from scripts import benchmark_wiring as command

LEAD_SETS = ["limb", "I+II+V2"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return folder, heart_run.saved_run(folder, "activation_map")


@pytest.fixture
def run(monkeypatch, tmp_path, workdir):
    def main(**given):
        flags = {
            "workdir": str(workdir[0]), "split": "test", "dataset": None, "data_dir": None, "lead_sets": LEAD_SETS,
            "output": str(tmp_path / "out"), **given,
        }  # fmt: skip
        monkeypatch.setattr(command.flags, "FLAGS", SimpleNamespace(**flags))
        with heart_run.installed("activation_map"):
            command.main()

    return main


def test_every_placement_and_set_is_judged_as_algebra_says(run, workdir, tmp_path, capsys):
    run()
    content = json.loads((tmp_path / "out" / "wiring.json").read_text())
    assert list(content["wirings"]) == [p.name for p in leads.PLACEMENTS] + LEAD_SETS
    assert (content["n_records"], content["n_hearts"]) == (6, 3)
    records = heart_run.made_hearts("test", 6)
    options = heart_run.CONFIGS["activation_map"].get_config("smoke").activation_map
    mean_mv, true_ms = records.ecg.mean(axis=1) / 1000, records.labels["activation_ms"]

    def mae_ms(matrix):
        outputs = mean_mv @ matrix.T @ workdir[1]
        return np.nanmean(np.abs(options.centre_ms + options.spread_ms * outputs - true_ms))

    expected = {p.name: mae_ms(p.matrix) for p in leads.PLACEMENTS}
    expected |= {text: mae_ms(leads.completion(leads.lead_subset(text))) for text in LEAD_SETS}
    for name, value in expected.items():
        found = content["wirings"][name]["metrics"]
        assert found["mae_ms"]["value"] == pytest.approx(value, abs=5e-3)
        assert found["difference/mae_ms"]["value"] == pytest.approx(value - expected["none"], abs=5e-3)
    assert content["wirings"]["none"]["metrics"]["difference/mae_ms"] == {"value": 0, "ci95": [0, 0], "n": 6}
    text = capsys.readouterr().out
    assert text.startswith("# Activation maps under every wiring: made_hearts/default, test, 6 records of 3 hearts")
    assert "| correct " in text
    assert "| RA-LA " in text
    assert (tmp_path / "out" / "wiring.png").exists()
    with pytest.raises(InputError, match=r"wiring\.json is already there"):
        run()


def test_figures_are_those_of_the_task():
    rng = np.random.default_rng(0)
    true_ms = rng.uniform(10, 100, (8, 75))
    true_ms[2, 5:20] = np.nan
    predictions = {"targets": true_ms, "scores": true_ms + rng.normal(size=true_ms.shape)}
    predictions["scores"][2, 5:20] = 50
    predictions["site_mm"] = rng.normal(size=(8, 75, 3))
    hearts = np.repeat(np.arange(4), 2)
    errors = Errors.of(predictions)
    found = figures(errors, errors, hearts, 100)
    task = activation_figures(true_ms, predictions["scores"], predictions["site_mm"], hearts, 100)
    for name in ("mae_ms", "mae_ms/LV", "mae_ms/septum", "mae_ms/RV", "pearson_r", "earliest_site_mm"):
        assert found[name].value == pytest.approx(task[name].value)
        assert found[name].ci95 == pytest.approx(task[name].ci95)


def test_the_correct_wiring_changes_nothing_and_a_swap_twice_neither():
    records = heart_run.made_hearts("test", 2)
    correct, swapped = (entry for entry in wirings([]) if entry.name in ("none", "RA-LA"))
    np.testing.assert_allclose(correct.applied(records).ecg, records.ecg, atol=2)
    back = swapped.applied(swapped.applied(records)).ecg
    np.testing.assert_allclose(back, correct.applied(records).ecg, atol=3)
    np.testing.assert_allclose(swapped.applied(records).ecg[..., 0], -records.ecg[..., 0], atol=1)


def test_bad_input_is_refused(run, tmp_path):
    assert redundant("independent")
    assert not redundant("precordial")
    with pytest.raises(InputError, match="from independent all twelve leads follow"):
        run(lead_sets=["independent"])
    with pytest.raises(InputError, match="there is no .*config.json"):
        run(workdir=str(tmp_path))
    other = tmp_path / "other"
    heart_run.saved_run(other, "transmembrane")
    with pytest.raises(InputError, match="holds a run of transmembrane; give the folder of an activation_map run"):
        run(workdir=str(other))
    assert not (tmp_path / "out").exists()
