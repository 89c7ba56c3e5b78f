import json
import subprocess

import pytest

from ecgjax import runlog
from ecgjax.metrics import Metric
from ecgjax.runlog import MetricsLog, ProgressBar, read_metrics, results_table, to_json, write_json


def test_reopened_log_is_cut_past_the_step_and_half_lines_go(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for step in (1, 2, 3):
        log.write(step, "train", {"loss": 1 / step})
    uninterrupted = path.read_text()
    with path.open("a") as file:
        file.write('{"step": 4, "spl')
    log = MetricsLog(path, 2)
    assert [line["step"] for line in read_metrics(path)] == [1, 2]
    log.write(3, "train", {"loss": 1 / 3})
    assert path.read_text() == uninterrupted


def test_fresh_log_forgets_a_run_without_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path, 0).write(5, "train", {"loss": 1.0})
    MetricsLog(path, 0)
    assert read_metrics(path) == []


def test_undefined_figures_are_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path, 0).write(1, "validation", {"auroc": float("nan"), "loss": 0.5})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {
        "step": 1,
        "split": "validation",
        "auroc": None,
        "loss": 0.5,
    }


def test_failed_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


def test_without_terminal_lines_come_now_and_then(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(runlog.time, "perf_counter", lambda: now)
    with ProgressBar(0, 100, batch_size=8) as bar:
        for step in range(10, 101, 10):
            now += 4.0
            bar.update(step, loss=0.5, steps_per_s=2.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: step 30/100, loss 0.5, 20 records/s, 00:28 left"
    assert [line.split()[2] for line in lines] == ["30/100,", "60/100,", "90/100,", "100/100,"]


def test_results_table_lists_network_and_baselines():
    results = {"task": "fake", "split": "test", "dataset": "d", "n_records": 4, "n_patients": 3}
    results["metrics"] = to_json(
        {
            "auroc": Metric(0.91234, (0.8, 0.95), 4),
            "recall/none": Metric(1.0, None, 4),
            "ece": Metric(float("nan"), None, 4),
        }
    )
    results["baselines"] = {"rule": to_json({"auroc": Metric(0.5, (0.4, 0.6), 4)})}
    assert results_table(results).splitlines() == [
        "test split of d, 4 records of 3 patients",
        "fake   network               rule",
        "auroc  0.9123 (0.8 to 0.95)  0.5",
        "ece    -                     -",
    ]


def test_git_version_outside_a_repository(monkeypatch):
    def fail(*arguments, **options):
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr(runlog.subprocess, "run", fail)
    assert runlog.git_version() == "unknown"
