"""The posterior of age against the ages that were drawn, and against densities of SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from ecgjax.simulate import age_floor as floor
from ecgjax.simulate import generate, vectors
from ecgjax.simulate.population import HEART, SUBJECT

SEED, HEARTS, SECONDS = 5, 3072, 1.0


@pytest.fixture(scope="module")
def latents():
    return floor.draw_latents(SEED, np.arange(HEARTS), SECONDS)


@pytest.fixture(scope="module")
def found(latents):
    return floor.evidence(latents)


def _rows(latents, rows):
    return floor.Latents(**{name: values[rows] for name, values in vars(latents).items()})


def _ranks(probability, age_years):
    """What of each posterior `[n, age]` lies below the true age, which is uniform if the posterior is right."""
    rows = np.arange(len(age_years))
    column = np.searchsorted(floor.EDGES_YEARS, age_years)
    is_first, is_last = age_years <= floor.EDGES_YEARS[0], age_years >= floor.EDGES_YEARS[-1]
    column = np.where(is_first, 0, np.where(is_last, len(floor.AGES_YEARS) - 1, column))
    within = (age_years - floor.EDGES_YEARS[np.maximum(column - 1, 0)]) / floor.STEP_YEARS
    # Those at the ends may be anywhere beyond.
    anywhere = np.random.default_rng(0).uniform(size=len(rows))
    within = np.where(is_first | is_last, anywhere, within)
    reached = np.cumsum(probability, axis=1)[rows, column]
    return reached - (1 - within) * probability[rows, column]


def test_the_hearts_are_those_of_the_records(latents):
    records = generate(SEED, 96, 50.0, SECONDS, first_heart=40, noise=False)
    part = _rows(latents, slice(40, 136))
    np.testing.assert_allclose(part.age_years, records["age_years"], rtol=1e-6)
    np.testing.assert_array_equal(part.is_male, records["sex"] == "male")
    np.testing.assert_array_equal(part.has_hypertrophy, records["hypertrophy"])
    np.testing.assert_array_equal(part.conduction > 0, records["conduction"] != "normal")
    sinus = records["rhythm"] == "sinus"
    np.testing.assert_allclose(part.pr_ms[sinus], records["pr_ms"][sinus], rtol=1e-5)


def test_without_evidence_the_prior_is_left():
    probability = floor.posterior({"nothing": np.zeros((1, len(floor.AGES_YEARS)))})
    expected = scipy.stats.norm(SUBJECT.age_years, SUBJECT.age_sd)
    assert probability.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.cumsum(probability)[:-1], expected.cdf(floor.EDGES_YEARS), atol=1e-4)
    assert floor.medians(probability)[0] == pytest.approx(SUBJECT.age_years, abs=0.01)


@pytest.mark.parametrize("sources", [*((name,) for name in floor.SOURCES), floor.SOURCES], ids="+".join)
def test_posterior_is_calibrated(latents, found, sources):
    """Of one source, of all of them together: a source that counted twice would make them too sure."""
    probability = floor.posterior({name: found[name] for name in sources})
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-9)
    ranks = _ranks(probability, latents.age_years)
    assert abs(np.mean((ranks > 0.25) & (ranks < 0.75)) - 0.5) < 3 * 0.5 / np.sqrt(HEARTS)
    assert scipy.stats.kstest(ranks, "uniform").pvalue > 0.01


def test_every_source_tells_something_that_the_others_do_not(latents, found):
    column = np.clip(np.searchsorted(floor.EDGES_YEARS, latents.age_years), 0, len(floor.AGES_YEARS) - 1)

    def information(sources):
        probability = floor.posterior({name: found[name] for name in sources})
        return np.log(probability[np.arange(HEARTS), column]).mean()

    of_all = information(floor.SOURCES)
    for name in floor.SOURCES:
        assert of_all > information([other for other in floor.SOURCES if other != name]), name


def test_the_floor_is_the_error_that_the_posterior_expects(latents, found):
    probability = floor.posterior(found)
    estimates = floor.medians(probability)
    errors = np.abs(estimates - latents.age_years)
    expected = np.sum(probability * np.abs(floor.AGES_YEARS - estimates[:, None]), axis=1)
    assert abs(errors.mean() - expected.mean()) < 3 * errors.std() / np.sqrt(HEARTS)
    assert 3 < errors.mean() < 0.7 * np.abs(latents.age_years - np.median(latents.age_years)).mean()
    means = probability @ floor.AGES_YEARS
    for other in (estimates - 1, estimates + 1, 61 + 0.9 * (estimates - 61), 61 + 1.1 * (estimates - 61), means + 0.5):
        assert errors.mean() < np.abs(other - latents.age_years).mean()


@pytest.mark.parametrize("rhythm", [0, 1], ids=["sinus", "afib"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_dipoles_against_normal_densities_averaged_over_sizes(latents, count, rhythm):
    row = np.flatnonzero((latents.is_present.sum(axis=1) == count) & (latents.rhythm == rhythm))[0]
    one = _rows(latents, [row])
    columns = np.array([0, 80, 160, 250])
    log_ratio = floor.evidence(one)["dipoles"][0, columns]
    spread = HEART.remarkable_spread if one.is_remarkable[0] else 1.0
    modes, residual = (np.reshape(table, (-1, 36)) for table in (vectors.MODES, vectors.RESIDUAL_SD))
    covariance = spread**2 * (HEART.mode_gain**2 * modes.T @ modes + np.diag(HEART.residual_gain * residual[0]) ** 2)
    changes = np.array([vectors.CHANGES[name] for name in vectors.CHANGES]).reshape(-1, 36)[one.is_present[0]]
    nodes = HEART.change_size[0] + np.ptp(HEART.change_size) * (np.arange(150) + 0.5) / 150
    sizes = np.array(np.meshgrid(*[nodes] * count)).reshape(count, -1).T if count else np.zeros((1, 0))
    seen = np.arange(36) >= (0 if rhythm == 0 else 9)
    logs = []
    for decades in (floor.AGES_YEARS[columns] - 50) / 10:
        mean = np.reshape(vectors.MEAN, 36) + decades * np.reshape(vectors.PER_DECADE, 36)
        mean = mean + one.is_male[0] * np.reshape(vectors.MALE, 36)
        rest = one.vector_ma_cm.reshape(36) - mean - sizes @ changes
        density = scipy.stats.multivariate_normal(cov=covariance[np.ix_(seen, seen)])
        logs.append(scipy.special.logsumexp(density.logpdf(rest[:, seen])))
    np.testing.assert_allclose(np.diff(log_ratio), np.diff(logs), rtol=1e-3, atol=1e-3)


def test_estimates_depend_on_seed_and_heart_alone(latents, found):
    numbers = np.array([700, 3, 250])
    estimates = floor.medians(floor.posterior(found))
    np.testing.assert_allclose(floor.age_floor(SEED, numbers, SECONDS), estimates[numbers], atol=1e-3)
    assert np.abs(floor.age_floor(SEED + 1, numbers, SECONDS) - estimates[numbers]).min() > 0.01
