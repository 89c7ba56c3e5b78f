"""Elimination with a network a step: the right leads go, nothing is trained twice, and leads are never moved."""

from unittest import mock

import lead_run
import numpy as np
import pytest

from ecgjax.elimination import retrained, subsets
from ecgjax.elimination.outcome import Outcome
from ecgjax.elimination.retrained import Trainer, leads_config
from ecgjax.elimination.scoring import CRITERIA
from ecgjax.elimination.search import Step
from ecgjax.elimination.subsets import names_of, subset_of
from ecgjax.workdir import read_config

CANDIDATES = ("I", "II", "III", "V2")


def run(workdir, retrains_each=False, candidates=CANDIDATES, until=2):
    """An elimination for the age, which V2 alone tells."""
    with lead_run.installed():
        config = lead_run.config_of("age", random_leads=0.5)
        validation = lead_run.split_of("validation")
        trainer = Trainer(config, workdir, validation, CRITERIA["mae_years"], num_resamples=6)
        return retrained.eliminate(
            trainer,
            CRITERIA["mae_years"],
            candidates=candidates,
            until=until,
            retrains_each=retrains_each,
            seed=config.seed,
        )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("retrained")
    return run(workdir), workdir


def test_what_tells_nothing_goes(found):
    elimination, _ = found
    assert [step.num_leads for step in elimination.steps] == [4, 3, 2]
    assert all("V2" in names_of(subset) for step in elimination.steps for subset in step.tied)
    assert elimination.validation.shape == (3, 1)
    assert elimination.validation[-1, 0] < 6
    # Any two limb leads carry the third.
    assert subsets.describe(elimination.steps[1].tied) == "any two of I, II, III + V2"


def test_each_network_is_trained_once_and_on_its_leads_alone(found, capsys):
    elimination, workdir = found
    folders = sorted(path.name for path in (workdir / retrained.NETWORKS).iterdir())
    assert folders == sorted({retrained.folder_name(step.tied[0]) for step in elimination.steps})
    for step in elimination.steps:
        config = read_config(workdir / retrained.NETWORKS / retrained.folder_name(step.tied[0]))
        assert set(names_of(step.tied[0])) <= set(config.age.leads.split(","))
        assert (config.age.random_leads, config.seed) == (0.0, 0)
    capsys.readouterr()
    again = run(workdir)
    assert again.steps == elimination.steps
    told = capsys.readouterr().err
    assert told.count("holds a finished run") == len(folders)
    assert "training" not in told


def test_candidates_can_have_networks_of_their_own(tmp_path):
    asked = []

    def network(trainer, subset):
        asked.append(names_of(subset))
        config = lead_run.config_of("age", leads=",".join(names_of(subset)))
        return lead_run.untrained(config)

    with (
        mock.patch.object(Trainer, "network", network),
        mock.patch.object(retrained, "_tested", return_value=None),
    ):
        elimination = run(tmp_path, retrains_each=True, candidates=("V1", "V2", "V6"), until=2)
    assert asked[0] == ("V1", "V2", "V6")
    assert asked[1:4] == [("V1", "V2"), ("V1", "V6"), ("V2", "V6")]
    # The last one asked for is the best, whose figure is that of its own network.
    (removal,) = elimination.removals
    best = int(np.argmin(removal.figures[:, 0]))
    assert elimination.steps[-1].tied == (removal.tried[best],) == (subset_of(asked[-1]),)
    assert elimination.validation[-1, 0] == pytest.approx(elimination.steps[-1].cost)


def test_an_outcome_of_two_seeds(found):
    elimination, _ = found
    told = retrained.outcome(
        [elimination, elimination], CRITERIA["mae_years"], ("age_years",), candidates=CANDIDATES, num_bootstrap=20
    )
    assert isinstance(told, Outcome)
    curve = told.curve("retrained")
    assert [point.num_leads for point in curve.points] == [4, 3, 2]
    assert curve.points[0].difference.value == 0
    assert told.stability["seeds"].tau == 1
    np.testing.assert_allclose(told.stability["patients"].shares.sum(0), [1, 1, 2])
    assert told.to_json()["order"]["first_to_go"]
    assert "Elimination, trained anew at every step" in told.text()


def test_equal_sets_of_different_leads_are_drawn_for():
    """Neither the first nor the last in memory: every one of them comes up."""
    costs, loss = np.array([0.5, 0.2, 0.2, 0.2]), np.array([0.1, 0.3, 0.3, 0.4])
    drawn = {retrained._cheapest(costs, loss, [seed, 4]) for seed in range(20)}
    assert drawn == {(1, True), (2, True)}
    assert retrained._cheapest(costs, np.array([0.0, 0.3, 0.2, 0.4]), [0, 4]) == (2, False)


def test_configs_show_what_follows():
    with lead_run.installed():
        config = lead_run.config_of("diagnosis", random_leads=0.5)
    limb = leads_config(config, subset_of(("I", "aVF", "V3")))
    assert limb.diagnosis.leads == "I,II,III,aVR,aVL,aVF,V3"
    assert leads_config(config, 4095).diagnosis.leads == "all"
    assert config.diagnosis.random_leads == 0.5
    assert Step(1, (1,), 0.0).tied == (1,)
