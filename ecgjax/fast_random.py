"""Random numbers by the million for noise, at the cost of a few passes over memory.

`jax.random` hashes twenty rounds of Threefry for every 32 bits and on CPU writes them out between rounds; its normal
numbers cost twice as much again. Noise needs neither that strength nor 32 bits a number. Here a counter goes through a
hash of two multiplications twice, with a word of the key before each, and each half of the result chooses one of 65,536
quantiles of the normal distribution, or is sixteen throws of a coin. All of it is arithmetic on single elements, which
XLA compiles to one loop.

Numbers are a function of the key and their place alone: not of devices, of how many records are drawn at once, or of
`vmap`, which the generators `rbg` and `unsafe_rbg` of JAX do not promise.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

_HALVES = 2**16
LARGEST_NORMAL = 4.33


def _quantile_polynomial() -> np.ndarray:
    """Coefficients, the highest first, of the normal quantile over `x` as a polynomial in -log(1 - x²).

    The variable is that of Giles (GPU Computing Gems, 2011, ch. 10). Quantiles reach 4.32, with errors up to 0.0012.
    """
    x = (np.arange(_HALVES // 2) + 0.5) / (_HALVES // 2)
    return _fitted(-np.log1p(-(x**2)), np.sqrt(2) * scipy.special.erfinv(x) / x, 5, weight=x)


def _logarithm_polynomial() -> np.ndarray:
    """Coefficients, the highest first, of the logarithm between 1 and 2; errors up to 0.00015."""
    mantissa = np.linspace(1, 2, 1001)
    return _fitted(mantissa, np.log(mantissa), 4, weight=np.ones(len(mantissa)))


def _fitted(x: np.ndarray, y: np.ndarray, degree: int, weight: np.ndarray) -> np.ndarray:
    fitted = np.polynomial.Chebyshev.fit(x, y, degree, w=weight)
    return fitted.convert(kind=np.polynomial.Polynomial).coef[::-1].astype(np.float32)


_QUANTILE, _LOGARITHM = _quantile_polynomial(), _logarithm_polynomial()


def split(key: jax.Array, number: int) -> jax.Array:
    """`[number]` keys, as `jax.random.split`, which runs a loop of its own on CPU."""
    words = _words(key, 2 * number).reshape(number, 2)
    return jax.random.wrap_key_data(words, impl=jax.random.key_impl(key))


def uniforms(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`shape` of float32 numbers, uniform in [0, 1)."""
    return ((_words(key, math.prod(shape)) >> 8).astype(jnp.float32) * 2.0**-24).reshape(shape)


def normals(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`shape` of float32 numbers, normal with mean 0 and deviation 1; none is beyond `LARGEST_NORMAL`."""
    number = math.prod(shape)
    words = _words(key, (number + 1) // 2)
    return jnp.concatenate([_normal(words & (_HALVES - 1)), _normal(words >> 16)])[:number].reshape(shape)


def coin_throws(key: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Two arrays of `shape`, float32, of mean 0 and deviation 1: sixteen throws of a coin a number.

    They lie half a deviation apart, up to 4, with a kurtosis of 2.875 instead of 3: good enough for noise of which
    several are added up, at a quarter of the cost of `normals`.
    """
    words = _words(key, math.prod(shape)).reshape(shape)
    return _heads(words & (_HALVES - 1)), _heads(words >> 16)


def _heads(half: jax.Array) -> jax.Array:
    return 0.5 * jax.lax.population_count(half).astype(jnp.float32) - 4.0


def _words(key: jax.Array, number: int) -> jax.Array:
    """`[number]` uint32."""
    first, second = jax.random.key_data(key)[:2]
    # Neighbouring keys would share a sequence, were steps of the counter not large and odd.
    counter = jnp.arange(number, dtype=jnp.uint32) * np.uint32(0x9E3779B9)
    return _mixed(_mixed(counter + first) ^ second)


def _mixed(word: jax.Array) -> jax.Array:
    """A bijection of 32 bits of which every bit of the input changes half of the output (lowbias32 of C. Wellons)."""
    word = (word ^ (word >> 16)) * np.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * np.uint32(0x846CA68B)
    return word ^ (word >> 16)


def _normal(half: jax.Array) -> jax.Array:
    """The normal quantile that 16 bits choose."""
    x = (2 * half.astype(jnp.int32) - (_HALVES - 1)).astype(jnp.float32) * (1 / _HALVES)
    return x * jnp.polyval(_QUANTILE, -_logarithm((1 - x) * (1 + x)), unroll=16)


def _logarithm(values: jax.Array) -> jax.Array:
    """Of positive numbers, from exponent and mantissa."""
    bits = jax.lax.bitcast_convert_type(values, jnp.int32)
    mantissa = jax.lax.bitcast_convert_type((bits & 0x7FFFFF) | 0x3F800000, jnp.float32)
    exponent = ((bits >> 23) - 127).astype(jnp.float32)
    return np.float32(np.log(2)) * exponent + jnp.polyval(_LOGARITHM, mantissa, unroll=16)
