"""Networks for rhythms on signals and on paper, against each other."""

import json

import commands
import numpy as np
import pytest

from ecgjax import metrics
from ecgjax.metrics import Metric
from ecgjax.paper import comparison
from ecgjax.paper.comparison import Method


def method(name, decided, num_records=60):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, num_records)
    ids = np.arange(num_records).astype(str)
    wrong = np.isin(np.arange(num_records), decided)
    decided = np.where(wrong, (targets + 1) % 3, targets)
    scores = np.eye(4)[decided]
    found = {"targets": targets, "scores": scores, "patient_ids": ids, "record_ids": ids}
    return Method(name, (), found, decided)


def test_a_loss_is_paired_by_recording():
    raw, image = method("raw", [0, 1, 2]), method("150px", [0, 1, 5, 6, 7, 8, 9, 10, 11])
    found = comparison.cost(image, raw, 200)
    assert found.mcnemar == metrics.mcnemar(np.arange(8) >= 1, np.arange(8) < 1)
    assert found.losses["loss/accuracy"].value == pytest.approx(6 / 60)
    own, others = (comparison.figures(one, 0)["f1_ano"].value for one in (raw, image))
    assert found.losses["loss/f1_ano"].value == pytest.approx(own - others)
    low, high = found.losses["loss/f1_ano"].ci95
    assert low < own - others < high


def test_tables_and_figure_name_every_method_and_paper():
    raw, image = method("raw", [0]), method("150px", [0, 1, 2])
    costs = {"150px": comparison.cost(image, raw, 50)}
    found = {one.name: comparison.figures(one, 50) for one in (raw, image)}
    table = comparison.comparison_table(found, costs)
    assert len(table.splitlines()) == 4
    curve = {paper: {"raw": Metric(0.7, (0.6, 0.8), 60), "150px": Metric(0.75, None, 60)} for paper in ("75px", "40px")}
    assert "| 40px " in comparison.curve_table(curve)
    (axes,) = comparison.curve_figure(curve, Metric(0.8, None, 60)).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["75px", "40px"]
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {
        "trained on raw",
        "trained on 150px",
        "raw signals",
    }


def test_an_unknown_source_is_told_in_one_line(tmp_path):
    done = commands.run("scripts/compare_paper.py", "--source=ptbxl", f"--output={tmp_path}")
    assert done.returncode == 2
    assert "unknown --source 'ptbxl'; use one of simulated, cinc2017" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_command_trains_tests_and_compares(tmp_path):
    arguments = ("scripts/compare_paper.py", "--smoke", f"--output={tmp_path / 'out'}", f"--data_dir={tmp_path}")
    done = commands.run(*arguments, "--papers=150px", "--curve=75px-light")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert set(found["methods"]) == {"raw", "150px"}
    assert set(found["curve"]) == {"150px", "75px-light"}
    for figures in found["methods"].values():
        assert 0 <= figures["f1_ano"]["value"] <= 1
    assert found["curve"]["150px"]["150px"] == found["methods"]["150px"]["f1_ano"]
    assert (tmp_path / "out" / "curve.png").stat().st_size > 1000
    again = commands.run(*arguments, "--papers=150px", "--curve=75px-light")
    assert "nothing to train" in again.stderr + again.stdout
