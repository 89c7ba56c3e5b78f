"""The age task: what is left out, its losses and its figures against closed forms."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from test_reversal_baselines import population

from configs import age as config_file
from ecgjax import scp, tasks
from ecgjax.data import simulated
from ecgjax.errors import InputError
from ecgjax.tasks import age
from ecgjax.tasks import age_figures as figures

CLASSES = scp.class_names("superclass")


def task(**options):
    config = config_file.get_config("smoke")
    config.age.update(options)
    return tasks.build(config)


def aged(split, **labels):
    return dataclasses.replace(split, labels=labels)


def predictions(num_records=500, spread_years=8.0, stated=1.0):
    rng = np.random.default_rng(0)
    truth = rng.uniform(18, 89, num_records)
    return {
        "targets": truth.astype(np.float32),
        "scores": (truth + 2 + spread_years * rng.normal(size=num_records)).astype(np.float32),
        "spread_years": np.full(num_records, stated * spread_years, np.float32),
        "superclass": rng.uniform(size=(num_records, len(CLASSES))) < 0.3,
        "patient_ids": (np.arange(num_records) // 2).astype(str),
    }


def test_hidden_and_unknown_ages_are_left_out_and_told_apart():
    ages, is_over = np.array([50.0, np.nan, np.nan, 95.0]), np.array([False, True, False, False])
    excluded = task().excluded(aged(population(4, 0), age_years=ages, age_over_89=is_over))
    assert {reason: mask.tolist() for reason, mask in excluded.items()} == {
        "age above 89": [False, True, False, False],
        "age unknown": [False, False, True, False],
    }
    simulated = task().excluded(aged(population(4, 0), age_years=np.array([17.0, 40, 90, 95])))
    assert not np.any(list(simulated.values()))
    with pytest.raises(InputError, match="made knows no ages"):
        task().excluded(population(4, 0))


def test_targets_hold_superclasses_where_they_are_known():
    split = population(2, 0)
    codes = np.empty(2, object)
    codes[:] = [np.array(["IMI"]), np.array(["SR"])]
    known = task().targets(aged(split, age_years=np.array([50.0, 60.0]), scp_codes=codes))
    assert known["superclass"].tolist() == [[name == "MI" for name in CLASSES], [False] * 5]
    assert not task().targets(aged(split, age_years=np.array([50.0, 60.0])))["superclass"].any()


def test_losses_and_predictions_are_in_units_of_the_config():
    truth, outputs = jnp.array([40.0, 77.0]), jnp.array([[-1.0, 0.3], [2.0, -0.5]])
    batch = {"age_years": truth, "superclass": jnp.zeros((2, 5), bool)}
    options = {"centre_years": 60.0, "spread_years": 17.0}
    made = task(loss="l1", **options)
    assert made.num_outputs == 1
    said = made.predict(outputs[:, :1], batch)
    np.testing.assert_allclose(said["scores"], [43.0, 94.0])
    np.testing.assert_allclose(made.loss(outputs[:, :1], batch), [3 / 17, 17 / 17], rtol=1e-5)
    assert "spread_years" not in said
    made = task(loss="gaussian", **options)
    assert made.num_outputs == 2
    said = made.predict(outputs, batch)
    density = scipy.stats.norm.logpdf(truth, said["scores"], said["spread_years"])
    np.testing.assert_allclose(made.loss(outputs, batch), -density - np.log(17 * np.sqrt(2 * np.pi)), rtol=1e-5)
    np.testing.assert_allclose(said["spread_years"], 17 * np.exp(outputs[:, 1]), rtol=0.01)
    extreme = made.loss(jnp.array([[0.0, -1e3], [0.0, 1e3]]), batch)
    assert np.isfinite(extreme).all()


def test_figures_are_those_of_sklearn_and_of_counting():
    given = predictions()
    truth, guess = given["targets"].astype(float), given["scores"].astype(float)
    found = task().metrics(given, 0)
    assert "coverage_68pct" not in found
    assert found["mae_years"].value == pytest.approx(sklearn.metrics.mean_absolute_error(truth, guess))
    assert found["rmse_years"].value == pytest.approx(sklearn.metrics.root_mean_squared_error(truth, guess))
    assert found["r2"].value == pytest.approx(sklearn.metrics.r2_score(truth, guess))
    assert found["bias_years"].value == pytest.approx(np.mean(guess - truth))
    assert found["error_sd_years"].value == pytest.approx(np.std(guess - truth))
    for name, is_in in (
        ("50-59", (truth >= 50) & (truth < 60)),
        ("superclass MI", given["superclass"][:, CLASSES.index("MI")]),
    ):
        assert found[f"mae_years/{name}"].value == pytest.approx(np.abs(guess - truth)[is_in].mean())
        assert found[f"bias_years/{name}"].value == pytest.approx((guess - truth)[is_in].mean())
    decades = [name.split("/")[1] for name in found if name.startswith("mae_years/") and name[10].isdigit()]
    assert decades == sorted(decades)
    assert len(decades) == 8


def test_groups_of_few_records_are_left_out():
    truth = np.array([5.0, 101.0, 102.0, 103.0])
    found = figures.age_figures(truth, truth + 1, np.arange(4), np.zeros((4, 0), bool), (), 0)
    assert [name for name in found if "/" in name] == ["mae_years/100-109", "bias_years/100-109"]


@pytest.mark.parametrize("stated", [0.5, 1.0, 2.0])
def test_tuning_repairs_a_spread_that_is_too_small_or_too_large(stated):
    given = predictions(4000, stated=stated)
    made = task(loss="gaussian")
    tuned = made.tuned(given)
    rms = np.sqrt(np.mean((given["scores"].astype(float) - given["targets"]) ** 2))
    assert tuned.spread_scale == pytest.approx(rms / (8 * stated), rel=1e-5)
    found = tuned.metrics(given, 0)
    assert found["coverage_68pct"].value == pytest.approx(0.6827, abs=0.03)
    assert found["coverage_95pct"].value == pytest.approx(0.95, abs=0.02)
    assert found["coverage_error"].value < 0.02
    # Of a normal distribution with the error's own deviation, at its best.
    assert found["negative_log_likelihood"].value == pytest.approx(np.log(rms) + 0.5 * np.log(2 * np.pi * np.e))
    for scale in (0.9, 1.1):
        other = dataclasses.replace(made, spread_scale=tuned.spread_scale * scale).metrics(given, 0)
        assert other["negative_log_likelihood"].value > found["negative_log_likelihood"].value


def test_absolute_error_has_nothing_to_tune():
    given = predictions()
    given.pop("spread_years")
    made = task()
    assert made.tuned(given) is made


def test_baselines_and_gains():
    train, test = population(150, seed=1), population(60, seed=2)
    splits = []
    for split, seed in ((train, 3), (test, 4)):
        ages = np.random.default_rng(seed).uniform(20, 80, len(split))
        # The old have small waves here.
        ecg = np.round(split.ecg * (1.5 - ages / 100)[:, None, None]).astype(np.int16)
        splits.append(dataclasses.replace(split, ecg=ecg, labels={"age_years": ages}))
    train, test = splits
    truth = test.labels["age_years"].astype(np.float32)
    given = {"targets": truth, "scores": truth + 1, "superclass": np.zeros((60, 5), np.int8)}
    found = task().baselines(
        task().rivals(train, test), test, {**given, "patient_ids": test.patient_ids}, num_bootstrap=50
    )
    constant, ridge = found["constant_median"], found["ridge_regression"]
    expected = np.abs(truth - np.median(train.labels["age_years"])).mean()
    assert constant["mae_years"].value == pytest.approx(expected, rel=1e-5)
    assert ridge["mae_years"].value < 0.7 * constant["mae_years"].value
    for rival in (constant, ridge):
        assert rival["gain/mae_years"].value == pytest.approx(1 - rival["mae_years"].value, rel=1e-4)
        assert rival["gain/mae_years"].ci95[1] < 0


def test_simulated_records_are_held_against_the_simulators_floor(monkeypatch):
    train, test = population(30, seed=1), population(20, seed=2)
    ages = np.linspace(20, 80, 30).astype(np.float32)
    hearts = np.array([f"heart {n}" for n in range(7, 27)])
    train = aged(train, age_years=ages)
    test = dataclasses.replace(aged(test, age_years=ages[:20]), dataset="simulated/full", record_ids=hearts)
    asked = []

    def two_years_off(*arguments):
        asked.extend(arguments)
        return ages[:20] - 2.0

    monkeypatch.setattr(age, "age_floor", two_years_off)
    monkeypatch.setattr("ecgjax.tasks.average_beat_baselines.ages", lambda *arguments: {})
    given = {"targets": ages[:20], "scores": ages[:20] + 3, "superclass": np.zeros((20, 5), np.int8)}
    found = task().baselines(
        task().rivals(train, test), test, {**given, "patient_ids": test.patient_ids}, num_bootstrap=10
    )
    seed, numbers, seconds = asked
    assert (seed, seconds, numbers.tolist()) == (simulated.SEED, simulated.SECONDS, list(range(7, 27)))
    assert found["simulator_floor"]["mae_years"].value == pytest.approx(2)
    assert found["simulator_floor"]["gain/mae_years"].value == pytest.approx(1)


def test_unknown_options_are_refused():
    with pytest.raises(InputError, match="unknown age.loss 'l2'"):
        task(loss="l2")
    with pytest.raises(InputError, match="age.spread_years is 0.0"):
        task(spread_years=0.0)
