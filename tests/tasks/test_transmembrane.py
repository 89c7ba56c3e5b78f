"""Transmembrane potentials: scalings, losses, figures and baselines against closed forms."""

import heart_archive
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import transmembrane as config_file
from ecgjax import tasks
from ecgjax.data.intracardiac import NUM_SAMPLES, NUM_SITES, PEAK_MV, REST_MV, VM_GAIN
from ecgjax.errors import InputError
from ecgjax.tasks import heart_baselines
from ecgjax.tasks.potential_figures import Compared, paired_gains, potential_figures

UNCHANGED = dict.fromkeys(("max_shift_ms", "rotation_rad", "elongation", "displacement", "gain", "noise_mv"), 0.0)
"""Of what the default network's recipe changes in training."""


def task(**options):
    config = config_file.get_config("smoke")
    config.transmembrane.update(UNCHANGED | options)
    return tasks.build(config)


@pytest.fixture(scope="module")
def hearts():
    return heart_archive.split(range(3), 12)


@pytest.fixture(scope="module")
def true_mv(hearts):
    return hearts.labels["vm"] / VM_GAIN


def figures(true_mv, predicted_mv, num_bootstrap=0):
    compared = Compared.from_potentials(true_mv, predicted_mv)
    patients = np.arange(len(true_mv)) // 6
    return potential_figures(compared, patients, num_bootstrap)


def test_the_truth_is_without_error(true_mv):
    found = {name: metric.value for name, metric in figures(true_mv, true_mv.astype(np.float16), 20).items()}
    assert found["r2"] == pytest.approx(1, abs=1e-6)
    for name, bound in {"rmse_mv": 0.02, "relative_error": 1e-3, "mae_upstroke_ms": 1e-3, "mae_apd90_ms": 0.1}.items():
        assert found[name] < bound, name
    assert found["missed_upstrokes"] == 0
    assert "false_upstrokes" not in found
    assert "missed_apd90" in found


def test_errors_of_an_offset(true_mv):
    found = figures(true_mv, true_mv + 5.0)
    assert found["rmse_mv"].value == pytest.approx(5)
    assert found["rmse_mv/septum"].value == pytest.approx(5)
    squares = ((true_mv - REST_MV) ** 2).sum(axis=(1, 2))
    assert found["relative_error"].value == pytest.approx(np.mean(np.sqrt(25 * true_mv[0].size / squares)))
    assert found["r2"].value == pytest.approx(1 - 25 / np.var(true_mv), rel=1e-4)


def test_a_delay_is_an_error_of_the_upstroke_and_not_of_the_duration(true_mv):
    found = figures(true_mv, np.roll(true_mv, 3, axis=1))
    assert found["mae_upstroke_ms"].value == pytest.approx(3, abs=1e-3)
    assert found["mae_upstroke_ms/LV"].value == pytest.approx(3, abs=1e-3)
    assert found["mae_apd90_ms"].value == pytest.approx(0, abs=1e-3)


def test_upstrokes_on_one_side_alone_are_counted(true_mv):
    true_mv, predicted_mv = true_mv.copy(), true_mv.copy()
    predicted_mv[:, :, :15] = REST_MV
    true_mv[0, :, 70:] = REST_MV
    found = figures(true_mv, predicted_mv)
    assert found["missed_upstrokes"].value == pytest.approx(15 * len(true_mv) / (NUM_SITES * len(true_mv) - 5))
    assert found["false_upstrokes"].value == 1
    assert found["mae_upstroke_ms"].value == 0


def test_gains_are_paired(true_mv):
    own, other = (Compared.from_potentials(true_mv, true_mv + offset) for offset in (1.0, 3.0))
    patients = np.arange(len(true_mv)) // 6
    found = paired_gains(own, other, patients, num_bootstrap=30)
    assert found["gain/rmse_mv"].value == pytest.approx(-2)
    assert found["gain/rmse_mv"].ci95 == pytest.approx((-2, -2))
    assert found["gain/relative_error"].value < 0


@pytest.mark.parametrize("vm_scaling", ["none", "unit", "site_standard"])
def test_outputs_of_the_truth_have_no_loss_and_give_it_back(hearts, true_mv, vm_scaling):
    sites = {"site_mean_mv": tuple(np.linspace(-40.0, -20, 75)), "site_sd_mv": tuple(np.linspace(30.0, 50, 75))}
    judged = task(vm_scaling=vm_scaling, upstroke_weight=4.0, **sites)
    centre, spread = {
        "none": (0, 1),
        "unit": (REST_MV, PEAK_MV - REST_MV),
        "site_standard": (np.array(sites["site_mean_mv"]), np.array(sites["site_sd_mv"])),
    }[vm_scaling]
    batch = {name: jnp.asarray(hearts.labels[name][:2]) for name in ("vm", "activation_ms")}
    outputs = jnp.asarray((true_mv[:2] - centre) / spread, jnp.float32)
    assert np.abs(judged.loss(outputs, batch)).max() < 1e-6
    said = judged.predict(outputs, batch)
    assert said["scores"].dtype == said["targets"].dtype == jnp.float16
    np.testing.assert_allclose(said["scores"], true_mv[:2], atol=0.04)
    np.testing.assert_allclose(said["targets"], true_mv[:2], atol=0.04)


def test_upstrokes_weigh_more():
    vm = jnp.zeros((1, NUM_SAMPLES, NUM_SITES), jnp.int16)
    fired_ms = jnp.full((1, NUM_SITES), 100.0).at[0, 50:].set(jnp.nan)
    near = np.zeros((1, NUM_SAMPLES, NUM_SITES), np.float32)
    near[0, 95:106, :50] = 2.0
    batch = {"vm": vm, "activation_ms": fired_ms}
    weighed = task(vm_scaling="none", upstroke_weight=3.0, upstroke_ms=5.0).loss(jnp.asarray(near), batch)
    assert weighed[0] == pytest.approx(4 * 4 * 11 * 50 / (near.size + 3 * 11 * 50))
    plain = {loss: task(vm_scaling="none", loss=loss).loss(jnp.asarray(near), batch)[0] for loss in ("mse", "l1")}
    assert plain["mse"] == pytest.approx(4 * 11 * 50 / near.size)
    assert plain["l1"] == pytest.approx(2 * 11 * 50 / near.size)


def test_a_delay_moves_signals_and_potentials_together(hearts):
    shifted = task(max_shift_ms=40.0, scaling="none", upstroke_weight=1.0)
    names = ("vm", "activation_ms")
    record = {"signal_mv": jnp.asarray(hearts.ecg[1] / hearts.gain, jnp.float32)}
    record |= {name: jnp.asarray(hearts.labels[name][1]) for name in names}
    many = jax.jit(jax.vmap(shifted.training_view, in_axes=(0, None)))(jax.random.split(jax.random.key(1), 8), record)
    assert many["vm"].dtype == jnp.int16
    delays = np.rint(np.asarray(many["activation_ms"] - record["activation_ms"])[:, 0]).astype(int)
    assert len(set(delays)) > 4
    for vm, signal_mv, delay in zip(many["vm"], many["signal_mv"], delays, strict=True):
        np.testing.assert_array_equal(vm[delay:], record["vm"][: NUM_SAMPLES - delay])
        np.testing.assert_array_equal(vm[:delay], np.tile(record["vm"][0], (delay, 1)))
        np.testing.assert_allclose(signal_mv[delay:], record["signal_mv"][: NUM_SAMPLES - delay], atol=1e-5)


def test_the_mean_action_potential_gives_back_beats_of_its_shape(hearts, true_mv):
    fired_ms = hearts.labels["activation_ms"].astype(float)
    shape_mv = heart_baselines.mean_action_potential(hearts.labels["vm"], fired_ms)
    rebuilt_mv = heart_baselines.begun_at(shape_mv, fired_ms)
    assert np.abs(heart_baselines.begun_at(shape_mv, np.rint(fired_ms)) - true_mv).mean() < 1.0
    found = figures(true_mv, rebuilt_mv)
    assert found["mae_upstroke_ms"].value < 0.3
    assert found["relative_error"].value < 0.1


def test_sites_that_never_fire_stay_at_rest(hearts):
    fired_ms = hearts.labels["activation_ms"].astype(float)
    fired_ms[:, 7] = np.nan
    assert (heart_baselines.mean_action_potential(hearts.labels["vm"], fired_ms)[:, 7] == REST_MV).all()


def test_baselines_by_activation_beat_the_mean(hearts):
    test = heart_archive.split(range(3, 5), 12)
    methods = heart_baselines.potentials(hearts, test, task().shown)
    true_mv = test.labels["vm"] / VM_GAIN
    np.testing.assert_allclose(methods["mean_potentials"][0], hearts.labels["vm"].mean(axis=0) / VM_GAIN, atol=0.05)
    error = {name: figures(true_mv, said)["relative_error"].value for name, said in methods.items()}
    assert error["ridge_action_potential"] < 0.5 * error["mean_potentials"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "l2"}, "unknown transmembrane.loss 'l2'"),
        ({"vm_scaling": "standard"}, "unknown transmembrane.vm_scaling 'standard'"),
        ({"site_sd_mv": (1.0, 2.0)}, "transmembrane.site_sd_mv has 2 values"),
        ({"site_sd_mv": (0.0,)}, "site_sd_mv is not above 0"),
        ({"upstroke_weight": -1.0}, "transmembrane.upstroke_weight is -1.0"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        task(**options)


def test_other_rates_are_refused():
    config = config_file.get_config("smoke")
    config.preprocess.fs_hz = 500.0
    with pytest.raises(InputError, match=r"preprocess.fs_hz is 500.0"):
        tasks.build(config)
