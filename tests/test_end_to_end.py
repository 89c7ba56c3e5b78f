"""The shipped configs, shrunk, as a user runs them: prepare, train, resume, evaluate, report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import commands
import numpy as np
import pytest

from ecgjax import leads

ROOT = Path(__file__).parent.parent
FILES = {
    "config.json",
    "metrics.jsonl",
    "predictions_validation.npz",
    "predictions_test.npz",
    "results.json",
    "report.html",
}


def as_shipped(*arguments):
    """What a user's command says: nothing is loaded before, and all is compiled as well as it can be."""
    environment = {**os.environ, "XLA_FLAGS": ""}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, env=environment)


def check_workdir(workdir, num_views, dataset):
    assert {path.name for path in workdir.iterdir()} >= FILES | {"checkpoints", "figures"}
    results = json.loads((workdir / "results.json").read_text())
    assert results["task"] == "reversal"
    assert results["dataset"].startswith(dataset)
    assert results["split"] == "test"
    for name in ("accuracy", "recall", "specificity", "precision", "auroc", "auroc_limb", "ppv_at_2pct", "ece"):
        entry = results["metrics"][name]
        low, high = entry["ci95"] or (0, 1)
        assert 0 <= low <= high <= 1, name
        assert entry["n"] > 0, name
    for baseline in ("cardiographer_rule", "support_vector_machine", "random_forest"):
        assert 0 <= results["baselines"][baseline]["accuracy"]["value"] <= 1
    with np.load(workdir / "predictions_test.npz") as predictions:
        ids, views = predictions["record_ids"], predictions["view"]
        assert len(ids) == results["n_records"] * num_views
        assert len(set(zip(ids, views, strict=True))) == len(ids)
        np.testing.assert_allclose(predictions["scores"].sum(axis=1), 1, atol=1e-4)
    for line in (workdir / "metrics.jsonl").read_text().splitlines():
        assert {"step", "split"} <= json.loads(line).keys()
    report = (workdir / "report.html").read_text()
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert "https://" not in report
    return results


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    arguments = ("-m", "ecgjax.main", "--config=configs/reversal.py:smoke", f"--config.data.dir={folder / 'data'}")
    done = as_shipped(*arguments, f"--workdir={folder / 'run'}")
    assert done.returncode == 0, done.stderr
    return folder, arguments, done


def test_default_command_prepares_trains_tests_and_reports(simulated):
    folder, _, done = simulated
    check_workdir(folder / "run", len(leads.PLACEMENTS), "simulated")
    assert "macro_f1" in done.stdout
    with np.load(folder / "run" / "predictions_test.npz") as predictions:
        assert tuple(predictions["class_names"]) == tuple(p.name for p in leads.PLACEMENTS)


def test_finished_run_is_not_trained_again(simulated):
    folder, arguments, _ = simulated
    before = (folder / "run" / "metrics.jsonl").read_bytes()
    again = commands.run(*arguments, f"--workdir={folder / 'run'}")
    assert again.returncode == 0, again.stderr
    assert "finished run" in again.stderr + again.stdout
    assert (folder / "run" / "metrics.jsonl").read_bytes() == before


def test_another_config_is_refused(simulated):
    folder, arguments, _ = simulated
    refused = commands.run(*arguments, "--config.batch_size=8", f"--workdir={folder / 'run'}")
    assert refused.returncode == 2
    assert "batch_size was 16 and is 8" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_evaluate_scores_any_split_again(simulated):
    folder, _, _ = simulated
    done = as_shipped("scripts/evaluate.py", f"--workdir={folder / 'run'}", "--split=test")
    assert done.returncode == 0, done.stderr
    again = json.loads((folder / "run" / "results_test.json").read_text())["metrics"]
    first = json.loads((folder / "run" / "results.json").read_text())["metrics"]
    for name in ("accuracy", "macro_f1", "auroc"):
        assert again[name]["value"] == pytest.approx(first[name]["value"], abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config=configs/reversal.py:ptbxxl",), "unknown argument 'ptbxxl'"),
        (("--config=configs/reversal.py:smoke", "--config.model.name=resnet"), "unknown model.name 'resnet'"),
        (("--config=configs/reversal.py:smoke", "--config.reversal.view=beats"), "unknown reversal.view 'beats'"),
        (("--config=configs/reversal.py:smoke", "--config.preprocess.filter=x"), "unknown preprocess.filter 'x'"),
        (("--config=configs/lead_id.py:smoke,leads=V1+V7",), "unknown lead name 'V7'"),
        (("--config=configs/lead_id.py:smoke", "--config.model.name=placement_net"), "no group model.placement_net"),
        (("--config=configs/reversal.py:ptbxl", "--config.data.dir=/nonexistent"), "data_prep --dataset=ptbxl"),
    ],
)
def test_bad_input_ends_with_one_line_and_status_2(arguments, message, tmp_path):
    done = commands.run("-m", "ecgjax.main", *arguments, f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def sample(sample_data, tmp_path_factory):
    """A few patients of every fold of the real sample, prepared."""
    folder = tmp_path_factory.mktemp("ptbxl")
    raw = folder / "raw"
    raw.mkdir()
    (raw / "records100").symlink_to(sample_data / "ptb-xl" / "records100")
    (raw / "scp_statements.csv").symlink_to(sample_data / "ptb-xl" / "scp_statements.csv")
    header, *rows = (sample_data / "ptb-xl" / "ptbxl_database.csv").read_text().splitlines()
    (raw / "ptbxl_database.csv").write_text("\n".join([header, *rows[:120]]) + "\n")
    done = commands.run("-m", "data_prep", "--dataset=ptbxl", f"--raw_dir={raw}", f"--data_dir={folder / 'data'}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("model", ["placement_net", "original"])
def test_real_records_end_to_end(model, sample):
    workdir = sample / model
    done = commands.run(
        "-m", "ecgjax.main", f"--config=configs/reversal.py:ptbxl,smoke,model={model}",
        f"--config.data.dir={sample / 'data'}", f"--workdir={workdir}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = check_workdir(workdir, len(leads.PLACEMENTS), "ptbxl")
    assert ("macro_f1" in results["metrics"]) == (model == "placement_net")


@pytest.mark.slow
@pytest.mark.parametrize("options", ["leads=+I", "leads=all,model=lead_set_net"])
def test_leads_are_identified_end_to_end(options, sample):
    workdir = sample / f"lead_id {options}"
    done = commands.run(
        "-m", "ecgjax.main", f"--config=configs/lead_id.py:ptbxl,smoke,{options}",
        f"--config.data.dir={sample / 'data'}", "--config.model.lead_set_net.features=16", f"--workdir={workdir}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((workdir / "results.json").read_text())
    for name in ("lead_accuracy", "set_accuracy", "lead_accuracy_assigned", "set_accuracy_assigned", "recall/V1"):
        assert 0 <= results["metrics"][name]["value"] <= 1, name
    assert results["baselines"]["each_lead_alone"]["lead_accuracy"]["value"] > 1 / 7
    with np.load(workdir / "predictions_test.npz") as predictions:
        assert predictions["scores"].shape[1:] == (len(predictions["class_names"]),) * 2
        assert np.all(np.sort(predictions["assigned"], axis=1) == predictions["targets"])
    assert (workdir / "figures" / "confusion.png").exists()


@pytest.mark.parametrize(
    ("config", "figures", "baseline"),
    [
        ("diagnosis.py:ptbxl,smoke,labels=superclass", ("macro_auroc", "auprc/NORM"), "logistic_regression"),
        pytest.param(
            *("age.py:ptbxl,smoke,loss=gaussian,leads=I+II+V2", ("mae_years", "coverage_68pct"), "ridge_regression"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("reconstruction.py:ptbxl,smoke,sets=I+II+V2", ("pearson_r", "variance_ratio/V5"), "least_squares"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_diagnosis_age_and_missing_leads_end_to_end(config, figures, baseline, sample):
    workdir = sample / config.partition(".")[0]
    done = commands.run(
        "-m", "ecgjax.main", f"--config=configs/{config}", f"--config.data.dir={sample / 'data'}",
        f"--workdir={workdir}", *(["--config.model.lead_filler.width=16"] if "reconstruction" in config else []),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((workdir / "results.json").read_text())
    for name in figures:
        assert np.isfinite(results["metrics"][name]["value"]), name
    assert any(name.startswith("gain/") for name in results["baselines"][baseline])
    assert {path.name for path in workdir.iterdir()} >= FILES


def test_thresholds_of_another_evaluation_are_those_of_the_run(sample):
    workdir = sample / "diagnosis"
    again = commands.run("scripts/evaluate.py", f"--workdir={workdir}", "--split=test")
    assert again.returncode == 0, again.stderr
    first, repeated = (json.loads((workdir / name).read_text()) for name in ("results.json", "results_test.json"))
    assert {"macro_f1", "threshold/NORM"} <= repeated["metrics"].keys()
    for name, entry in repeated["metrics"].items():
        assert entry["value"] == pytest.approx(first["metrics"][name]["value"], abs=1e-6), name
    assert repeated["left_out"] == first["left_out"]


@pytest.mark.slow
def test_overlapping_windows_end_to_end(sample):
    workdir = sample / "windows"
    done = commands.run(
        "-m", "ecgjax.main", "--config=configs/diagnosis.py:ptbxl,smoke,model=xresnet1d",
        "--config.model.xresnet1d.depth=18", "--config.num_steps=2", "--config.batch_size=4",
        "--config.evaluation.batch_size=8", f"--config.data.dir={sample / 'data'}", f"--workdir={workdir}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = json.loads((workdir / "config.json").read_text())
    assert (config["data"]["crop_s"], config["evaluation"]["window_stride_s"]) == (2.5, 1.25)


@pytest.mark.slow
def test_what_is_left_out_is_the_test_split(sample):
    workdir = sample / "left out"
    done = commands.run(
        "-m", "ecgjax.main", "--config=configs/lead_id.py:ptbxl,smoke,leads=precordial",
        f"--config.data.dir={sample / 'data'}", "--config.data.leave_out=sex=male", f"--workdir={workdir}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(workdir / "predictions_test.npz") as test, np.load(workdir / "predictions_validation.npz") as kept:
        assert len(test["record_ids"]) > 20
        assert not set(test["patient_ids"]) & set(kept["patient_ids"])


def test_a_run_is_scored_on_another_dataset(simulated, sample):
    folder, _, _ = simulated
    output = sample / "transfer.json"
    done = commands.run(
        "scripts/evaluate.py", f"--workdir={folder / 'run'}", "--dataset=ptbxl",
        f"--data_dir={sample / 'data'}", f"--output={output}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["dataset"].startswith("ptbxl")
