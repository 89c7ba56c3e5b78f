"""What decided between two placements: the parts add up, lie where the evidence is, and need both placements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.explain.placement_attribution import attribute
from ecgjax.leads import LEADS
from ecgjax.placements import repair
from ecgjax.placements.evidence import Evidence
from ecgjax.placements.hypotheses import CORRECT, NUM_HYPOTHESES, index_of, undo_matrices
from ecgjax.placements.prior import likely_hypotheses
from ecgjax.preprocess import Preprocess

FS_HZ = 100.0
ARMS, CHEST, NEUTRAL = leads.LIMB_SWAPS[0], leads.swap(("V1", "V3")), leads.NEUTRAL_SWAPS[0]
PREPROCESS = Preprocess(FS_HZ, "none", 0.5, 40.0, "none")


def record(seconds=10.0):
    """Beats of another height in each lead, alike but for their sign in V1 and V3."""
    time_s = np.arange(round(seconds * FS_HZ)) / FS_HZ
    beat = np.exp(-(((time_s % 1 - 0.5) / 0.03) ** 2))
    return (beat[:, None] * (leads.LEADS_FROM_INDEPENDENT @ [0.6, 1.0, -0.5, 0.2, 0.4, 1.2, 1.1, 0.9])).astype(
        np.float32
    )


def evidence(hypotheses=None):
    """A lead I that is upright and a V3 above V1 speak for a record, in a way that is not linear."""
    undo = undo_matrices()

    def log_likelihood(chosen):
        def of_record(signal_mv):
            sums = jnp.asarray(undo[chosen]) @ jnp.sum(signal_mv, axis=0)
            return 5 * jnp.tanh(sums[:, 0] / 20) + 4 * jnp.tanh((sums[:, 8] - sums[:, 6]) / 20)

        return jax.jit(jax.vmap(of_record))

    few = () if hypotheses is None else (log_likelihood(hypotheses),)
    return Evidence(PREPROCESS, 10.0, log_likelihood(np.arange(NUM_HYPOTHESES)), few)


def decided(signal_mv, best, second):
    posterior = np.zeros(NUM_HYPOTHESES)
    posterior[[index_of(best), index_of(second)]] = 0.9, 0.1
    return repair.decide(signal_mv, posterior, 0.7)


@pytest.mark.parametrize("hypotheses", [None, likely_hypotheses()])
@pytest.mark.parametrize(
    ("written_as", "second", "rival", "decides"),
    [(ARMS, CHEST, CORRECT, {"I"}), (CHEST, ARMS, CORRECT, {"V1", "V3"}), (leads.CORRECT, ARMS, index_of(ARMS), {"I"})],
)
def test_parts_add_up_to_the_difference(hypotheses, written_as, second, rival, decides):
    written = written_as.apply(record()).astype(np.float32)
    ours = evidence(hypotheses)
    found = attribute(written, FS_HZ, decided(written, written_as, second), ours)
    assert (found.best, found.rival) == (index_of(written_as), rival)
    scores = np.asarray(ours.log_likelihood(jnp.asarray(written[None])))[0]
    difference = scores[found.best] - scores[rival]
    assert difference > 1
    assert found.contributions.sum() == pytest.approx(difference, rel=0.02)
    shares = found.lead_shares()
    assert {name for name, share in shares.items() if share > 0.01} == decides
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(found.wave_shares().values()) == pytest.approx(1)
    assert all(name in found.sentence() for name in decides)


def test_beats_carry_what_lies_around_them():
    written = ARMS.apply(record()).astype(np.float32)
    found = attribute(written, FS_HZ, decided(written, ARMS, CHEST), evidence())
    assert found.beat.shape == found.written_beat_mv.shape
    # The last beat lacks room for what follows it.
    assert 0.85 < found.beat.sum() / found.contributions.sum() <= 1.0001
    assert np.abs(found.beat[:, 0]).argmax() == np.abs(found.written_beat_mv[:, 0]).argmax()


def test_a_potential_that_was_never_recorded_is_told_by_the_gradient():
    written = NEUTRAL.apply(record()).astype(np.float32)
    found = attribute(written, FS_HZ, decided(written, NEUTRAL, ARMS), evidence())
    assert (found.best, found.rival) == (index_of(NEUTRAL), CORRECT)
    assert np.isfinite(found.contributions).all()


def test_leads_upside_down_are_looked_at_as_the_networks_saw_them():
    upright = ARMS.apply(record()).astype(np.float32)
    written = upright * np.where(np.isin(LEADS, "V3"), -1, 1).astype(np.float32)
    turned = repair.with_turned(decided(upright, ARMS, CHEST), written, ("V3",))
    parts = [
        attribute(written, FS_HZ, turned, evidence()),
        attribute(upright, FS_HZ, decided(upright, ARMS, CHEST), evidence()),
    ]
    np.testing.assert_allclose(parts[0].contributions, parts[1].contributions, atol=1e-5)


def test_without_a_verdict_the_two_likeliest_are_compared():
    signal_mv = record()
    posterior = np.zeros(NUM_HYPOTHESES)
    posterior[[index_of(ARMS), index_of(CHEST)]] = 0.5, 0.4
    found = attribute(signal_mv, FS_HZ, repair.decide(signal_mv, posterior, 0.7), evidence())
    assert (found.best, found.rival) == (index_of(ARMS), index_of(CHEST))
    flat = np.zeros_like(signal_mv)
    assert attribute(flat, FS_HZ, repair.unjudged(flat, "all leads are flat"), evidence()) is None


@pytest.mark.parametrize(("seconds", "start_s"), [(10.0, 0.0), (4.0, 0.0), (16.0, 3.0)])
def test_parts_have_their_place_in_the_record(seconds, start_s):
    written = ARMS.apply(record(seconds)).astype(np.float32)
    found = attribute(written, FS_HZ, decided(written, ARMS, CHEST), evidence())
    assert found.start_s == start_s
    assert found.contributions.shape == (round(min(seconds, 10) * FS_HZ), len(LEADS))
    peak_s = start_s + np.abs(found.contributions[:, 0]).argmax() / FS_HZ
    assert peak_s % 1 == pytest.approx(0.5, abs=0.011)
