"""What is decided about a record, and that putting it right is exact."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.reversal import get_config
from ecgjax import leads, models, tasks
from ecgjax.bundled import write_variables
from ecgjax.errors import InputError
from ecgjax.leads import LEADS, LIMB_LEADS, PRECORDIAL_LEADS
from ecgjax.placements import hypotheses, prior, repair
from ecgjax.placements.evidence import Evidence, load_evidence
from ecgjax.preprocess import Preprocess
from ecgjax.runlog import write_json

RNG = np.random.default_rng(0)
PLAIN = Preprocess(fs_hz=100.0, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")
PERMUTATIONS = [leads.permutation(RNG.permutation(leads.ELECTRODES).tolist()) for _ in range(10)]
GRID = [hypotheses.placement(int(h)) for h in RNG.choice(6 * 720, 30, replace=False)]


def record(dtype=np.float64):
    """[time, lead], a possible record; multiples of 36, so that every rewired one is of integers too."""
    potentials = 36 * RNG.integers(-30, 31, (60, 9))
    return np.rint(potentials @ leads.LEADS_FROM_ELECTRODES.T).astype(dtype)


def written_under(placement, true):
    return np.rint(placement.apply(true.astype(np.float64))).astype(true.dtype)


def concentrated(*probable):
    """Probabilities of hypotheses; what is left goes to none."""
    posterior = np.zeros(hypotheses.NUM_HYPOTHESES)
    for placement, probability in probable:
        posterior[hypotheses.index_of(placement)] += probability
    return posterior


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.float32])
def test_any_permutation_is_undone_to_the_last_bit(dtype):
    true = record(dtype)
    for wrong in (*hypotheses.SINGLE_SWAPS, *PERMUTATIONS, *GRID):
        restored = repair.undoing(wrong).apply(written_under(wrong, true))
        assert restored.dtype == dtype
        np.testing.assert_allclose(restored, true, atol=0 if dtype != np.float32 else 1e-3)


def test_limb_and_chest_permutations_copy_and_turn_samples_only():
    """Any samples, not only those of a possible record: rounding errors stay where they are."""
    written = RNG.normal(size=(40, 12))
    for wrong in GRID:
        undo = repair.undoing(wrong)
        assert np.all(np.abs(undo.sign) == 1)
        restored = undo.apply(written)
        for lead in range(12):
            assert restored[:, lead].tobytes() == (undo.sign[lead] * written[:, undo.source[lead]]).tobytes()


def test_untouched_leads_are_named_and_kept():
    written = RNG.normal(size=(40, 12))
    for wrong, kept in (
        (leads.swap(("RA", "LA")), {"aVF", *PRECORDIAL_LEADS}),
        (leads.swap(("V2", "V5")), {*LIMB_LEADS, "V1", "V3", "V4", "V6"}),
        (leads.swap(("RA", "V3")), {"III"}),
        (leads.CORRECT, set(LEADS)),
    ):
        undo = repair.undoing(wrong)
        assert set(undo.changed) == set(LEADS) - kept
        for name in kept:
            lead = LEADS.index(name)
            assert undo.apply(written)[:, lead].tobytes() == written[:, lead].tobytes()


@pytest.mark.parametrize(("number", "right"), [(0, "III"), (1, "II"), (2, "III")])
def test_a_jack_on_rl_leaves_one_limb_lead_and_the_chest_order(number, right):
    wrong = leads.NEUTRAL_SWAPS[number]
    both = leads.Placement("", "", {**wrong.reads, **leads.PRECORDIAL_REVERSED.reads})
    true, neutral_mv = record(), RNG.normal(size=60)
    written = both.apply(true, neutral_mv)
    undo = repair.undoing(both)
    restored = undo.apply(written)
    assert set(undo.lost) == set(LIMB_LEADS) - {right}
    assert undo.shifted == PRECORDIAL_LEADS
    np.testing.assert_allclose(restored[:, LEADS.index(right)], true[:, LEADS.index(right)], atol=1e-9)
    assert np.isnan(restored[:, [LEADS.index(name) for name in undo.lost]]).all()
    np.testing.assert_array_equal(restored[:, 6:], written[:, :5:-1])
    in_order = wrong.apply(true, neutral_mv)[:, 6:]
    np.testing.assert_allclose(restored[:, 6:], in_order, atol=1e-9)


def test_the_least_integer_has_no_negative():
    signal = record(np.int16)
    signal[3, LEADS.index("I")] = -32768
    assert repair.undoing(leads.swap(("V1", "V2"))).apply(signal)[3, 0] == -32768
    with pytest.raises(InputError, match="holds -32768, whose negative is no int16; give the signal in a wider type"):
        repair.undoing(leads.swap(("RA", "LA"))).apply(signal)
    assert repair.undoing(leads.swap(("RA", "LA"))).apply(signal.astype(np.int32))[3, 0] == 32768


def test_verdict_on_a_correct_record():
    signal = record()
    result = repair.decide(signal, concentrated((leads.CORRECT, 0.96), (leads.LIMB_SWAPS[0], 0.04)), 0.9)
    assert result.verdict == "correct"
    assert result.sentence == "placed correctly (96.0 %)"
    assert result.signal is signal
    assert result.undoing is None
    assert result.alternatives[0] == (hypotheses.index_of(leads.LIMB_SWAPS[0]), pytest.approx(0.04))
    assert "LL and RL cannot be seen" in result.notes[0]


def test_verdict_on_a_repaired_record():
    true, wrong = record(), leads.swap(("RA", "LA"))
    result = repair.decide(written_under(wrong, true), concentrated((wrong, 0.9995), (leads.CORRECT, 0.0005)), 0.9)
    assert result.verdict == "repaired"
    assert result.sentence == "RA and LA exchanged (over 99.9 %); I, II, III, aVR and aVL put right"
    assert result.placement == wrong
    np.testing.assert_array_equal(result.signal, true)


def test_verdict_on_a_limb_cable_on_the_chest():
    wrong = leads.swap(("LA", "V4"))
    result = repair.decide(record(), concentrated((wrong, 0.95)), 0.9)
    assert result.sentence == "LA and V4 exchanged (95.0 %); all leads but II computed anew"


def test_verdict_on_a_lost_potential():
    result = repair.decide(record(), concentrated((leads.NEUTRAL_SWAPS[0], 1.0)), 0.9)
    assert result.verdict == "repaired in part"
    assert result.sentence == (
        "RA and RL exchanged (over 99.9 %); a limb potential was never recorded: I, II, aVR, aVL and aVF are lost, "
        "III is right, the chest leads are in order but against a shifted reference; record again"
    )


@pytest.mark.parametrize(
    ("probable", "sentence"),
    [
        (
            [(leads.LIMB_SWAPS[2], 0.6), (leads.CORRECT, 0.3), (leads.swap(("V1", "V2")), 0.1)],
            "cannot tell: LA and LL exchanged (60.0 %) or placed correctly (30.0 %) or V1 and V2 exchanged (10.0 %)",
        ),
        (
            [(leads.LIMB_SWAPS[2], 0.5), (leads.CORRECT, 0.5)],
            "cannot tell: equally likely (50.0 % each) are placed correctly / LA and LL exchanged",
        ),
        (
            [(hypotheses.placement(h), 1 / 8) for h in range(8)],
            "cannot tell: equally likely (12.5 % each) are placed correctly / V5 and V6 exchanged / "
            "V4 and V5 exchanged / V4, V5 and V6 turned: V4 reads V5, V5 reads V6, V6 reads V4 / "
            "V4, V6 and V5 turned: V4 reads V6, V6 reads V5, V5 reads V4 and perhaps others",
        ),
    ],
)
def test_doubt_is_said_and_nothing_changed(probable, sentence):
    signal = record()
    result = repair.decide(signal, concentrated(*probable), 0.9)
    assert (result.verdict, result.sentence) == ("cannot tell", sentence)
    assert result.signal is signal
    assert result.undoing is None


def test_equally_likely_ones_stay_in_doubt_at_any_threshold():
    probable = concentrated((leads.LIMB_SWAPS[2], 0.4), (leads.LIMB_SWAPS[0], 0.4), (leads.CORRECT, 0.2))
    assert repair.decide(record(), probable, 0.0).verdict == "cannot tell"
    probable = concentrated((leads.LIMB_SWAPS[2], 0.45), (leads.LIMB_SWAPS[0], 0.35), (leads.CORRECT, 0.2))
    assert repair.decide(record(), probable, 0.0).verdict == "repaired"


def flat(*names):
    signal = record()
    signal[:, [LEADS.index(name) for name in names]] = 5.0
    return signal


def missing():
    signal = record()
    signal[7:10, LEADS.index("V2")] = np.nan
    return signal


@pytest.mark.parametrize(
    ("signal", "problem"),
    [
        (flat("V3"), "lead V3 is flat"),
        (flat("V3", "V4"), "leads V3 and V4 are flat"),
        (flat("I", "II"), "leads I and II are flat"),
        (flat("aVF"), "lead aVF is flat"),
        (flat(*LEADS), "all leads are flat"),
        (missing(), "3 of 60 samples of lead V2 are missing"),
        (flat("II"), ""),
        (record(), ""),
    ],
)
def test_signals_that_cannot_be_judged(signal, problem):
    assert repair.unusable(signal) == problem
    evidence = Evidence(PLAIN, 0.6, lambda signal_mv: jnp.zeros((1, hypotheses.NUM_HYPOTHESES)))
    result = repair.repair(signal, 100.0, evidence, prior.clinical_prior(0.02).log_prior(), 0.9)
    if problem:
        assert result.sentence == f"cannot tell: {problem}; record again"
        assert result.placement is None
    else:
        assert result.placement is leads.CORRECT


def test_a_flat_limb_lead_is_accepted_where_a_jack_on_rl_explains_it():
    signal = flat("II")
    neutral = repair.decide(signal, concentrated((leads.NEUTRAL_SWAPS[0], 1.0)), 0.9)
    assert neutral.verdict == "repaired in part"
    result = repair.decide(signal, concentrated((leads.CORRECT, 1.0)), 0.9)
    assert result.verdict == "cannot tell"
    assert "lead II is flat, which the likeliest, placed correctly (over 99.9 %), does not" in result.sentence


def test_no_verdict_from_a_broken_network():
    posterior = np.full(hypotheses.NUM_HYPOTHESES, np.nan)
    assert repair.decide(record(), posterior, 0.0).verdict == "cannot tell"


def test_a_record_has_twelve_leads():
    with pytest.raises(InputError, match=r"expected \[time, 12\] samples, the shape is \(60, 11\)"):
        repair.unusable(np.zeros((60, 11)))


def test_records_are_prepared_as_in_training():
    signal = RNG.normal(size=(400, 12))
    evidence = Evidence(PLAIN, 2.0, lambda signal_mv: signal_mv)
    np.testing.assert_array_equal(evidence.prepare(signal, 100.0), signal[100:300].astype(np.float32))
    short = evidence.prepare(signal[:150], 100.0)
    np.testing.assert_array_equal(short[:150], signal[:150].astype(np.float32))
    assert not short[150:].any()
    assert evidence.prepare(signal, 500.0).shape == (200, 12)
    np.testing.assert_allclose(evidence.prepare(signal, 500.0)[:80], PLAIN.apply(signal, 500.0), atol=1e-6)


def knowing(true_mv, deviation_mv):
    """Evidence that knows the true record, and white noise: a likelihood in closed form."""

    def log_likelihood(signal_mv):
        expected = jnp.einsum("tl,hml->htm", jnp.asarray(true_mv, jnp.float32), hypotheses.matrices())
        return -jnp.sum((signal_mv[:, None] - expected) ** 2, axis=(2, 3)) / (2 * deviation_mv**2)

    return Evidence(PLAIN, len(true_mv) / 100.0, jax.jit(log_likelihood))


def test_every_single_swap_is_found_and_undone():
    true = record()[:20] / 36
    evidence, log_prior = knowing(true, 5.0), prior.clinical_prior(0.02).log_prior()
    for wrong in (*hypotheses.SINGLE_SWAPS, *GRID[:5]):
        result = repair.repair(wrong.apply(true), 100.0, evidence, log_prior, 0.9)
        assert result.verdict == "repaired", wrong.name
        assert result.placement.reads == wrong.reads
        np.testing.assert_allclose(result.signal, true, atol=1e-9)
    assert repair.repair(true, 100.0, evidence, log_prior, 0.9).verdict == "correct"
    lost = repair.repair(leads.NEUTRAL_SWAPS[1].apply(true), 100.0, evidence, log_prior, 0.9)
    assert (lost.verdict, lost.placement.name) == ("repaired in part", "LA-RL")


def test_the_prior_decides_where_the_record_does_not():
    true = record()[:20] / 36
    blind = knowing(true, 1e6)
    result = repair.repair(true, 100.0, blind, prior.clinical_prior(0.02).log_prior(), 0.9)
    assert (result.verdict, result.probability) == ("correct", pytest.approx(0.98, abs=1e-3))
    assert (
        repair.repair(true, 100.0, blind, prior.even_prior(hypotheses.SINGLE_SWAPS, 0.5), 0.9).verdict == "cannot tell"
    )


@pytest.fixture
def untrained(tmp_path):
    """The run of a small network that was never trained."""
    config = get_config("simulated")
    config.model.placement_net.update({"features": 4, "hidden": 8, "num_blocks": 1})
    config.data.seconds, config.data.crop_s = 3.0, 3.0
    write_json(tmp_path / "config.json", config.to_dict())
    task = tasks.build(config)
    module = models.build(config.model, task.num_outputs, jnp.float32, None)
    beat = jnp.zeros((1, task.window.num_samples, len(LEADS)))
    initial = jax.jit(functools.partial(module.init, is_training=False))(jax.random.key(0), beat)
    write_variables(jax.device_get(initial), tmp_path)
    return tmp_path


def beats(num_samples):
    """A regular rhythm with another wave on every electrode."""
    time = np.arange(num_samples)[:, None] % 400 - 200.0
    spike, wave = np.exp(-((time / 15) ** 2)), np.exp(-(((time - 100) / 30) ** 2))
    potentials = RNG.normal(size=9) * spike + 0.3 * RNG.normal(size=9) * wave
    return potentials @ leads.LEADS_FROM_ELECTRODES.T


def test_evidence_of_a_run_moves_with_the_cables(untrained):
    """Undoing h in the record written under h gives the record: its likelihood is that of the record as it is."""
    evidence = load_evidence(untrained)
    true = beats(1500)
    given = [leads.CORRECT, GRID[0], leads.swap(("LA", "V1"))]
    records = np.stack([evidence.prepare(wrong.apply(true), 500.0) for wrong in given])
    likelihood = np.asarray(evidence.log_likelihood(records))
    assert likelihood.shape == (3, hypotheses.NUM_HYPOTHESES)
    assert np.isfinite(likelihood).all()
    assert np.ptp(likelihood[0]) > 1e-2
    for row, wrong in enumerate(given):
        assert likelihood[row, hypotheses.index_of(wrong)] == pytest.approx(likelihood[0, 0], abs=1e-4)
    (of_likely,) = evidence.of_likely
    found, expected = np.asarray(of_likely(records)), likelihood[:, prior.likely_hypotheses()]
    np.testing.assert_allclose(found[:, :-3], expected[:, :-3], atol=1e-4)
    assert (found[:, -3:] > expected[:, -3:] - 1e-4).all()


def test_other_runs_give_no_evidence(tmp_path):
    with pytest.raises(InputError, match="there is no .*config.json"):
        load_evidence(tmp_path)
    config = get_config("model=original")
    write_json(tmp_path / "config.json", config.to_dict())
    with pytest.raises(InputError, match="a run of reversal with shallow_cnn; give the folder of a reversal run"):
        load_evidence(tmp_path)
