"""Figures of rebuilt leads against numpy and scikit-learn on the signals themselves."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import r2_score, root_mean_squared_error

from ecgjax import metrics
from ecgjax.leads import LEADS
from ecgjax.tasks import reconstruction_figures as figures
from ecgjax.tasks.reconstruction_figures import Rebuilt

RNG = np.random.default_rng(0)
NUM_RECORDS, TIME = 9, 200
SETS = ("I+II+V2", "I+V1+V2+V3")
LEARNT = {"I+II+V2": ("V1", "V3", "V4", "V5", "V6"), "I+V1+V2+V3": ("II", "V4", "V5", "V6")}


def moments(true, rebuilt):
    """`[record, 12, 5]` by the book."""
    covariance = np.mean((true - true.mean(1, keepdims=True)) * (rebuilt - rebuilt.mean(1, keepdims=True)), axis=1)
    return np.stack([true.mean(1), rebuilt.mean(1), true.var(1), rebuilt.var(1), covariance], axis=-1)


def made():
    """True and rebuilt signals `[view, record, time, 12]`, and what the task would keep of them."""
    true = np.repeat(RNG.normal(size=(1, NUM_RECORDS, TIME, 12)), len(SETS), axis=0)
    true[:, 2, :, LEADS.index("V4")] = 0.3
    rebuilt = 0.7 * true + 0.3 * RNG.normal(size=true.shape) + 0.1
    view = np.tile(np.arange(len(SETS)), NUM_RECORDS)
    order = (view, np.repeat(np.arange(NUM_RECORDS), len(SETS)))
    peaks, st = RNG.normal(size=(2, len(view), 12, 2))
    predictions = {
        "moments": moments(true[order], rebuilt[order]),
        "targets": peaks[..., 0],
        "scores": peaks[..., 1],
        "st_mv": st,
        "num_beats": np.where(order[1] == 4, 0.0, 5.0),
        "groups": np.stack([order[1] % 2 == 0, order[1] < 0], axis=1),
        "view": view,
        "patient_ids": order[1] // 2,
    }
    return true, rebuilt, predictions


def test_values_are_those_of_the_signals():
    true, rebuilt, predictions = made()
    ones = np.ones((2, 12))
    found = figures.reconstruction_figures(predictions, SETS, ones, ("superclass A", "superclass B"), 0)
    for view, given in enumerate(SETS):
        by_lead = {}
        has_beat = predictions["num_beats"][view::2] > 0
        for name in LEARNT[given]:
            lead = LEADS.index(name)
            x, y = true[view, ..., lead], rebuilt[view, ..., lead]
            moving = [k for k in range(NUM_RECORDS) if np.ptp(x[k]) > 0]
            centred = x - x.mean(1, keepdims=True)
            peaks = [predictions[key][view::2, lead][has_beat] for key in ("targets", "scores")]
            st = predictions["st_mv"][view::2, lead][has_beat]
            by_lead[name] = {
                "pearson_r": np.mean([pearsonr(x[k], y[k]).statistic for k in moving]),
                "rmse_mv": root_mean_squared_error(x.ravel(), y.ravel()),
                "r2": 1 - np.sum((x - y) ** 2) / np.sum(centred**2),
                "variance_ratio": y.var(1).mean() / x.var(1).mean(),
                "r_peak_bias_mv": np.mean(np.sign(peaks[0]) * (peaks[1] - peaks[0])),
                "st_error_mv": np.mean(np.abs(st[:, 1] - st[:, 0])),
            }
        for figure in figures.FIGURES:
            each = [by_lead[name][figure] for name in LEARNT[given]]
            assert found[figures.named_for_set(figure, given, view == 0)].value == pytest.approx(np.mean(each))
            for name, value in zip(LEARNT[given], each, strict=True):
                assert found[figures.named_for_set(f"{figure}/{name}", given, view == 0)].value == pytest.approx(value)
    scored = {name.partition("/")[2] for name in found if "/" in name and "@" not in name}
    assert scored == {*LEARNT["I+II+V2"], "superclass A", "superclass B"}
    assert found["rmse_mv"].n == NUM_RECORDS
    assert np.isnan(found["pearson_r/superclass B"].value)
    assert [name for name in found if "/" in name] == list(found)[2 * len(figures.FIGURES) :]


def test_r2_of_one_record_is_that_of_sklearn():
    true, rebuilt, _ = made()
    one = Rebuilt(moments(true[0], rebuilt[0])[:1], np.zeros((1, 12, 2)), np.zeros((1, 12, 2)), np.ones(1, bool))
    found = figures.weighted_figures(one, ("V1",), {})(np.ones(1))
    lead = LEADS.index("V1")
    assert found["r2"] == pytest.approx(r2_score(true[0, 0, :, lead], rebuilt[0, 0, :, lead]))


def test_groups_are_figures_of_their_records_alone():
    _, _, predictions = made()
    kept = predictions["groups"][:, 0]
    some = {name: values[kept] for name, values in predictions.items()}
    all_found = figures.reconstruction_figures(predictions, SETS, np.ones((2, 12)), ("superclass A", "superclass B"), 0)
    found = figures.reconstruction_figures(some, SETS, np.ones((2, 12)), (), 0)
    for figure in figures.BY_GROUP:
        assert all_found[f"{figure}/superclass A"].value == pytest.approx(found[figure].value)


def test_factors_act_as_on_the_signals():
    true, rebuilt, _ = made()
    gains = RNG.uniform(0.5, 2, 12)
    level = rebuilt[0].mean(1, keepdims=True)
    as_kept = Rebuilt(moments(true[0], rebuilt[0]), *RNG.normal(size=(2, NUM_RECORDS, 12, 2)), np.ones(NUM_RECORDS))
    on_signals = moments(true[0], level + gains * (rebuilt[0] - level))
    scaled = as_kept.amplified(gains)
    np.testing.assert_allclose(scaled.moments, on_signals, atol=1e-12)
    np.testing.assert_allclose(scaled.qrs_mv[..., 1], gains * as_kept.qrs_mv[..., 1])
    np.testing.assert_array_equal(scaled.st_mv[..., 0], as_kept.st_mv[..., 0])
    error = figures.Rebuilt.squared_error(dataclasses.replace(as_kept, moments=on_signals))
    np.testing.assert_allclose(
        error, np.mean((level + gains * (rebuilt[0] - level) - true[0]) ** 2, axis=1), atol=1e-12
    )


def test_gains_are_paired_differences():
    _, _, own = made()
    rival = {**own, "moments": own["moments"] * np.array([1, 1, 1, 0.8, 0.7]), "scores": 0.5 * own["scores"]}
    ones = np.ones((2, 12))
    found = figures.gains_over(own, rival, SETS, ones, 50)
    ours, theirs = (figures.reconstruction_figures(one, SETS, ones, (), 0) for one in (own, rival))
    assert set(found) == {f"gain/{name}" for name in ours}
    for name in ours:
        assert found[f"gain/{name}"].value == pytest.approx(ours[name].value - theirs[name].value)
    assert found["gain/pearson_r"].value > 0
    nothing = figures.gains_over(own, own, SETS, ones, 50)
    assert {metric.ci95 for metric in nothing.values()} == {(0.0, 0.0)}


def test_intervals_resample_patients():
    _, _, predictions = made()
    found = figures.reconstruction_figures(predictions, SETS, np.ones((2, 12)), (), 300)["rmse_mv/V1"]
    rows = predictions["view"] == 0
    lead = LEADS.index("V1")
    error = Rebuilt.from_predictions(predictions, rows).squared_error()[:, lead]
    weights = metrics.bootstrap_weights(predictions["patient_ids"][rows], 300, metrics.BOOTSTRAP_SEED)
    replicates = np.sqrt(weights @ error / weights.sum(1))
    assert found.ci95 == pytest.approx(tuple(np.percentile(replicates, (2.5, 97.5))))
