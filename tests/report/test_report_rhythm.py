"""The report's section on rhythms, from the files of a run."""

import numpy as np
from made_run import entry, headings, made_run, write_results

from ecgjax.data.rhythms import CLASSES
from ecgjax.report.rhythm import rhythm_section
from ecgjax.report.write import write_report


def write_run(workdir):
    rng = np.random.default_rng(0)
    ids = np.array([f"A{k:05d}" for k in range(40)])
    scores, targets = rng.dirichlet(np.ones(4), 40), rng.integers(0, 4, 40)
    np.savez(
        workdir / "predictions_test.npz",
        targets=targets,
        scores=scores,
        class_names=np.array(CLASSES),
        record_ids=ids,
        patient_ids=ids,
    )
    np.savez(
        workdir / "examples_test.npz",
        strip_mv=rng.normal(size=(3, 900)),
        strip_samples=[900, 500, 900],
        fs_hz=300.0,
        record_ids=ids[:3],
        truth=["N", "A", "~"],
        prediction=["N", "O", "~"],
        probability=[0.9, 0.8, 0.7],
    )
    write_results(workdir, {"f1_ano": entry(0.8)}, task="rhythm")


def pictures(workdir):
    return {png.stem for png in (workdir / "figures").iterdir()}


def test_recordings_are_drawn_as_strips(tmp_path):
    write_run(tmp_path)
    page = write_report(tmp_path).read_text()
    assert "Recordings" in headings(page)
    assert "F1 (A, N, O)" in page
    assert {"example_strips", "confusion"} <= pictures(tmp_path)
    assert "confusion_tuned" not in pictures(tmp_path)


def test_tuned_decisions_have_a_confusion_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    predictions = {"targets": rng.integers(0, 4, 20), "scores": rng.dirichlet(np.ones(4), 20), "class_names": CLASSES}
    figures = {f"offset/{name}": entry(0.3 * k, None) for k, name in enumerate(CLASSES)}
    section = rhythm_section(made_run({"task": "rhythm", "metrics": figures}, tmp_path, predictions))
    assert "Classes are weighed as validation recordings ask for." in section.body
    assert [path.name for path in tmp_path.iterdir()] == ["confusion_tuned.png"]


def test_runs_of_other_tasks_have_no_such_section(tmp_path):
    assert rhythm_section(made_run({"task": "age"}, tmp_path, {"scores": np.zeros(1)})) is None
