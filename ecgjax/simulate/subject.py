"""One subject: body and diagnoses, drawn from `population.SUBJECT`."""

import dataclasses

import jax
import jax.numpy as jnp

from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import CONDUCTIONS, INFARCTS, RHYTHMS, SUBJECT

_BRANCHES = ("rbbb", "lbbb", "rbbb+lafb")
_INFARCTED = (("anterior",), ("inferior", "inferolateral"), ("lateral", "inferolateral"))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Subject:
    """Scalars; the kinds of rhythm, conduction and infarct are indices into the tuples of `population`."""

    age_years: jax.Array
    male: jax.Array
    height_cm: jax.Array
    weight_kg: jax.Array
    rhythm: jax.Array
    conduction: jax.Array
    infarct: jax.Array
    hypertrophy: jax.Array
    abnormal_t: jax.Array
    low_voltage: jax.Array
    long_pr: jax.Array
    bradycardia: jax.Array
    tachycardia: jax.Array
    sinus_arrhythmia: jax.Array
    atrial_ectopy: jax.Array
    ventricular_ectopy: jax.Array

    @property
    def decades(self) -> jax.Array:
        """Age from 50, in decades."""
        return (self.age_years - 50) / 10

    @property
    def stoutness(self) -> jax.Array:
        """Body mass index above 25, in steps of 10 kg/m2, bounded."""
        return jnp.clip((self.weight_kg / (self.height_cm / 100) ** 2 - 25) / 10, -1, 1.5)

    def diagnoses(self) -> dict[str, jax.Array]:
        """Those that change the vectors: whether each of `vectors.CHANGES` is there."""
        conductions = {name: self.conduction_is(name) for name in CONDUCTIONS[1:]}
        anterior, inferior, lateral = (self.infarct_is(*names) for names in _INFARCTED)
        walls = {"anterior": anterior, "inferior": inferior, "lateral": lateral}
        return {**conductions, **walls, "hypertrophy": self.hypertrophy, "abnormal_t": self.abnormal_t}

    @property
    def is_remarkable(self) -> jax.Array:
        """Whether there is any such diagnosis."""
        return jnp.stack(list(self.diagnoses().values())).any()

    def rhythm_is(self, name: str) -> jax.Array:
        return self.rhythm == RHYTHMS.index(name)

    def conduction_is(self, *names: str) -> jax.Array:
        return jnp.isin(self.conduction, jnp.array([CONDUCTIONS.index(name) for name in names]))

    def infarct_is(self, *names: str) -> jax.Array:
        return jnp.isin(self.infarct, jnp.array([INFARCTS.index(name) for name in names]))


def draw_subject(draws: Draws) -> Subject:
    """A subject; risks grow with age by their log odds."""
    z, u = draws.normal(3), draws.uniform(13)
    age = jnp.clip(SUBJECT.age_years + SUBJECT.age_sd * z[0], *SUBJECT.age_range_years)
    male = u[0] < SUBJECT.male
    height = jnp.where(male, SUBJECT.height_cm[1], SUBJECT.height_cm[0]) + SUBJECT.height_sd * z[1]
    weight = (height / 100) ** 2 * SUBJECT.bmi * jnp.exp(SUBJECT.bmi_log_sd * z[2])
    decades = (age - SUBJECT.age_years) / 10

    def has(uniform: jax.Array, prevalence: float, log_odds: float = 0.0) -> jax.Array:
        return uniform < prevalence_at(prevalence, log_odds, decades)

    rhythm = jnp.where(has(u[1], SUBJECT.afib, SUBJECT.afib_log_odds), 1, jnp.where(u[2] < SUBJECT.flutter, 2, 0))
    sinus = rhythm == 0
    bradycardia = sinus & has(u[9], SUBJECT.bradycardia)
    conduction = _kind(u[3], SUBJECT.conduction, SUBJECT.conduction_log_odds, decades)
    infarct = _kind(u[4], SUBJECT.infarct, SUBJECT.infarct_log_odds, decades)
    hypertrophy = has(u[5], SUBJECT.hypertrophy, SUBJECT.hypertrophy_log_odds)
    explained = is_t_explained(conduction, infarct, hypertrophy)
    return Subject(
        age_years=age,
        male=male,
        height_cm=height,
        weight_kg=weight,
        rhythm=rhythm,
        conduction=conduction,
        infarct=infarct,
        hypertrophy=hypertrophy,
        abnormal_t=has(u[6], SUBJECT.abnormal_t, SUBJECT.abnormal_t_log_odds) & ~explained,
        low_voltage=has(u[7], SUBJECT.low_voltage),
        long_pr=sinus & has(u[8], SUBJECT.long_pr, SUBJECT.long_pr_log_odds),
        bradycardia=bradycardia,
        tachycardia=sinus & ~bradycardia & (u[10] < SUBJECT.tachycardia),
        sinus_arrhythmia=sinus & (u[10] > 1 - SUBJECT.sinus_arrhythmia),
        atrial_ectopy=sinus & has(u[11], SUBJECT.atrial_ectopy, SUBJECT.ectopy_log_odds),
        ventricular_ectopy=(rhythm != 2) & has(u[12], SUBJECT.ventricular_ectopy, SUBJECT.ectopy_log_odds),
    )


def is_t_explained(conduction: jax.Array, infarct: jax.Array, hypertrophy: jax.Array) -> jax.Array:
    """Whether other diagnoses change T already: it is then not called abnormal for itself."""
    return (infarct > 0) | hypertrophy | jnp.isin(conduction, jnp.array([CONDUCTIONS.index(n) for n in _BRANCHES]))


def prevalence_at(prevalence: jax.Array | float, log_odds: float, decades: jax.Array) -> jax.Array:
    """What a prevalence at the mean age becomes `decades` later."""
    odds = prevalence / (1 - prevalence) * jnp.exp(log_odds * decades)
    return odds / (1 + odds)


def _kind(uniform: jax.Array, prevalences: tuple[float, ...], log_odds: float, decades: jax.Array) -> jax.Array:
    """Index of the kind: 0, the normal one, with the chance that age leaves it, and the rest in proportion."""
    normal, *others = prevalences
    chance = prevalence_at(1 - normal, log_odds, decades)
    cumulative = jnp.cumsum(jnp.array(others))
    kind = 1 + jnp.searchsorted(cumulative / cumulative[-1], uniform / chance)
    return jnp.where(uniform < chance, jnp.minimum(kind, len(others)), 0)
