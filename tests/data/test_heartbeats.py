import numpy as np
import pytest

from ecgjax.data import heartbeats
from ecgjax.data.heartbeats import (
    BEFORE_SAMPLES,
    CLASS_OF_SYMBOL,
    CLASSES,
    CUT_SAMPLES,
    FS_HZ,
    NUM_LOCAL,
    WINDOW_SAMPLES,
)


def beat_times(num_beats: int, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).uniform(0.4, 1.6, num_beats))


def test_every_class_has_symbols():
    assert set(CLASS_OF_SYMBOL.values()) == set(CLASSES)
    symbols = {name: "".join(s for s, of in CLASS_OF_SYMBOL.items() if of == name) for name in CLASSES}
    assert symbols == {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}


def test_intervals_one_beat_at_a_time():
    num_beats = 50
    r_s = beat_times(num_beats)
    figures = heartbeats.rr_figures(r_s)
    rr_s = {beat: r_s[beat] - r_s[beat - 1] for beat in range(1, num_beats)}
    changes = {beat: abs(np.log(rr_s[beat] / rr_s[beat - 1])) for beat in range(2, num_beats)}
    for beat in range(num_beats):
        around = range(beat - NUM_LOCAL // 2, beat + NUM_LOCAL // 2 + 1)
        expected = {
            "rr_second_before_s": rr_s.get(beat - 1, np.nan),
            "rr_before_s": rr_s.get(beat, np.nan),
            "rr_after_s": rr_s.get(beat + 1, np.nan),
            "rr_second_after_s": rr_s.get(beat + 2, np.nan),
            "rr_local_s": np.median([rr_s[k] for k in around if k in rr_s]),
            "rr_mean_s": (r_s[-1] - r_s[0]) / (num_beats - 1),
            "rr_irregularity": np.median([changes[k] for k in around if k in changes]),
        }
        assert {name: values[beat] for name, values in figures.items()} == pytest.approx(expected, nan_ok=True)


def test_two_ectopic_beats_leave_the_usual_interval_alone():
    rr_s = np.full(40, 0.8)
    rr_s[[15, 16, 22, 23]] = 0.5, 1.1, 0.5, 1.1
    figures = heartbeats.rr_figures(np.cumsum(rr_s))
    np.testing.assert_allclose(figures["rr_local_s"], 0.8)
    np.testing.assert_allclose(figures["rr_irregularity"], 0, atol=1e-12)


def test_a_single_beat_has_no_intervals():
    figures = heartbeats.rr_figures(np.array([3.0]))
    assert all(len(values) == 1 and np.isnan(values[0]) for values in figures.values())
    assert heartbeats.cut_samples(np.array([3.0])).tolist() == [CUT_SAMPLES]


def test_cut_is_one_and_a_fifth_of_its_stretchs_median_interval():
    r_s = np.concatenate([beat_times(40), [100.0, 105.0], 120 + 0.3 * np.arange(9)])
    cut = heartbeats.cut_samples(r_s)
    for beat, time_s in enumerate(r_s):
        stretch = [t for t in r_s if t // 10 == time_s // 10]
        intervals = np.diff(stretch) if len(stretch) > 1 else np.diff(r_s)
        assert cut[beat] == min(CUT_SAMPLES, round(1.2 * np.median(intervals) * FS_HZ))
    assert cut[-1] == 45


def test_windows_put_r_in_its_place_and_pad_with_the_edge():
    signal_mv = np.random.default_rng(1).normal(size=(400, 2))
    r_samples = np.array([10, 63, 213, 214, 399])
    windows_mv = heartbeats.windows(signal_mv, r_samples)
    assert windows_mv.shape == (5, WINDOW_SAMPLES, 2)
    np.testing.assert_array_equal(windows_mv[:, BEFORE_SAMPLES], signal_mv[r_samples])
    np.testing.assert_array_equal(windows_mv[1], signal_mv[:250])
    np.testing.assert_array_equal(windows_mv[2], signal_mv[150:])
    assert (windows_mv[0, :54] == signal_mv[0]).all()
    assert (windows_mv[4, 63:] == signal_mv[-1]).all()


def test_typical_beat_ignores_the_unusual_ones():
    usual, ectopic = np.random.default_rng(2).normal(size=(2, WINDOW_SAMPLES, 2))
    windows_mv = np.stack([*[usual] * 6, *[5 * ectopic] * 5])
    np.testing.assert_array_equal(heartbeats.typical_beat(windows_mv), usual)
