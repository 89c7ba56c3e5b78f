"""Attributions: closed forms, completeness, the order of leads, beats and their waves."""

import json
import subprocess
import sys
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from explained_run import EachLead, LeadsTask, NumberTask, Quadratic, fake_run

from ecgjax import explain_plots
from ecgjax.attribution import (
    METHODS,
    Attribution,
    Attributor,
    beat_window,
    by_class,
    explained,
    mean_over_beats,
    share_figures,
    truth_scores,
)
from ecgjax.beats import BeatWindow
from ecgjax.errors import InputError
from ecgjax.explain import Examples, examples, examples_of_record, write_explanation
from ecgjax.waves import WAVES, boundaries, wave_of_sample
from scripts import attribute

WINDOW = BeatWindow(fs_hz=20.0, before_s=0.4, after_s=0.56, max_beats=24)


@pytest.fixture(scope="module")
def quadratic():
    return fake_run(task=NumberTask(), module=Quadratic())


@pytest.fixture(scope="module")
def leads_run():
    return fake_run(task=LeadsTask(), module=EachLead())


def whole(run, method, num_steps=4, target=0, chosen=None):
    """Attributions to the whole signals: the window is as long as a record."""
    window = BeatWindow(fs_hz=20.0, before_s=1.0, after_s=1.0, max_beats=1)
    return Attributor(run, method, window, num_steps, seed=0)(examples(run, 0, 0) if chosen is None else chosen, target)


def test_gradients_of_a_quadratic_are_those_of_pencil_and_paper(quadratic):
    weight = np.asarray(quadratic.variables["params"]["weight"])
    x = quadratic.split.ecg / np.float32(1000)
    mean = x.mean(axis=0)
    expected = {
        "saliency": weight + x,
        "input_x_gradient": x * (weight + x),
        "integrated_gradients": weight * (x - mean) + 0.5 * (x**2 - mean**2),
    }
    for method, values in expected.items():
        found = whole(quadratic, method)
        np.testing.assert_allclose(found.signed, values, atol=1e-5)
        np.testing.assert_allclose(found.magnitude, np.abs(values), atol=1e-5)
        np.testing.assert_allclose(found.score, np.sum(weight * x + 0.5 * x**2, axis=(1, 2)), rtol=1e-4)
    assert np.isnan(whole(quadratic, "saliency").gap).all()
    assert np.abs(whole(quadratic, "integrated_gradients").gap).max() < 1e-3


def test_expected_gradients_start_from_other_records():
    pair = fake_run(num_records=2, task=NumberTask(), module=Quadratic())
    x = pair.split.ecg / np.float32(1000)
    weight = np.asarray(pair.variables["params"]["weight"])
    found = whole(pair, "expected_gradients", num_steps=200)
    way = x - x[::-1]
    # The other record is the only one there is; places on the way are drawn, which leaves 1/200 of a squared step.
    np.testing.assert_allclose(found.signed, way * weight + 0.5 * (x**2 - x[::-1] ** 2), atol=0.05)
    assert np.abs(found.gap).max() < 0.02 * np.abs(way).sum(axis=(1, 2)).max()


def test_what_is_drawn_for_a_record_does_not_depend_on_the_others(quadratic):
    every = whole(quadratic, "expected_gradients")
    some = whole(quadratic, "expected_gradients", chosen=examples(quadratic, 0, 0).select(np.array([7, 2])))
    np.testing.assert_allclose(some.signed, every.signed[[7, 2]], rtol=1e-5, atol=1e-6)


def test_integrated_gradients_add_up_ever_better():
    run = fake_run()
    gaps = [np.abs(whole(run, "integrated_gradients", steps).gap).mean() for steps in (2, 64)]
    scores = whole(run, "saliency").score
    # Rectifiers bend on the way, so that the error falls with the number of nodes and not faster.
    assert gaps[1] < 0.1 * gaps[0]
    assert gaps[1] < 0.02 * np.abs(scores).mean()


def test_gradient_is_that_of_torch():
    run = fake_run()
    found = whole(run, "saliency", target=-1)
    params = run.variables["params"]
    statistics = run.variables["batch_stats"]["BatchNorm_0"]
    tensor = {name: torch.tensor(np.asarray(value)) for name, value in jax.tree.leaves_with_path(params)}
    first, bias, scale, kernel, out_bias = (
        tensor[path]
        for path in sorted(tensor, key=lambda path: jax.tree_util.keystr(path))[i]
        for i in ()
    ) if False else _torch_layers(params)
    x = torch.tensor(found.beat, requires_grad=True)
    hidden = x.mean(dim=1) @ first
    mean, variance = (torch.tensor(np.asarray(statistics[name])) for name in ("mean", "var"))
    hidden = torch.relu((hidden - mean) / torch.sqrt(variance + 1e-5) * scale + bias)
    logit = (hidden @ kernel + out_bias)[:, 0]
    chosen = examples(run, 0, 0)
    holds = run.split.labels["is_positive"][chosen.index] ^ (chosen.view == 1)
    (gradient,) = torch.autograd.grad(torch.where(torch.tensor(holds), logit, -logit).sum(), x)
    np.testing.assert_allclose(found.signed, gradient.numpy(), atol=1e-5)


def _torch_layers(params):
    layers = (params["Dense_0"]["kernel"], params["BatchNorm_0"]["bias"], params["BatchNorm_0"]["scale"])
    return [torch.tensor(np.asarray(x)) for x in (*layers, params["Dense_1"]["kernel"], params["Dense_1"]["bias"])]
