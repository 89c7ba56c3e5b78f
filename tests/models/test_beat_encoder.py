"""The trunk that sees average beat and rhythm, and the networks on it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.beats import BeatWindow
from ecgjax.errors import InputError
from ecgjax.models.beat_encoder import BeatEncoder, rhythm_figures
from ecgjax.models.beat_net import BeatNet
from ecgjax.models.lead_filler import LeadFiller

WINDOW = BeatWindow(fs_hz=100.0, before_s=0.40, after_s=0.56, max_beats=24)
SMALL = {"patch": 8, "features": 8, "hidden": 16, "num_blocks": 1, "fine_gain": 5.0, "dropout_rate": 0.1}


def pulses(beat_s, seconds=10.0):
    """A narrow bump at each beat in all leads, `[time, 12]`."""
    time_s = np.arange(0, seconds, 0.01)
    bumps = np.exp(-(((time_s[:, None] - np.asarray(beat_s)) / 0.02) ** 2)).sum(axis=1)
    potentials = bumps[:, None] * np.linspace(-1, 1, len(leads.ELECTRODES))
    return (potentials @ leads.LEADS_FROM_ELECTRODES.T).astype(np.float32)


def encoder(**changed):
    return BeatEncoder(window=WINDOW, dtype=jnp.float32, **{**SMALL, **changed})


def applied(module, signal_mv):
    run = jax.jit(lambda key, x: module.init_with_output(key, x, is_training=False))
    return run(jax.random.key(0), signal_mv)


@pytest.mark.parametrize("rr_s", [0.5, 0.8, 1.2])
def test_a_regular_rhythm_has_its_interval_and_no_variation(rr_s):
    figures = jax.jit(rhythm_figures, static_argnums=1)(pulses(np.arange(0.45, 10, rr_s)), WINDOW)
    assert figures[0] == pytest.approx(rr_s, abs=1e-4)
    assert figures[2] < 1e-3
    assert figures[6] == (rr_s < 0.6)
    assert figures[7] == (rr_s > 1.0)


def test_irregular_intervals_have_their_deviation():
    rr_s = np.array([0.6, 1.0] * 6)
    figures = jax.jit(rhythm_figures, static_argnums=1)(pulses(0.45 + np.cumsum(rr_s[:10])), WINDOW)
    assert figures[2] == pytest.approx(0.2 / 0.9, abs=0.02)
    assert figures[3] == pytest.approx(0.4 / 0.9, abs=0.03)


@pytest.mark.parametrize("lead", ["aVR", "V4"])
def test_beats_are_found_in_any_lead_alone(lead):
    alone = np.where(np.isin(leads.LEADS, (lead,)), pulses(np.arange(0.45, 10, 0.8)), 0.0)
    figures = jax.jit(rhythm_figures, static_argnums=1)(alone.astype(np.float32), WINDOW)
    assert figures[0] == pytest.approx(0.8, abs=1e-4)


def test_a_record_without_beats_is_judged_all_the_same():
    outputs, _ = applied(BeatNet(num_outputs=3, encoder=encoder()), np.zeros((2, 500, 12), np.float32))
    assert outputs.shape == (2, 3)
    assert np.isfinite(outputs).all()


@pytest.mark.slow
def test_gradients_are_finite_with_dropout():
    module = BeatNet(num_outputs=2, encoder=encoder())
    signal_mv = jnp.stack([pulses(np.arange(0.45, 5, 0.8), 5.0), jnp.zeros((500, 12))])
    _, variables = applied(module, signal_mv)

    @jax.jit
    def gradient(params, signal_mv):
        def total(params, signal_mv):
            outputs = module.apply({"params": params}, signal_mv, is_training=True, rngs={"dropout": jax.random.key(1)})
            return jnp.sum(outputs**2)

        return jax.grad(total, argnums=(0, 1))(params, signal_mv)

    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient(variables["params"], signal_mv)))


def test_pieces_that_do_not_fit_and_short_signals_are_refused():
    with pytest.raises(InputError, match="pieces of 7"):
        applied(encoder(patch=7), np.zeros((1, 500, 12), np.float32))
    with pytest.raises(InputError, match="50 samples"):
        applied(encoder(), np.zeros((1, 50, 12), np.float32))


FILLER = {
    "num_sources": 4,
    "stride": 10,
    "reach": 2,
    "width": 16,
    "num_layers": 2,
    "path_dropout_rate": 0.1,
    "dtype": jnp.float32,
}


@pytest.mark.parametrize("num_samples", [pytest.param(500, marks=pytest.mark.slow), 503])
def test_rebuilt_leads_last_as_long_as_the_given_ones(num_samples):
    signal_mv = pulses(np.arange(0.45, 10, 0.8))[None, :num_samples]
    rebuilt, _ = applied(LeadFiller(num_outputs=8, encoder=encoder(), **FILLER), signal_mv)
    assert rebuilt.shape == (1, num_samples, 8)
    assert rebuilt.dtype == jnp.float32
    assert np.isfinite(rebuilt).all()


@pytest.mark.slow
def test_a_weighted_sum_of_leads_is_learnt():
    """A few steps halve the error of a lead that is a multiple of a given one."""
    module = LeadFiller(num_outputs=8, encoder=encoder(dropout_rate=0.0), **{**FILLER, "path_dropout_rate": 0.0})
    signal_mv = jnp.stack([pulses(np.arange(0.45 + 0.1 * i, 10, 0.8)) for i in range(4)])[:, :500]
    target = jnp.repeat(signal_mv[:, :, 6:7] * 0.5, 8, axis=2)
    _, variables = applied(module, signal_mv)

    @jax.jit
    def step(params):
        def error(params):
            return jnp.mean((module.apply({"params": params}, signal_mv, is_training=False) - target) ** 2)

        value, gradient = jax.value_and_grad(error)(params)
        return value, jax.tree.map(lambda p, g: p - 0.01 * jnp.sign(g), params, gradient)

    params, errors = variables["params"], []
    for _ in range(12):
        value, params = step(params)
        errors.append(float(value))
    assert min(errors) < 0.5 * errors[0]


def test_other_outputs_than_the_independent_leads_are_refused():
    with pytest.raises(InputError, match="task reconstruction"):
        applied(LeadFiller(num_outputs=5, encoder=encoder(), **FILLER), np.zeros((1, 500, 12), np.float32))
