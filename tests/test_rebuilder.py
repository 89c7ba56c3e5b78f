"""A run that rebuilds leads of any record: its linear network makes every answer known in closed form."""

import numpy as np
import pytest
import rebuilt_run

from ecgjax import leads, rebuilder
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.runlog import write_json

GIVEN = ("I", "II", "V2")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder and weights of a run."""
    workdir = tmp_path_factory.mktemp("rebuilder") / "run"
    return workdir, rebuilt_run.saved_run(workdir, given="random")


def load(workdir):
    with rebuilt_run.installed():
        return rebuilder.load_rebuilder(workdir)


@pytest.mark.parametrize("seconds", [1.0, 5.0, 5.01, 17.3])
def test_records_of_any_length_are_rebuilt(run, seconds):
    workdir, kernel = run
    rng = np.random.default_rng(0)
    true_mv = rng.normal(size=(2, round(100 * seconds), 9)) @ leads.LEADS_FROM_ELECTRODES.T
    hidden = np.where(np.isin(LEADS, GIVEN), true_mv, np.nan_to_num(np.inf))
    estimate = true_mv @ leads.completion(GIVEN).T @ kernel
    found = load(workdir).estimate(np.where(np.isin(LEADS, GIVEN), hidden, 7.0), GIVEN)
    np.testing.assert_allclose(found, estimate, atol=1e-5)
    twelve = load(workdir).rebuilt(true_mv, GIVEN)
    known = np.isin(LEADS, leads.derivable(GIVEN))
    np.testing.assert_allclose(twelve[..., known], true_mv[..., known], atol=1e-6)
    np.testing.assert_allclose(twelve[..., LEADS.index("V4")], estimate[..., 5], atol=1e-5)


def test_what_was_found_in_the_test_is_expected_again(run, tmp_path):
    workdir, _ = run
    assert load(workdir).expected(GIVEN) == {}
    figures = {"pearson_r/V1": 0.9, "rmse_mv/V1": 0.1, "pearson_r@I/II": 0.6, "rmse_mv@I/II": 0.2}
    for lead in leads.PRECORDIAL_LEADS:
        figures |= {f"pearson_r/{lead}": 0.9, f"rmse_mv/{lead}": 0.1}
        figures |= {f"pearson_r@I/{lead}": 0.5, f"rmse_mv@I/{lead}": 0.2}
    write_json(workdir / "results.json", {"metrics": {name: {"value": value} for name, value in figures.items()}})
    ready = load(workdir)
    assert ready.expected(("II", "aVF", "V2"))["V1"] == {"pearson_r": 0.9, "rmse_mv": 0.1}
    assert set(ready.expected(GIVEN)) == {"V1", "V3", "V4", "V5", "V6"}
    assert ready.expected(("I",))["II"] == {"pearson_r": 0.6, "rmse_mv": 0.2}
    assert ready.expected(("I", "V3")) == {}
    (workdir / "results.json").unlink()


def test_networks_rebuild_what_they_were_trained_for(tmp_path):
    rebuilt_run.saved_run(tmp_path / "one", given="I+II+V2")
    one = load(tmp_path / "one")
    one.check(("I", "aVF", "V2"))
    with pytest.raises(InputError, match=r"trained to rebuild from I\+II\+V2, and given are I\+V2; use a run"):
        one.check(("I", "V2"))


def test_other_runs_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no"):
        load(tmp_path)
    write_json(tmp_path / "config.json", {"task": "reversal"})
    with pytest.raises(InputError, match="holds a run of reversal; give the folder of a reconstruction run"):
        load(tmp_path)
