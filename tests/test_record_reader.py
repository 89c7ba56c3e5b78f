"""Trained runs that read any record: their networks make every answer known in closed form."""

import numpy as np
import page_runs
import pytest
from scipy.special import expit

from ecgjax.errors import InputError
from ecgjax.leads import PRECORDIAL_LEADS
from ecgjax.record_reader import diagnose, load_reader, name_leads
from ecgjax.runlog import write_json

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def diagnosis(tmp_path_factory):
    """A reader and its weights."""
    workdir = tmp_path_factory.mktemp("reader") / "run"
    kernel = page_runs.saved_run(workdir, "diagnosis")
    with page_runs.installed("diagnosis"):
        return load_reader(workdir, "diagnosis"), kernel


@pytest.mark.parametrize("seconds", [4.0, 10.0, 12.0])
def test_records_of_any_length_are_diagnosed(diagnosis, seconds):
    reader, kernel = diagnosis
    signal_mv = np.round(RNG.uniform(0.1, 1, (2, round(100 * seconds), 12)), 3)
    spare = max(0, round(100 * (seconds - 10)) // 2)
    expected = expit(signal_mv[:, spare : spare + 1000].max(axis=1) @ kernel)
    found = diagnose(reader, signal_mv, 100.0)
    np.testing.assert_allclose([list(one.probabilities.values()) for one in found], expected, atol=1e-5)
    names = reader.task.class_names()
    assert [one.named for one in found] == [
        tuple(name for name, p in zip(names, row, strict=True) if p > page_runs.THRESHOLD) for row in expected
    ]


def test_lacking_leads_are_named(diagnosis):
    reader, _ = diagnosis
    signal_mv = np.zeros((1000, 12))
    assert reader.lacking(signal_mv) == ()
    signal_mv[5, [2, 8]] = np.nan
    assert reader.lacking(signal_mv) == ("III", "V3")


def test_leads_are_named_by_their_shape(tmp_path):
    page_runs.saved_run(tmp_path / "run", "lead_id")
    with page_runs.installed("lead_id"):
        reader = load_reader(tmp_path / "run", "lead_id")
    order = [1, 0, 2, 4, 5, 3]
    signal_mv = np.full((1000, 12), np.nan)
    signal_mv[:, 6:] = 0
    assert reader.lacking(signal_mv) == ()
    signal_mv[300, 6:] = 0.1 * (2 + np.array(order))
    found = name_leads(reader, signal_mv, 100.0)
    assert {lead: one.name for lead, one in found.items()} == {
        lead: PRECORDIAL_LEADS[k] for lead, k in zip(PRECORDIAL_LEADS, order, strict=True)
    }
    assert min(one.probability for one in found.values()) > 0.99


def test_other_runs_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no"):
        load_reader(tmp_path, "diagnosis")
    write_json(tmp_path / "config.json", {"task": "reversal"})
    with pytest.raises(InputError, match="holds a run of reversal; give the folder of a run of diagnosis"):
        load_reader(tmp_path, "diagnosis")
