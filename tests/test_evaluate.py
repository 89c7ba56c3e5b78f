"""Windows whose outputs are averaged."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.evaluate import LEAST_SHARE, Windows, apply_in_windows, window_starts


@pytest.mark.parametrize(("record", "stride"), [(100, 25), (101, 25), (110, 7), (50, 25), (30, 25)])
def test_windows_reach_from_the_first_to_the_last_sample(record, stride):
    starts = window_starts(record, 50, stride)
    assert starts[0] == 0
    assert starts[-1] == max(record - 50, 0)
    assert np.all(np.diff(starts) > 0)
    assert np.all(np.diff(starts) <= stride)


class Highest(nn.Module):
    """The highest sample of each lead."""

    @nn.compact
    def __call__(self, signal_mv, is_training):
        return jnp.max(signal_mv, axis=1)


def test_outputs_are_the_means_over_windows():
    signal_mv = np.asarray(jax.random.normal(jax.random.key(0), (3, 100, 2)))
    recorded = np.full(3, 100)
    found = apply_in_windows(Highest(), {}, signal_mv, recorded, Windows(40, 30, "mean"))
    expected = np.mean([signal_mv[:, start : start + 40].max(axis=1) for start in (0, 30, 60)], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(apply_in_windows(Highest(), {}, signal_mv, recorded, None), signal_mv.max(axis=1))


def test_windows_of_padding_do_not_count():
    signal_mv = np.asarray(jax.random.normal(jax.random.key(0), (3, 100, 2)))
    # Windows begin at 0, 30 and 60: the record of 50 samples has half a window in the second, that of 49 has not.
    found = apply_in_windows(Highest(), {}, signal_mv, np.array([49, 50, 5]), Windows(40, 30, "mean"))
    first, second = signal_mv[:, :40].max(axis=1), signal_mv[:, 30:70].max(axis=1)
    np.testing.assert_allclose(found, [first[0], (first[1] + second[1]) / 2, first[2]], rtol=1e-6)


def test_windows_vote():
    signal_mv = np.zeros((1, 100, 2))
    signal_mv[0, [5, 45, 95], [0, 1, 1]] = [9.0, 1.0, 1.0]
    found = apply_in_windows(Highest(), {}, signal_mv, np.array([100]), Windows(40, 30, "vote"))
    np.testing.assert_allclose(found, np.log([[1 / 3 + LEAST_SHARE, 2 / 3 + LEAST_SHARE]]), rtol=1e-5)
