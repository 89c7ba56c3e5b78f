"""How well the age of a simulated subject can be told at all: its exact posterior given what the signal depends on.

Age is drawn first and reaches the signal through the latent variables listed in `SOURCES` alone. Whoever knows them,
and with them the torso, the rotation and gains of the waves, and sex, knows more than any record shows, so the median
of the posterior has the least absolute error that is possible on average.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_ndtr, logsumexp
from scipy.stats import norm

from ecgjax.simulate import vectors
from ecgjax.simulate.generator import draw_person
from ecgjax.simulate.heart import KERNELS
from ecgjax.simulate.population import CONDUCTIONS, HEART, INFARCTS, RHYTHM, RHYTHMS, SUBJECT
from ecgjax.simulate.subject import is_t_explained, prevalence_at

SOURCES = ("diagnoses", "pr_interval", "respiratory_arrhythmia", "qrs_gain", "dipoles")
"""What tells of age, independent of each other given the age and the latents that do not depend on it.

* `diagnoses`: rhythm, conduction, infarct, hypertrophy, long PR, ectopy, and the abnormal T that nothing else explains.
* `pr_interval`: of sinus rhythm without long PR; clipped, and not shorter than P allows.
* `respiratory_arrhythmia`: its amplitude in sinus rhythm, clipped above.
* `qrs_gain`: of the QRS, given hypertrophy, left bundle branch block and sex.
* `dipoles`: the vectors of the waves before their gains, P only in sinus rhythm. How much each diagnosis adds to them
  is not known: it is integrated out.
"""

YOUNGEST_YEARS, OLDEST_YEARS = SUBJECT.age_range_years
STEP_YEARS = 0.25
EDGES_YEARS = np.arange(YOUNGEST_YEARS, OLDEST_YEARS + STEP_YEARS / 2, STEP_YEARS)
AGES_YEARS = np.concatenate([[YOUNGEST_YEARS], (EDGES_YEARS[1:] + EDGES_YEARS[:-1]) / 2, [OLDEST_YEARS]])
"""The first and last hold all who would be younger or older; between them are the middles of `STEP_YEARS`."""

_FROM_MEAN = (AGES_YEARS - SUBJECT.age_years) / 10
_FROM_50 = (AGES_YEARS - 50) / 10
_NEAR = 1e-3
"""What is so near to where it is clipped, in ms or natural logarithms, counts as clipped: single precision."""

_SIZES_PER_CHANGE = 20
_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class Latents:
    """What shapes the signals of `n` subjects and tells of their age, which is beside it.

    Attributes:
      age_years, is_male, rhythm, conduction, infarct, has_hypertrophy, has_abnormal_t, has_long_pr, has_atrial_ectopy,
        has_ventricular_ectopy, has_sinus_arrhythmia: [n] as in `Subject`.
      p_ms, pr_ms, respiratory: [n].
      log_qrs_gain: [n] without that of low voltage.
      vector_ma_cm: [n, wave, 3] in the heart's own frame, before gains; 0 for P in other rhythms than sinus.
      is_present: [n, change] the diagnoses of `vectors.CHANGES`.
      is_remarkable: [n] any of them.
    """

    age_years: np.ndarray
    is_male: np.ndarray
    rhythm: np.ndarray
    conduction: np.ndarray
    infarct: np.ndarray
    has_hypertrophy: np.ndarray
    has_abnormal_t: np.ndarray
    has_long_pr: np.ndarray
    has_atrial_ectopy: np.ndarray
    has_ventricular_ectopy: np.ndarray
    has_sinus_arrhythmia: np.ndarray
    p_ms: np.ndarray
    pr_ms: np.ndarray
    respiratory: np.ndarray
    log_qrs_gain: np.ndarray
    vector_ma_cm: np.ndarray
    is_present: np.ndarray
    is_remarkable: np.ndarray


def age_floor(seed: int, heart_numbers: np.ndarray, seconds: float) -> np.ndarray:
    """The best possible estimates of age in years `[n]`, of hearts as `generate` numbers them in records so long."""
    return medians(posterior(evidence(draw_latents(seed, heart_numbers, seconds))))


def draw_latents(seed: int, heart_numbers: np.ndarray, seconds: float) -> Latents:
    """The latents of hearts `[n]`, float64 where they are not whole numbers."""
    key, numbers = jax.random.key(seed), np.asarray(heart_numbers, np.uint32)
    # Full chunks are compiled once, whatever the number of hearts.
    padded = np.resize(numbers, -(-len(numbers) // _CHUNK) * _CHUNK)
    chunks = [jax.device_get(_drawn(key, chunk, float(seconds))) for chunk in padded.reshape(-1, _CHUNK)]

    def joined(name: str) -> np.ndarray:
        values = np.concatenate([chunk[name] for chunk in chunks])[: len(numbers)]
        return values.astype(np.float64) if np.issubdtype(values.dtype, np.floating) else values

    return Latents(**{name: joined(name) for name in chunks[0]})


@functools.partial(jax.jit, static_argnames="seconds")
def _drawn(key: jax.Array, numbers: jax.Array, seconds: float) -> dict[str, jax.Array]:
    waves = np.array([KERNELS.index(name) for name in vectors.WAVES])

    def one(number: jax.Array) -> dict[str, jax.Array]:
        subject, _, heart, rhythm = draw_person(key, number, seconds)
        low = jnp.where(subject.low_voltage, HEART.low_voltage_gain, 1.0)
        return dict(
            age_years=subject.age_years,
            is_male=subject.male,
            rhythm=subject.rhythm,
            conduction=subject.conduction,
            infarct=subject.infarct,
            has_hypertrophy=subject.hypertrophy,
            has_abnormal_t=subject.abnormal_t,
            has_long_pr=subject.long_pr,
            has_atrial_ectopy=subject.atrial_ectopy,
            has_ventricular_ectopy=subject.ventricular_ectopy,
            has_sinus_arrhythmia=subject.sinus_arrhythmia,
            p_ms=1000 * heart.p_s,
            pr_ms=1000 * heart.pr_s,
            respiratory=rhythm.respiratory,
            log_qrs_gain=jnp.log(heart.wave_gain[vectors.WAVES.index("base")] / low),
            vector_ma_cm=heart.dipole_ma_cm[waves] @ heart.turn / heart.wave_gain[:, None],
            is_present=jnp.stack([subject.diagnoses()[name] for name in vectors.CHANGES]),
            is_remarkable=subject.is_remarkable,
        )

    return jax.vmap(one)(numbers)


def evidence(latents: Latents) -> dict[str, np.ndarray]:
    """Source -> log likelihood `[n, age]` of what it is, at each of `AGES_YEARS`, but for a constant of each row."""
    is_sinus = latents.rhythm == RHYTHMS.index("sinus")
    found = {
        "diagnoses": _diagnoses(latents, is_sinus),
        "pr_interval": np.where((is_sinus & ~latents.has_long_pr)[:, None], _pr_interval(latents), 0.0),
        "respiratory_arrhythmia": np.where(is_sinus[:, None], _respiratory(latents), 0.0),
        "qrs_gain": _qrs_gain(latents),
        "dipoles": _dipoles(latents, is_sinus),
    }
    return {name: found[name] for name in SOURCES}


def posterior(found: dict[str, np.ndarray]) -> np.ndarray:
    """Probabilities `[n, age]` of `AGES_YEARS` under the prior of `SUBJECT` and what sources tell."""
    distribution = norm(SUBJECT.age_years, SUBJECT.age_sd)
    inside = distribution.logpdf(AGES_YEARS[1:-1]) + np.log(STEP_YEARS)
    prior = np.concatenate([[distribution.logcdf(YOUNGEST_YEARS)], inside, [distribution.logsf(OLDEST_YEARS)]])
    logs = prior + sum(found.values())
    return np.exp(logs - logsumexp(logs, axis=1, keepdims=True))


def medians(probability: np.ndarray) -> np.ndarray:
    """Years `[n]` that halve the probabilities `[n, age]`, interpolated within a step."""
    below = np.cumsum(probability, axis=1)[:, :-1]
    return np.array([np.interp(0.5, row, EDGES_YEARS) for row in below])


def _diagnoses(latents: Latents, is_sinus: np.ndarray) -> np.ndarray:
    def told(is_there: np.ndarray, prevalence: float, log_odds: float, may_be: np.ndarray | bool = True) -> np.ndarray:
        chance = np.asarray(prevalence_at(prevalence, log_odds, jnp.asarray(_FROM_MEAN)), np.float64)
        logs = np.where(is_there[:, None], np.log(chance), np.log1p(-chance))
        return np.where(np.broadcast_to(may_be, is_there.shape)[:, None], logs, 0.0)

    explained = np.asarray(
        is_t_explained(*map(jnp.asarray, (latents.conduction, latents.infarct, latents.has_hypertrophy)))
    )
    normal, none = SUBJECT.conduction[CONDUCTIONS.index("normal")], SUBJECT.infarct[INFARCTS.index("none")]
    return (
        # Flutter is drawn, without regard to age, for those who do not fibrillate.
        told(latents.rhythm == RHYTHMS.index("afib"), SUBJECT.afib, SUBJECT.afib_log_odds)
        # Which kind of disturbance or infarct it is does not depend on age.
        + told(latents.conduction > 0, 1 - normal, SUBJECT.conduction_log_odds)
        + told(latents.infarct > 0, 1 - none, SUBJECT.infarct_log_odds)
        + told(latents.has_hypertrophy, SUBJECT.hypertrophy, SUBJECT.hypertrophy_log_odds)
        + told(latents.has_abnormal_t, SUBJECT.abnormal_t, SUBJECT.abnormal_t_log_odds, ~explained)
        + told(latents.has_long_pr, SUBJECT.long_pr, SUBJECT.long_pr_log_odds, is_sinus)
        + told(latents.has_atrial_ectopy, SUBJECT.atrial_ectopy, SUBJECT.ectopy_log_odds, is_sinus)
        + told(
            latents.has_ventricular_ectopy,
            SUBJECT.ventricular_ectopy,
            SUBJECT.ectopy_log_odds,
            latents.rhythm != RHYTHMS.index("flutter"),
        )
    )


def _pr_interval(latents: Latents) -> np.ndarray:
    shortest_ms = np.maximum(HEART.pr_range_ms[0], latents.p_ms + HEART.pr_beyond_p_ms)
    mean_ms = HEART.pr_ms + HEART.pr_per_decade_ms * _FROM_50
    return _clipped_normal(latents.pr_ms, mean_ms, HEART.pr_sd_ms, shortest_ms, HEART.pr_range_ms[1])


def _respiratory(latents: Latents) -> np.ndarray:
    gain = np.where(latents.has_sinus_arrhythmia, RHYTHM.sinus_arrhythmia_gain, 1.0)
    size, most = np.log(latents.respiratory / gain), np.log(RHYTHM.most_respiratory / gain)
    mean = np.log(RHYTHM.respiratory) + RHYTHM.respiratory_log_per_decade * _FROM_50
    return _clipped_normal(size, mean, RHYTHM.respiratory_log_sd, np.full(len(size), -np.inf), most)


def _clipped_normal(
    value: np.ndarray, mean: np.ndarray, sd: float, least: np.ndarray, most: np.ndarray | float
) -> np.ndarray:
    """Log likelihood `[n, age]` of normal values `[n]`, of which those at a bound may have been beyond it."""
    z = (value[:, None] - mean) / sd
    inside = np.where((value >= most - _NEAR)[:, None], norm.logsf(z), -0.5 * z**2)
    return np.where((value <= least + _NEAR)[:, None], norm.logcdf(z), inside)


def _qrs_gain(latents: Latents) -> np.ndarray:
    is_lbbb = latents.conduction == CONDUCTIONS.index("lbbb")
    mean = HEART.qrs_log_mean + HEART.qrs_log_male * latents.is_male + HEART.qrs_log_lbbb * is_lbbb
    mean = mean + HEART.qrs_log_hypertrophy * latents.has_hypertrophy
    excess = (latents.log_qrs_gain - mean)[:, None] - HEART.qrs_log_per_decade * _FROM_50
    return -0.5 * (excess / HEART.qrs_log_sd_gain) ** 2


def _dipoles(latents: Latents, is_sinus: np.ndarray) -> np.ndarray:
    """Normal vectors about a mean that moves with age, plus what each diagnosis adds, of unknown size."""
    modes = HEART.mode_gain * _rows(vectors.MODES)
    residual = HEART.residual_gain * _rows([vectors.RESIDUAL_SD])
    covariance = modes.T @ modes + np.diag(residual[0] ** 2)
    is_p = np.repeat([name.startswith("p_") for name in vectors.WAVES], 3)
    mean, by_decade, by_sex = _rows([vectors.MEAN, vectors.PER_DECADE, vectors.MALE])
    changes = _rows(list(vectors.CHANGES.values()))
    excess = latents.vector_ma_cm.reshape(len(is_sinus), -1) - mean - latents.is_male[:, None] * by_sex
    spread = np.where(latents.is_remarkable, HEART.remarkable_spread, 1.0)
    found = np.zeros((len(excess), len(AGES_YEARS)))
    for with_p in (True, False):
        seen = ~is_p | with_p
        # Coordinates in which modes and residual together have the unit matrix as covariance.
        unit = np.linalg.inv(np.linalg.cholesky(covariance[np.ix_(seen, seen)])).T
        slope, change = by_decade[seen] @ unit, changes[:, seen] @ unit
        for row in np.flatnonzero(is_sinus == with_p):
            present = change[latents.is_present[row]] / spread[row]
            found[row] = _line(excess[row, seen] @ unit / spread[row], slope / spread[row], present)
    return found


def _line(vector: np.ndarray, slope: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Log likelihood `[age]` of unit normal coordinates `[c]` about `slope * decades + sizes @ changes [change, c]`.

    Averaged over the sizes, each uniform: the one that is told most sharply in closed form, the others by
    Gauss-Legendre quadrature.
    """
    if not len(changes):
        return (vector @ slope) * _FROM_50 - 0.5 * (slope @ slope) * _FROM_50**2
    norms = np.linalg.norm(changes, axis=1)
    sharpest = int(np.argmax(norms))
    sizes, log_weights = _change_sizes(len(changes) - 1)
    rest = vector - sizes @ np.delete(changes, sharpest, axis=0)
    along = changes[sharpest] / norms[sharpest]
    # Of the line along the sharpest change: its place [node, age], and what lies across it.
    place = (rest @ along)[:, None] - (slope @ along) * _FROM_50
    rest_across, slope_across = rest - np.outer(rest @ along, along), slope - (slope @ along) * along
    logs = log_weights[:, None] - 0.5 * np.sum(rest_across**2, axis=1)[:, None]
    logs = logs + np.outer(rest_across @ slope_across, _FROM_50)
    least, most = (norms[sharpest] * size - place for size in HEART.change_size)
    logs = logs + _log_normal_between(least, most)
    return logsumexp(logs, axis=0) - 0.5 * (slope_across @ slope_across) * _FROM_50**2


def _log_normal_between(least: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Logarithm of what a standard normal distribution holds between bounds, far from its mean as well."""
    is_above = least > 0
    lower, upper = np.where(is_above, -most, least), np.where(is_above, -least, most)
    log_upper = log_ndtr(upper)
    return log_upper + np.log1p(-np.exp(log_ndtr(lower) - log_upper))


def _rows(tables: Sequence[Sequence[Sequence[float]]]) -> np.ndarray:
    """`[table, 3 * wave]`."""
    return np.array(tables, np.float64).reshape(len(tables), -1)


@functools.cache
def _change_sizes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes `[node, count]` and logarithms of weights `[node]` of an average over as many sizes."""
    least, most = HEART.change_size
    node, weight = np.polynomial.legendre.leggauss(_SIZES_PER_CHANGE)
    sizes = np.array(list(itertools.product(least + (most - least) * (node + 1) / 2, repeat=count)))
    weights = np.array(list(itertools.product(np.log(weight / 2), repeat=count)))
    return sizes, weights.sum(axis=1)
