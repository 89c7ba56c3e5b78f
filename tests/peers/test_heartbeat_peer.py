"""The peer of the default network of one beat: the same views, outputs and gradients."""

import numpy as np
import pytest

from configs.heartbeat import get_config
from ecgjax.data.heartbeats import LEAD_NAMES, RR_FIGURES, WINDOW_SAMPLES
from ecgjax.data.split import Split
from ecgjax.errors import InputError

torch = pytest.importorskip("torch")
heartbeat = pytest.importorskip("scripts.peers.heartbeat")


def beats(num_records=6):
    rng = np.random.default_rng(0)
    labels = {name: rng.uniform(0.5, 1.2, num_records) for name in RR_FIGURES}
    return Split(
        dataset="beats",
        split="train",
        ecg=rng.integers(-2000, 2000, (num_records, WINDOW_SAMPLES, 4)).astype(np.int16),
        gain=1000.0,
        fs_hz=125.0,
        lead_names=LEAD_NAMES,
        record_ids=np.arange(num_records).astype(str),
        patient_ids=np.arange(num_records).astype(str),
        labels={**labels, "beat_class": np.array(["N", "V"] * (num_records // 2)), "cut_samples": np.full(6, 150)},
    )


def test_views_and_outputs_are_those_of_ecgjax():
    heartbeat.check(get_config(), beats())


def test_one_record_at_a_time_is_changed_as_much_as_a_batch():
    config = get_config()
    config.heartbeat.noise_mv = 0.3
    peer, rng = heartbeat.build(config, beats()), np.random.default_rng(1)
    repeats = torch.zeros(500, dtype=torch.int64)
    at_once = peer.batch(repeats)
    single = [peer.one(0, rng) for _ in repeats]
    for name, values in at_once.items():
        each = np.stack([one[name] for one in single])
        assert (each.dtype, each.shape) == (values.numpy().dtype, values.shape)
        np.testing.assert_allclose(each.std(axis=0).mean(), values.float().std(0, False).mean(), rtol=0.1, atol=1e-6)


def test_every_weight_is_trained():
    peer = heartbeat.build(get_config(), beats())
    peer.loss(peer.batch(torch.arange(6))).backward()
    assert all(weight.grad.abs().max() > 0 for weight in peer.network.parameters())


@pytest.mark.parametrize(("field", "value"), [("view", "cut"), ("loss", "focal"), ("stretch", 0.1)])
def test_options_without_a_peer_are_refused(field, value):
    config = get_config()
    config.heartbeat[field] = value
    with pytest.raises(InputError, match="there is no peer"):
        heartbeat.build(config, beats())
