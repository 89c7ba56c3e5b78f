"""Windows whose outputs are averaged."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.evaluate import Windows, apply_in_windows


@pytest.mark.parametrize(("record", "stride"), [(100, 25), (101, 25), (110, 7), (50, 25), (30, 25)])
def test_windows_reach_from_the_first_to_the_last_sample(record, stride):
    windows = Windows(num_samples=50, stride=stride)
    starts = windows.starts(record)
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
    found = apply_in_windows(Highest(), {}, signal_mv, Windows(40, 30))
    expected = np.mean([signal_mv[:, start : start + 40].max(axis=1) for start in (0, 30, 60)], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(apply_in_windows(Highest(), {}, signal_mv, None), signal_mv.max(axis=1))
