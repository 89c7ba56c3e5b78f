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


def changed(signal, matrix):
    """`[time, 12]` after `matrix` `[8, 8]` on independent leads."""
    return signal[:, leads.INDEPENDENT_COLUMNS] @ (augment.FROM_INDEPENDENT @ np.asarray(matrix)).T


def test_turning_the_heart_turns_the_dipole_and_leaves_the_rest():
    signal = np.asarray(random_leads(), float)
    about_z = jnp.array([0.0, 0.0, 0.3])
    turned = changed(signal, jax.jit(augment.turn_heart)(about_z, jnp.zeros(3)))
    assert_obeys_einthoven(turned)
    dower = np.asarray(augment.DOWER)
    before, after = (np.linalg.lstsq(dower, s[:, leads.INDEPENDENT_COLUMNS].T, rcond=None)[0] for s in (signal, turned))
    rotation = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    np.testing.assert_allclose(after, rotation @ before, atol=1e-4)
    rest = signal[:, leads.INDEPENDENT_COLUMNS] - (dower @ before).T
    np.testing.assert_allclose(turned[:, leads.INDEPENDENT_COLUMNS] - (dower @ after).T, rest, atol=1e-4)


def test_stretching_the_dipole_scales_its_axes():
    along_x = jnp.asarray(augment.DOWER[:, 0])
    stretched = augment.turn_heart(jnp.zeros(3), jnp.array([0.2, 0.5, 0.5])) @ along_x
    np.testing.assert_allclose(stretched, np.exp(0.2) * along_x, atol=1e-4)


def test_chest_displacement_by_one_place_reads_the_neighbour():
    signal = np.asarray(random_leads(), float)
    moved = signal[:, 6:] @ np.asarray(augment.displace_chest_electrodes(jnp.ones(6))).T
    np.testing.assert_allclose(moved[:, :5], signal[:, 7:], atol=1e-5)
    np.testing.assert_allclose(moved[:, 5], signal[:, 11], atol=1e-5)


def test_no_displacement_is_no_change():
    np.testing.assert_allclose(augment.displace_chest_electrodes(jnp.zeros(6)), np.eye(6), atol=1e-6)


def test_varied_body_obeys_einthoven_and_differs_by_key():
    signal = random_leads()
    vary = jax.jit(lambda key: augment.vary_body(key, 0.1, 0.1, 0.2, 0.2))
    first, second = (changed(signal, vary(jax.random.key(k))) for k in (1, 2))
    assert_obeys_einthoven(first)
    assert jnp.max(jnp.abs(first - second)) > 0.01


def test_nothing_to_vary_is_the_identity_on_possible_records():
    signal = random_leads()
    matrix = jax.jit(lambda key: augment.vary_body(key, 0.0, 0.0, 0.0, 0.0))(jax.random.key(0))
    np.testing.assert_allclose(changed(signal, matrix), signal, atol=1e-5)


def test_electrode_noise_obeys_einthoven_and_has_its_level():
    keys = jax.random.split(jax.random.key(0), 400)

    @jax.jit
    @jax.vmap
    def draw(key: jax.Array) -> jax.Array:
        noise = augment.electrode_noise(key, 300, 0.1, augment.FROM_INDEPENDENT)
        return augment.seen_through(jnp.asarray(augment.FROM_INDEPENDENT), jnp.zeros((300, 12)), noise)

    noise = draw(keys)
    assert_obeys_einthoven(noise)
    # A chest lead is its electrode less a third of each limb electrode: variance 1 + 3/9.
    rms = np.sqrt(np.mean(np.asarray(noise[..., 6:]) ** 2))
    np.testing.assert_allclose(rms, 0.1 * np.sqrt(4 / 3), rtol=0.05)
    # All electrodes alike, and none of them bound to another.
    covariance = np.einsum("ktl,ktm->lm", noise, noise) / noise[..., 0].size
    of_electrodes = 0.1**2 * leads.LEADS_FROM_ELECTRODES @ leads.LEADS_FROM_ELECTRODES.T
    np.testing.assert_allclose(covariance, of_electrodes, atol=0.3 * 0.1**2)


def test_what_is_seen_is_the_product_and_the_noise_in_its_parts():
    signal, change = random_leads(), jax.random.normal(jax.random.key(1), (5, 8))
    noise = augment.electrode_noise(jax.random.key(2), len(signal), 0.1, change)
    plain = np.asarray(signal)[:, leads.INDEPENDENT_COLUMNS] @ np.asarray(change).T
    np.testing.assert_allclose(jax.jit(augment.seen_through)(change, signal), plain, atol=1e-5)
    place = np.arange(len(signal)) / augment.SLOW_SAMPLES
    slow = np.stack([np.interp(place, np.arange(len(noise.knots)), knots) for knots in noise.knots.T], axis=1)
    white = np.concatenate(noise.white, axis=1) @ noise.mixture
    np.testing.assert_allclose(jax.jit(augment.seen_through)(change, signal, noise), plain + white + slow, atol=1e-5)
    assert augment.electrode_noise(jax.random.key(2), len(signal), 0.0, change) is None


def test_lead_noise_breaks_einthovens_law_at_levels_over_two_decades():
    keys = jax.random.split(jax.random.key(0), 400)
    noise = jax.jit(jax.vmap(lambda key: augment.lead_noise(key, jnp.zeros((200, 12)), 0.03)))(keys)
    level_mv = np.asarray(noise).std(axis=(1, 2))
    assert 0.0002 < level_mv.min() < 0.0004
    assert 0.025 < level_mv.max() < 0.032
    np.testing.assert_allclose(np.median(level_mv), 0.003, rtol=0.25)
    broken = np.asarray(noise[:, :, 0] + noise[:, :, 2] - noise[:, :, 1]).std(axis=1)
    np.testing.assert_allclose(broken, np.sqrt(3) * level_mv, rtol=0.25)


def test_shown_leads_are_completed_and_the_rest_is_zero():
    record = np.random.default_rng(0).normal(size=(30, 9)) @ leads.LEADS_FROM_ELECTRODES.T
    show = jax.jit(augment.show_leads)
    for names in (("I",), ("II", "aVL"), ("aVF", "V2"), ("I", "II", "III", "V6"), leads.LEADS):
        is_given = np.isin(leads.LEADS, names)
        shown = show(record.astype(np.float32), is_given)
        np.testing.assert_allclose(shown, record @ leads.completion(names).T, atol=1e-5)
        derived = np.isin(leads.LEADS, leads.derivable(names))
        np.testing.assert_allclose(shown[:, derived], record[:, derived], atol=1e-5)
        assert not np.any(shown[:, ~derived])


def test_hidden_leads_never_leak():
    is_given = np.isin(leads.LEADS, ("II", "V2"))
    show = jax.jit(augment.show_leads)
    first, second = np.random.default_rng(0).normal(size=(2, 30, 12)).astype(np.float32)
    np.testing.assert_array_equal(
        show(np.where(is_given, first, second), is_given), show(np.where(is_given, first, 7.0), is_given)
    )


def test_random_leads_reach_every_number_of_leads_and_never_none():
    drawn = np.array(jax.jit(jax.vmap(augment.random_leads))(jax.random.split(jax.random.key(0), 4000)))
    assert drawn.any(axis=1).all()
    assert set(drawn.sum(axis=1)) == set(range(1, 13))
    assert 0.04 < drawn.all(axis=1).mean() < 0.11
    chest = drawn[:, 6:].mean(axis=0)
    assert np.ptp(chest) < 0.06
