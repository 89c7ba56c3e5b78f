"""Hypotheses of wiring and their posterior, against Placement objects one by one."""

import itertools

import numpy as np
import pytest
import scipy.special

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.placements import hypotheses, posterior, prior

LEGS = leads.swap(("LL", "RL"))
RNG = np.random.default_rng(0)
SOME = np.concatenate(
    [np.arange(0, hypotheses.NUM_GRID, 97), np.arange(hypotheses.NUM_GRID, hypotheses.NUM_HYPOTHESES)]
)
"""A sample of all kinds of hypotheses."""


@pytest.fixture(scope="module")
def placements():
    return [hypotheses.placement(hypothesis) for hypothesis in range(hypotheses.NUM_HYPOTHESES)]


def test_matrices_are_those_of_the_placements(placements):
    for hypothesis in SOME:
        np.testing.assert_allclose(hypotheses.matrices()[hypothesis], placements[hypothesis].matrix, atol=1e-6)
        assert hypotheses.is_undoable()[hypothesis] != placements[hypothesis].uses_neutral
    assert hypotheses.matrices().shape == (6498, 12, 12)
    assert hypotheses.is_undoable().sum() == 6 * 720 + 18


def test_undo_matrices_give_the_true_leads_back():
    true = RNG.normal(size=(9, 20, 9)) @ leads.LEADS_FROM_ELECTRODES.T
    undoable = hypotheses.is_undoable()
    written = np.einsum("tl,hml->htm", true[0], hypotheses.matrices())
    undone = np.einsum("htl,hml->htm", written, hypotheses.undo_matrices())
    np.testing.assert_allclose(undone[undoable], np.broadcast_to(true[0], undone[undoable].shape), atol=1e-5)


def test_with_a_lost_potential_the_chest_order_alone_is_undone():
    reversed_, lost = leads.PRECORDIAL_REVERSED, leads.NEUTRAL_SWAPS[1]
    both = hypotheses.index_of(leads.Placement("", "", {**reversed_.reads, **lost.reads}))
    np.testing.assert_allclose(hypotheses.undo_matrices()[both] @ hypotheses.matrices()[both], lost.matrix, atol=1e-5)


def test_every_placement_is_found_again_and_has_a_name_of_its_own(placements):
    assert [hypotheses.index_of(found) for found in placements] == list(range(hypotheses.NUM_HYPOTHESES))
    assert len({found.name for found in placements}) == hypotheses.NUM_HYPOTHESES
    assert placements[hypotheses.CORRECT] is leads.CORRECT


def test_placements_of_the_reversal_task_keep_their_names():
    for listed in (*leads.PLACEMENTS, *hypotheses.SINGLE_SWAPS):
        found = hypotheses.placement(hypotheses.index_of(listed))
        assert (found.name, found.description) == (listed.name, listed.description)
    assert len(hypotheses.SINGLE_SWAPS) == 36


@pytest.mark.parametrize(
    ("sources", "name", "description"),
    [
        ("RA LA LL V1 V3 V4 V2 V5 V6", "V2-V3-V4", "V2, V3 and V4 turned: V2 reads V3, V3 reads V4, V4 reads V2"),
        ("LA RA LL V2 V1 V3 V4 V5 V6", "RA-LA+V1-V2", "RA and LA exchanged; V1 and V2 exchanged"),
        ("RA LA LL V2 V1 V4 V3 V5 V6", "V1-V2+V3-V4", "V1 and V2 exchanged and V3 and V4 exchanged"),
        (
            "RA LA LL V2 V1 V4 V5 V3 V6",
            "V1-V2+V3-V4-V5",
            "V1 and V2 exchanged; V3, V4 and V5 turned: V3 reads V4, V4 reads V5, V5 reads V3",
        ),
        ("LL LA RA V6 V5 V4 V3 V2 V1", "RA-LL+V1..V6 reversed", "RA and LL exchanged; chest cables in reverse order"),
    ],
)
def test_names_are_those_a_cardiographer_would_use(sources, name, description):
    found = hypotheses.placement(hypotheses.index_of(leads.permutation(sources.split())))
    assert (found.name, found.description) == (name, description)


def test_all_hypotheses_write_different_leads_and_the_legs_the_same():
    written = np.round(hypotheses.matrices().reshape(hypotheses.NUM_HYPOTHESES, -1), 4) + 0.0
    assert len(np.unique(written, axis=0)) == hypotheses.NUM_HYPOTHESES
    np.testing.assert_allclose(LEGS.matrix, hypotheses.matrices()[hypotheses.CORRECT], atol=1e-6)


def test_prior_gives_each_kind_its_share():
    usual = prior.clinical_prior(0.03)
    probability = np.exp(usual.log_prior().astype(np.float64))
    by_kind = dict(zip(hypotheses.KINDS, np.bincount(hypotheses.kinds(), probability), strict=True))
    assert by_kind["correct"] == pytest.approx(0.97)
    for kind, share in by_kind.items():
        if kind != "correct":
            assert share == pytest.approx(0.03 * getattr(usual, kind.replace(" ", "_").replace("-", "_"))), kind


def test_prior_favours_simple_mistakes():
    log_prior = prior.clinical_prior(0.02).log_prior()

    def of(sources):
        return log_prior[hypotheses.index_of(leads.permutation(sources.split()))]

    adjacent, apart = of("RA LA LL V2 V1 V3 V4 V5 V6"), of("RA LA LL V3 V2 V1 V4 V5 V6")
    two, three = of("RA LA LL V2 V3 V1 V4 V5 V6"), of("RA LA LL V2 V3 V4 V1 V5 V6")
    assert of("LA RA LL V1 V2 V3 V4 V5 V6") > adjacent > apart > two > three
    assert two - three == pytest.approx(np.log(5.0), abs=1e-5)
    both = of("LA RA LL V2 V1 V3 V4 V5 V6")
    assert both < adjacent
    assert both - of("LA RA LL V3 V2 V1 V4 V5 V6") == pytest.approx(adjacent - apart, abs=1e-5)


def test_kinds_count_as_combinatorics_say():
    counts = dict(zip(hypotheses.KINDS, np.bincount(hypotheses.kinds()).tolist(), strict=True))
    assert counts == {
        "correct": 1,
        "limb swap": 3,
        "limb cycle": 2,
        "neutral": 3,
        "adjacent chest swap": 5,
        "other chest swap": 10,
        "chest order": 704,
        "limb-chest swap": 18,
        "limb and chest": 8 * 719,
    }


def test_even_prior_knows_only_the_listed_mistakes():
    probability = np.exp(prior.even_prior(hypotheses.SINGLE_SWAPS, 0.5))
    assert probability[hypotheses.CORRECT] == pytest.approx(0.5)
    assert np.count_nonzero(probability) == 37
    for swap in hypotheses.SINGLE_SWAPS:
        assert probability[hypotheses.index_of(swap)] == pytest.approx(0.5 / 36)


def test_posterior_is_bayes_rule():
    log_likelihood = RNG.normal(0, 5, (3, hypotheses.NUM_HYPOTHESES)).astype(np.float32)
    log_prior = prior.clinical_prior(0.3).log_prior()
    log_probability = np.asarray(posterior.log_posterior(log_likelihood, log_prior))
    probability = scipy.special.softmax(log_likelihood.astype(np.float64) + log_prior, axis=1)
    np.testing.assert_allclose(np.exp(log_probability), probability, atol=1e-6)


def test_what_the_prior_excludes_stays_impossible():
    log_probability = posterior.log_posterior(
        RNG.normal(size=(2, hypotheses.NUM_HYPOTHESES)), prior.even_prior(leads.LIMB_SWAPS, prevalence=0.5)
    )
    assert np.count_nonzero(np.exp(log_probability)) == 2 * 4


def lead_name_evidence(log_probs, neutral, hypothesis):
    """The sum over leads that a hypothesis implies, lead by lead."""
    found = hypotheses.placement(hypothesis)
    limb, order = divmod(hypothesis, 720)
    if hypothesis >= hypotheses.NUM_GRID:
        rows = log_probs[6 + hypothesis - hypotheses.NUM_GRID]
        return sum(rows[lead, lead] for lead in range(12))
    chest_rows = log_probs[limb if limb < 6 else 0]
    names = [found.reads.get(v, v) for v in leads.PRECORDIAL_LEADS]
    chest = sum(chest_rows[6 + row, leads.LEADS.index(name)] for row, name in enumerate(names))
    own = [sum(log_probs[version][lead, lead] for lead in range(6)) for version in range(6)]
    assert hypotheses.reads()[hypothesis, 3:].tolist() == (3 + hypotheses.chest_orders()[order]).tolist()
    return chest + (own[limb] if limb < 6 else scipy.special.logsumexp(own) - np.log(6) + neutral[limb - 6])


def test_lead_names_are_added_up_over_the_names_that_a_hypothesis_implies():
    log_probs = np.log(RNG.dirichlet(np.ones(12), (2, 24, 12)))
    neutral = RNG.normal(size=(2, 3))
    for given, asked in ((24, SOME), (6, SOME[SOME < hypotheses.NUM_GRID])):
        evidence = np.asarray(posterior.evidence_from_lead_names(log_probs[:, :given], neutral))
        for record, hypothesis in itertools.product(range(2), asked):
            expected = lead_name_evidence(log_probs[record], neutral[record], hypothesis)
            assert evidence[record, hypothesis] == pytest.approx(expected, rel=1e-4)
    assert np.all(evidence[:, hypotheses.NUM_GRID :] == -np.inf)


def test_versions_are_the_record_with_each_limb_placement_undone():
    versions = posterior.version_matrices()
    assert versions.shape == (24, 12, 12)
    for version, wrong in zip(versions, (*hypotheses.LIMB_PLACEMENTS[:6], *hypotheses.LIMB_CHEST_SWAPS), strict=True):
        np.testing.assert_allclose(version @ wrong.matrix @ leads.LEADS_FROM_ELECTRODES, leads.LEADS_FROM_ELECTRODES,
                                   atol=1e-5)  # fmt: skip


def test_a_flat_lead_speaks_for_the_neutral_placement_that_makes_it():
    true = RNG.normal(size=(500, 9)) @ leads.LEADS_FROM_ELECTRODES.T
    noise = 0.05 * RNG.normal(size=500)
    written = [true, *(swap.apply(true, noise) for swap in leads.NEUTRAL_SWAPS)]
    plain, *neutral = np.asarray(posterior.flatness_evidence(np.stack(written), posterior.FLATNESS))
    assert np.all(plain < -2)
    for row, evidence in enumerate(neutral):
        assert np.argmax(evidence) == row
        assert evidence[row] > 5
        assert np.all(np.delete(evidence, row) < 0)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: hypotheses.index_of(LEGS), "LL-RL is none of the 6498 hypotheses"),
        (lambda: hypotheses.index_of(leads.swap(("RA", "V1"), ("LA", "V2"))), r"RA-V1\+LA-V2 is none of"),
        (lambda: prior.clinical_prior(0.0), "prevalence of mistakes is 0.0; give a share between 0 and 1"),
        (lambda: prior.even_prior([leads.CORRECT], 0.5), "no mistake is named"),
        (lambda: prior.Prior(0.1, -0.1, 0, 0, 1, 0, 0, 0, 0, 5.0), "'limb swap': -0.1.*give none below 0"),
        (lambda: prior.Prior(0.1, 0, 0, 0, 0, 0, 0, 0, 0, 5.0), "and one above"),
        (lambda: prior.Prior(0.1, 1, 0, 0, 1, 0, 0, 0, 0, 1.0), "per_exchange is 1.0"),
    ],
)
def test_bad_input_is_named(attempt, message):
    with pytest.raises(InputError, match=message):
        attempt()


def test_a_hypothesis_out_of_range_is_no_placement():
    with pytest.raises(IndexError):
        hypotheses.placement(hypotheses.NUM_HYPOTHESES)
