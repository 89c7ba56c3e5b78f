"""`ecgjax predict`: any trained run, folders, missing leads, what it writes and refuses."""

import csv
import json
import shutil

import numpy as np
import page_runs
import pytest
from scipy.special import expit

import ecgjax
from ecgjax.api import predict as predict_module
from ecgjax.api.beat_windows import split_of_beats
from ecgjax.api.predict import Prediction, predict_all, prepared, reader_of
from ecgjax.command.main import main
from ecgjax.data import heartbeats
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.preprocess import Preprocess
from ecgjax.recordings.recording import Recording
from ecgjax.recordings.write_wfdb import write_wfdb
from ecgjax.runlog import write_json
from ecgjax.workdir import read_config

FS_HZ = 100.0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of diagnosis that needs all leads, the same trained on random leads, one of lead_id; and the weights."""
    folder = tmp_path_factory.mktemp("predict")
    kernel = page_runs.saved_run(folder / "diagnosis", "diagnosis")
    page_runs.saved_run(folder / "lead_id", "lead_id")
    config = read_config(folder / "diagnosis")
    shutil.copytree(folder / "diagnosis", folder / "some")
    for name, random_leads in (("some", 1.0), ("diagnosis", 0.0)):
        config.diagnosis.random_leads = random_leads
        write_json(folder / name / "config.json", config.to_dict())
    return folder, kernel


@pytest.fixture(autouse=True)
def networks():
    with page_runs.installed("diagnosis"):
        yield


def recording(seed: int, names=LEADS, seconds=10.0) -> Recording:
    signal_mv = np.round(np.random.default_rng(seed).uniform(0.1, 1, (round(seconds * FS_HZ), 12)), 3)
    return Recording.from_array(
        signal_mv[:, [LEADS.index(name) for name in names]], FS_HZ, names, name=f"record {seed}"
    )


def expected(record: Recording, kernel: np.ndarray) -> np.ndarray:
    return expit(np.nan_to_num(record.twelve()[0])[:1000].max(axis=0) @ kernel)


def test_many_records_are_predicted_as_one_by_one(runs):
    folder, kernel = runs
    records = [recording(seed) for seed in range(3)]
    found = ecgjax.predict(iter(records), workdir=folder / "diagnosis")
    for one, record in zip(found, records, strict=True):
        alone = ecgjax.predict(record, workdir=folder / "diagnosis")
        assert (alone.named, alone.sentence) == (one.named, one.sentence)
        assert alone.values == pytest.approx(one.values, abs=1e-6)
        np.testing.assert_allclose(list(one.values.values()), expected(record, kernel), atol=1e-5)
        assert one.named == tuple(name for name, p in one.values.items() if p > page_runs.THRESHOLD)
        assert all(name in one.sentence for name in one.named)


def test_a_network_trained_on_random_leads_takes_fewer(runs):
    folder, kernel = runs
    reader = reader_of(folder / "diagnosis", None, 1)
    few = recording(5, ("I", "II", "V3"))
    with pytest.raises(
        InputError, match="record 5 lacks the leads V1, V2, V4, V5, V6 that the network needs; complete"
    ):
        prepared(reader, few)
    found = ecgjax.predict(few, workdir=folder / "some")
    np.testing.assert_allclose(list(found.values.values()), expected(few, kernel), atol=1e-3)


def test_short_gaps_are_bridged(runs):
    reader = reader_of(runs[0] / "diagnosis", None, 1)
    whole = recording(1)
    whole.signal_mv[100:110, 8] = np.nan
    ramp = prepared(reader, whole).signal_mv[99:111, 8]
    np.testing.assert_allclose(np.diff(ramp, 2), 0, atol=1e-6)
    whole.signal_mv[200:900, 8] = np.nan
    with pytest.raises(InputError, match="lacks the leads V3"):
        prepared(reader, whole)


def test_the_command_on_a_folder(runs, tmp_path, capsys):
    source, rows = tmp_path / "in", tmp_path / "values.csv"
    for seed in (0, 1):
        write_wfdb(recording(seed), source, f"r{seed}", [])
    write_wfdb(recording(2, ("I", "V1")), source, "two", [])
    (source / "empty.edf").touch()
    workdir = f"--workdir={runs[0] / 'diagnosis'}"
    assert main(["predict", str(source), workdir, f"--output={rows}", "--json"]) == 1
    found = {one["record"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(found) == ["empty", "r0", "r1", "two"]
    assert "is empty" in found["empty"]["error"]
    assert "lacks the leads" in found["two"]["error"]
    assert found["r0"]["task"] == "diagnosis"
    in_rows = {row["record"]: row for row in csv.DictReader(rows.read_text().splitlines())}
    for name, value in found["r1"]["values"].items():
        assert float(in_rows["r1"][f"values.{name}"]) == value
    assert main(["predict", str(source / "r0.hea"), workdir, "--task=age"]) == 2
    assert "holds a run of diagnosis; give the folder of a run of age" in capsys.readouterr().err
    assert main(["predict", str(source / "r0.hea"), workdir]) == 0
    assert capsys.readouterr().out.startswith("r0  ")


def test_leads_are_named(runs):
    with page_runs.installed("lead_id"):
        signal_mv = np.zeros((1000, 12))
        signal_mv[300, 6:] = 0.1 * (2 + np.array([1, 0, 2, 3, 4, 5]))
        found = ecgjax.predict(Recording.from_array(signal_mv, FS_HZ), workdir=runs[0] / "lead_id", task="lead_id")
    assert found.named == ("V2", "V1", "V3", "V4", "V5", "V6")
    assert found.sentence == "V1 looks like V2 (over 99 %), V2 looks like V1 (over 99 %)"


@pytest.mark.parametrize(
    ("task", "remedy"), [("reconstruction", "use ecgjax reconstruct"), ("activation_map", r"scripts/reconstruct\.py")]
)
def test_other_tasks_are_sent_elsewhere(tmp_path, task, remedy):
    write_json(tmp_path / "config.json", {"task": task})
    with pytest.raises(InputError, match=f"holds a run of {task}; {remedy}|{task}; use python {remedy}"):
        reader_of(tmp_path, None, 1)


def test_beats_of_a_recording():
    signal_mv = np.zeros(3600)
    r_samples = np.arange(200, 3600, 288)
    for sample in r_samples:
        signal_mv[sample - 8 : sample + 9] += np.hanning(17)
    preprocess = Preprocess(fs_hz=heartbeats.FS_HZ, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")
    parts = list(split_of_beats(signal_mv, 360.0, preprocess, at_once=5))
    assert [len(split) for split, _ in parts] == [5, 5, 5]
    np.testing.assert_allclose(np.concatenate([times for _, times in parts]), r_samples / 360, atol=0.003)
    split = parts[1][0]
    assert (split.ecg.shape, split.lead_names) == ((5, heartbeats.WINDOW_SAMPLES, 4), heartbeats.LEAD_NAMES)
    assert abs(int(split.ecg[0, :, 0].argmax()) - heartbeats.BEFORE_SAMPLES) <= 1
    np.testing.assert_allclose(split.labels["rr_before_s"], 0.8, atol=0.005)
    assert not list(split_of_beats(np.zeros(3600), 360.0, preprocess, 5))
    assert not list(split_of_beats(signal_mv[:300], 360.0, preprocess, 5))


def test_all_before_one_that_lacks_leads_are_given(runs):
    reader = reader_of(runs[0] / "diagnosis", None, predict_module.AT_ONCE)
    found = predict_all([recording(0), recording(1, ("V1",))], reader)
    assert isinstance(next(found), Prediction)
    with pytest.raises(InputError, match="record 1 lacks"):
        next(found)
