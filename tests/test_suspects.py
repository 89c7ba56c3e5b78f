"""The list of suspects: those that are wired wrongly, in the order of the evidence, by judges who may judge them."""

import csv
import json
from unittest import mock

import commands
import fake_task
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from ecgjax import leads
from ecgjax.placements import held_out
from ecgjax.placements.evidence import Evidence
from ecgjax.placements.held_out import CHOSEN_ON, HELD_OUT, OUT_OF_FOLD, TRAINED_ON, Part
from ecgjax.placements.hypotheses import NUM_HYPOTHESES
from ecgjax.placements.prior import clinical_prior
from ecgjax.preprocess import Preprocess
from ecgjax.runlog import write_json
from scripts import suspects

WIRED = (leads.CORRECT, leads.swap(("V1", "V2")), leads.swap(("RA", "LA")), leads.swap(("RA", "RL")), leads.CORRECT)
SETTINGS = {"workdir": "run", "split": "test", "prevalence": 0.02, "probability": 0.5}


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    signals_mv = np.stack([placement.apply(oracle.heart_mv()) for placement in WIRED])
    signals_mv += 0.5 * rng.normal(size=signals_mv.shape)
    signals_mv = np.concatenate([signals_mv, signals_mv[:1]])
    signals_mv[-1, :, 6] = 0.0
    return [Part(oracle.knowing(2.0), oracle.split_of(signals_mv), TRAINED_ON)]


@pytest.fixture(scope="module")
def found(parts):
    return suspects.find(parts, clinical_prior(0.02).log_prior(), 0.5)


def test_the_wrong_records_are_listed_by_evidence(found):
    listed, num_unusable = found
    assert num_unusable == 1
    names = {entry.suspect.record_id: entry.suspect.placement for entry in listed}
    assert names == {"r1": "V1-V2", "r2": "RA-LA", "r3": "RA-RL"}
    odds = [entry.suspect.log10_odds for entry in listed]
    assert odds == sorted(odds, reverse=True)
    for entry in listed:
        suspect = entry.suspect
        assert suspect.probability == pytest.approx(1 / (1 + 10**-suspect.log10_odds), abs=1e-5)
        assert 0.5 <= suspect.placement_probability <= suspect.probability + 1e-6
    arms = next(entry.suspect for entry in listed if entry.suspect.record_id == "r2")
    assert arms.description == "RA and LA exchanged"
    assert arms.labels == {"sex": "female"}


def test_evidence_is_that_of_the_likelihood(parts, found):
    entry = found[0][0]
    likelihood = np.asarray(parts[0].evidence.log_likelihood(jnp.asarray(entry.signal_mv[None])), np.float64)[0]
    expected = (likelihood[entry.hypothesis] - likelihood[0]) / np.log(10)
    assert entry.suspect.log10_evidence == pytest.approx(expected, rel=1e-4)


def test_list_and_page_are_written(parts, found, tmp_path):
    listed, num_unusable = found
    content = suspects.summary(parts, listed, num_unusable, SETTINGS)
    suspects.write_table(tmp_path / "suspects.csv", listed)
    suspects.write_page(tmp_path, listed, content, max_drawn=2)
    with (tmp_path / "suspects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["record_id"] for row in rows] == [entry.suspect.record_id for entry in listed]
    assert (rows[0]["rank"], rows[0]["status"]) == ("1", TRAINED_ON)
    assert rows[0]["sex"] in ("male", "female")
    html = (tmp_path / "suspects.html").read_text()
    assert html.count("<img") == 4
    assert "in-sample" in html
    assert "The first 2 of 3 are drawn" in html
    assert json.loads(json.dumps(content, allow_nan=False))["n_unusable"] == 1


def test_a_list_without_suspects_is_written_too(parts, tmp_path):
    sound = Part(parts[0].evidence, parts[0].records.select(np.array([0, 4])), HELD_OUT)
    listed, _ = suspects.find([sound], clinical_prior(0.02).log_prior(), 0.5)
    assert listed == []
    suspects.write_table(tmp_path / "suspects.csv", listed)
    suspects.write_page(tmp_path, listed, suspects.summary([sound], listed, 0, SETTINGS), max_drawn=5)
    assert len((tmp_path / "suspects.csv").read_text().splitlines()) == 1
    assert "0 of 2 records" in (tmp_path / "suspects.html").read_text()


def named_evidence(workdir):
    """Evidence that remembers where it is from."""
    return Evidence(Preprocess(20.0, "none", 0.5, 9.0, "none"), 2.0, lambda signal_mv: str(workdir))


@pytest.fixture
def judges(tmp_path):
    """`judges(kfold, split, dataset)` -> the parts of a run of the fake dataset."""

    def parts_of(kfold, split, dataset=None):
        config = fake_task.fake_config()
        config.kfold = kfold
        write_json(tmp_path / "config.json", config.to_dict())
        with (
            mock.patch.object(held_out, "load", fake_task.fake_load),
            mock.patch.object(held_out, "load_evidence", named_evidence),
        ):
            return held_out.parts(tmp_path, split, dataset, None)

    return parts_of


def test_a_plain_run_says_what_it_trained_on(judges):
    found = judges(0, "all")
    assert [(part.status, len(part.records)) for part in found] == [(TRAINED_ON, 37), (CHOSEN_ON, 13), (HELD_OUT, 11)]
    assert [part.status for part in judges(0, "train")] == [TRAINED_ON]
    assert [part.status for part in judges(0, "train", "ptbxl")] == [HELD_OUT]


def test_records_of_a_cross_validated_run_are_judged_by_the_network_that_left_them_out(judges, tmp_path):
    found = judges(3, "train")
    assert [part.status for part in found] == [OUT_OF_FOLD] * 3
    assert [part.evidence.log_likelihood(None) for part in found] == [str(tmp_path / f"fold_{k}") for k in range(3)]
    listed = [record for part in found for record in part.records.record_ids]
    assert sorted(listed) == sorted(fake_task.fake_split("train", 37).record_ids)
    config = fake_task.fake_config()
    config.kfold = 3
    folds = held_out.patient_folds(config, fake_task.fake_split("train", 37), fake_task.fake_split("validation", 13))
    for part, (trained_on, _) in zip(found, folds, strict=True):
        assert not set(part.records.patient_ids) & set(trained_on.patient_ids)
    assert [part.status for part in judges(3, "all")] == [OUT_OF_FOLD] * 3 + [HELD_OUT]
    assert [part.status for part in judges(3, "test")] == [HELD_OUT]


def test_an_ensemble_has_the_mean_log_likelihood_of_its_members():
    likelihoods = np.random.default_rng(0).normal(size=(2, 1, NUM_HYPOTHESES))
    members = [
        Evidence(Preprocess(20.0, "none", 0.5, 9.0, "none"), 2.0, lambda signal_mv, own=own: jnp.asarray(own))
        for own in likelihoods
    ]
    found = np.asarray(held_out.together(members).log_likelihood(None))
    normalised = likelihoods - np.log(np.exp(likelihoods).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(found, normalised.mean(axis=0), atol=1e-4)
    assert held_out.together(members[:1]) is members[0]


def test_a_workdir_that_is_none_ends_in_one_line(tmp_path):
    done = commands.run("scripts/suspects.py", f"--workdir={tmp_path}", "--split=all", "--prevalence=0.1")
    assert done.returncode == 2
    assert done.stderr == f"error: there is no {tmp_path / 'config.json'}; give the --workdir of a run\n"
