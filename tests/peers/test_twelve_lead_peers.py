"""Peers of the default networks for twelve leads: views, outputs and losses are those of ecgjax."""

import importlib
from unittest import mock

import numpy as np
import pytest
from twelve_lead_records import recordings

from ecgjax.errors import InputError

torch = pytest.importorskip("torch")
agreement = pytest.importorskip("scripts.peers.agreement")


def slow_but(fast):
    """The tasks, of which only one is asked every time: each takes seconds to compile."""
    marks = {fast: ()}
    return [
        pytest.param(task, marks=marks.get(task, pytest.mark.slow)) for task in ("reversal", "lead_id", "diagnosis")
    ]


def modules(task):
    """Peer and config."""
    return importlib.import_module(f"scripts.peers.{task}"), importlib.import_module(f"configs.{task}").get_config()


@pytest.mark.parametrize("task", slow_but("reversal"))
def test_views_outputs_and_loss_are_those_of_ecgjax(task):
    peer, config = modules(task)
    peer.check(config, recordings())


def test_a_peer_that_does_something_else_is_found():
    peer, config = modules("reversal")
    outputs = peer.PlacementNet.forward
    views = {"signal_mv": np.ones((12, 96, 12), np.float32), "placement": np.zeros(12, np.int32)}
    with (
        mock.patch.object(agreement, "shown_here", return_value=views),
        mock.patch.object(peer.PlacementNet, "forward", lambda self, beat: outputs(self, beat + 0.1)),
        pytest.raises(AssertionError, match="Not equal to tolerance"),
    ):
        peer.check(config, recordings())


@pytest.mark.parametrize("task", slow_but("diagnosis"))
def test_chance_changes_records_as_much_in_all_three(task):
    peer_module, config = modules(task)
    config.data.crop_s = 10.0
    split = recordings(2)
    split = split.select(np.zeros(400, int))
    ours = agreement.shown_here(config, split)
    peer, rng = peer_module.build(config, split), np.random.default_rng(0)
    at_once = {name: x.numpy() for name, x in peer.batch(torch.arange(400)).items()}
    one_by_one = [peer.one(i, rng) for i in range(400)]
    compared = getattr(peer_module, "in_order", lambda shown: shown["signal_mv"])
    expected = compared(ours)
    for theirs in (at_once, {name: np.stack([one[name] for one in one_by_one]) for name in one_by_one[0]}):
        found = compared(theirs)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        for figure in (np.mean, np.std):
            ratio = figure(np.abs(found), axis=(0, 1)) / figure(np.abs(expected), axis=(0, 1))
            np.testing.assert_allclose(ratio, 1, atol=0.2)
        if task == "reversal":
            counts = [np.bincount(views["placement"], minlength=20)[0] for views in (theirs, ours)]
            assert abs(counts[0] - counts[1]) < 40
        if task == "diagnosis":
            shares = [(shown == 0).all(1).mean() for shown in (found, expected)]
            assert abs(shares[0] - shares[1]) < 0.05


@pytest.mark.parametrize(
    ("task", "field", "value"),
    [
        ("reversal", "reversal.view", "signal"),
        ("reversal", "model.placement_net.num_decoys", 8),
        ("lead_id", "lead_id.leads", "precordial"),
        ("diagnosis", "diagnosis.weighting", "balanced"),
    ],
)
def test_other_options_are_refused(task, field, value):
    peer, config = modules(task)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match="there is no peer for"):
        peer.build(config, recordings(2))
