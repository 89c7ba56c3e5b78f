"""State-space layers against their recurrence sample by sample, in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from ecgjax.errors import InputError
from ecgjax.models.state_space import S4D, S5, StateSpaceNet, hold, impulse_response, run


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def started(layer, x):
    """The layer's parameters, moved from where they start, and its output."""
    params = jax.jit(layer.init)(jax.random.key(0), x)["params"]
    params = {name: value + 0.1 * normal(*value.shape, seed=7).astype(np.float32) for name, value in params.items()}
    wide = {name: np.asarray(value, np.float64) for name, value in params.items()}
    return wide, np.asarray(jax.jit(layer.apply)({"params": params}, x))


def recur(exponent, driven):
    """x_k = exp(exponent) x_(k-1) + driven_k along the first axis."""
    states = [np.zeros_like(driven[0])]
    for now in driven:
        states.append(np.exp(exponent) * states[-1] + now)
    return np.stack(states[1:])


def exponents(params, pairs, channels):
    poles = (-np.exp(params["log_decay"]) + 1j * params["frequency"]).reshape(channels, pairs)
    dt = np.exp(params["log_dt"]).reshape((-1, 1) if channels > 1 else (1, -1))
    return poles * dt, (np.exp(poles * dt) - 1) / poles


def test_samples_are_held():
    decay, frequency, dt, weight = 0.7, 11.0, 0.03, 0.8 - 0.6j
    system = scipy.signal.StateSpace(
        [[-decay, -frequency], [frequency, -decay]], [[1], [0]], [[2 * weight.real, -2 * weight.imag]], [[0]]
    )
    # Its output is that of the state before the sample.
    _, (expected,) = scipy.signal.dimpulse(system.to_discrete(dt, "zoh"), n=41)
    exponent, gain = hold(jnp.array([[-decay + 1j * frequency]]), jnp.array([[dt]]))
    found = impulse_response(exponent, (gain * weight)[None], 40)
    np.testing.assert_allclose(found[0, 0], expected[1:, 0], atol=1e-6)


@pytest.mark.parametrize(("is_bidirectional", "time"), [(False, 53), (True, 53), (True, 1)])
def test_s4d_is_its_recurrence(is_bidirectional, time):
    x = normal(2, time, 3).astype(np.float32)
    params, found = started(S4D(8, is_bidirectional), x)
    exponent, gain = exponents(params, 4, channels=3)
    driven = gain * np.moveaxis(x, 1, 0)[..., None]
    weights = params["c"][0] + 1j * params["c"][1]
    y = 2 * np.sum(weights[0] * recur(exponent, driven), axis=-1).real
    if is_bidirectional:
        y += 2 * np.sum(weights[1] * recur(exponent, driven[::-1])[::-1], axis=-1).real
    np.testing.assert_allclose(found, np.moveaxis(y, 0, 1) + params["d"] * x, atol=2e-5)


@pytest.mark.parametrize(("is_bidirectional", "time"), [(False, 53), (True, 53), (True, 1)])
def test_s5_is_its_recurrence(is_bidirectional, time):
    x = normal(2, time, 3).astype(np.float32)
    params, found = started(S5(8, is_bidirectional), x)
    exponent, gain = exponents(params, 4, channels=1)
    driven = gain[0] * (np.moveaxis(x, 1, 0) @ (params["b"][:, :4] + 1j * params["b"][:, 4:]))
    c = params["c"].reshape(-1, 2, 4, 3)
    weights = c[:, 0] + 1j * c[:, 1]
    y = 2 * (recur(exponent[0], driven) @ weights[0]).real
    if is_bidirectional:
        y += 2 * (recur(exponent[0], driven[::-1])[::-1] @ weights[1]).real
    np.testing.assert_allclose(found, np.moveaxis(y, 0, 1) + params["d"] * x, atol=2e-5)


def test_gradients_of_the_scan_are_those_of_its_steps():
    exponent = (-np.geomspace(1e-3, 0.3, 4) + 1j * np.linspace(0, 2, 4)).astype(np.complex64)
    driven = (normal(23, 2, 4) + 1j * normal(23, 2, 4, seed=1)).astype(np.complex64)
    weigh = (normal(23, 2, 4, seed=2) + 1j * normal(23, 2, 4, seed=3)).astype(np.complex64)

    def by_steps(exponent, driven):
        def step(state, now):
            state = jnp.exp(exponent) * state + now
            return state, state

        return jax.lax.scan(step, jnp.zeros_like(driven[0]), driven)[1]

    def gradients(function):
        return jax.jit(jax.grad(lambda *given: jnp.sum((weigh * function(*given)).real), argnums=(0, 1)))

    np.testing.assert_allclose(jax.jit(run)(exponent, driven), recur(exponent, driven), atol=1e-4)
    found, expected = (gradients(function)(exponent, driven) for function in (run, by_steps))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


def network(recurrence="s4d", features=128, s4d_states=16, s5_states=128, is_bidirectional=True):
    return StateSpaceNet(5, recurrence, features, 4, s4d_states, s5_states, is_bidirectional, 0.2, jnp.float32)


def test_parameter_counts():
    def count(**options):
        module = network(**options)
        shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 250, 12)), False))
        return sum(x.size for x in jax.tree.leaves(shapes["params"]))

    def outside(features):
        ends = (12 + 1) * features + (features + 1) * 5
        return ends + 4 * (2 * features + (features + 1) * 2 * features)

    # Poles, steps, output weights of both directions, input weights (s5), and what passes by.
    assert count() == outside(128) + 4 * (2 * 128 * 8 + 128 + 2 * 2 * 128 * 8 + 128) == 161_029
    assert count(recurrence="s5") == outside(128) + 4 * (2 * 64 + 64 + 2 * 128 * 128 + 128 * 128 + 128) == 333_317
    as_published = count(features=512, s4d_states=8)
    assert as_published == outside(512) + 4 * (2 * 512 * 4 + 512 + 2 * 2 * 512 * 4 + 512) == 2_167_813


def test_weight_decay_leaves_poles_and_steps_alone():
    params = jax.eval_shape(lambda: network().init(jax.random.key(0), jnp.zeros((1, 9, 12)), False))["params"]
    assert {name for name, value in params["s4d_0"].items() if value.ndim == 1} == {
        "log_dt",
        "log_decay",
        "frequency",
        "d",
    }


def test_bad_options_are_named():
    x = jnp.zeros((1, 9, 12))
    with pytest.raises(InputError, match="unknown recurrence 'lstm'; use one of s4d, s5"):
        network(recurrence="lstm").init(jax.random.key(0), x, False)
    with pytest.raises(InputError, match="7 states are not whole conjugate pairs; use an even number from 2"):
        network(s4d_states=7).init(jax.random.key(0), x, False)
