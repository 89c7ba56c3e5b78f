"""Activation maps: what the network is shown, losses, figures and baselines against closed forms."""

import dataclasses

import heart_archive
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import sklearn.metrics

from configs import activation_map as config_file
from ecgjax import leads, tasks
from ecgjax.data.intracardiac import NUM_SITES, SITES
from ecgjax.errors import InputError
from ecgjax.tasks import heart_baselines
from ecgjax.tasks.activation_figures import activation_figures, earliest_site_mm, paired_gains

NUM_LEADS = len(leads.LEADS)


UNCHANGED = dict.fromkeys(
    ("stretch", "max_shift_ms", "rotation_rad", "elongation", "displacement", "gain", "noise_mv"), 0.0
)
"""Of what the default network's recipe changes in training."""


def task(**options):
    config = config_file.get_config("smoke")
    config.activation_map.update(UNCHANGED | options)
    return tasks.build(config)


@pytest.fixture(scope="module")
def hearts():
    return heart_archive.split(range(4), 6)


def record_of(split, index=1):
    signal_mv = jnp.asarray(split.ecg[index] / split.gain, jnp.float32)
    return {"signal_mv": signal_mv} | {n: jnp.asarray(split.labels[n][index]) for n in ("activation_ms", "site_mm")}


def predictions(num_records=40, silent=0.1):
    rng = np.random.default_rng(1)
    true_ms = rng.uniform(0, 120, (num_records, NUM_SITES))
    true_ms[rng.uniform(size=true_ms.shape) < silent] = np.nan
    predicted_ms = np.nan_to_num(true_ms, nan=500.0) + rng.normal(1, 4, true_ms.shape)
    site_mm = np.tile(heart_archive.SITE_MM, (num_records, 1, 1))
    return true_ms.astype(np.float32), predicted_ms.astype(np.float32), site_mm, np.arange(num_records) // 4


def test_figures_are_those_of_sklearn_and_scipy():
    true_ms, predicted_ms, site_mm, patients = predictions()
    found = activation_figures(true_ms, predicted_ms, site_mm, patients, num_bootstrap=50)
    fires = ~np.isnan(true_ms)
    true, said = true_ms[fires], predicted_ms[fires]
    correlations = [
        scipy.stats.pearsonr(t[f], p[f]).statistic for t, p, f in zip(true_ms, predicted_ms, fires, strict=True)
    ]
    wanted = {
        "mae_ms": sklearn.metrics.mean_absolute_error(true, said),
        "rmse_ms": sklearn.metrics.root_mean_squared_error(true, said),
        "r2": sklearn.metrics.r2_score(true, said),
        "pearson_r": np.mean(correlations),
    }
    error = np.where(fires, np.abs(predicted_ms - true_ms), np.nan)
    is_rv = np.array([site in ("RV01", "EPI_RV01", "MID_RV01") for site in SITES])
    wanted |= {f"mae_ms/{site}": np.nanmean(error[:, i]) for i, site in enumerate(SITES)}
    for name, value in wanted.items():
        assert found[name].value == pytest.approx(value, rel=1e-5), name
        low, high = found[name].ci95
        assert low <= found[name].value <= high or name.startswith("mae_ms/")
    means = [found[f"mae_ms/{SITES[i]}"].value for i in np.flatnonzero(is_rv)]
    assert min(means) < found["mae_ms/RV"].value < 2 * max(means)
    of_chambers = [np.nanmean(error[:, np.array(is_in)]) for is_in in [[s.startswith("EPI") for s in SITES]]]
    assert found["mae_ms/epi"].value == pytest.approx(of_chambers[0], rel=1e-5)


def test_sites_that_never_fire_count_for_nothing():
    true_ms, predicted_ms, site_mm, patients = predictions()
    changed = np.where(np.isnan(true_ms), -1e4, predicted_ms)
    first, second = (activation_figures(true_ms, p, site_mm, patients, 0) for p in (predicted_ms, changed))
    for name, metric in first.items():
        assert second[name].value == pytest.approx(metric.value), name
    batch = {"activation_ms": jnp.asarray(true_ms)}
    outputs = jnp.asarray(predicted_ms)
    for loss in ("l1", "mse", "huber"):
        judge = task(loss=loss).loss
        np.testing.assert_allclose(judge(outputs, batch), judge(jnp.asarray(changed), batch), rtol=1e-5)
        gradient = jax.grad(lambda values, judge=judge: judge(values, batch).sum())(outputs)
        assert np.isfinite(gradient).all()
        assert (np.asarray(gradient)[np.isnan(true_ms)] == 0).all()


def test_losses_are_in_units_of_the_spread():
    true_ms = jnp.full((1, NUM_SITES), 70.0)
    options = {"centre_ms": 60.0, "spread_ms": 20.0, "huber_ms": 4.0}
    wanted = {"l1": 0.5, "mse": 0.25, "huber": 0.2 * (0.5 - 0.1)}
    for loss, value in wanted.items():
        judged = task(loss=loss, **options)
        found = judged.loss(jnp.ones((1, NUM_SITES)), {"activation_ms": true_ms})
        assert found[0] == pytest.approx(value), loss
    said = judged.predict(jnp.ones((1, NUM_SITES)), {"activation_ms": true_ms, "site_mm": true_ms})
    np.testing.assert_allclose(said["scores"], 80.0)


def test_earliest_site_is_a_distance_between_sites_that_fire():
    true_ms = np.full((3, NUM_SITES), 50.0)
    true_ms[0, 4], true_ms[1, 5] = 10, 10
    true_ms[2] = np.nan
    said_ms = true_ms.copy()
    said_ms[0, 9] = 5
    true_ms[1, 7], said_ms[1, 7] = np.nan, 0
    site_mm = np.tile(heart_archive.SITE_MM, (3, 1, 1))
    found = earliest_site_mm(true_ms, said_ms, site_mm)
    assert found[0] == pytest.approx(np.linalg.norm(heart_archive.SITE_MM[4] - heart_archive.SITE_MM[9]), rel=1e-5)
    assert found[1] == 0
    assert np.isnan(found[2])


def test_earliest_site_is_left_out_where_no_place_is_known():
    true_ms, predicted_ms, site_mm, patients = predictions(8)
    found = activation_figures(true_ms, predicted_ms, np.full_like(site_mm, np.nan), patients, 0)
    assert "earliest_site_mm" not in found
    assert "mae_ms" in found


def test_gains_are_paired():
    true_ms, own_ms, _, patients = predictions()
    worse_ms = own_ms + 10 * np.sign(own_ms - np.nan_to_num(true_ms))
    found = paired_gains(true_ms, own_ms, worse_ms, patients, num_bootstrap=50)
    assert found["gain/mae_ms"].value == pytest.approx(-10, abs=1e-4)
    assert found["gain/mae_ms"].ci95 == pytest.approx((-10, -10), abs=1e-4)
    assert paired_gains(true_ms, own_ms, own_ms, patients, 0)["gain/rmse_ms"].value == 0


def test_a_stretch_slows_signals_and_times_together(hearts):
    stretched = task(stretch=0.1, scaling="none")
    record = record_of(hearts)
    # A lead that says what time it is.
    record["signal_mv"] = record["signal_mv"].at[:, -1].set(jnp.arange(len(record["signal_mv"])))
    view = jax.jit(jax.vmap(stretched.training_view, in_axes=(0, None)))
    many = view(jax.random.split(jax.random.key(0), 64), record)
    slower = np.asarray(many["activation_ms"] / record["activation_ms"])
    assert np.ptp(slower, axis=1).max() < 1e-5
    slower = slower[:, 0]
    assert 0.05 < np.log(slower).std() < 0.15
    for signal_mv, factor in zip(np.asarray(many["signal_mv"]), slower, strict=True):
        time = np.arange(len(signal_mv))
        np.testing.assert_allclose(signal_mv[:, -1], np.minimum(time / factor, len(time) - 1), rtol=1e-4)


def test_a_delay_moves_signals_and_times_together(hearts):
    shifted = task(max_shift_ms=40.0, scaling="none")
    record = record_of(hearts)
    view = jax.jit(jax.vmap(shifted.training_view, in_axes=(0, None)))
    many = view(jax.random.split(jax.random.key(0), 64), record)
    delays = np.asarray(many["activation_ms"] - record["activation_ms"])
    assert np.ptp(delays, axis=1).max() < 1e-4
    delays = np.rint(delays[:, 0]).astype(int)
    assert delays.min() >= 0
    assert 35 < delays.max() <= 40
    whole = np.asarray(record["signal_mv"])
    for signal_mv, delay in zip(np.asarray(many["signal_mv"]), delays, strict=True):
        np.testing.assert_allclose(signal_mv[delay:], whole[: len(whole) - delay], atol=1e-5)
        assert not signal_mv[:delay].any()


def test_scalings(hearts):
    record = record_of(hearts)
    whole = np.asarray(record["signal_mv"])
    mean_mv, sd_mv = tuple(np.linspace(-0.1, 0.1, 12)), tuple(np.linspace(0.2, 0.8, 12))
    wanted = {
        "none": whole,
        "lead_range": whole / np.ptp(whole, axis=0),
        "record_range": whole / np.ptp(whole, axis=0).max(),
        "global_range": whole / 5.0,
        "standard": (whole - mean_mv) / sd_mv,
    }
    for scaling, values in wanted.items():
        shown = task(scaling=scaling, range_mv=5.0, mean_mv=mean_mv, sd_mv=sd_mv)
        np.testing.assert_allclose(shown.evaluation_view(record, 0)["signal_mv"], values, atol=1e-5, err_msg=scaling)


def test_withheld_leads_are_zero_in_every_scaling(hearts):
    record = record_of(hearts)
    for scaling in ("none", "lead_range", "standard"):
        shown = task(leads="I+II+V2", scaling=scaling).evaluation_view(record, 0)["signal_mv"]
        is_shown = np.asarray(shown).any(axis=0)
        assert is_shown.tolist() == [name in (*leads.LIMB_LEADS, "V2") for name in leads.LEADS]


def test_augmentation_is_another_record_with_the_same_times(hearts):
    record = record_of(hearts)
    noisy = task(noise_mv=0.02, gain=0.2, displacement=0.1, random_leads=1.0, scaling="none")
    view = jax.jit(jax.vmap(noisy.training_view, in_axes=(0, None)))
    many = view(jax.random.split(jax.random.key(0), 32), record)
    np.testing.assert_array_equal(many["activation_ms"][5], record["activation_ms"])
    is_shown = np.asarray(many["signal_mv"]).any(axis=1)
    assert is_shown.any(axis=1).all()
    assert 0.2 < is_shown.mean() < 0.9
    gains = np.std(many["signal_mv"][..., 1], axis=1)
    assert len(np.unique(gains.round(6))) > 8


def test_baselines_know_no_more_than_training(hearts):
    test = heart_archive.split(range(4, 6), 6)
    shown = task().shown
    found = heart_baselines.activation_maps(hearts, test, shown)
    train_ms = hearts.labels["activation_ms"]
    np.testing.assert_allclose(found["mean_map"], np.tile(train_ms.mean(axis=0), (len(test), 1)), rtol=1e-5)
    itself = heart_baselines.activation_maps(hearts, hearts, shown)
    np.testing.assert_allclose(itself["nearest_record"], train_ms, rtol=1e-5)
    error = {name: np.abs(said - test.labels["activation_ms"]).mean() for name, said in found.items()}
    assert error["ridge_regression"] < error["nearest_record"] < error["mean_map"]


def test_baselines_fill_what_never_fires(hearts):
    true_ms = hearts.labels["activation_ms"].copy()
    true_ms[:, 3], true_ms[5, 8] = np.nan, np.nan
    silent = dataclasses.replace(hearts, labels={**hearts.labels, "activation_ms": true_ms})
    for said in heart_baselines.activation_maps(silent, hearts, task().shown).values():
        assert np.isfinite(said).all()


def test_ridge_regression_is_sklearns_at_the_best_penalty():
    rng = np.random.default_rng(0)
    inputs, groups = rng.normal(size=(120, 15)), np.arange(120) // 6
    targets = inputs @ rng.normal(size=(15, 3)) + rng.normal(size=(120, 3)) + 50
    asked = rng.normal(size=(20, 15))
    found = heart_baselines.ridge_regression(inputs, targets, groups, asked)
    centred = inputs - inputs.mean(axis=0)
    penalties = heart_baselines._PENALTIES * np.trace(centred.T @ centred) / 15
    known = [sklearn.linear_model.Ridge(alpha=p).fit(inputs, targets).predict(asked) for p in penalties]
    gaps = [np.abs(found - one).max() for one in known]
    assert min(gaps) < 1e-8
    assert np.ptp(known[-1] - found) > 1e-3


def test_records_without_a_beat_and_datasets_without_hearts_are_refused(hearts):
    true_ms = hearts.labels["activation_ms"].copy()
    true_ms[2] = np.nan
    silent = dataclasses.replace(hearts, labels={"activation_ms": true_ms})
    assert np.flatnonzero(task().excluded(silent)["no site fires"]).tolist() == [2]
    with pytest.raises(InputError, match="intracardiac/hearts knows no hearts"):
        task().excluded(dataclasses.replace(hearts, labels={}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "l2"}, "unknown activation_map.loss 'l2'"),
        ({"spread_ms": 0.0}, "activation_map.spread_ms is 0.0"),
        ({"scaling": "normalized"}, "unknown scaling 'normalized'"),
        ({"sd_mv": (1.0, 2.0)}, "mean_mv and sd_mv have 12 and 2 values"),
        ({"sd_mv": (0.0,) * 12}, "not above 0"),
        ({"stretch": -1.0}, "activation_map.stretch is -1.0"),
        ({"max_shift_ms": -1.0}, "max_shift_ms is -1.0"),
        ({"random_leads": 2.0}, "random_leads is 2.0"),
        ({"leads": "V9"}, "unknown lead name 'V9'"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        task(**options)


def test_crops_are_refused_since_times_count_from_the_start():
    config = config_file.get_config("smoke")
    config.data.crop_s = 0.25
    with pytest.raises(InputError, match=r"data.crop_s is 0.25"):
        tasks.build(config)
