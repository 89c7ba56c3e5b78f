"""The peer of the default network of rhythms: the same views, beats and outputs."""

import numpy as np
import pytest

from configs.rhythm import get_config
from ecgjax.data.split import Split
from ecgjax.errors import InputError

torch = pytest.importorskip("torch")
rhythm = pytest.importorskip("scripts.peers.rhythm")

FS_HZ = 100.0


def small_config():
    config = get_config()
    config.data.seconds, config.data.crop_s = 12.0, 8.0
    config.model.rhythm_reader.update(features=(8, 12, 12), strides=(2, 2, 1), beat_features=16, num_beat_layers=2)
    config.model.rhythm_reader.measure_features = 8
    return config


def recordings():
    """Of 12, 9 and 5 seconds, and one without a beat."""
    rng, num_samples = np.random.default_rng(0), np.array([1200, 900, 500, 700], np.int32)
    time_s = np.arange(1200) / FS_HZ
    peaks = sum(np.exp(-(((time_s - r_s) / 0.02) ** 2)) for r_s in np.cumsum(rng.uniform(0.6, 1.1, 14)))
    signal = 1000 * (peaks + 0.02 * rng.normal(size=(4, 1200)))
    signal[3] = 0
    signal[np.arange(1200) >= num_samples[:, None]] = 0
    names = np.arange(4).astype(str)
    return Split(
        dataset="rhythms",
        split="train",
        ecg=signal.astype(np.int16)[..., None],
        gain=1000.0,
        fs_hz=FS_HZ,
        lead_names=("I",),
        record_ids=names,
        patient_ids=names,
        labels={"rhythm": np.array(["N", "A", "O", "~"]), "num_samples": num_samples},
    )


@pytest.fixture(scope="module")
def made():
    return rhythm.build(small_config(), recordings())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_views_and_outputs_are_those_of_ecgjax():
    rhythm.check(small_config(), recordings())


def test_one_record_at_a_time_is_changed_as_much_as_a_batch(made):
    rng, repeats = np.random.default_rng(1), torch.ones(400, dtype=torch.int64)
    at_once, single = made.batch(repeats), [made.one(1, rng) for _ in repeats]
    for name, values in at_once.items():
        each = np.stack([one[name] for one in single])
        assert (each.dtype, each.shape) == (values.numpy().dtype, values.shape)
        spread = values.float().std(0, False).mean()
        np.testing.assert_allclose(each.std(axis=0).mean(), spread, rtol=0.1, atol=1e-4)


def test_every_weight_is_trained(made):
    made.loss(made.batch(torch.arange(4))).backward()
    gradients = [weight.grad for weight in made.network.parameters()]
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize(("field", "value"), [("scaling", "mv"), ("measures", False), ("flip", 0.5)])
def test_options_without_a_peer_are_refused(field, value):
    config = small_config()
    config.rhythm[field] = value
    with pytest.raises(InputError, match="there is no peer"):
        rhythm.build(config, recordings())
