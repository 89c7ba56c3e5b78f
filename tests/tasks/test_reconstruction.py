"""The task: what is shown, learnt and kept, against numpy on the signals; and what a network has to beat."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rebuilt_run

from configs import reconstruction as config_file
from ecgjax import leads, tasks
from ecgjax.data.resident import resident, whole_record
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.tasks import reconstruction_baselines as baselines
from ecgjax.tasks.reconstruction_figures import MOMENTS

INDEPENDENT = [LEADS.index(name) for name in leads.INDEPENDENT_LEADS]
SPLIT = rebuilt_run.made_split("test", 6)
SIGNAL_MV = (SPLIT.ecg / SPLIT.gain).astype(np.float32)


def task(**options):
    return tasks.build(rebuilt_run.reconstruction_config(**options))


@functools.cache
def evaluation(made):
    return jax.jit(jax.vmap(made.evaluation_view, in_axes=(0, None)))


@functools.cache
def prediction(made):
    return jax.jit(made.predict)


def views(made, view, split=SPLIT):
    """The records as evaluation presents them."""
    data = jax.tree.map(jnp.asarray, resident(split, made.targets(split)))
    records = jax.vmap(whole_record, (None, 0))(data, jnp.arange(len(split)))
    return evaluation(made)(records, jnp.int32(view))


def test_evaluation_shows_each_set_completed_and_nothing_else():
    made = task()
    for view, given in enumerate(made.sets):
        shown = np.asarray(views(made, view)["signal_mv"])
        np.testing.assert_allclose(shown, SIGNAL_MV @ leads.completion(given).T, atol=2e-3)
        hidden = [lead for lead, name in enumerate(LEADS) if name not in leads.derivable(given)]
        assert not shown[..., hidden].any()


@pytest.mark.parametrize("given", ["random", "evaluated", "I+V5"])
def test_training_shows_the_leads_that_it_is_asked_to(given):
    masks = np.asarray(jax.jit(jax.vmap(task(given=given)._given))(jax.random.split(jax.random.key(0), 60)))
    sets = {tuple(np.array(LEADS)[mask]) for mask in masks}
    if given == "random":
        assert len(sets) > 30
    else:
        assert sets == {leads.lead_subset(text) for text in (rebuilt_run.SETS if given == "evaluated" else (given,))}


def test_training_varies_the_body_of_all_leads_and_adds_noise_to_what_is_shown():
    made = task(given="I+V5", noise_mv=0.05, rotation_rad=0.3)
    view = jax.jit(made.training_view)
    seen = [view(jax.random.key(k), {"signal_mv": jnp.asarray(SIGNAL_MV[0])}) for k in range(6)]
    level = []
    for one in seen:
        full = np.asarray(one["full_mv"])
        assert np.abs(full - SIGNAL_MV[0]).max() > 0.02
        np.testing.assert_allclose(full[:, 0] + full[:, 2], full[:, 1], atol=3e-3)
        noise = np.asarray(one["signal_mv"]) - full
        assert np.corrcoef(noise[:, LEADS.index("V5")], full[:, LEADS.index("V5")])[0, 1] < 0.3
        level.append(noise[:, LEADS.index("V5")].std())
    assert 0.01 < np.median(level) < 0.2


@pytest.mark.parametrize("loss", ["l1", "l2", "huber"])
def test_loss_counts_open_leads_alone(loss):
    made = task(loss=loss, relative=1.0)

    @jax.jit
    def loss_and_slope(outputs, batch):
        return made.loss(outputs, batch), jax.grad(lambda x: jnp.sum(made.loss(x, batch)))(outputs)

    for view, given in enumerate(made.sets):
        batch = views(task(), view)
        truth = batch["full_mv"][..., jnp.array(INDEPENDENT)]
        assert np.all(loss_and_slope(truth, batch)[0] < 1e-3)
        wrong, slope = loss_and_slope(truth + 0.3, batch)
        assert np.all(wrong > 1e-2)
        is_open = [name not in leads.derivable(given) for name in leads.INDEPENDENT_LEADS]
        np.testing.assert_array_equal(np.any(np.asarray(slope) != 0, axis=(0, 1)), is_open)


def test_relative_errors_do_not_depend_on_the_size_of_the_lead():
    batch = views(task(), 0)
    large = {**batch, "signal_mv": 50 * batch["signal_mv"], "full_mv": 50 * batch["full_mv"]}
    larger = {**batch, "signal_mv": 100 * batch["signal_mv"], "full_mv": 100 * batch["full_mv"]}
    truth = batch["full_mv"][..., jnp.array(INDEPENDENT)]
    for relative, factor in ((0.0, 2.0), (1.0, 1.0)):
        loss = jax.jit(task(loss="l1", relative=relative).loss)
        np.testing.assert_allclose(loss(80 * truth, larger) / loss(40 * truth, large), factor, rtol=0.02)


def predictions(made, outputs_of):
    """Rows of all views of records of SPLIT, as the evaluator returns them; `outputs_of(truth)` is the network."""
    parts = []
    for view in range(made.num_views):
        batch = views(made, view)
        outputs = outputs_of(batch["full_mv"][..., jnp.array(INDEPENDENT)])
        found = {name: np.asarray(values) for name, values in prediction(made)(outputs, batch).items()}
        ids = {"view": np.full(len(SPLIT), view), "patient_ids": SPLIT.patient_ids}
        parts.append({**found, **ids, "record_ids": SPLIT.record_ids})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def halved():
    """Of a network whose leads are too small by half."""
    made = task()
    return made, predictions(made, lambda truth: 0.5 * truth)


def test_what_is_kept_is_that_of_the_signals(halved):
    made, kept = halved
    for view, given in enumerate(made.sets):
        is_learnt = np.isin(LEADS, [name for name in leads.INDEPENDENT_LEADS if name not in leads.derivable(given)])
        rows = kept["view"] == view
        np.testing.assert_array_equal(kept["is_learnt"][rows], np.tile(is_learnt, (6, 1)))
        moments = dict(zip(MOMENTS, np.moveaxis(kept["moments"][rows], -1, 0), strict=True))
        np.testing.assert_allclose(moments["mean_true"], SIGNAL_MV.mean(1), atol=1e-5)
        np.testing.assert_allclose(moments["variance_true"], SIGNAL_MV.var(1), rtol=1e-3)
        if given == ("I", "II", "V2"):
            np.testing.assert_allclose(
                moments["variance_rebuilt"], np.where(is_learnt, 0.25, 1.0) * SIGNAL_MV.var(1), rtol=1e-2
            )
            expected = np.where(is_learnt, 0.5, 1.0) * kept["targets"][rows]
            np.testing.assert_allclose(kept["scores"][rows], expected, atol=5e-3)
    assert np.all(kept["num_beats"] > 2)
    assert np.all(np.abs(kept["targets"][:, LEADS.index("V4")]) > 0.1)


def test_samples_that_pad_a_record_do_not_count():
    made = task()
    padded = rebuilt_run.made_split("test", 6)
    padded.ecg[:, 300:] = 0
    padded.labels["num_samples"][:] = 300
    batch = views(made, 0, padded)
    found = prediction(made)(batch["full_mv"][..., jnp.array(INDEPENDENT)], batch)
    np.testing.assert_allclose(found["moments"][..., 2], (padded.ecg[:, :300] / 1000).var(1), rtol=1e-3)


def test_lost_variance_is_given_back_to_chest_leads(halved):
    made, kept = halved
    assert made.tuned(kept) is made
    for share in (0.5, 1.0):
        restoring = task(restore_variance=share)
        assert restoring.metrics(kept, 0)["variance_ratio/V4"].value == pytest.approx(0.25, rel=0.01)
        found = restoring.tuned(kept).metrics(kept, 0)
        assert found["variance_ratio/V4"].value == pytest.approx(0.25 ** (1 - share), rel=0.01)
        assert found["variance_ratio@I/II"].value == made.metrics(kept, 0)["variance_ratio@I/II"].value
    assert found["r_peak_bias_mv/V4"].value == pytest.approx(0, abs=0.01)
    assert found["pearson_r/V4"].value == pytest.approx(1, abs=1e-4)


def test_examples_are_beats_of_a_record_for_each_set(halved):
    made, kept = halved
    drawn = made.examples(SPLIT, kept)
    assert drawn["true_beat_mv"].shape == drawn["rebuilt_beat_mv"].shape == (3, made.window.num_samples, 12)
    assert drawn["given"].tolist() == list(rebuilt_run.SETS)
    lead = LEADS.index("V4")
    np.testing.assert_allclose(drawn["rebuilt_beat_mv"][0, :, lead], 0.5 * drawn["true_beat_mv"][0, :, lead], atol=2e-3)


def test_least_squares_are_those_of_lstsq():
    moments = baselines.second_moments(SPLIT.ecg, SPLIT.gain)
    flat = (SPLIT.ecg / SPLIT.gain).reshape(-1, 12)
    np.testing.assert_allclose(moments, flat[:, INDEPENDENT].T @ flat[:, INDEPENDENT] / len(flat), rtol=1e-10)
    for given in (("I", "II", "V2"), ("V1",), ("aVF", "V5", "V6"), ("I", "II", "III", "V3")):
        rows = [LEADS.index(name) for name in given]
        by_algebra = leads.LEADS_FROM_INDEPENDENT[rows] @ flat[:, INDEPENDENT].T
        expected, *_ = np.linalg.lstsq(by_algebra.T, flat[:, INDEPENDENT])
        found = by_algebra.T @ baselines.least_squares(moments, given)[:, rows].T
        np.testing.assert_allclose(found, by_algebra.T @ expected, atol=1e-6)


def test_a_dipole_is_found_again():
    signal_mv = rebuilt_run.signals(1, seed=5, noise_mv=0.0)[0]
    for given in (("I", "II", "V2"), ("aVF", "V1", "V6"), ("I", "II", "V1", "V3", "V5")):
        np.testing.assert_allclose(signal_mv @ baselines.from_dipole(given).T, signal_mv[:, INDEPENDENT], atol=1e-9)


def test_rivals_are_judged_as_the_network_is(halved):
    made, kept = halved
    order = np.argsort(np.tile(np.arange(6), 3), kind="stable")
    own = {name: values[order] for name, values in kept.items()}
    found = made.baselines(made.rivals(rebuilt_run.made_split("train", 20), SPLIT), SPLIT, own, num_bootstrap=10)
    assert list(found) == ["least_squares", "own_least_squares", "dipole"]
    ours = made.metrics(own, 0)
    for rival in found.values():
        for name in ("pearson_r", "rmse_mv/V4", "variance_ratio@I"):
            assert rival[f"gain/{name}"].value == pytest.approx(ours[name].value - rival[name].value, abs=1e-9)
    assert found["least_squares"]["gain/pearson_r"].ci95[0] > -0.2
    assert found["own_least_squares"]["rmse_mv"].value < found["least_squares"]["rmse_mv"].value
    assert found["dipole"]["pearson_r/superclass NORM"].n == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mae"}, "unknown reconstruction.loss 'mae'; use one of l1, l2, huber"),
        ({"evaluated": ()}, "reconstruction.evaluated is empty"),
        ({"evaluated": ("I", "I")}, "names a set twice"),
        ({"evaluated": ("independent",)}, "all leads follow from 'independent'"),
        ({"given": "I+V9"}, "unknown lead name 'V9'"),
        ({"given": "all"}, "all leads follow from 'all'"),
        ({"restore_variance": 1.5}, "restore_variance is 1.5"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        task(**options)


def test_windows_and_normalised_leads_are_refused():
    config = rebuilt_run.reconstruction_config()
    config.evaluation.window_stride_s = 1.0
    with pytest.raises(InputError, match="rebuilt signals have no mean over windows"):
        tasks.build(config)
    config = rebuilt_run.reconstruction_config()
    config.preprocess.normalise = "zscore"
    with pytest.raises(InputError, match="leads are rebuilt in mV"):
        tasks.build(config)


def test_flat_records_are_left_out():
    spoilt = rebuilt_run.made_split("test", 3)
    spoilt.ecg[1] = 5
    kept = spoilt.without(task().excluded(spoilt))
    assert (list(kept.record_ids), dict(kept.left_out)) == (["test0", "test2"], {"all leads flat": 1})


def test_arguments_of_the_config():
    config = config_file.get_config("ptbxl,given=I+II+V3,sets=I+II+V3/I,seed=3")
    assert (config.data.name, config.seed) == ("ptbxl", 3)
    assert config.reconstruction.given == "I+II+V3"
    assert config.reconstruction.evaluated == ("I+II+V3", "I")
    with pytest.raises(InputError, match="unknown argument 'gives=I'"):
        config_file.get_config("gives=I")
