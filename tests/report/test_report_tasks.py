"""Sections of the report on diagnosis and age, from the files of a run."""

import json
import re

import numpy as np
import pytest
from made_run import entry, headings, made_run, write_results

from ecgjax.report.age import bland_altman, error_by_group, interval_coverage
from ecgjax.report.diagnosis import MOST_PANELS, precision_recall_section
from ecgjax.report.write import write_report


def write_diagnosis(workdir, names, num_records=40):
    rng = np.random.default_rng(0)
    is_class = rng.uniform(size=(num_records, len(names))) < 0.3
    scores = rng.uniform(size=is_class.shape)
    np.savez(workdir / "predictions_test.npz", targets=is_class.astype(np.int8), scores=scores, class_names=names)
    figures = {"macro_auroc": entry(0.93), "challenge_g2": entry(0.4)}
    for name in names:
        figures |= {f"auprc/{name}": entry(0.5, (0.4, 0.6)), f"auprc_no_skill/{name}": entry(0.3)}
        figures[f"threshold/{name}"] = entry(0.25, None)
    gains = {"gain/macro_auroc": entry(0.0125, (0.01, 0.02))}
    write_results(workdir, figures, task="diagnosis", baselines={"no_skill": gains}, left_out={"no label": 3})


def test_diagnosis_has_a_curve_for_each_label(tmp_path):
    write_diagnosis(tmp_path, ["AFIB", "STACH"])
    page = write_report(tmp_path).read_text()
    assert headings(page) == ["Precision and recall", "Class by class", "How it was made"]
    assert {png.name for png in (tmp_path / "figures").iterdir()} == {"precision_recall.png", "auprc_by_class.png"}
    for text in ("macro AUROC, this network minus it", "0.013", "challenge G2", "3 (no label)"):
        assert text in page


def test_of_many_labels_the_frequent_ones_are_drawn(tmp_path):
    names = [f"L{k}" for k in range(MOST_PANELS + 3)]
    write_diagnosis(tmp_path, names)
    with np.load(tmp_path / "predictions_test.npz") as file:
        predictions = dict(file)
    predictions["targets"][:, 3:6] = 0
    results = json.loads((tmp_path / "results.json").read_text())
    section = precision_recall_section(made_run(results, tmp_path, predictions))
    assert f"The {MOST_PANELS} most frequent of {MOST_PANELS + 3} labels" in section.body
    predictions["targets"][:] = 0
    assert precision_recall_section(made_run(results, tmp_path, predictions)) is None


def test_age_shows_where_it_errs(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.uniform(20, 80, 50)
    groups = ("20-29", "30-39", "superclass MI", "superclass NORM")
    figures = {"mae_years": entry(7.5), "r2": entry(0.61), "spread_scale": entry(1.2, None)}
    figures |= {f"{f}/{name}": entry(5.0, (4.0, 6.0)) for f in ("mae_years", "bias_years") for name in groups}
    write_results(tmp_path, figures, task="age")
    np.savez(
        tmp_path / "predictions_test.npz",
        targets=truth,
        scores=truth + 5 * rng.normal(size=50),
        spread_years=np.full(50, 5.0),
        class_names=["age_years"],
    )
    page = write_report(tmp_path).read_text()
    assert headings(page) == ["Prediction against truth", "Where it errs", "How it was made"]
    pngs = {png.stem for png in (tmp_path / "figures").iterdir()}
    assert pngs == {"scatter", "bland_altman", "error_by_decade", "error_by_superclass", "spread_calibration"}
    assert not re.search("mae_years_by_class", page)


def test_figures_hold_their_numbers():
    truth = np.array([20.0, 40.0, 60.0])
    (axes,) = bland_altman(truth, truth + np.array([1, 2, 3])).axes
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [(20.5, 1), (41, 2), (61.5, 3)])
    spread = 1.96 * np.std([1, 2, 3])
    heights = [line.get_ydata()[0] for line in axes.lines]
    np.testing.assert_allclose(heights, [2, 2 - spread, 2 + spread])
    (axes,) = error_by_group({"20-29": [entry(5.0), entry(-1.0, None)]}, "true age").axes
    assert [points.get_offsets()[0, 1] for points in axes.collections[1:]] == [5.0, -1.0]
    z = np.random.default_rng(0).normal(size=20_000)
    _, inside = interval_coverage(z).axes[0].lines
    np.testing.assert_allclose(*inside.get_data(), atol=0.02)


@pytest.mark.parametrize("task", ["reversal", "age"])
def test_runs_of_other_tasks_have_no_such_section(tmp_path, task):
    write_diagnosis(tmp_path, ["A", "B"])
    results = json.loads((tmp_path / "results.json").read_text())
    assert precision_recall_section(made_run({**results, "task": task}, tmp_path)) is None
