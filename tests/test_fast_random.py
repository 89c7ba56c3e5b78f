"""Fast random numbers are distributed as they should be, and are those of their key alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ecgjax.fast_random import LARGEST_NORMAL, coin_throws, normals, split, uniforms

KEYS = jax.random.split(jax.random.key(0), 128)
SHAPE = (500, 9)


def drawn(function, keys=KEYS, shape=SHAPE):
    return np.asarray(jax.jit(jax.vmap(lambda key: function(key, shape)))(keys))


@pytest.mark.parametrize(("function", "distribution"), [(normals, "norm"), (uniforms, "uniform")])
def test_distribution(function, distribution):
    numbers = drawn(function).ravel()
    assert scipy.stats.kstest(numbers, distribution).pvalue > 0.01
    expected = getattr(scipy.stats, distribution).stats(moments="mvsk")
    found = (numbers.mean(), numbers.var(), scipy.stats.skew(numbers), scipy.stats.kurtosis(numbers))
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_coin_throws_are_binomial_and_both_arrays_independent():
    first, second = (np.asarray(x).ravel() for x in jax.jit(jax.vmap(lambda key: coin_throws(key, SHAPE)))(KEYS))
    for numbers in (first, second):
        heads, counts = np.unique(8 + 2 * numbers, return_counts=True)
        expected = numbers.size * scipy.stats.binom.pmf(heads, 16, 0.5)
        assert scipy.stats.chisquare(counts, expected * numbers.size / expected.sum()).pvalue > 0.01
    bound = 5 / np.sqrt(first.size)
    assert abs(np.mean(first * second)) < bound
    for lag in (1, 2, 9, 4500):
        assert abs(np.mean(first[lag:] * first[:-lag])) < bound
        assert abs(np.mean(first[lag:] * second[:-lag])) < bound


def test_split_keys_are_as_many_and_their_numbers_independent():
    keys = split(jax.random.key(3), 64)
    assert keys.shape == (64,)
    assert keys.dtype == jax.random.key(3).dtype
    # Children of neighbouring keys, too.
    words = np.concatenate([np.asarray(jax.random.key_data(split(jax.random.key(i), 64))) for i in range(64)])
    assert len(np.unique(words, axis=0)) == len(words)
    numbers = drawn(normals, keys).reshape(64, -1)
    correlation = np.corrcoef(numbers)[np.triu_indices(64, 1)]
    assert scipy.stats.kstest(correlation * np.sqrt(numbers.shape[1]), "norm").pvalue > 0.01


def test_tails_of_normals():
    numbers = np.abs(drawn(normals).ravel())
    for beyond in (3.0, 3.5, 4.0):
        expected = numbers.size * 2 * scipy.stats.norm.sf(beyond)
        assert abs(np.sum(numbers > beyond) - expected) < 4 * np.sqrt(expected)
    assert numbers.max() < 4.4


def test_numbers_of_one_key_do_not_depend_on_each_other():
    numbers = drawn(normals).reshape(-1)[: 2**19]
    # The first and second halves share bits of a word.
    lags = [1, 2, 3, 9, 250, 500, 2250, 4500, 9000]
    correlation = [np.mean(numbers[lag:] * numbers[:-lag]) for lag in lags]
    squares = [np.mean((numbers[lag:] ** 2 - 1) * (numbers[:-lag] ** 2 - 1)) for lag in lags]
    assert np.abs(correlation).max() < 5 / np.sqrt(numbers.size)
    assert np.abs(squares).max() < 10 / np.sqrt(numbers.size)


def test_neither_do_those_of_neighbouring_keys():
    # Keys that differ in a few bits, as no split gives them.
    words = jnp.stack(jnp.meshgrid(jnp.arange(8), jnp.arange(8)), axis=-1).reshape(-1, 2).astype(jnp.uint32)
    numbers = drawn(normals, jax.vmap(jax.random.wrap_key_data)(words)).reshape(64, -1)
    correlation = np.corrcoef(numbers)[np.triu_indices(64, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(numbers.shape[1])
    assert scipy.stats.kstest(correlation * np.sqrt(numbers.shape[1]), "norm").pvalue > 0.01


def test_numbers_depend_on_the_key_alone():
    together = drawn(normals)
    np.testing.assert_allclose(normals(KEYS[5], SHAPE), together[5], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(drawn(normals, KEYS[:3]), together[:3])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (7, 3)])
def test_any_shape(shape):
    assert normals(KEYS[0], shape).shape == uniforms(KEYS[0], shape).shape == shape


def test_no_normal_number_is_larger_than_said():
    drawn = jnp.abs(normals(jax.random.key(0), (2**21,)))
    assert 0.99 * LARGEST_NORMAL < jnp.max(drawn) <= LARGEST_NORMAL
