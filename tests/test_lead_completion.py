"""Completed records: algebra has the last word, on the host and on the device."""

import jax
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.augment import show_leads
from ecgjax.lead_completion import IS_INDEPENDENT, complete, completion_matrices, is_known, learnt_leads
from ecgjax.leads import LEADS

RNG = np.random.default_rng(0)
TRUE_MV = RNG.normal(size=(20, 9)) @ leads.LEADS_FROM_ELECTRODES.T
ESTIMATE_MV = RNG.normal(size=(20, 8))
INDEPENDENT = [LEADS.index(name) for name in leads.INDEPENDENT_LEADS]


def subsets(count):
    """Every set of limb leads, each with some chest leads, none of them empty."""
    for mask in range(64):
        for chest in RNG.random((count, 6)) < 0.4:
            names = [name for i, name in enumerate(leads.LIMB_LEADS) if mask >> i & 1]
            names += [name for name, is_in in zip(leads.PRECORDIAL_LEADS, chest, strict=True) if is_in]
            if names:
                yield tuple(names)


def test_any_estimate_leaves_given_leads_and_einthovens_law_as_they_are():
    for names in subsets(3):
        from_given, from_estimate = completion_matrices(names)
        twelve = TRUE_MV @ from_given.T + ESTIMATE_MV @ from_estimate.T
        known = leads.derivable(names)
        for lead, name in enumerate(LEADS):
            if name in names:
                np.testing.assert_array_equal(twelve[:, lead], TRUE_MV[:, lead])
            elif name in known:
                np.testing.assert_allclose(twelve[:, lead], TRUE_MV[:, lead], atol=1e-12)
        for identity in leads.IDENTITIES:
            assert abs(sum(weight * twelve[:, LEADS.index(name)] for name, weight in identity.items())).max() < 1e-12
        perfect = TRUE_MV @ from_given.T + TRUE_MV[:, INDEPENDENT] @ from_estimate.T
        np.testing.assert_allclose(perfect, TRUE_MV, atol=1e-12)
        unread = [lead for lead, name in enumerate(LEADS) if name not in names]
        assert not from_given[:, unread].any()


def test_one_limb_lead_moves_the_estimate_no_further_than_it_must():
    """The smallest correction of I and II is that along the lead, which a pseudo-inverse gives."""
    from_given, from_estimate = completion_matrices(("aVF",))
    twelve = TRUE_MV @ from_given.T + ESTIMATE_MV @ from_estimate.T
    row = leads.LEADS_FROM_INDEPENDENT[[LEADS.index("aVF")], :2]
    missing = TRUE_MV[:, [LEADS.index("aVF")]] - ESTIMATE_MV[:, :2] @ row.T
    np.testing.assert_allclose(twelve[:, :2], ESTIMATE_MV[:, :2] + missing @ np.linalg.pinv(row).T, atol=1e-12)


def test_the_device_completes_as_the_host_does():
    names = list(subsets(1))
    masks = np.array([np.isin(LEADS, given) for given in names])

    @jax.jit
    @jax.vmap
    def on_device(is_given):
        shown = show_leads(TRUE_MV.astype(np.float32), is_given)
        return complete(shown, ESTIMATE_MV.astype(np.float32), is_given), is_known(is_given)

    twelve, known = map(np.asarray, on_device(masks))
    for row, given in enumerate(names):
        from_given, from_estimate = completion_matrices(given)
        expected = TRUE_MV @ from_given.T + ESTIMATE_MV @ from_estimate.T
        np.testing.assert_allclose(twelve[row], expected, atol=1e-5)
        assert tuple(np.array(LEADS)[known[row]]) == leads.derivable(given)
        assert learnt_leads(given) == tuple(np.array(LEADS)[IS_INDEPENDENT & ~known[row]])


@pytest.mark.parametrize(
    ("given", "learnt"),
    [
        (("I", "II", "V2"), ("V1", "V3", "V4", "V5", "V6")),
        (("aVR", "III"), leads.PRECORDIAL_LEADS),
        (("I",), ("II", *leads.PRECORDIAL_LEADS)),
        (("aVF", *leads.PRECORDIAL_LEADS), ("I", "II")),
        (leads.INDEPENDENT_LEADS, ()),
    ],
)
def test_derived_leads_are_never_learnt(given, learnt):
    assert learnt_leads(given) == learnt
