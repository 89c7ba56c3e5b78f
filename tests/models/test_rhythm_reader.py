import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.beats import BeatWindow
from ecgjax.models.rhythm_reader import AFTER_S, BEFORE_S, RhythmReader, beat_sequence

FS_HZ = 100.0
WINDOW = BeatWindow(FS_HZ, BEFORE_S, AFTER_S, 24)


def reader():
    return RhythmReader(
        num_outputs=4,
        fs_hz=FS_HZ,
        features=(8, 8),
        strides=(2, 2),
        beat_features=16,
        num_beat_layers=1,
        measure_features=8,
        dropout_rate=0.0,
        head_dropout_rate=0.0,
        dtype=jnp.float32,
        axis_name=None,
    )


def recording(r_s, seconds, padded_s=0.0, measures=0):
    """`[1, time, channel]` with narrow peaks at `r_s`."""
    time_s = np.arange(round(seconds * FS_HZ)) / FS_HZ
    signal = sum(np.exp(-(((time_s - r) / 0.02) ** 2)) for r in r_s)
    channels = np.concatenate([signal[:, None], np.ones((len(signal), 1 + measures))], axis=1)
    return np.pad(channels, ((0, round(padded_s * FS_HZ)), (0, 0)))[None].astype(np.float32)


@pytest.mark.parametrize("padded_s", [0.0, 8.0], ids=["whole", "padded"])
def test_finds_every_beat_and_the_intervals_around_it(padded_s):
    r_s = np.array([0.2, 1.0, 1.8, 2.2, 3.4, 4.2, 5.0, 5.9])
    signal = recording(r_s, 6.0, padded_s)[0]
    beats, intervals, is_beat = jax.jit(lambda x: beat_sequence(x[:, 0], x[:, 1], WINDOW))(signal)
    assert beats.shape == (24, 80)
    np.testing.assert_array_equal(is_beat, np.arange(24) < len(r_s))
    rr_s = np.diff(r_s)
    expected = np.log(rr_s / rr_s.mean())
    np.testing.assert_allclose(intervals[: len(rr_s), 0], expected, atol=0.04)
    np.testing.assert_allclose(intervals[1 : len(r_s), 1], expected, atol=0.04)
    np.testing.assert_allclose(np.exp(intervals[0, -1]), rr_s.mean(), rtol=0.02)
    np.testing.assert_array_equal(intervals[:9, 5], [1, 1, 1, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(intervals[:9, 6], [0, 1, 1, 1, 1, 1, 1, 1, 0])
    assert (intervals[len(r_s) :] == 0).all()


@pytest.mark.slow
def test_padding_tells_nothing():
    module = reader()
    r_s = np.arange(0.5, 15.5, 0.9)
    signal = recording(r_s, 16.0, measures=3)
    padded = recording(r_s, 16.0, 16.0, measures=3)
    padded[:, :, 2:] = signal[:, :1, 2:]
    variables = module.init(jax.random.key(0), signal, False)
    apply = jax.jit(lambda x: module.apply(variables, x, False))
    np.testing.assert_allclose(apply(padded), apply(signal), rtol=0.02, atol=0.02)


@pytest.mark.slow
def test_measures_outliers_and_recordings_without_a_beat_stay_finite():
    module = reader()
    signal = np.zeros((2, 800, 4), np.float32)
    signal[1, :, 1] = 1
    signal[1, :, 2:] = [1e6, -1e6]
    variables = module.init(jax.random.key(0), signal, False)
    outputs, _ = jax.jit(lambda x: module.apply(variables, x, True, mutable=["batch_stats"]))(signal)
    assert np.isfinite(outputs).all()

    def loss(params):
        return jnp.sum(module.apply({**variables, "params": params}, signal, True, mutable=["batch_stats"])[0] ** 2)

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
