"""When the heart beats: sinus rhythm with its variability, atrial fibrillation and flutter, ectopic beats."""

import dataclasses

import jax
import jax.numpy as jnp

from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import BEATS, RHYTHM
from ecgjax.simulate.subject import Subject

LEAD_IN_S = 2.5
"""Beats start this long before the record, so that its first second is like any other."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rhythm:
    """Beats in order of time; those after the record's end are there too.

    Attributes:
      beat_s: [beat] time of the middle of each QRS from the record's start.
      kind: [beat] index into `population.BEATS`.
      rr_s: [beat] interval before each beat.
      mean_rr_s: [] the interval that the heart is set to.
      breath_hz, breath_phase: [] respiration.
      respiratory: [] how far it moves a sinus interval, as a share.
    """

    beat_s: jax.Array
    kind: jax.Array
    rr_s: jax.Array
    mean_rr_s: jax.Array
    breath_hz: jax.Array
    breath_phase: jax.Array
    respiratory: jax.Array


def num_beats(seconds: float) -> int:
    """How many beats always reach the end of a record, at twice the fastest mean rate that occurs often."""
    return int((seconds + LEAD_IN_S) * 3.2) + 4


def draw_rhythm(draws: Draws, subject: Subject, seconds: float) -> Rhythm:
    """Beat times of one record.

    Sinus intervals carry a respiratory and a 0.1 Hz wave (the bimodal RR spectrum of McSharry et al., IEEE Trans
    Biomed Eng 2003, 50:289-294); fibrillating atria pass irregular, uncorrelated intervals with a refractory floor
    (Cohen et al., IEEE Trans Biomed Eng 1983, 30:769-781); flutter conducts every second to fourth wave. A
    ventricular ectopic beat is followed by a full compensatory pause, an atrial one resets the sinus node.
    """
    count = num_beats(seconds)
    z, u = draws.normal(6), draws.uniform(7)
    breath_hz = jnp.clip(RHYTHM.breath_hz + RHYTHM.breath_sd_hz * z[0], 0.1, 0.45)
    phases = 2 * jnp.pi * u[:2]
    mean_rr = _mean_rr(z[1], u[2], subject)

    nominal_s = jnp.arange(count) * mean_rr
    respiratory = RHYTHM.respiratory * jnp.exp(
        RHYTHM.respiratory_log_sd * z[2] + RHYTHM.respiratory_log_per_decade * subject.decades
    )
    respiratory = respiratory * jnp.where(subject.sinus_arrhythmia, RHYTHM.sinus_arrhythmia_gain, 1.0)
    respiratory = jnp.minimum(respiratory, RHYTHM.most_respiratory)
    mayer = RHYTHM.mayer * jnp.exp(RHYTHM.mayer_log_sd * z[3])
    modulation = (
        respiratory * jnp.sin(2 * jnp.pi * breath_hz * nominal_s + phases[0])
        + mayer * jnp.sin(2 * jnp.pi * 0.1 * nominal_s + phases[1])
        + RHYTHM.white * draws.normal(count)
    )
    sinus = mean_rr * (1 + modulation)

    cv = RHYTHM.afib_rr_cv * jnp.exp(RHYTHM.afib_rr_cv_log_sd * z[4])
    floor = jnp.minimum(0.6 * mean_rr, 0.45)
    log_sd = jnp.sqrt(jnp.log1p((cv * mean_rr / (mean_rr - floor)) ** 2))
    fibrillating = floor + (mean_rr - floor) * jnp.exp(log_sd * draws.normal(count) - log_sd**2 / 2)
    block = jnp.where(u[3] < 0.5, 2, jnp.where(u[3] < 0.8, 4, 3))
    fluttering = block / (RHYTHM.flutter_hz + 0.4 * z[5]) * jnp.ones(count)
    rr = jnp.where(subject.rhythm_is("afib"), fibrillating, jnp.where(subject.rhythm_is("flutter"), fluttering, sinus))

    rr, kind = _with_ectopics(draws, rr, u[4:6], subject)
    rr = jnp.maximum(rr, RHYTHM.shortest_rr_s)
    beat_s = jnp.cumsum(rr) - LEAD_IN_S - u[6] * mean_rr
    return Rhythm(beat_s, kind, rr, mean_rr, breath_hz, phases[0], respiratory)


def _mean_rr(z: jax.Array, u: jax.Array, subject: Subject) -> jax.Array:
    sinus = RHYTHM.rate_bpm * jnp.exp(RHYTHM.rate_log_sd * z) + jnp.where(subject.male, 0, RHYTHM.rate_female_bpm)
    slow = RHYTHM.bradycardia_bpm[0] + u * (RHYTHM.bradycardia_bpm[1] - RHYTHM.bradycardia_bpm[0])
    fast = RHYTHM.tachycardia_bpm[0] + u * (RHYTHM.tachycardia_bpm[1] - RHYTHM.tachycardia_bpm[0])
    afib = RHYTHM.afib_rate_bpm * jnp.exp(RHYTHM.afib_rate_log_sd * z)
    rate = jnp.where(subject.bradycardia, slow, jnp.where(subject.tachycardia, fast, sinus))
    return 60 / jnp.clip(jnp.where(subject.rhythm_is("afib"), afib, rate), 38, 165)


def _with_ectopics(draws: Draws, rr: jax.Array, u: jax.Array, subject: Subject) -> tuple[jax.Array, jax.Array]:
    """Makes some beats premature: new intervals and kinds, [beat] each. No two ectopic beats are neighbours."""
    low, high = (jnp.log(share) for share in RHYTHM.ectopic_share)
    share = jnp.exp(low + (high - low) * u)
    drawn_atrial = (draws.uniform(*rr.shape) < share[0]) & subject.atrial_ectopy
    drawn_ventricular = (draws.uniform(*rr.shape) < share[1]) & subject.ventricular_ectopy
    drawn = drawn_atrial | drawn_ventricular

    def keep_if_alone(previous: jax.Array, this: jax.Array) -> tuple[jax.Array, jax.Array]:
        kept = this & ~previous
        return kept, kept

    _, ectopic = jax.lax.scan(keep_if_alone, jnp.array(False), drawn)
    ventricular = ectopic & drawn_ventricular
    atrial = ectopic & ~ventricular
    jitter = 0.02 * draws.normal(*rr.shape)
    spread = draws.uniform(2)
    coupling_a = RHYTHM.coupling_atrial[0] + spread[0] * (RHYTHM.coupling_atrial[1] - RHYTHM.coupling_atrial[0])
    coupling_v = RHYTHM.coupling_ventricular[0] + spread[1] * (
        RHYTHM.coupling_ventricular[1] - RHYTHM.coupling_ventricular[0]
    )
    coupling = jnp.where(atrial, coupling_a + jitter, jnp.where(ventricular, coupling_v + jitter, 1.0))
    after_ventricular = jnp.roll(ventricular, 1).at[0].set(False)
    after_atrial = jnp.roll(atrial, 1).at[0].set(False)
    pause = jnp.where(after_ventricular, 2 - jnp.roll(coupling, 1), jnp.where(after_atrial, 1.05, 1.0))
    kind = jnp.where(atrial, BEATS.index("atrial"), jnp.where(ventricular, BEATS.index("ventricular"), 0))
    return rr * coupling * pause, kind
