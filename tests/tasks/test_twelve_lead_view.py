"""What networks see of a record: the leads they are given and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import common, twelve_leads
from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.tasks.twelve_lead_view import TwelveLeadView

AUGMENTED = {
    "rotation_rad": 0.3,
    "elongation": 0.2,
    "displacement": 0.3,
    "gain": 0.2,
    "noise_mv": 0.02,
    "lead_noise_mv": 0.02,
    "stretch": 0.05,
}


def view_of(**changes):
    config = common.base()
    twelve_leads.add_view(config, config)
    config.update({"random_leads": 0.0} | changes)
    return TwelveLeadView.from_options(config, config)


def record(num_samples=250):
    potentials = np.random.default_rng(0).normal(size=(num_samples, len(leads.ELECTRODES)))
    return jnp.asarray(potentials @ leads.LEADS_FROM_ELECTRODES.T, jnp.float32)


def training_signals(view, count):
    keys = jax.random.split(jax.random.key(0), count)
    return np.asarray(jax.jit(jax.vmap(lambda key: view.training_signal(key, record())))(keys))


def test_nothing_is_changed_unless_asked_for():
    np.testing.assert_array_equal(view_of().evaluation_signal(record()), record())
    np.testing.assert_array_equal(training_signals(view_of(), 2), np.stack([record(), record()]))


@pytest.mark.parametrize(
    ("given", "visible"),
    [
        ("I", ["I"]),
        ("V5", ["V5"]),
        ("I+aVF", list(leads.LIMB_LEADS)),
        ("I,II,V2", [*leads.LIMB_LEADS, "V2"]),
        ("independent", list(leads.LEADS)),
    ],
)
def test_only_given_leads_and_what_follows_from_them_are_seen(given, visible):
    is_visible = np.isin(leads.LEADS, visible)
    shown = np.asarray(view_of(leads=given).evaluation_signal(record()))
    np.testing.assert_allclose(shown, np.where(is_visible, record(), 0), atol=1e-5)


@pytest.mark.parametrize("given", ["I", "I,II,V2", "V1,V6"])
def test_hidden_leads_have_no_influence(given):
    view = view_of(leads=given)
    hidden = ~np.isin(leads.LEADS, leads.lead_subset(given))
    changed = jnp.where(hidden, 7.0, record())
    np.testing.assert_allclose(view.evaluation_signal(changed), view.evaluation_signal(record()), atol=1e-4)


def test_augmentation_differs_by_key_and_reveals_nothing():
    first, second = training_signals(view_of(leads="I,II,V2", **AUGMENTED), 2)
    is_visible = np.isin(leads.LEADS, (*leads.LIMB_LEADS, "V2"))
    np.testing.assert_array_equal((first != 0).any(axis=0), is_visible)
    assert np.abs(first - second)[:, is_visible].max(axis=0).min() > 0.1
    np.testing.assert_allclose(first[:, 0] + first[:, 2], first[:, 1], atol=1e-4)


def test_only_noise_of_single_leads_breaks_einthovens_law():
    for name, is_kept in (("noise_mv", True), ("lead_noise_mv", False)):
        signal_mv = training_signals(view_of(**{name: 0.2}), 1)[0]
        assert np.abs(signal_mv - record()).max() > 1e-3
        law = signal_mv[:, 0] + signal_mv[:, 2] - signal_mv[:, 1]
        assert (np.abs(law).max() < 1e-4) == is_kept


def test_as_many_records_are_reduced_as_asked_for():
    signals = training_signals(view_of(random_leads=0.5), 400)
    is_whole = np.all(np.isclose(signals, record(), atol=1e-5), axis=(1, 2))
    # A fourteenth of the random subsets is the whole record.
    assert abs(is_whole.mean() - (0.5 + 0.5 / 14)) < 4 * np.sqrt(0.25 / 400)
    assert (signals != 0).any(axis=(1, 2)).all()


def test_random_subsets_stay_within_the_leads_that_are_shown():
    signals = training_signals(view_of(random_leads=1.0, leads="I,II,V2,V3"), 100)
    is_shown = (signals != 0).any(axis=1)
    assert not is_shown[:, [6, *range(9, 12)]].any()
    assert is_shown.any(axis=1).all()
    assert len(np.unique(is_shown, axis=0)) > 4
    of_first_lead_alone = is_shown[:, 0] & ~is_shown[:, 1]
    assert not is_shown[of_first_lead_alone, 2].any()


def test_the_average_beat_of_shown_leads():
    beat = view_of(view="beat", leads="I,II").evaluation_signal(record(1000))
    assert beat.shape == (96, 12)
    assert not np.asarray(beat)[:, 6:].any()


def test_wrong_options_are_refused():
    with pytest.raises(InputError, match="unknown view 'beats'"):
        view_of(view="beats")
    with pytest.raises(InputError, match="random_leads is 2.0"):
        view_of(random_leads=2.0)
    with pytest.raises(InputError, match="unknown lead name 'V9'"):
        view_of(leads="V9")
