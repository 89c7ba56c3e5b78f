"""From a seed and a heart's number to twelve leads and their labels."""

import concurrent.futures
import functools
import os

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.errors import InputError
from ecgjax.simulate import heart as hearts
from ecgjax.simulate import vectors
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import CONDUCTIONS, HEART, INFARCTS, RHYTHM, RHYTHMS
from ecgjax.simulate.recorder import draw_noise
from ecgjax.simulate.rhythm import Rhythm, draw_rhythm, num_beats
from ecgjax.simulate.subject import Subject, draw_subject
from ecgjax.simulate.torso import Torso, draw_torso, leads_from_sources, to_leads

CHUNK = 256
"""Hearts compiled together. Chunks start at multiples of it: a record's arithmetic never depends on the call."""

_NAMES = {"rhythm": RHYTHMS, "conduction": CONDUCTIONS, "infarct": INFARCTS}


def generate(
    seed: int, num_records: int, fs_hz: float, seconds: float, first_heart: int = 0, noise: bool = True
) -> dict[str, np.ndarray]:
    """Simulated records of `num_records` different hearts, numbered from `first_heart`.

    A record depends on the seed, its heart's number, the rate and the length alone.

    Returns:
      `ecg_mv` float32 [record, time, 12 lead] in the order of `ecgjax.leads.LEADS`, and one array [record, ...] a
      label: `heart_id`; the subject's `age_years`, `sex` (male|female), `height_cm`, `weight_kg`; `rhythm`,
      `conduction` and `infarct` (see `population`); `hypertrophy`, `abnormal_t`, `low_voltage`, `av_block_1`;
      `heart_rate_bpm` over the beats in the record; of its conducted beats `pr_ms` (NaN without P waves), `qrs_ms` and,
      to the foot of T's tangent and at the mean rate, `qt_ms`; their frontal axes `axis_deg`, `p_axis_deg` and
      `t_axis_deg`; and `beat_s`, `beat_kind` [record, beat], padded with NaN and -1 outside the record.

    Raises:
      InputError: a size, rate or number outside what can be simulated.
    """
    if num_records < 1 or first_heart < 0:
        raise InputError(
            f"cannot simulate {num_records} records from heart {first_heart}", "ask for at least one, from 0"
        )
    if not 50 <= fs_hz <= 2000 or not 1 <= seconds <= 120:
        raise InputError(f"cannot simulate {seconds} s at {fs_hz} Hz", "choose 1 to 120 s at 50 to 2000 Hz")
    first, last = first_heart // CHUNK, (first_heart + num_records - 1) // CHUNK
    key = jax.random.key(seed)

    def simulate(chunk: int) -> dict[str, np.ndarray]:
        numbers = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK, dtype=np.uint32)
        return jax.device_get(_chunk(key, numbers, float(fs_hz), float(seconds), noise))

    # XLA runs a chunk on about one core; the first one compiles for the rest.
    chunks = [simulate(first)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        chunks += threads.map(simulate, range(first + 1, last + 1))
    start = first_heart - first * CHUNK
    joined = {name: np.concatenate([c[name] for c in chunks])[start : start + num_records] for name in chunks[0]}
    for name, kinds in _NAMES.items():
        joined[name] = np.array(kinds)[joined[name]]
    joined["sex"] = np.where(joined["sex"], "male", "female")
    return joined


@functools.partial(jax.jit, static_argnames=("fs_hz", "seconds", "noise"))
def _chunk(key: jax.Array, numbers: jax.Array, fs_hz: float, seconds: float, noise: bool) -> dict[str, jax.Array]:
    record = functools.partial(_record, fs_hz=fs_hz, seconds=seconds, noise=noise)
    return jax.vmap(lambda number: record(jax.random.fold_in(key, number), number))(numbers)


def _record(key: jax.Array, number: jax.Array, fs_hz: float, seconds: float, noise: bool) -> dict[str, jax.Array]:
    key_draws, key_noise = jax.random.split(key)
    draws = Draws(key_draws, num_beats(seconds))
    time_s = jnp.arange(round(fs_hz * seconds)) / fs_hz
    subject, torso, heart, rhythm = _draw_person(draws, seconds)
    potential, still = _beating(draws, heart, torso, rhythm, time_s)
    potential = potential + _f_waves(draws, subject, torso, time_s)
    if noise:
        potential = potential + draw_noise(draws, key_noise, time_s, fs_hz, rhythm.breath_hz, rhythm.breath_phase)
    labels = _labels(subject, heart, rhythm, still, seconds)
    ecg_mv = to_leads(potential)
    # The recorder is coupled by a capacitor: it writes no constant.
    ecg_mv = ecg_mv - ecg_mv.mean(axis=0)
    return {"ecg_mv": ecg_mv, "heart_id": number, **labels}


def draw_person(key: jax.Array, number: jax.Array, seconds: float) -> tuple[Subject, Torso, hearts.Heart, Rhythm]:
    """Whose record a heart's number stands for in records so long, from the key of the seed."""
    key_draws, _ = jax.random.split(jax.random.fold_in(key, number))
    return _draw_person(Draws(key_draws, num_beats(seconds)), seconds)


def _draw_person(draws: Draws, seconds: float) -> tuple[Subject, Torso, hearts.Heart, Rhythm]:
    subject = draw_subject(draws)
    torso = draw_torso(draws, subject)
    heart = hearts.draw_heart(draws, subject)
    return subject, torso, heart, draw_rhythm(draws, subject, seconds)


def _beating(
    draws: Draws, heart: hearts.Heart, torso: Torso, rhythm: Rhythm, time_s: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Potentials [time, 9] of the breathing, beating heart, and what each kernel writes at rest [kernel, 9]."""
    shift = jnp.array(HEART.breath_shift) * jnp.exp(HEART.breath_shift_log_sd * draws.normal())
    place = torso.heart_cm + torso.radius_cm * heart.offset
    still, inspired = (
        leads_from_sources(torso, place + torso.radius_cm * by, heart.dipole_ma_cm) for by in (0.0, shift)
    )
    breath = jnp.sin(2 * jnp.pi * rhythm.breath_hz * time_s + rhythm.breath_phase)[:, None]
    amount = hearts.activation(heart, rhythm, time_s)
    return amount @ still + breath * (amount @ (inspired - still)), still


def _f_waves(draws: Draws, subject: Subject, torso: Torso, time_s: jax.Array) -> jax.Array:
    """Potentials [time, 9] of fibrillating or fluttering atria.

    A sawtooth of three harmonics whose rate and size wander, as in Stridh and Sornmo (IEEE Trans Biomed Eng 2001,
    48:105-111), on a turning dipole in the right atrium, next to V1.
    """
    z = draws.normal(4, 3)
    phase = 2 * jnp.pi * draws.uniform(5)
    flutter = subject.rhythm_is("flutter")
    rate_hz = jnp.where(flutter, RHYTHM.flutter_hz, jnp.clip(RHYTHM.f_wave_hz + RHYTHM.f_wave_sd_hz * z[0, 0], 4, 9))
    swing = jnp.where(flutter, 0.0, 1.0)
    angle = 2 * jnp.pi * rate_hz * time_s + phase[0]
    angle = angle + swing * (
        0.9 * jnp.sin(2 * jnp.pi * 0.35 * time_s + phase[1]) + 0.5 * jnp.sin(2 * jnp.pi * 0.8 * time_s)
    )
    size = RHYTHM.f_wave_ma_cm * jnp.exp(RHYTHM.f_wave_log_sd * z[0, 1]) * jnp.where(flutter, 2.0, 1.0)
    size = size * (1 + 0.4 * swing * jnp.sin(2 * jnp.pi * 0.25 * time_s + phase[2]))
    size = size * (subject.rhythm_is("afib") | flutter)
    harmonics = jnp.stack([jnp.sin(n * angle + phase[2 + n] * swing) / n for n in (1, 2, 3)], axis=-1)
    turning = jnp.array([0.4, 0.9, -0.5]) + 0.5 * z[1:4]
    place = torso.heart_cm + torso.radius_cm * jnp.array([vectors.OFFSET[0]] * 3)
    return size[:, None] * harmonics @ leads_from_sources(torso, place, turning)


def _labels(
    subject: Subject, heart: hearts.Heart, rhythm: Rhythm, still: jax.Array, seconds: float
) -> dict[str, jax.Array]:
    inside = (rhythm.beat_s >= 0) & (rhythm.beat_s < seconds)
    count = jnp.sum(inside)
    first = jnp.min(jnp.where(inside, rhythm.beat_s, jnp.inf))
    last = jnp.max(jnp.where(inside, rhythm.beat_s, -jnp.inf))
    measured = jnp.where(count > 1, 60 * (count - 1) / jnp.maximum(last - first, 0.1), 60 / rhythm.mean_rr_s)
    qt_s = heart.qtc_s * jnp.cbrt(jnp.clip(rhythm.mean_rr_s, 0.4, 1.5))
    without_p = ~subject.rhythm_is("sinus")
    p_axis, qrs_axis, t_axis = _axes(heart, still, qt_s)
    return {
        "age_years": subject.age_years,
        "sex": subject.male,
        "height_cm": subject.height_cm,
        "weight_kg": subject.weight_kg,
        "rhythm": subject.rhythm,
        "conduction": subject.conduction,
        "infarct": subject.infarct,
        "hypertrophy": subject.hypertrophy,
        "abnormal_t": subject.abnormal_t,
        "low_voltage": subject.low_voltage,
        "av_block_1": subject.long_pr,
        "heart_rate_bpm": measured,
        "pr_ms": jnp.where(without_p, jnp.nan, 1000 * heart.pr_s),
        "qrs_ms": 1000 * heart.qrs_s,
        "qt_ms": 1000 * qt_s,
        "axis_deg": qrs_axis,
        "p_axis_deg": jnp.where(without_p, jnp.nan, p_axis),
        "t_axis_deg": t_axis,
        "beat_s": jnp.where(inside, rhythm.beat_s, jnp.nan),
        "beat_kind": jnp.where(inside, rhythm.kind, -1),
    }


def _axes(heart: hearts.Heart, still: jax.Array, qt_s: jax.Array) -> tuple[jax.Array, ...]:
    """Frontal axes of P, QRS and T in degrees, from their net areas in I and aVF; 90 points to the feet."""
    area = hearts.kernel_seconds(heart, qt_s)[:, None] * to_leads(still)
    nets = [area[wave].sum(axis=0) for wave in (hearts.P, hearts.QRS, hearts.T)]
    return tuple(jnp.rad2deg(jnp.arctan2(2 * net[5] / jnp.sqrt(3.0), net[0])) for net in nets)
