"""Subsets of the leads and what they carry, against the rank of the lead algebra."""

import itertools

import numpy as np
import pytest

from ecgjax import leads
from ecgjax.elimination import subsets
from ecgjax.elimination.subsets import describe, known_leads, names_of, subset_of
from ecgjax.leads import LEADS, LIMB_LEADS


def test_names_and_bits_agree():
    assert subset_of(("V1", "I")) == 1 | 1 << 6
    for subset in (1, 4095, 0b101010101010):
        assert subset_of(names_of(subset)) == subset
        assert names_of(subset) == tuple(np.array(LEADS)[subsets.is_in(np.array(subset))])
        assert subsets.size_of(np.array(subset)) == len(names_of(subset))


@pytest.mark.parametrize(("candidates", "number", "distinct"), [("all", 4095, 511), ("independent", 255, 255)])
def test_numbers_of_subsets(candidates, number, distinct):
    found = subsets.all_subsets(subsets.CANDIDATES[candidates])
    assert len(found) == len(np.unique(found)) == number
    assert set(names_of(int(np.bitwise_or.reduce(found)))) == set(subsets.CANDIDATES[candidates])
    assert len(np.unique(known_leads(found))) == distinct


def test_known_leads_are_those_of_the_algebra():
    rng = np.random.default_rng(0)
    for subset in rng.choice(np.arange(1, 4096), 60, replace=False):
        known = names_of(int(known_leads(np.array(subset))))
        assert known == leads.derivable(names_of(int(subset)))


def test_information_is_the_row_space():
    """Equal known leads exactly where the given rows of the lead matrix span the same space."""
    limb = [subset_of(names) for n in range(1, 7) for names in itertools.combinations(LIMB_LEADS, n)]

    def span(subset):
        rows = leads.LEADS_FROM_ELECTRODES[subsets.is_in(np.array(subset))]
        return np.linalg.pinv(rows) @ rows

    spans, known = [span(subset) for subset in limb], known_leads(np.array(limb))
    for i, j in itertools.combinations(range(len(limb)), 2):
        assert np.allclose(spans[i], spans[j]) == (known[i] == known[j])


def test_ties_by_rank_are_put_in_words():
    pairs = [subset_of((*pair, "V2")) for pair in itertools.combinations(LIMB_LEADS, 2)]
    assert describe(pairs) == "any two of I, II, III, aVR, aVL, aVF + V2"
    with_avr = [subset_of(("aVR", other)) for other in LIMB_LEADS if other != "aVR"]
    assert describe(with_avr) == "aVR + any one of I, II, III, aVL, aVF"
    assert describe([subset_of(("V1",))]) == "V1"
    assert describe([subset_of(("V1",)), subset_of(("I", "V3"))]) == "V1 or I+V3"
    some = [subset_of(pair) for pair in (("I", "II"), ("I", "III"), ("II", "III"), ("I", "aVR"))]
    assert describe(some) == "I+II or I+III or II+III or I+aVR"


def test_short_names():
    assert subsets.name_of(4095) == "limb+V1+V2+V3+V4+V5+V6"
    assert subsets.name_of(subset_of(("aVL", "V6"))) == "aVL+V6"


def test_wearable_sets_are_sets_of_leads():
    for names in subsets.WEARABLE_SETS.values():
        assert names == names_of(subset_of(names))
    assert len({subset_of(names) for names in subsets.WEARABLE_SETS.values()}) == len(subsets.WEARABLE_SETS)
