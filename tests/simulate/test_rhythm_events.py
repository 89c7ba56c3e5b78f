"""When hearts fire: what makes each kind of rhythm that kind."""

import numpy as np
import pytest

from ecgjax.data.rhythms import CLASSES
from ecgjax.simulate.rhythm_events import (
    BRADYCARDIA_BPM,
    KINDS,
    LEAD_IN_S,
    SINUS_BPM,
    TACHYCARDIA_BPM,
    Events,
)

SECONDS = 30.0


def drawn(kind: str, count: int = 60) -> list[Events]:
    return [KINDS[kind][2](np.random.default_rng([7, k]), SECONDS) for k in range(count)]


def inside(times_s: np.ndarray) -> np.ndarray:
    return times_s[(times_s >= 0) & (times_s < SECONDS)]


def rate_bpm(events: Events) -> float:
    return 60 / float(np.median(np.diff(inside(events.qrs_s))))


def test_shares_of_every_class_sum_to_one():
    for name in CLASSES[:3]:
        assert sum(share for of_class, share, _ in KINDS.values() if of_class == name) == pytest.approx(1)
    assert {of_class for of_class, _, _ in KINDS.values()} == set(CLASSES[:3])


@pytest.mark.parametrize("kind", list(KINDS))
def test_events_are_in_order_and_reach_beyond_the_recording(kind):
    for events in drawn(kind):
        assert np.all(np.diff(events.qrs_s) > 0.2)
        assert np.all(np.diff(events.p_s) > 0.2)
        assert events.qrs_s[0] < 0
        assert events.qrs_s[-1] > SECONDS + 1
        assert len(events.p_s) == len(events.p_is_ectopic)
        assert len(events.qrs_s) == len(events.is_ventricular)
        assert events.qrs_s[0] >= -LEAD_IN_S


@pytest.mark.parametrize(
    ("kind", "bounds"), [("sinus", SINUS_BPM), ("bradycardia", BRADYCARDIA_BPM), ("tachycardia", TACHYCARDIA_BPM)]
)
def test_rates(kind, bounds):
    rates = np.array([rate_bpm(events) for events in drawn(kind)])
    low, high = bounds
    assert np.all((rates > 0.85 * low) & (rates < 1.18 * high))
    assert rates.max() - rates.min() > 0.6 * (high - low)


def test_fibrillation_is_irregular_without_p_and_sinus_rhythm_is_not():
    def changes(events):
        rr_s = np.diff(inside(events.qrs_s))
        return np.median(np.abs(np.diff(rr_s))) / np.median(rr_s)

    wild, steady = drawn("fibrillation"), drawn("sinus")
    assert np.median([changes(events) for events in wild]) > 5 * np.median([changes(events) for events in steady])
    assert all(len(events.p_s) == 0 and 4 <= events.atrial_hz <= 9 and not events.is_fluttering for events in wild)
    assert all(np.array_equal(events.p_s, events.qrs_s) and not events.atrial_hz for events in steady)


def test_flutter_conducts_whole_waves():
    for events in drawn("flutter"):
        waves = np.diff(events.qrs_s) * events.atrial_hz
        assert np.abs(waves - np.rint(waves)).max() < 0.3
        assert set(np.rint(waves)) <= {2, 3, 4}
        assert events.is_fluttering


@pytest.mark.parametrize("kind", ["ventricular_ectopy", "atrial_ectopy", "bigeminy"])
def test_ectopic_beats_are_early_alone_and_at_least_one(kind):
    for events in drawn(kind):
        is_early = np.diff(events.qrs_s, prepend=events.qrs_s[0] - 0.8) < 0.9 * np.median(np.diff(events.qrs_s))
        ectopic_s = events.p_s[events.p_is_ectopic] if events.p_is_ectopic.any() else None
        is_ectopic = events.is_ventricular if ectopic_s is None else np.isin(events.qrs_s, ectopic_s)
        assert len(inside(events.qrs_s[is_ectopic])) >= 1
        assert not np.any(is_ectopic[1:] & is_ectopic[:-1])
        if kind != "bigeminy":
            assert is_early[is_ectopic].mean() > 0.8
        # A beat of the ventricles has no P wave, one of the atria has its own.
        assert not np.isin(events.qrs_s[events.is_ventricular], events.p_s).any()


def test_a_ventricular_beat_and_its_pause_take_two_intervals():
    for events in drawn("ventricular_ectopy"):
        beat = np.flatnonzero(events.is_ventricular)
        beat = beat[(beat > 0) & (beat < len(events.qrs_s) - 1)]
        around = events.qrs_s[beat + 1] - events.qrs_s[beat - 1]
        np.testing.assert_allclose(around / np.median(np.diff(events.qrs_s)), 2, atol=0.5)


def test_block_drops_beats_and_keeps_p_waves():
    ratios = [len(inside(events.p_s)) / len(inside(events.qrs_s)) for events in drawn("av_block")]
    assert min(ratios) > 1.15
    assert np.mean(np.abs(np.array(ratios) - 2) < 0.1) > 0.2
    assert all(np.diff(events.p_s).std() < 0.05 for events in drawn("av_block"))


def test_pauses_are_long_and_few():
    for events in drawn("pauses"):
        share = np.diff(events.qrs_s) / np.median(np.diff(events.qrs_s))
        assert 1 <= np.count_nonzero(share > 1.6) <= 3
