"""The sweep over subsets: every figure is that of the leads alone, and nothing of the others reaches the network."""

import lead_run
import numpy as np
import pytest

from ecgjax import experiment, leads, main
from ecgjax.elimination import one_network
from ecgjax.elimination.scoring import CRITERIA
from ecgjax.elimination.subsets import all_subsets, known_leads, names_of, subset_of
from ecgjax.elimination.sweep import SubsetSweep, open_network, read_run_config
from ecgjax.errors import InputError
from ecgjax.leads import INDEPENDENT_LEADS, LEADS
from ecgjax.workdir import predictions_file, read_arrays


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run that was trained with random leads."""
    folder = tmp_path_factory.mktemp("runs")
    with lead_run.installed():
        main.run(lead_run.config_of("diagnosis", random_leads=0.8), folder / "diagnosis")
        yield folder


def network_of(workdir):
    config = read_run_config(workdir, None)
    return open_network(workdir, config, lead_run.split_of("validation"))


def test_all_leads_score_what_the_run_scored(runs):
    network = network_of(runs / "diagnosis")
    assert_same_scores(network, read_arrays(runs / "diagnosis" / predictions_file("validation")))


@pytest.mark.parametrize("options", [{"loss": "gaussian"}, {"leads": "I,II,V2"}], ids=str)
def test_ages_are_those_of_the_task(options):
    """Also of a network that was trained on few leads, when it is shown these."""
    with lead_run.installed():
        config, records = lead_run.config_of("age", **options), lead_run.split_of("validation")
        network = lead_run.untrained(config)
        predictions, _ = experiment.build(config, records).predict([network.variables], records)
    assert_same_scores(network, predictions)


def assert_same_scores(network, predictions):
    """All leads of the network against predictions of the evaluation."""
    sweep = SubsetSweep(network.experiment, network.stride_s)
    given = [name for name in INDEPENDENT_LEADS if name in network.shown]
    scored = sweep.score(network, lead_run.split_of("validation"), np.array([subset_of(given)]))
    np.testing.assert_allclose(scored.scores[0], predictions["scores"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(scored.targets, predictions["targets"])
    assert scored.loss[0] == pytest.approx(predictions["loss"].mean(), rel=1e-5)


@pytest.mark.parametrize("view", ["signal", "beat"])
def test_nothing_of_hidden_leads_reaches_the_network(view):
    """Whatever stands in them: beats are not found there either."""
    with lead_run.installed():
        config = lead_run.config_of("diagnosis", view=view)
        config.data.crop_s = config.data.seconds
        network = lead_run.untrained(config)
    sweep, records = SubsetSweep(network.experiment, 0.0), lead_run.split_of("test")
    for names in (("V2",), ("II", "V5"), ("I", "aVF", "V1")):
        wanted = np.array([subset_of(names)])
        hidden = tuple(name for name in LEADS if name not in leads.derivable(names))
        scores = sweep.score(network, records, wanted).scores
        np.testing.assert_array_equal(scores, sweep.score(network, lead_run.with_noise(records, hidden), wanted).scores)
        assert np.any(scores != sweep.score(network, lead_run.with_noise(records, names), wanted).scores)


def test_a_sweep_shares_what_is_equal_and_finds_what_counts(runs):
    network, records = network_of(runs / "diagnosis"), lead_run.split_of("validation")
    wanted = all_subsets(LEADS)
    scored = SubsetSweep(network.experiment, network.stride_s).score(network, records, wanted)
    assert len(scored.evaluated) == 511
    assert scored.scores.shape == (511, len(records), 6)
    np.testing.assert_array_equal(scored.evaluated[scored.place_of(wanted)], known_leads(wanted))
    figures = scored.figures(CRITERIA["macro_auroc"], np.ones(len(records)))
    assert figures[scored.place_of(4095), 0] > 0.9
    # A label is told by its own lead and by no other.
    for label, (code, lead) in enumerate(lead_run.LEAD_OF_LABEL.items(), 1):
        alone = {name: figures[scored.place_of(subset_of((name,))), label] for name in LEADS}
        assert alone[lead] > 0.9, (code, alone)
        assert abs(alone["V6"] - 0.5) < 0.35


def test_a_network_of_few_leads_is_not_asked_about_others():
    with lead_run.installed():
        network = lead_run.untrained(lead_run.config_of("age", leads="I,II,V2"))
    sweep = SubsetSweep(network.experiment, 0.0)
    with pytest.raises(InputError, match="shows its network I, II, V2 alone; give a run with leads=all"):
        sweep.score(network, lead_run.split_of("test"), np.array([subset_of(("I", "V3"))]))
    # The zeros of a lead that is withheld are not taken for its signal when others are derived.
    one = sweep.score(network, lead_run.split_of("test"), np.array([subset_of(("I",))])).scores
    noisy = lead_run.with_noise(lead_run.split_of("test"), ("II", "III", "aVR", "aVL", "aVF", "V2"))
    np.testing.assert_array_equal(one, sweep.score(network, noisy, np.array([subset_of(("I",))])).scores)


def test_elimination_with_one_network(runs):
    networks = [network_of(runs / "diagnosis")]
    outcome, rate = one_network.eliminate(
        networks,
        lead_run.split_of("validation"),
        lead_run.split_of("test"),
        CRITERIA["macro_auroc"],
        candidates=LEADS,
        until=1,
        num_resamples=8,
        search_stride_s=0.5,
    )
    assert rate > 0
    content = outcome.to_json()
    backward = outcome.curve("backward")
    assert [point.num_leads for point in backward.points] == list(range(12, 0, -1))
    assert backward.points[0].difference.value == 0
    assert content["order"]["stability"]["patients"]["n_orders"] == 8
    np.testing.assert_allclose(outcome.stability["patients"].shares.sum(1), 1)
    for best, greedy in zip(outcome.curve("best").points, backward.points, strict=True):
        assert best.validation >= greedy.validation
    own = outcome.curve("best", "AFIB", "AFIB").points[-1]
    assert own.leads == lead_run.LEAD_OF_LABEL["AFIB"]
    assert outcome.wearables["I (watch)"]["points"]["mean"].difference.ci95[1] < 0
    assert outcome.arrays["validation"].shape == (1, 4095, 7)
    assert "of I, II, III, aVR, aVL, aVF +" in outcome.text()
    assert not outcome.notes


def test_networks_without_random_leads_are_noted():
    with lead_run.installed():
        network = lead_run.untrained(lead_run.config_of("age", random_leads=0.0))
    outcome, _ = one_network.eliminate(
        [network, network],
        lead_run.split_of("validation"),
        lead_run.split_of("test"),
        CRITERIA["mae_years"],
        candidates=("V1", "V2", "V3"),
        until=1,
        num_resamples=4,
        search_stride_s=0.0,
    )
    assert "never shown fewer leads" in outcome.notes[0]
    assert outcome.stability["seeds"].tau == 1
    assert outcome.num_runs == 2
    assert names_of(outcome.arrays["subset"][-1]) == ("V1", "V2", "V3")
    assert not outcome.wearables
