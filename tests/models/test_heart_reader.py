import flax
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.models.heart_reader import ActivationReader, HeartEncoder, PotentialReader

ENCODER = HeartEncoder(
    num_samples=500,
    fine=2,
    features=(8, 8),
    kernel_size=5,
    hidden=16,
    num_blocks=1,
    dropout_rate=0.0,
    dtype=jnp.float32,
)
SIGNAL = jax.random.normal(jax.random.key(0), (2, 500, 12))


def potentials(head, log_asymmetry=0.0):
    """Of a network whose times do not depend on the record: `head` [2 * sites] is what it finds in any."""
    num_sites = len(head) // 2
    module = PotentialReader(num_sites, (85.0, 260.0), (35.0, 40.0), 1.0, ENCODER)
    variables = flax.core.unfreeze(module.init(jax.random.key(1), SIGNAL, False))
    dense = variables["params"]["Dense_0"]
    variables["params"]["Dense_0"] = {"kernel": jnp.zeros_like(dense["kernel"]), "bias": jnp.array(head)}
    variables["params"]["log_asymmetry"] += log_asymmetry
    return np.asarray(jax.jit(lambda x: module.apply(variables, x, False))(SIGNAL))


def test_one_time_for_each_site():
    module = ActivationReader(75, ENCODER)
    variables = module.init(jax.random.key(1), SIGNAL, False)
    found = jax.jit(lambda x: module.apply(variables, x, False))(SIGNAL)
    assert found.shape == (2, 75)
    # The beat matters from its first sample to its last.
    for sample in (0, 499):
        moved = jax.jit(lambda x: module.apply(variables, x, False))(SIGNAL.at[:, sample].add(5.0))
        assert np.abs(moved - found).max() > 1e-3


def test_potentials_rise_and_fall_at_the_times_found():
    found = potentials([0.0, 1.0, 0.0, -1.0])
    assert found.shape == (2, 500, 2)
    for site, fires_ms in ((0, 85.0), (1, 120.0)):
        trace = found[0, :, site]
        rises = np.flatnonzero(np.diff(trace > 0.4) & (np.arange(499) < 200))[0]
        assert abs(rises - fires_ms) <= 1
        np.testing.assert_allclose(trace[: int(fires_ms) - 5], 0, atol=1e-4)
    # Each stays for its own time: half of what the falling plateau has left by then.
    for site, ends_ms in ((0, 85 + 260), (1, 120 + 220)):
        lasts_ms = ends_ms - (85, 120)[site]
        np.testing.assert_allclose(found[0, ends_ms, site], 0.85 * (1 - 0.2 * lasts_ms / 300) / 2, rtol=1e-3)


def test_asymmetric_fall_begins_slower_and_ends_sharper():
    even, sharp = (potentials([0.0, 0.0], log_asymmetry)[0, :, 0] for log_asymmetry in (0.0, 1.0))
    middle = 85 + 260
    assert sharp[middle + 60] < 0.2 * even[middle + 60]
