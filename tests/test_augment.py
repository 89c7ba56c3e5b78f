"""Augmentations keep the laws of the twelve leads."""

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import augment, leads


def assert_obeys_einthoven(signal):
    lead = dict(zip(leads.LEADS, np.moveaxis(np.asarray(signal), -1, 0), strict=True))
    np.testing.assert_allclose(lead["I"] + lead["III"], lead["II"], atol=1e-5)
    np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0, atol=1e-5)


def random_leads():
    potentials = jax.random.normal(jax.random.key(0), (200, len(leads.ELECTRODES)))
    return potentials @ jnp.asarray(leads.LEADS_FROM_ELECTRODES.T, jnp.float32)


def on_leads(matrix):
    return leads.LEADS_FROM_ELECTRODES @ np.asarray(matrix) @ leads.ELECTRODES_FROM_LEADS


def test_frontal_turn_moves_the_axis_by_its_angle_and_leaves_the_chest():
    signal = np.asarray(random_leads(), float)
    turned = signal @ on_leads(augment.rotate_frontal_plane(jnp.float32(0.3))).T

    def axis_rad(s):
        """From lead I along x and aVF, scaled to the same triangle, along y (downwards)."""
        return np.arctan2(s[:, leads.LEADS.index("aVF")] * 2 / np.sqrt(3), s[:, leads.LEADS.index("I")])

    moved = np.angle(np.exp(1j * (axis_rad(turned) - axis_rad(signal))))
    np.testing.assert_allclose(np.abs(moved), 0.3, atol=1e-4)
    assert np.ptp(moved) < 1e-3
    np.testing.assert_allclose(turned[:, 6:], signal[:, 6:], atol=1e-5)
    assert_obeys_einthoven(turned)


def test_limb_cycle_is_a_turn_by_a_third():
    cycle = on_leads(augment.rotate_frontal_plane(jnp.float32(2 * np.pi / 3)))
    assert any(np.allclose(cycle, placement.matrix, atol=1e-5) for placement in leads.LIMB_CYCLES)


def test_chest_displacement_by_one_place_reads_the_neighbour():
    signal = np.asarray(random_leads(), float)
    moved = signal @ on_leads(augment.displace_chest_electrodes(jnp.ones(6))).T
    np.testing.assert_allclose(moved[:, 6:11], signal[:, 7:12], atol=1e-5)
    np.testing.assert_allclose(moved[:, :6], signal[:, :6], atol=1e-5)


def test_no_displacement_is_no_change():
    np.testing.assert_allclose(augment.displace_chest_electrodes(jnp.zeros(6)), np.eye(9), atol=1e-6)


def test_varied_body_obeys_einthoven_and_differs_by_key():
    signal = random_leads()
    first, second = (signal @ augment.vary_body(jax.random.key(k), 0.1, 0.2, 0.2).T for k in (1, 2))
    assert_obeys_einthoven(first)
    assert jnp.max(jnp.abs(first - second)) > 0.01


def test_nothing_to_vary_is_the_identity_on_possible_records():
    signal = random_leads()
    np.testing.assert_allclose(signal @ augment.vary_body(jax.random.key(0), 0.0, 0.0, 0.0).T, signal, atol=1e-5)


def test_electrode_noise_obeys_einthoven_and_has_its_level():
    keys = jax.random.split(jax.random.key(0), 400)
    noise = jax.vmap(lambda key: augment.electrode_noise(key, 300, 0.1))(keys)
    assert_obeys_einthoven(noise)
    # A chest lead is its electrode less a third of each limb electrode: variance 1 + 3/9.
    rms = np.sqrt(np.mean(np.asarray(noise[..., 6:]) ** 2))
    np.testing.assert_allclose(rms, 0.1 * np.sqrt(4 / 3), rtol=0.05)
