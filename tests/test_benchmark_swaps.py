"""The benchmark of exchanged cables, judged by a network that knows everything and by one that knows nothing."""

import dataclasses

import numpy as np
import oracle
import pytest

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.placements.held_out import HELD_OUT, Part
from ecgjax.placements.hypotheses import index_of
from ecgjax.placements.trials import PREVALENCES, RECIPES, SINGLE_GROUPS, figures, fixed_trials, random_trials
from scripts import benchmark_swaps

SETTINGS = {"multiple": 6, "seed": 0, "neutral_noise_mv": 0.0}


def part(evidence, num_records, name):
    return Part(evidence, oracle.split_of(np.repeat(oracle.heart_mv()[None], num_records, axis=0), name), HELD_OUT)


@pytest.fixture(scope="module")
def perfect():
    """Trials and figures of four records that a network knows."""
    parts = [part(oracle.knowing(0.1), 4, "known")]
    counted, trials = benchmark_swaps.run(parts, 0.9, **SETTINGS)
    return trials, figures(counted["clinical"], trials, parts[0].records.patient_ids, num_bootstrap=50)


def test_a_network_that_knows_all_is_never_wrong(perfect):
    _, found = perfect
    for prevalence in PREVALENCES:
        at = f"_at_{100 * prevalence:g}pct"
        assert found["none"][f"specificity{at}"].value == 1
        assert found["none"][f"repair_harm{at}"].value == 0
        for group in (
            "single",
            "with RL",
            *SINGLE_GROUPS,
            *RECIPES[:2],
            *(s.placement.name for s in fixed_trials()[1:]),
        ):
            can_be_right = group != "with RL" and "RL" not in group
            assert found[group][f"recall{at}"].value == found[group][f"type_accuracy{at}"].value == 1
            assert found[group][f"ppv{at}"].value == 1
            assert found[group][f"repair_exact{at}"].value == found[group][f"repair_exact_best_guess{at}"].value
            assert found[group][f"repair_exact{at}"].value == can_be_right


def test_what_is_no_hypothesis_is_not_put_right(perfect):
    trials, found = perfect
    is_known = []
    for trial in (trial for of_record in trials for trial in of_record if trial.group == "two exchanges"):
        try:
            index_of(trial.placement)
        except InputError:
            is_known.append(False)
        else:
            is_known.append(True)
    assert found["two exchanges"]["repair_exact_at_50pct"].value == np.mean(is_known) < 1


def test_shares_are_over_records_and_a_warning_is_worth_what_bayes_says():
    parts = [part(oracle.knowing(0.1), 2, "known"), part(oracle.ignorant(), 6, "unknown")]
    by_prior, trials = benchmark_swaps.run(parts, 0.9, **SETTINGS)
    counted = by_prior["single"]
    ids = np.concatenate([p.records.patient_ids for p in parts])
    found = figures(counted, trials, ids, num_bootstrap=100)
    assert found["single"]["recall_at_2pct"].value == found["single"]["repair_exact_at_2pct"].value == 0.25
    low, high = found["single"]["recall_at_2pct"].ci95
    assert 0 <= low < 0.25 < high < 1
    assert found["single"]["ppv_at_2pct"].value == 1
    flagged = dataclasses.replace(counted[0.02], flagged=np.ones_like(counted[0.02].flagged))
    always = figures({0.02: flagged}, trials, ids, num_bootstrap=0)
    assert always["single"]["ppv_at_2pct"].value == pytest.approx(0.02)
    # With a threshold that nothing reaches, all is left as it is.
    undecided, _ = benchmark_swaps.run(parts[1:], 0.999, **SETTINGS)
    assert undecided["single"][0.02].cannot_tell.all()
    assert not undecided["single"][0.02].changed.any()


def test_single_exchanges_are_counted_by_what_they_exchange():
    groups = [trial.group for trial in fixed_trials()]
    assert [groups.count(group) for group in ("none", *SINGLE_GROUPS, "with RL")] == [1, 3, 18, 15, 3]


def test_random_mistakes_are_what_they_are_called():
    trials = random_trials(np.random.default_rng(0), 30)
    assert [trial.group for trial in trials[:3]] == list(RECIPES)
    for trial in trials:
        moved = trial.placement.reads
        is_limb = [jack in leads.LIMB_ELECTRODES for jack in moved]
        if trial.group == "order of the chest":
            assert not any(is_limb)
            assert len(moved) > 2
        elif trial.group == "limb and chest at once":
            assert sum(is_limb) >= 2
            assert len(moved) - sum(is_limb) == 2
        else:
            assert len(moved) == 4
            assert all(moved[source] == jack for jack, source in moved.items())
    again = random_trials(np.random.default_rng(0), 30)
    assert [trial.placement.reads for trial in again] == [trial.placement.reads for trial in trials]


def test_a_draw_of_records_keeps_its_parts():
    parts = [part(oracle.ignorant(), 3, "a"), part(oracle.ignorant(), 30, "b")]
    assert sum(len(p.records) for p in benchmark_swaps.drawn(parts, 12, seed=0)) == 12
    assert benchmark_swaps.drawn(parts, 0, seed=0) == benchmark_swaps.drawn(parts, 99, seed=0) == parts


def test_tables_and_pictures(perfect, tmp_path):
    _, found = perfect
    text = benchmark_swaps.summary_table(found, ["single", "with RL"])
    assert text.count("| single") == len(PREVALENCES)
    assert "1.000 (1.000 to 1.000)" in text
    assert "RA-RL+LA-LL" in benchmark_swaps.swap_table(found)
    assert benchmark_swaps.correct_table(found).count("\n") == 1 + len(PREVALENCES)
    for name in benchmark_swaps.draw(found, ["single", "with RL"], tmp_path, "single"):
        assert (tmp_path / name).stat().st_size > 1000
