"""Lead algebra against the published tables and its own laws."""

import itertools

import numpy as np
import pytest

from ecgjax import leads
from ecgjax.errors import InputError

RNG = np.random.default_rng(0)


def true_leads(shape=(50,)):
    """Any potentials at the electrodes give a possible record."""
    return RNG.normal(size=(*shape, len(leads.ELECTRODES))) @ leads.LEADS_FROM_ELECTRODES.T


def named(signal):
    return dict(zip(leads.LEADS, np.moveaxis(signal, -1, 0), strict=True))


def by_name(name):
    return next(p for p in leads.PLACEMENTS if p.name == name)


def test_electrodes_to_leads_to_electrodes_keeps_potentials_against_wilson():
    potentials = RNG.normal(size=(20, 9))
    against_wilson = potentials - potentials[:, :3].mean(axis=1, keepdims=True)
    recovered = potentials @ leads.LEADS_FROM_ELECTRODES.T @ leads.ELECTRODES_FROM_LEADS.T
    np.testing.assert_allclose(recovered, against_wilson, atol=1e-12)


def test_lead_map_has_rank_eight_and_forgets_only_a_common_offset():
    assert np.linalg.matrix_rank(leads.LEADS_FROM_ELECTRODES) == 8
    np.testing.assert_allclose(leads.LEADS_FROM_ELECTRODES @ np.ones(9), 0, atol=1e-12)


def test_einthoven_and_goldberger_survive_every_placement():
    for placement in leads.PLACEMENTS:
        lead = named(placement.apply(true_leads(), RNG.normal(size=50)))
        np.testing.assert_allclose(lead["I"] + lead["III"], lead["II"], atol=1e-12)
        np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0, atol=1e-12)


LIMB_TABLE = {
    "RA-LA": ("-I", "III", "II", "aVL", "aVR", "aVF"),
    "RA-LL": ("-III", "-II", "-I", "aVF", "aVL", "aVR"),
    "LA-LL": ("II", "I", "-III", "aVR", "aVF", "aVL"),
    "RA-LA-LL": ("III", "-I", "-II", "aVL", "aVF", "aVR"),
    "RA-LL-LA": ("-II", "-III", "I", "aVF", "aVR", "aVL"),
}


@pytest.mark.parametrize("name", LIMB_TABLE)
def test_limb_exchanges_follow_the_published_table(name):
    true = true_leads()
    lead, written = named(true), named(by_name(name).apply(true))
    for target, source in zip(leads.LIMB_LEADS, LIMB_TABLE[name], strict=True):
        sign = -1 if source[0] == "-" else 1
        np.testing.assert_allclose(written[target], sign * lead[source.lstrip("-")], atol=1e-12)
    for v in leads.PRECORDIAL_LEADS:
        np.testing.assert_allclose(written[v], lead[v], atol=1e-12)


def neutral_table(lead):
    return {
        "RA-RL": (-lead["III"], 0, lead["III"], lead["III"] / 2, -lead["III"], lead["III"] / 2, -lead["II"] / 3),
        "LA-RL": (lead["II"], lead["II"], 0, -lead["II"], lead["II"] / 2, lead["II"] / 2, -lead["III"] / 3),
        "RA-RL+LA-LL": (0, -lead["III"], -lead["III"], lead["III"] / 2, lead["III"] / 2, -lead["III"], -lead["II"] / 3),
    }


@pytest.mark.parametrize("name", ["RA-RL", "LA-RL", "RA-RL+LA-LL"])
def test_neutral_exchanges_follow_the_published_table(name):
    true = true_leads()
    lead, written = named(true), named(by_name(name).apply(true))
    *limb, chest_shift = neutral_table(lead)[name]
    for target, expected in zip(leads.LIMB_LEADS, limb, strict=True):
        np.testing.assert_allclose(written[target], expected, atol=1e-12)
    for v in leads.PRECORDIAL_LEADS:
        np.testing.assert_allclose(written[v], lead[v] + chest_shift, atol=1e-12)


def test_limb_and_chest_exchange_moves_wilsons_terminal():
    true = true_leads()
    lead, written = named(true), named(leads.swap(("RA", "V1")).apply(true))
    one, two, v1 = lead["I"], lead["II"], lead["V1"]
    np.testing.assert_allclose(written["I"], 2 / 3 * one - two / 3 - v1, atol=1e-12)
    np.testing.assert_allclose(written["II"], -one / 3 + 2 / 3 * two - v1, atol=1e-12)
    np.testing.assert_allclose(written["III"], lead["III"], atol=1e-12)
    np.testing.assert_allclose(written["V1"], -4 / 9 * (one + two) - v1 / 3, atol=1e-12)
    for v in leads.PRECORDIAL_LEADS[1:]:
        np.testing.assert_allclose(written[v], lead[v] - v1 / 3 - (one + two) / 9, atol=1e-12)


def test_every_pair_exchanged_twice_is_the_identity():
    true = true_leads()
    for pair in itertools.combinations(leads.ELECTRODES, 2):
        swap = leads.swap(pair)
        np.testing.assert_allclose(swap.apply(swap.apply(true)), true, atol=1e-12)


def test_any_permutation_is_undone_by_its_inverse():
    true = true_leads()
    for _ in range(20):
        placement = leads.permutation(RNG.permutation(leads.ELECTRODES).tolist())
        np.testing.assert_allclose(placement.inverse.apply(placement.apply(true)), true, atol=1e-12)


def test_potential_of_the_neutral_electrode_enters_as_if_measured():
    """Plugging RA into RL is measuring with RA's potential replaced by that of RL."""
    potentials, above_ll = RNG.normal(size=(30, 9)), RNG.normal(size=30)
    rewired = potentials.copy()
    rewired[:, 0] = potentials[:, 2] + above_ll
    expected = rewired @ leads.LEADS_FROM_ELECTRODES.T
    written = by_name("RA-RL").apply(potentials @ leads.LEADS_FROM_ELECTRODES.T, above_ll)
    np.testing.assert_allclose(written, expected, atol=1e-12)


def test_leg_exchange_cannot_be_seen():
    np.testing.assert_allclose(leads.swap(("LL", "RL")).matrix, leads.CORRECT.matrix, atol=1e-12)


def test_listed_placements_are_nineteen_and_all_different():
    assert len(leads.PLACEMENTS) == 19
    for a, b in itertools.combinations(leads.PLACEMENTS, 2):
        assert not np.allclose(a.matrix, b.matrix), (a.name, b.name)


def test_derived_leads_follow_from_the_independent_ones():
    true = true_leads()
    independent = true[..., [leads.LEADS.index(name) for name in leads.INDEPENDENT_LEADS]]
    np.testing.assert_allclose(independent @ leads.LEADS_FROM_INDEPENDENT.T, true, atol=1e-12)


def test_standard_order_from_any_spelling_and_order():
    signal = true_leads()
    order = RNG.permutation(12)
    spellings = ["AVR", "Lead I", "ii", "avl", "V1", "v2"]
    assert [leads.canonical_lead(s) for s in spellings] == ["aVR", "I", "II", "aVL", "V1", "V2"]
    np.testing.assert_array_equal(
        leads.to_standard_order(signal[:, order], [leads.LEADS[i].upper() for i in order]), signal
    )


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: leads.canonical_lead("V7"), "unknown lead name 'V7'"),
        (lambda: leads.to_standard_order(np.zeros((3, 11)), leads.LEADS[:-1]), "missing V6"),
        (lambda: leads.to_standard_order(np.zeros((3, 13)), (*leads.LEADS, "I")), "13 names with repeats"),
        (lambda: leads.swap(("RA", "V9")), "unknown electrode 'V9'"),
        (lambda: leads.swap(("RA", "LA"), ("LA", "LL")), "occurs twice"),
        (lambda: leads.permutation(["RA"] * 9), "holds each of"),
        (lambda: by_name("RA-RL").inverse, "neutral electrode"),
    ],
)
def test_bad_input_is_named(attempt, message):
    with pytest.raises(InputError, match=message):
        attempt()


def test_lead_sets_by_name_or_list():
    assert leads.lead_set("precordial") == leads.PRECORDIAL_LEADS
    assert leads.lead_set("v5+I,avr") == ("I", "aVR", "V5")
    assert leads.lead_set("+I+aVF") == leads.lead_set("+I,aVF") == ("I", "aVF", *leads.PRECORDIAL_LEADS)
    for members in leads.LEAD_SETS.values():
        assert leads.lead_set("+".join(members)) == members


@pytest.mark.parametrize("text", ["V1", "V1,V1", "+V9", ""])
def test_a_set_has_two_known_leads(text):
    with pytest.raises(InputError):
        leads.lead_set(text)


def test_identities_hold_under_every_limb_exchange():
    for placement in (leads.CORRECT, *leads.LIMB_SWAPS, *leads.LIMB_CYCLES, *leads.NEUTRAL_SWAPS):
        for identity in leads.IDENTITIES:
            weights = np.array([identity.get(name, 0.0) for name in leads.LEADS])
            np.testing.assert_allclose(weights @ placement.matrix, 0, atol=1e-12)


def test_two_limb_leads_complete_the_six():
    record = true_leads()
    for first, second in itertools.combinations(leads.LIMB_LEADS, 2):
        completed = record @ leads.completion((first, second)).T
        np.testing.assert_allclose(completed[:, :6], record[:, :6], atol=1e-12)
        assert not completed[:, 6:].any()
        assert leads.derivable((first, second, "V3")) == (*leads.LIMB_LEADS, "V3")


def test_a_lone_limb_lead_tells_nothing_of_the_others():
    for name in leads.LIMB_LEADS:
        assert leads.derivable((name, "V1")) == (name, "V1")
    assert leads.derivable(()) == ()


def test_given_leads_are_kept_to_the_last_bit():
    noisy = RNG.normal(size=(20, 12))
    for mask in range(64):
        names = [name for i, name in enumerate(leads.LIMB_LEADS) if mask >> i & 1]
        given = [leads.LEADS.index(name) for name in names]
        np.testing.assert_array_equal((noisy @ leads.completion(names).T)[:, given], noisy[:, given])


def test_subsets_by_name_and_listed():
    assert leads.lead_subset("V2+ii,I") == ("I", "II", "V2")
    assert leads.lead_subset("aVF") == ("aVF",)
    assert leads.lead_subset("independent") == leads.INDEPENDENT_LEADS
    with pytest.raises(InputError, match="V7"):
        leads.lead_subset("I,V7")
