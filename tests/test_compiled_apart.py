"""A function compiled apart gives what it gives otherwise, and XLA neither inlines it nor makes its arguments twice."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from ecgjax.compiled_apart import apart


def total(values, weight):
    return jnp.sum(jnp.sin(values) * weight)


def test_results_gradients_and_batches_are_those_of_the_function():
    values = jax.random.normal(jax.random.key(0), (4, 7))
    weight = jnp.arange(7.0)
    for change in (lambda function: function, jax.grad):
        here, there = (jax.jit(change(function)) for function in (apart(total), total))
        np.testing.assert_allclose(here(values[0], weight), there(values[0], weight), rtol=1e-6)
        here, there = (jax.jit(jax.vmap(change(function), (0, None))) for function in (apart(total), total))
        np.testing.assert_allclose(here(values, weight), there(values, weight), rtol=1e-6)


def test_what_is_exported_for_a_gpu_has_no_such_call():
    exported = jax.export.export(jax.jit(apart(total)), platforms=["cuda"])(jnp.ones(7), jnp.ones(7))
    assert "inlineable" not in exported.mlir_module()


def compiled_text(function):
    """The program for a sum over twelve columns of what a gather makes."""

    def whole(values, places):
        return function(jnp.cos(values)[places])

    return jax.jit(whole).lower(jnp.ones((500, 12)), jnp.arange(400)).compile().as_text()


def columns(values):
    return functools.reduce(jnp.add, [values[:, i, None] * i for i in range(12)])


def test_only_what_is_apart_stays_a_call_of_its_own():
    assert 'inlineable="false"' in compiled_text(apart(columns))
    assert 'inlineable="false"' not in compiled_text(columns)
    # Functions of JAX within it are inlined.
    assert compiled_text(apart(lambda values: jnp.diff(values, axis=0))).count("call(") == 1
