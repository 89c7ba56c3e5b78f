import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.models.beat_reader import BeatReader


def reader(num_outputs=4, fine_samples=(40, 104), dropout_rate=0.0):
    return BeatReader(num_outputs, fine_samples, hidden=16, dropout_rate=dropout_rate, dtype=jnp.float32)


def wide(key=0, batch=3):
    """A beat, a typical beat and rhythm that is constant in time."""
    shape_key, rhythm_key = jax.random.split(jax.random.key(key))
    shape = jax.random.normal(shape_key, (batch, 250, 2))
    rhythm = jnp.broadcast_to(jax.random.normal(rhythm_key, (batch, 1, 7)), (batch, 250, 7))
    return jnp.concatenate([shape, rhythm], axis=-1)


@pytest.mark.parametrize("signal", [wide(), jnp.ones((2, 187, 1))], ids=["wide", "cut"])
def test_reads_both_views(signal):
    module = reader()
    variables = module.init(jax.random.key(1), signal, False)
    outputs = jax.jit(module.apply, static_argnums=2)(variables, signal, False)
    assert outputs.shape == (len(signal), 4)
    assert outputs.dtype == jnp.float32


def test_fine_samples_are_seen_one_by_one_and_others_as_means():
    module, signal = reader(), wide()
    variables = module.init(jax.random.key(1), signal, False)
    apply = jax.jit(lambda x: module.apply(variables, x, False))
    # A change that leaves the mean of four samples as it is.
    change = jnp.array([0.5, -0.5, 0.5, -0.5])
    outside = signal.at[0, 200:204, 0].add(change)
    inside = signal.at[0, 60:64, 0].add(change)
    np.testing.assert_allclose(apply(outside), apply(signal), atol=1e-5)
    assert np.abs(apply(inside)[0] - apply(signal)[0]).max() > 1e-3


def test_rhythm_and_typical_beat_count():
    module, signal = reader(), wide()
    variables = module.init(jax.random.key(1), signal, False)
    apply = jax.jit(lambda x: module.apply(variables, x, False))
    for channel in (1, 2, 8):
        assert np.abs(apply(signal.at[:, :, channel].add(1.0)) - apply(signal)).max() > 1e-3


def test_dropout_is_random_in_training_alone():
    module, signal = reader(dropout_rate=0.5), wide()
    variables = module.init(jax.random.key(1), signal, False)

    def train(seed):
        return module.apply(variables, signal, True, rngs={"dropout": jax.random.key(seed)})

    assert np.abs(train(0) - train(1)).max() > 1e-3
    np.testing.assert_array_equal(module.apply(variables, signal, False), module.apply(variables, signal, False))
