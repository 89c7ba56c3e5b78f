import numpy as np
import pytest

from data_prep.prepare import ensure_prepared
from data_prep.simulated_beats import (
    ATRIAL,
    CONDUCTED,
    FIRST_HEART,
    FUSION,
    FUSION_SHARE,
    NUM_CONDUCTED,
    NUM_FUSIONS,
    SECONDS,
    SPLIT_HEARTS,
    VENTRICULAR,
    heart_beats,
    r_offsets,
    with_fusions,
)
from ecgjax.data.heartbeats import BEFORE_SAMPLES, FS_HZ, LEAD_NAMES, WINDOW_SAMPLES
from ecgjax.data.records import load_split
from ecgjax.simulate.population import BEATS

QT_S = 0.4
MIDDLE_S = (25 + 113 * np.arange(33)) / FS_HZ
KINDS = np.zeros(33, int)
KINDS[[7, 20]] = VENTRICULAR
KINDS[[12, 27]] = ATRIAL


def wave(place_s: np.ndarray, kind: int) -> np.ndarray:
    """P, QRS and T about the middle of the QRS complex; the ventricular beat is wide, without P, its T inverted."""

    def bump(middle_s: float, width_s: float) -> np.ndarray:
        return np.exp(-0.5 * ((place_s - middle_s) / width_s) ** 2)

    if kind == VENTRICULAR:
        return 1.5 * bump(-0.008, 0.025) - 0.4 * bump(0.22, 0.04)
    return 0.1 * bump(-0.16, 0.015) + bump(0.024, 0.012) + 0.3 * bump(0.25, 0.03)


def leads_mv(noise_mv: float = 0.0) -> np.ndarray:
    """Leads II and V1 [time, 2]; the second sees all of the first upside down and half as large."""
    time_s = np.arange(round(SECONDS * FS_HZ)) / FS_HZ
    lead_mv = sum(wave(time_s - beat_s, kind) for beat_s, kind in zip(MIDDLE_S, KINDS, strict=True))
    signal_mv = np.outer(lead_mv, (1, -0.5))
    return signal_mv + noise_mv * np.random.default_rng(0).normal(size=signal_mv.shape)


def test_kinds_are_the_simulators():
    assert BEATS[CONDUCTED] == "sinus"
    assert BEATS[ATRIAL] == "atrial"
    assert BEATS[VENTRICULAR] == "ventricular"
    assert len(BEATS) == FUSION


def test_a_fusion_lies_between_a_conducted_and_a_ventricular_beat():
    signal_mv = leads_mv()
    fused_mv, kinds = with_fusions(signal_mv, MIDDLE_S, KINDS, QT_S, np.random.default_rng(3))
    fusions = np.flatnonzero(kinds == FUSION)
    assert len(fusions) == NUM_FUSIONS
    assert (KINDS[fusions] == CONDUCTED).all()
    np.testing.assert_array_equal(np.delete(kinds, fusions), np.delete(KINDS, fusions))
    time_s = np.arange(len(signal_mv)) / FS_HZ
    for beat in fusions:
        place_s = time_s - MIDDLE_S[beat]
        inside = (place_s > -0.08) & (place_s < 0.3)
        conducted, ventricular = (wave(place_s[inside], kind) for kind in (CONDUCTED, VENTRICULAR))
        change = (fused_mv - signal_mv)[inside]
        expected = np.outer(ventricular - conducted, (1, -0.5))
        share = np.sum(change * expected) / np.sum(expected**2)
        assert FUSION_SHARE[0] - 0.02 < share < FUSION_SHARE[1] + 0.02
        np.testing.assert_allclose(change, share * expected, atol=0.05)


def test_a_fusion_keeps_p_wave_next_beat_and_noise():
    signal_mv = leads_mv(noise_mv=0.05)
    fused_mv, kinds = with_fusions(signal_mv, MIDDLE_S, KINDS, QT_S, np.random.default_rng(3))
    time_s = np.arange(len(signal_mv)) / FS_HZ
    near = np.zeros(len(time_s), bool)
    for beat in np.flatnonzero(kinds == FUSION):
        near |= (time_s > MIDDLE_S[beat] - 0.135) & (time_s < MIDDLE_S[beat] + 1.1 * QT_S + 0.01)
    np.testing.assert_array_equal(fused_mv[~near], signal_mv[~near])
    # An average of two noisy beats would be known by its quiet.
    clean_mv, _ = with_fusions(leads_mv(), MIDDLE_S, KINDS, QT_S, np.random.default_rng(3))
    assert 0.8 < np.std((fused_mv - clean_mv)[near]) / 0.05 < 1.2


def test_hearts_without_ventricular_beats_have_no_fusions():
    kinds = np.where(KINDS == VENTRICULAR, CONDUCTED, KINDS)
    signal_mv, found = with_fusions(leads_mv(), MIDDLE_S, kinds, QT_S, np.random.default_rng(0))
    np.testing.assert_array_equal(signal_mv, leads_mv())
    np.testing.assert_array_equal(found, kinds)


def test_r_is_the_peak_of_each_origin():
    offsets = r_offsets(leads_mv(noise_mv=0.02), MIDDLE_S, KINDS)
    assert (abs(offsets[KINDS == VENTRICULAR] + 1) <= 1).all()
    assert (abs(offsets[KINDS != VENTRICULAR] - 3) <= 1).all()
    assert len(set(offsets[KINDS != VENTRICULAR])) == 1
    np.testing.assert_array_equal(r_offsets(-leads_mv(), MIDDLE_S, KINDS), r_offsets(leads_mv(), MIDDLE_S, KINDS))


@pytest.mark.parametrize(("conduction", "symbol"), [("normal", "N"), ("lbbb", "L"), ("rbbb+lafb", "R"), ("ivcd", "N")])
@pytest.mark.parametrize("infarct", ["none", "inferior"])
def test_beats_taken_of_a_heart(conduction, symbol, infarct):
    heart = {
        "heart_id": 5,
        "beat_s": np.concatenate([MIDDLE_S, [np.nan]]),
        "beat_kind": np.concatenate([KINDS, [-1]]),
        "qt_ms": 1000 * QT_S,
        "conduction": conduction,
        "infarct": infarct,
    }
    beats = [beat.example for beat in heart_beats(leads_mv(), heart)]
    classes = [beat["beat_class"] for beat in beats]
    assert {name: classes.count(name) for name in "NSVF"} == {"N": NUM_CONDUCTED, "S": 2, "V": 2, "F": NUM_FUSIONS}
    assert {beat["symbol"] for beat in beats} == {symbol, "A", "V", "F"}
    assert {beat["patient_id"] for beat in beats} == {"heart 5"}
    for beat in beats:
        assert beat["is_abnormal"] == (beat["beat_class"] != "N" or infarct != "none")
        assert np.isfinite([beat["rr_before_s"], beat["rr_after_s"]]).all()
        assert beat["ecg"].shape == (WINDOW_SAMPLES, len(LEAD_NAMES))
        if beat["beat_class"] != "F":
            assert abs(np.argmax(beat["ecg"][:110, 0]) - BEFORE_SAMPLES) <= 1


@pytest.mark.slow
def test_splits_of_the_smoke_variant(tmp_path):
    ensure_prepared("simulated_beats", "smoke", str(tmp_path))
    hearts: set[str] = set()
    for split, num_hearts in SPLIT_HEARTS["smoke"].items():
        loaded = load_split("simulated_beats", "smoke", split, str(tmp_path), None, WINDOW_SAMPLES / FS_HZ)
        of_split = set(loaded.patient_ids)
        assert len(of_split) == num_hearts
        assert not hearts & of_split
        hearts |= of_split
        assert set(loaded.labels["beat_class"]) == {"N", "S", "V", "F"}
        assert np.isfinite(loaded.labels["rr_local_s"]).all()


def test_no_heart_is_in_both_variants():
    assert FIRST_HEART["full"] + sum(SPLIT_HEARTS["full"].values()) <= FIRST_HEART["smoke"]
