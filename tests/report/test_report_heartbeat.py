"""The report's section on heartbeats, from the files of a run."""

import numpy as np
import pytest
from made_run import entry, headings, made_run, write_results

from ecgjax.report.heartbeat import class_histogram, heartbeat_section
from ecgjax.report.write import write_report


def write_run(workdir, names, figures, num_beats=60):
    rng = np.random.default_rng(0)
    patients = np.repeat(["100", "105"], num_beats // 2)
    scores = rng.dirichlet(np.ones(len(names)), num_beats)
    np.savez(
        workdir / "predictions_test.npz",
        targets=rng.integers(0, len(names), num_beats),
        scores=scores,
        class_names=names,
        record_ids=np.array([f"{name} {k:05d}" for k, name in enumerate(patients)]),
    )
    np.savez(
        workdir / "examples_test.npz",
        beat_mv=rng.normal(size=(3, 250, 2)),
        fs_hz=125.0,
        r_sample=63,
        record_ids=["100 00000", "100 00001", "105 00002"],
        truth=[names[0], names[0], names[1]],
        prediction=[names[0], names[1], names[1]],
        probability=[0.9, 0.8, 0.7],
    )
    write_results(workdir, {"accuracy": entry(0.9), **figures}, task="heartbeat")


def test_beats_have_a_histogram_examples_and_a_row_for_each_recording(tmp_path):
    figures = {f"recording_accuracy/{name}": entry(0.8, None) for name in ("100", "105")}
    write_run(tmp_path, ["N", "S", "V"], {**figures, "recording_f1_v/105": entry(0.75, None)})
    page = write_report(tmp_path).read_text()
    assert "Beats" in headings(page)
    pngs = {png.stem for png in (tmp_path / "figures").iterdir()}
    assert {"class_histogram", "example_beats", "confusion"} <= pngs
    assert not {"confusion_tuned", "recording_accuracy_by_class"} & pngs
    for text in ("F1 of V", "0.750", "V beats", "Beats of one recording resemble each other"):
        assert text in page


@pytest.mark.parametrize(
    ("names", "figures", "said"),
    [
        (["normal", "abnormal"], {"threshold": entry(0.31, None)}, "above a probability of 0.31"),
        (["N", "V"], {"offset/N": entry(0.0, None), "offset/V": entry(1.5, None)}, "Shares of classes are corrected"),
    ],
)
def test_tuned_decisions_have_a_confusion_of_their_own(tmp_path, names, figures, said):
    rng = np.random.default_rng(0)
    predictions = {
        "targets": rng.integers(0, 2, 20),
        "scores": rng.dirichlet((1, 1), 20),
        "class_names": np.array(names),
        "record_ids": np.arange(20).astype(str),
    }
    results = {"task": "heartbeat", "metrics": figures, "n_patients": 20}
    assert said in heartbeat_section(made_run(results, tmp_path, predictions)).body
    assert (tmp_path / "confusion_tuned.png").exists()


def test_the_histogram_holds_its_numbers():
    (axes,) = class_histogram(np.array([[90, 10], [80, 20]]), ["N", "V"]).axes
    assert [bar.get_height() for bar in axes.patches] == [90, 10, 80, 20]


def test_runs_of_other_tasks_have_no_such_section(tmp_path):
    assert heartbeat_section(made_run({"task": "age"}, tmp_path, {"scores": np.zeros(1)})) is None
