"""scripts/reconstruct_then_classify.py with readers whose answers are known in closed form."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rebuilt_run
from sklearn.metrics import roc_auc_score

from configs import age as age_file
from configs import diagnosis as diagnosis_file
from ecgjax import leads, tasks
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.runlog import write_json
from ecgjax.tasks.reconstruction_baselines import least_squares, second_moments
from scripts import reconstruct_then_classify as command

TEST = rebuilt_run.made_split("test", rebuilt_run.SIZES["test"])
TRAIN = rebuilt_run.made_split("train", rebuilt_run.SIZES["train"])
GIVEN = ("I", "II", "V2")


class FakeReader(command.Reader):
    """Reads age off the deviation of V5, and each diagnosis off a random weight of the leads."""

    def read(self, records):
        deviation_mv = records.ecg.astype(float).std(axis=1) / records.gain
        common = {"patient_ids": records.patient_ids, "record_ids": records.record_ids}
        if self.config.task == "age":
            return {**common, "targets": records.labels["age_years"], "scores": 300 * deviation_mv[:, 10]}
        classes = self.experiment.task.targets(records)["classes"]
        weights = np.random.default_rng(0).normal(size=(12, classes.shape[1]))
        return {**common, "targets": classes.astype(np.int8), "scores": deviation_mv @ weights}


def reader(name, records=TEST, **options):
    task = name.partition("_")[0]
    config = {"diagnosis": diagnosis_file, "age": age_file}[task].get_config()
    if task == "diagnosis":
        config.diagnosis.labels = "superclass"
    config[task].update(options)
    experiment = SimpleNamespace(task=tasks.build(config))
    return FakeReader(Path(name), config, experiment, [], records)


@pytest.fixture(scope="module")
def reconstruction(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("reconstruction") / "run"
    return workdir, rebuilt_run.saved_run(workdir, given="random")


@pytest.fixture
def run(monkeypatch, tmp_path, reconstruction):
    readers = {
        "diagnosis": reader("diagnosis", random_leads=0.5),
        "age": reader("age", random_leads=0.0),
        "age_reduced": reader("age_reduced", leads="I+II+V2"),
        "age_other": reader("age_other", leads="I+V2"),
        "age_few": reader("age_few", TEST.select(np.arange(5)), leads="I+II+V2"),
    }
    monkeypatch.setattr(command, "open_reader", lambda workdir, split, config: readers[str(workdir)])

    class Flags(SimpleNamespace):
        def __getitem__(self, name):
            return SimpleNamespace(value=getattr(self, name))

    def main(**given):
        defaults = {"reconstruction": str(reconstruction[0]), "diagnosis": None, "age": None, "reduced": []}
        defaults |= {"leads": "I+II+V2", "split": "test", "num_bootstrap": 20, "output": str(tmp_path / "out")}
        monkeypatch.setattr(command.flags, "FLAGS", Flags(**{**defaults, **given}))
        with rebuilt_run.installed():
            command.main()

    return main


def test_every_version_is_read_and_compared(run, reconstruction, tmp_path, capsys):
    run(diagnosis="diagnosis", age="age", reduced=["age_reduced"])
    content = json.loads((tmp_path / "out" / "then_classify.json").read_text())
    assert capsys.readouterr().out.strip() == (tmp_path / "out" / "then_classify.md").read_text().strip()
    assert (tmp_path / "out" / "then_classify.png").stat().st_size > 10_000
    assert content["n_records"] == {"diagnosis": 14, "age": 14}

    signal_mv = TEST.ecg / TEST.gain
    shown = signal_mv @ leads.completion(GIVEN).T
    linear = least_squares(second_moments(TRAIN.ecg, TRAIN.gain), GIVEN)
    known = np.isin(LEADS, leads.derivable(GIVEN))

    def completed(estimate):
        return np.where(known, shown, estimate @ leads.LEADS_FROM_INDEPENDENT.T)

    versions = {
        command.TRUE: signal_mv,
        command.REBUILT: completed(shown @ reconstruction[1]),
        command.LEAST_SQUARES: completed(signal_mv @ linear.T),
    }
    ages = {
        name: np.mean(np.abs(300 * version[..., 10].std(axis=1) - TEST.labels["age_years"]))
        for name, version in versions.items()
    }
    found = content["figures"]["age"]
    for name, value in {**ages, command.REDUCED: ages[command.TRUE]}.items():
        assert found[name]["mae_years"]["value"] == pytest.approx(value, abs=0.3)
    assert command.SHOWN not in found
    for first, second in ((command.REBUILT, command.TRUE), (command.REBUILT, command.LEAST_SQUARES)):
        entry = found[f"{first} minus {second}"]["mae_years"]
        expected = found[first]["mae_years"]["value"] - found[second]["mae_years"]["value"]
        assert entry["value"] == pytest.approx(expected)
        assert entry["ci95"][0] <= entry["value"] <= entry["ci95"][1]
    assert found[f"{command.REDUCED} minus {command.TRUE}"]["mae_years"]["ci95"] == [0, 0]

    diagnoses = content["figures"]["diagnosis"]
    predictions = reader("diagnosis").read(TEST)
    by_hand = [
        roc_auc_score(predictions["targets"][:, k], predictions["scores"][:, k])
        for k in range(predictions["targets"].shape[1])
        if 0 < predictions["targets"][:, k].sum() < len(TEST)
    ]
    assert diagnoses[command.TRUE]["macro_auroc"]["value"] == pytest.approx(np.mean(by_hand))
    assert command.SHOWN in diagnoses
    assert command.REDUCED not in diagnoses


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there is no run to read the records; give --diagnosis or --age"),
        ({"age": "age", "leads": "independent"}, "all leads follow from independent"),
        ({"age": "diagnosis"}, "--age=diagnosis is a run of diagnosis"),
        ({"age": "age_reduced"}, r"age_reduced reads only I\+II\+V2"),
        ({"diagnosis": "diagnosis", "reduced": ["age_reduced"]}, "is a run of age; give --age, too"),
        ({"age": "age", "reduced": ["age_other"]}, r"was trained on I\+V2, and given are I\+II\+V2"),
        ({"age": "age", "reduced": ["age_few"]}, "judge other records"),
        ({"age": "age", "reconstruction": "nowhere"}, "there is no nowhere/config.json"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(run, tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        run(**given)
    assert not (tmp_path / "out").exists()


def test_results_are_not_overwritten(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "then_classify.json").write_text("precious")
    with pytest.raises(InputError, match=r"then_classify\.json is already there"):
        run(age="age")
    assert (tmp_path / "out" / "then_classify.json").read_text() == "precious"


def test_signals_have_to_be_treated_alike(tmp_path):
    config = rebuilt_run.reconstruction_config()
    write_json(tmp_path / "config.json", age_file.get_config().to_dict())
    with pytest.raises(
        InputError, match=r"preprocess\.filter is 'bandpass' in .* and 'none' in the reconstruction run"
    ):
        command.open_reader(tmp_path, "test", config)
    write_json(tmp_path / "config.json", config.to_dict())
    with pytest.raises(InputError, match="holds a run of reconstruction; give a run of diagnosis or of age"):
        command.open_reader(tmp_path, "test", config)


def test_other_signals_are_kept_in_microvolts():
    changed = command.with_signals(TEST, np.full(TEST.ecg.shape, 40.0))
    assert changed.ecg.dtype == np.int16
    assert changed.ecg.max() == 32767
    np.testing.assert_array_equal(command.with_signals(TEST, TEST.ecg / TEST.gain).ecg, TEST.ecg)
