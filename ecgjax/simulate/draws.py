"""The random numbers of one record, made at once."""

import jax

_NORMALS, _UNIFORMS = 256, 64


class Draws:
    """Hands out independent numbers from two long draws.

    Many small draws would each be compiled on their own, which takes half a minute for a simulator; slices of a long
    one cost nothing. What a caller gets depends on the order of the calls, which tracing fixes.
    """

    def __init__(self, key: jax.Array, num_beats: int):
        key_normal, key_uniform = jax.random.split(key)
        self._normals = jax.random.normal(key_normal, (_NORMALS + 3 * num_beats,))
        self._uniforms = jax.random.uniform(key_uniform, (_UNIFORMS + 2 * num_beats,))
        self._used_normals = self._used_uniforms = 0

    def normal(self, *shape: int) -> jax.Array:
        """Standard normal numbers of `shape`."""
        values, self._used_normals = _take(self._normals, self._used_normals, shape)
        return values

    def uniform(self, *shape: int) -> jax.Array:
        """Numbers of `shape` in [0, 1)."""
        values, self._used_uniforms = _take(self._uniforms, self._used_uniforms, shape)
        return values


def _take(values: jax.Array, used: int, shape: tuple[int, ...]) -> tuple[jax.Array, int]:
    size = 1
    for length in shape:
        size *= length
    if used + size > values.shape[0]:
        raise ValueError(f"{used + size} numbers wanted of {values.shape[0]}: raise the sizes in draws.py")
    return values[used : used + size].reshape(shape), used + size
