"""The report's section on hearts."""

import heart_run
import numpy as np
import pytest
from made_run import made_run

from ecgjax.report import heart, page
from ecgjax.report.heart import heart_section
from ecgjax.runlog import to_json
from ecgjax.tasks.activation_figures import activation_figures
from ecgjax.tasks.potential_figures import Compared, potential_figures

RECORDS = heart_run.made_hearts("test", 6)
RNG = np.random.default_rng(0)


def maps():
    true_ms = RECORDS.labels["activation_ms"]
    scores = np.nan_to_num(true_ms, nan=50) + RNG.normal(0, 3, true_ms.shape)
    predictions = {"targets": true_ms, "scores": scores, "site_mm": RECORDS.labels["site_mm"]}
    metrics = activation_figures(true_ms, scores, predictions["site_mm"], RECORDS.patient_ids, 20)
    return metrics, predictions


def potentials():
    true_mv = (RECORDS.labels["vm"] / 100).astype(np.float16)
    scores = (true_mv + RNG.normal(0, 3, true_mv.shape)).astype(np.float16)
    metrics = potential_figures(Compared.from_potentials(true_mv, scores), RECORDS.patient_ids, 20)
    return metrics, {"targets": true_mv, "scores": scores}


@pytest.mark.parametrize(
    ("task", "make", "figures", "rows"),
    [
        (
            "activation_map",
            maps,
            ["activation_times", "error_by_site", "error_of_records", "map_among_the_worst", "map_typical"],
            ["mean absolute error (ms): LV", "mean absolute error (ms): epi"],
        ),
        (
            "transmembrane",
            potentials,
            ["potentials_among_the_worst", "potentials_typical"],
            ["root mean square error (mV): septum", "mean absolute error of the upstroke (ms): RV"],
        ),
    ],
)
def test_errors_by_region_and_examples_are_shown(tmp_path, monkeypatch, task, make, figures, rows):
    # Fine triangles and points take seconds to draw.
    monkeypatch.setattr(page, "_PNG_DPI", 40)
    monkeypatch.setattr(heart, "_MIN_TRIANGLES", 1)
    metrics, predictions = make()
    results = {"task": task, "metrics": to_json(metrics), "baselines": {"mean_map": to_json(metrics)}}
    section = heart_section(made_run(results, tmp_path, {**predictions, "record_ids": RECORDS.record_ids}))
    assert sorted(path.stem for path in tmp_path.iterdir()) == figures
    for row in rows:
        assert f"<td>{row}</td>" in section.body
    assert "<th>mean map</th>" in section.body


def test_other_tasks_and_missing_predictions_have_no_section(tmp_path):
    assert heart_section(made_run({"task": "age"}, tmp_path, {"targets": np.zeros(1)})) is None
    assert heart_section(made_run({"task": "activation_map"}, tmp_path)) is None
