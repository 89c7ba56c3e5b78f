"""The command that eliminates leads: what it writes, and what it refuses on one line."""

import json
from unittest import mock

import commands
import lead_run
import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.leads import INDEPENDENT_LEADS
from ecgjax.runlog import write_json
from ecgjax.workdir import read_arrays
from scripts import eliminate_leads

OPTIONS = {"candidates": "independent", "metric": None, "num_resamples": 5}


def ask(workdirs, **changes):
    options = {**OPTIONS, "until": 1, "search_stride_s": None, "data_dir": None, **changes}
    return eliminate_leads.ask_one_network(workdirs, **options)


def config_in(folder, **fields):
    """A folder that has the config of a run."""
    config = lead_run.config_of("diagnosis")
    config.update(fields)
    folder.mkdir()
    write_json(folder / "config.json", config.to_dict())
    return folder


def test_all_subsets_of_the_independent_leads(tmp_path):
    workdirs = [config_in(tmp_path / "a"), config_in(tmp_path / "b", seed=1)]

    def untrained(workdir, config, records):
        return lead_run.untrained(config)

    with lead_run.installed(), mock.patch.object(eliminate_leads, "open_network", untrained):
        outcome, origin = ask(workdirs)
    text = eliminate_leads.write(outcome, origin, tmp_path / "out")
    assert (tmp_path / "out" / "elimination.md").read_text().startswith(text)
    for name in ("metric_by_leads", "order", "wearable_sets"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 1000
    content = json.loads((tmp_path / "out" / "elimination.json").read_text())
    assert content["candidates"] == list(INDEPENDENT_LEADS)
    assert content["seeds"] == [0, 1]
    assert content["n_records"] == {"validation": 41, "test": 37}
    assert {curve["search"] for curve in content["curves"]} == {"best", "backward", "forward"}
    assert {curve["figure"] for curve in content["curves"]} == {"mean", *lead_run.LEAD_OF_LABEL}
    assert len(content["wearable_sets"]["all twelve"]["figures"]) == 7
    assert content["wearable_sets"]["limb leads"]["signals"] == 2
    # aVF is no candidate, but follows from I and II.
    easi = content["wearable_sets"]["aVF+V2+V6 (EASI-like)"]["figures"]["mean"]
    assert easi["validation"] is not None
    arrays = read_arrays(tmp_path / "out" / "elimination.npz")
    assert arrays["validation"].shape == (2, 255, 7)
    # The table has what the curves were chosen by.
    best = next(c for c in content["curves"] if c["search"] == "best" and c["figure"] == c["chosen_by"] == "mean")
    mean = arrays["validation"][..., 0].mean(0)
    for point in best["points"]:
        is_size = arrays["is_given"].sum(1) == point["num_leads"]
        assert point["validation"] == pytest.approx(mean[is_size].max())
        assert len(point["subsets"][0]) == np.sum(mean[is_size] >= mean[is_size].max() - 1e-12)


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({"kfold": 2}, {}, r"is cross-validated \(kfold=2\); give a run with kfold=0"),
        ({"task": "lead_id"}, {}, "leads are eliminated for diagnosis and age, not for lead_id"),
        ({}, {"metric": "mae_years"}, "'mae_years' is no figure of diagnosis"),
        ({}, {"candidates": "I,V7"}, "unknown lead name 'V7'"),
        ({}, {"candidates": "I,II", "until": 2}, "until is 2 for 2 leads; give 1 or more, and fewer"),
    ],
)
def test_what_cannot_be_asked(fields, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        ask([config_in(tmp_path / "run", **fields)], **options)


def test_runs_of_different_questions_have_no_mean(tmp_path):
    other = config_in(tmp_path / "b")
    content = json.loads((other / "config.json").read_text())
    content["diagnosis"]["labels"] = "superclass"
    write_json(other / "config.json", content)
    with pytest.raises(InputError, match="b differs from .*a in labels; give runs that differ in their seeds"):
        ask([config_in(tmp_path / "a"), other])


def test_trainings_are_checked_before_any_begins(tmp_path):
    config = lead_run.config_of("age")
    options = {**OPTIONS, "until": 3, "retrains_each": False}
    with lead_run.installed():
        config.dtype = "float8"
        with pytest.raises(InputError, match="unknown dtype 'float8'"):
            eliminate_leads.train_every_step(config, tmp_path / "run", [0, 1], **options)
        config.kfold = 3
        with pytest.raises(InputError, match="kfold is 3; eliminate leads with kfold=0"):
            eliminate_leads.train_every_step(config, tmp_path / "run", [0], **options)
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_run_is_told_on_one_line(tmp_path):
    result = commands.run("scripts/eliminate_leads.py", f"--workdir={tmp_path}")
    assert result.returncode == 2
    assert result.stderr == f"error: there is no {tmp_path}/config.json; give the --workdir of a run\n"
