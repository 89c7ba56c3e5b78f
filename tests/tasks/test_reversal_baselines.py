"""The baselines' beats against known ones, their algebra, and that they learn."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from ecgjax import leads, metrics
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.tasks import reversal_baselines as baselines

NUM_CLASSES = len(leads.PLACEMENTS)
METHODS = {"cardiographer_rule", "support_vector_machine", "random_forest"}
# Size in mV of P, Q, R, S and T on RA, LA, LL, V1..V6, when each comes in s from R, and how long it lasts.
WAVES_S = ((-0.16, 0.02), (-0.03, 0.008), (0.0, 0.012), (0.03, 0.012), (0.25, 0.05))
WAVES_MV = np.array([
    [-0.10, 0.00, 0.08, 0.05, 0.05, 0.04, 0.04, 0.03, 0.03],
    [0.02, -0.03, -0.04, 0.00, 0.00, 0.00, -0.04, -0.06, -0.08],
    [-0.50, 0.25, 0.40, 0.20, 0.45, 0.80, 1.30, 1.20, 0.90],
    [0.10, -0.02, -0.08, -0.90, -1.30, -0.80, -0.40, -0.15, -0.05],
    [-0.18, 0.05, 0.10, -0.05, 0.35, 0.40, 0.38, 0.30, 0.20],
])  # fmt: skip


def record(rng, fs_hz, seconds=10.0, noise_mv=0.0, spread=0.0):
    """`[time, 12]` in mV and the times in s of its R waves, at a rate and with waves of its own."""
    rr_s = rng.uniform(0.7, 1.1)
    beats_s = rng.uniform(0.1, 0.5) + np.arange(0, seconds, rr_s)
    time_s = np.arange(int(seconds * fs_hz)) / fs_hz
    sizes = WAVES_MV * (1 + spread * rng.normal(size=WAVES_MV.shape))
    potentials = np.zeros((len(time_s), 9))
    for (centre_s, width_s), size in zip(WAVES_S, sizes, strict=True):
        wave = np.exp(-0.5 * ((time_s[:, None] - beats_s - centre_s) / width_s) ** 2).sum(1)
        potentials += wave[:, None] * size
    potentials += noise_mv * rng.normal(size=potentials.shape)
    return potentials @ leads.LEADS_FROM_ELECTRODES.T, beats_s[beats_s < seconds]


def population(num_records, seed, gain=1000.0, fs_hz=100.0):
    rng = np.random.default_rng(seed)
    signal_mv = np.stack([record(rng, fs_hz, noise_mv=0.02, spread=0.25)[0] for _ in range(num_records)])
    names = np.array([f"{seed}-{k}" for k in range(num_records)])
    ecg = np.round(signal_mv * gain).astype(np.int16)
    return Split("made", "train", ecg, gain, fs_hz, leads.LEADS, names, names, {})


@pytest.mark.parametrize("fs_hz", [100.0, 257.0, 500.0])
def test_beats_are_found_where_they_are(fs_hz):
    rng = np.random.default_rng(0)
    for _ in range(5):
        signal_mv, beats_s = record(rng, fs_hz, noise_mv=0.02, spread=0.2)
        (found,) = baselines.find_beats(signal_mv[None], fs_hz)
        assert len(found) == len(beats_s)
        np.testing.assert_allclose(found / fs_hz, beats_s, atol=0.03)


@pytest.mark.parametrize("placement", leads.PLACEMENTS, ids=lambda p: p.name)
def test_exchanges_leave_beats_in_place(placement):
    rng = np.random.default_rng(1)
    signal_mv = np.stack([record(rng, 100.0, noise_mv=0.02, spread=0.2)[0] for _ in range(3)])
    written = placement.apply(signal_mv)
    before, after = (baselines.find_beats(x, 100.0) for x in (signal_mv, written))
    if placement.uses_neutral:
        assert [len(b) for b in before] == [len(a) for a in after]
        return
    for b, a in zip(before, after, strict=True):
        np.testing.assert_array_equal(b, a)
    averaged = baselines.average_beats(signal_mv, 100.0) @ placement.matrix.T
    np.testing.assert_allclose(baselines.average_beats(written, 100.0), averaged, atol=1e-9)


def test_average_beat_is_the_beat_and_leaves_ectopic_beats_out():
    signal_mv, beats_s = record(np.random.default_rng(2), 500.0, seconds=20.0)
    clean = baselines.average_beats(signal_mv[None], 500.0)[0]
    errors = []
    for shift_s in np.arange(-0.02, 0.02, 0.002):
        waves = [np.exp(-0.5 * ((baselines.BEAT_S + shift_s - t) / width) ** 2) for t, width in WAVES_S]
        true = np.stack(waves, axis=1) @ WAVES_MV @ leads.LEADS_FROM_ELECTRODES.T
        errors.append(np.abs(clean - true).max())
    # 6 % of the largest R wave: beats are aligned and averaged to the hundredth of a second.
    assert min(errors) < 0.08
    ectopic = signal_mv.copy()
    here = slice(int((beats_s[5] - 0.2) * 500), int((beats_s[5] + 0.4) * 500))
    ectopic[here] *= -2
    np.testing.assert_allclose(baselines.average_beats(ectopic[None], 500.0)[0], clean, atol=0.02)


def test_records_without_a_beat_are_zero_and_do_no_harm():
    flat = np.zeros((2, 1000, 12))
    assert not baselines.average_beats(flat, 100.0).any()
    assert np.isfinite(baselines.features(np.zeros((2, len(baselines.BEAT_S), 12)))).all()


def test_features_are_blind_to_gain():
    beats = baselines.average_beats(population(4, seed=3).ecg / 1000.0, 100.0)
    np.testing.assert_allclose(baselines.features(3 * beats), baselines.features(beats), rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def scored():
    """Fitted on thirty records, tested on twelve, one of which holds nothing."""
    test = population(12, seed=1)
    test.ecg[-1] = 0
    return baselines.fit_and_score(population(30, seed=0), test, seed=0)


def test_every_record_is_scored_under_every_placement(scored):
    assert set(scored) == METHODS
    for predictions in scored.values():
        np.testing.assert_array_equal(predictions["targets"], np.tile(np.arange(NUM_CLASSES), 12))
        np.testing.assert_array_equal(predictions["view"], predictions["targets"])
        np.testing.assert_array_equal(predictions["record_ids"], np.repeat([f"1-{k}" for k in range(12)], NUM_CLASSES))
        assert predictions["scores"].shape == (12 * NUM_CLASSES, NUM_CLASSES)
        assert predictions["scores"].min() >= 0
        np.testing.assert_allclose(predictions["scores"].sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("method", "macro_f1"), [("cardiographer_rule", 0.6)] + [(m, 0.8) for m in sorted(METHODS) if m[0] != "c"]
)
def test_methods_learn(scored, method, macro_f1):
    p = scored[method]
    has_beats = p["record_ids"] != "1-11"
    targets, scores = p["targets"][has_beats], p["scores"][has_beats]
    weights = metrics.weights_at_prevalence(targets > 0, 0.5)
    confusion = metrics.confusion_matrix(targets, scores.argmax(1), weights, NUM_CLASSES)
    assert metrics.macro_f1(confusion) > macro_f1
    assert metrics.auroc(targets > 0, 1 - scores[:, 0], weights) > 0.85


def test_the_seed_decides():
    train, test = population(6, seed=0), population(2, seed=1)
    first, again = (baselines.fit_and_score(train, test, seed=3) for _ in range(2))
    for name in METHODS:
        np.testing.assert_array_equal(first[name]["scores"], again[name]["scores"])


def test_even_prior_whatever_was_drawn():
    for num_records in (10, 2000, 20_000):
        drawn, placement = baselines._draw(num_records, np.random.default_rng(0))
        weights = baselines._even_prior(placement)
        assert drawn.max() < num_records
        assert len(drawn) == len(placement) <= 6000
        mass = np.bincount(placement, weights, minlength=NUM_CLASSES) / len(placement)
        np.testing.assert_allclose(mass, [0.5] + [0.5 / 18] * 18)


def test_real_records_are_sorted_out():
    root = Path(os.environ.get("ECGJAX_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ptb-xl"
    if not root.exists():
        pytest.skip(f"no PTB-XL in {root}; set ECGJAX_TEST_DATA")
    table = pd.read_csv(root / "ptbxl_database.csv")

    def split(rows):
        ecg = np.stack([np.round(1000 * wfdb.rdsamp(root / name)[0]).astype(np.int16) for name in rows.filename_lr])
        ids, patients = rows.ecg_id.astype(str).to_numpy(str), rows.patient_id.astype(str).to_numpy(str)
        return Split("ptbxl", "train", ecg, 1000.0, 100.0, leads.LEADS, ids, patients, {})

    train, validation = split(table[table.strat_fold < 9][:120]), split(table[table.strat_fold == 9][:40])
    for name, p in baselines.fit_and_score(train, validation, seed=0).items():
        is_any = p["targets"] > 0
        found = metrics.auroc(is_any, 1 - p["scores"][:, 0], metrics.weights_at_prevalence(is_any, 0.5))
        assert found > 0.8, name


def test_one_patient_is_too_few():
    with pytest.raises(InputError, match="several patients"):
        baselines.fit_and_score(population(1, seed=0), population(1, seed=1), seed=0)
