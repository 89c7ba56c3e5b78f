"""The heart as a few current dipoles: which point, when, and how much, over one beat.

Each wave is a sum of Gaussian kernels in time with a dipole vector each: the dynamical model of McSharry et al. (IEEE
Trans Biomed Eng 2003, 50:289-294) carried to three dimensions by Sameni et al. (EURASIP J Adv Signal Process 2007,
43407). Here every kernel also has its own place in the heart, so that the precordial leads see what is near them.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.simulate import vectors
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import BEATS, HEART
from ecgjax.simulate.rhythm import Rhythm
from ecgjax.simulate.subject import Subject

# Clock, middle, rise and fall (deviations). "p" counts P durations from the onset of P, "qrs" QRS durations and "t" QT
# intervals from the onset of the QRS. P and QRS begin and end two to three deviations from their outer kernels'
# middles, T ends two after its last: where the tangent at the steepest point of a Gaussian meets the base line.
_KERNELS = {
    "p_right": ("p", 0.356, 0.153, 0.153),
    "p_left": ("p", 0.644, 0.153, 0.153),
    "p_recovery": ("p", 1.265, 0.36, 0.63),
    "septum": ("qrs", 0.2, 0.064, 0.064),
    "free_wall_early": ("qrs", 0.33, 0.064, 0.064),
    "free_wall_late": ("qrs", 0.455, 0.064, 0.064),
    "base": ("qrs", 0.59, 0.068, 0.068),
    "terminal": ("qrs", 0.755, 0.077, 0.077),
    "p_ectopic": ("p", 0.5, 0.198, 0.198),
    "ventricular_early": ("qrs", 0.287, 0.106, 0.106),
    "ventricular_late": ("qrs", 0.602, 0.162, 0.162),
    "st": ("t", 0.50, 0.15, 0.13),
    "t_early": ("t", 0.735, 0.10, 0.10),
    "t_late": ("t", 0.85, 0.10, 0.075),
    "u": ("t", 1.18, 0.10, 0.14),
    "ventricular_t": ("t", 0.80, 0.13, 0.10),
}
KERNELS = tuple(_KERNELS)
_CLOCK = np.array([("p", "qrs", "t").index(clock) for clock, *_ in _KERNELS.values()])
_MIDDLE, _RISE, _FALL = np.array([numbers for _, *numbers in _KERNELS.values()], np.float32).T
_DEPOLARISING, _REPOLARISING = slice(0, 11), slice(11, 16)
P, QRS, T = np.arange(0, 3), np.arange(3, 8), np.arange(11, 15)
"""The kernels of a conducted beat's waves: P with the atria's recovery, QRS, and ST with T and U."""
_ECTOPIC = ("p_ectopic", "ventricular_early", "ventricular_late", "ventricular_t")
_FROM_WAVES = np.array([(*vectors.WAVES, *_ECTOPIC).index(name) for name in KERNELS])
_CONDUCTED = tuple(KERNELS[k] for k in (*QRS, *T))
_VENTRICULAR = ("ventricular_early", "ventricular_late", "ventricular_t")
_IS_VENTRICULAR = np.isin(KERNELS, _VENTRICULAR)
_FIRED_BY = {"sinus": (*KERNELS[:3], *_CONDUCTED), "atrial": ("p_ectopic", *_CONDUCTED), "ventricular": _VENTRICULAR}
_GATE = np.array([[kernel in _FIRED_BY[beat] for kernel in KERNELS] for beat in BEATS], np.float32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Heart:
    """One subject's heart.

    Attributes:
      p_s, pr_s, qrs_s, ventricular_qrs_s, qtc_s: [] intervals; QTc by Fridericia.
      dipole_ma_cm: [kernel, 3] at the kernel's peak.
      offset: [kernel, 3] from the heart's centre, in torso radii.
      wave_gain: [wave] what the dipoles of a conducted beat are scaled by.
      turn: [3, 3] from the heart's own frame to the torso's.
    """

    p_s: jax.Array
    pr_s: jax.Array
    qrs_s: jax.Array
    ventricular_qrs_s: jax.Array
    qtc_s: jax.Array
    dipole_ma_cm: jax.Array
    offset: jax.Array
    wave_gain: jax.Array
    turn: jax.Array


def draw_heart(draws: Draws, subject: Subject) -> Heart:
    """Intervals and dipoles that go with the subject's body and diagnoses."""
    p_s, pr_s, qrs_s, ventricular_qrs_s, qtc_s = _intervals(draws, subject)
    dipole, offset, gain = _dipoles(draws, subject)
    turn = _rotation(draws, subject)
    return Heart(p_s, pr_s, qrs_s, ventricular_qrs_s, qtc_s, dipole @ turn.T, offset @ turn.T, gain, turn)


def _intervals(draws: Draws, subject: Subject) -> tuple[jax.Array, ...]:
    z, u = draws.normal(4), draws.uniform(3)
    p_ms = jnp.clip(HEART.p_ms + HEART.p_sd_ms * z[0], 75, 145)
    pr_ms = HEART.pr_ms + HEART.pr_per_decade_ms * subject.decades + HEART.pr_sd_ms * z[1]
    pr_ms = jnp.where(subject.long_pr, _between(HEART.long_pr_ms, u[0]), jnp.clip(pr_ms, *HEART.pr_range_ms))
    pr_ms = jnp.maximum(pr_ms, p_ms + HEART.pr_beyond_p_ms)
    qrs_ms = HEART.qrs_ms + jnp.where(subject.male, HEART.qrs_male_ms, 0)
    qrs_ms = qrs_ms + jnp.where(subject.hypertrophy, HEART.hypertrophy_qrs_ms, 0)
    qrs_ms = jnp.clip(qrs_ms * jnp.exp(HEART.qrs_log_sd * z[2]), 68, 119)
    ranges = jnp.array(HEART.conduction_qrs_ms)[subject.conduction]
    widened = ranges[0] + u[1] * (ranges[1] - ranges[0])
    qrs_ms = jnp.where(ranges[1] > 0, widened, qrs_ms)
    qtc_ms = HEART.qtc_ms + jnp.where(subject.male, 0, HEART.qtc_female_ms) + HEART.qtc_sd_ms * z[3]
    qtc_ms = qtc_ms + 0.6 * jnp.maximum(qrs_ms - 100, 0)
    milliseconds = (p_ms, pr_ms, qrs_ms, _between(HEART.ventricular_qrs_ms, u[2]), qtc_ms)
    return tuple(x / 1000 for x in milliseconds)


def _between(bounds: tuple[float, float], uniform: jax.Array) -> jax.Array:
    return bounds[0] + uniform * (bounds[1] - bounds[0])


def _rotation(draws: Draws, subject: Subject) -> jax.Array:
    """[3, 3]: how the heart lies in the chest, turned about the left, foot and back axes."""
    x, y, z = jnp.array(HEART.rotation_deg) * draws.normal(3)
    return _turn(2, HEART.frontal_deg + z + HEART.stoutness_deg * subject.stoutness) @ _turn(1, y) @ _turn(0, x)


def _turn(axis: int, angle_deg: jax.Array) -> jax.Array:
    """[3, 3] rotation about one axis; about z, positive turns the left arm's axis towards the feet."""
    c, s = jnp.cos(jnp.deg2rad(angle_deg)), jnp.sin(jnp.deg2rad(angle_deg))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    return jnp.eye(3).at[i, i].set(c).at[j, j].set(c).at[i, j].set(-s).at[j, i].set(s)


def _dipoles(draws: Draws, subject: Subject) -> tuple[jax.Array, ...]:
    """Vectors and places [kernel, 3] in the heart's own frame, and the gains [wave] that the vectors contain."""
    vector = jnp.array(vectors.MEAN) + subject.decades * jnp.array(vectors.PER_DECADE)
    vector = vector + subject.male * jnp.array(vectors.MALE)
    strange = jnp.where(subject.is_remarkable, HEART.remarkable_spread, 1.0)
    along_modes = jnp.tensordot(draws.normal(len(vectors.MODES)), jnp.array(vectors.MODES), axes=1)
    alone = jnp.array(vectors.RESIDUAL_SD) * draws.normal(len(vectors.WAVES), 3)
    vector = vector + strange * (HEART.mode_gain * along_modes + HEART.residual_gain * alone)
    for (name, present), u in zip(subject.diagnoses().items(), draws.uniform(len(vectors.CHANGES)), strict=True):
        size = _between(HEART.change_size, u) * present
        vector = vector + size * jnp.array(vectors.CHANGES[name])
    gain = _wave_gains(draws, subject)
    vector = vector * gain[:, None]
    is_p = np.array([name.startswith("p_") for name in vectors.WAVES])
    vector = jnp.where(is_p[:, None] & ~subject.rhythm_is("sinus"), 0.0, vector)
    ectopic_vector, ectopic_offset = _ectopics(draws)
    vector = jnp.concatenate([vector, ectopic_vector])[_FROM_WAVES]
    return vector, jnp.concatenate([jnp.array(vectors.OFFSET), ectopic_offset])[_FROM_WAVES], gain


def _wave_gains(draws: Draws, subject: Subject) -> jax.Array:
    """[wave]: one gain each for P, QRS and T, the last two related; T follows the QRS by its square root."""
    z = draws.normal(3)
    log_qrs = HEART.qrs_log_mean + HEART.qrs_log_sd_gain * z[1] + HEART.qrs_log_per_decade * subject.decades
    log_qrs = log_qrs + HEART.qrs_log_male * subject.male + HEART.qrs_log_hypertrophy * subject.hypertrophy
    log_qrs = log_qrs + HEART.qrs_log_lbbb * subject.conduction_is("lbbb")
    logs = jnp.stack([HEART.p_log_sd * z[0], log_qrs, log_qrs / 2 + HEART.t_log_sd * z[2]])
    low = jnp.where(subject.low_voltage, HEART.low_voltage_gain, 1.0)
    return low * jnp.exp(logs)[_CLOCK[np.array([KERNELS.index(name) for name in vectors.WAVES])]]


def _ectopics(draws: Draws) -> tuple[jax.Array, jax.Array]:
    """Vectors and places [ectopic kernel, 3] of foci that lie anywhere; T goes against the QRS."""
    z = draws.normal(2, 3)
    direction = z + jnp.array(HEART.ectopic_bias)
    atrial, ventricular = direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)
    sideways = jnp.cross(ventricular, atrial)
    p_ma_cm, qrs_ma_cm = HEART.ectopic_ma_cm
    early = 0.6 * qrs_ma_cm * (ventricular + 0.6 * sideways)
    late = qrs_ma_cm * ventricular
    t = -0.4 * qrs_ma_cm * (ventricular - 0.3 * sideways)
    return jnp.stack([p_ma_cm * atrial, early, late, t]), jnp.array(HEART.ectopic_offset)


def activation(heart: Heart, rhythm: Rhythm, time_s: jax.Array) -> jax.Array:
    """[time, kernel]: how much of each kernel's dipole is there at each time."""
    effective_rr = HEART.qt_memory * rhythm.mean_rr_s + (1 - HEART.qt_memory) * rhythm.rr_s
    qt_s = heart.qtc_s * jnp.cbrt(jnp.clip(effective_rr, 0.4, 1.5))
    of_beat = jnp.stack([rhythm.beat_s, qt_s, *(1.0 * (rhythm.kind == k) for k in range(len(BEATS)))], axis=-1)
    # P and QRS reach from the last beat and the next one into a moment, T from the last two.
    passed = jnp.sum(time_s[:, None] >= rhythm.beat_s[None], axis=1)
    table = jnp.concatenate([jnp.roll(of_beat, shift, axis=0) for shift in (2, 1, 0)], axis=1)
    before_last, last, following = jnp.split(table[passed], 3, axis=1)
    depolarised = sum(_kernels(heart, time_s, beat, _DEPOLARISING) for beat in (last, following))
    repolarised = sum(_kernels(heart, time_s, beat, _REPOLARISING) for beat in (before_last, last))
    return jnp.concatenate([depolarised, repolarised], axis=1)


def _kernels(heart: Heart, time_s: jax.Array, beat: jax.Array, which: slice) -> jax.Array:
    """[time, kernel] of `which` kernels, fired by the `beat` [time, (time, QT, one-hot kind)] at each moment."""
    beat_s, qt_s, fired = beat[:, :1], beat[:, 1:2], beat[:, 2:] @ _GATE[:, which]
    clock, middle, rise, fall = _CLOCK[which], _MIDDLE[which], _RISE[which], _FALL[which]
    qrs_s = jnp.where(_IS_VENTRICULAR[which], heart.ventricular_qrs_s, heart.qrs_s)
    start_s = -qrs_s / 2 - jnp.where(clock == 0, heart.pr_s, 0.0)
    unit_s = qt_s if which is _REPOLARISING else jnp.where(clock == 0, heart.p_s, qrs_s)
    position = (time_s[:, None] - beat_s - start_s) / unit_s - middle
    return jnp.exp(position**2 * jnp.where(position < 0, -0.5 / rise**2, -0.5 / fall**2)) * fired


def kernel_seconds(heart: Heart, qt_s: jax.Array) -> jax.Array:
    """[kernel]: the area under each kernel of a conducted beat, in seconds."""
    unit_s = jnp.stack([heart.p_s, heart.qrs_s, qt_s])[_CLOCK]
    return jnp.sqrt(jnp.pi / 2) * (_RISE + _FALL) * unit_s
