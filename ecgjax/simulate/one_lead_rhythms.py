"""Recordings of a hand-held device in lead I: a heart's waves where a rhythm puts them, and what the hands add.

Hearts, and with them the shapes of all waves, are those of the twelve-lead simulator; no two recordings share one. A
recording depends on the seed and its number alone.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal

from ecgjax.data.rhythms import CLASSES, FS_HZ
from ecgjax.leads import LEADS
from ecgjax.simulate import heart as hearts
from ecgjax.simulate.draws import Draws
from ecgjax.simulate.population import RHYTHM
from ecgjax.simulate.rhythm import Rhythm
from ecgjax.simulate.rhythm_events import KINDS, Events
from ecgjax.simulate.subject import draw_subject
from ecgjax.simulate.torso import draw_torso, leads_from_sources, to_leads

CLASS_SHARES = dict(zip(CLASSES, (0.59, 0.09, 0.28, 0.04), strict=True))
"""About those of the challenge of 2017."""

SECONDS = (9.0, 61.0)
USUAL_S = 30.0
USUAL = 0.7
"""Share of the recordings that take the usual time; others any between the bounds."""

INVERTED = 0.12
"""Share that is held the wrong way round."""

F_WAVE_MV = 0.035
"""Median size of the waves of fibrillating atria."""

PASS_HZ = (0.5, 40.0)
"""Band of the device."""

CHUNK = 128
"""Hearts compiled together."""

_WAVE_HZ = 600.0
_WAVE_S = np.arange(-0.45, 0.95, 1 / _WAVE_HZ)
"""Times of a wave about the middle of its QRS complex."""

_APART_S = 20.0


@dataclasses.dataclass(frozen=True)
class Waves:
    """What one heart writes in lead I, each wave alone, in mV about the middle of its QRS complex at `_WAVE_S`.

    `p`, `qrs`, `t` of a conducted beat, `p_ectopic`, `ventricular` and `ventricular_t` [time]; `qrs_s` and
    `ventricular_s` [] durations, `f_wave_mv` [] the size of the waves of fibrillating atria.
    """

    p: np.ndarray
    qrs: np.ndarray
    t: np.ndarray
    p_ectopic: np.ndarray
    ventricular: np.ndarray
    ventricular_t: np.ndarray
    qrs_s: np.ndarray
    ventricular_s: np.ndarray
    f_wave_mv: np.ndarray


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording [time] in mV at `FS_HZ`, its class, and the kind of its rhythm, one of `KINDS`."""

    signal_mv: np.ndarray
    rhythm: str
    kind: str


def generate(seed: int, numbers: np.ndarray) -> list[Recording]:
    """The recordings of these `numbers` [recording]."""
    key = jax.random.key(seed)
    found = []
    for start in range(0, len(numbers), CHUNK):
        chunk = numbers[start : start + CHUNK]
        waves = jax.device_get(_waves(key, np.resize(chunk, CHUNK).astype(np.uint32)))
        for row, number in enumerate(chunk):
            of_heart = Waves(**{name: values[row] for name, values in waves.items()})
            found.append(_recording(seed, int(number), of_heart))
    return found


def draw_class(seed: int, number: int) -> str:
    """The class of a recording, one of `CLASSES`."""
    return str(np.random.default_rng([seed, number, 0]).choice(list(CLASS_SHARES), p=list(CLASS_SHARES.values())))


@jax.jit
def _waves(key: jax.Array, numbers: np.ndarray) -> dict[str, jax.Array]:
    """The fields of `Waves`, [heart, ...] each."""
    return jax.vmap(lambda number: _waves_of(jax.random.fold_in(key, number)))(numbers)


def _waves_of(key: jax.Array) -> dict[str, jax.Array]:
    draws = Draws(key, 0)
    # Every heart has P waves; whether they show is a matter of the rhythm.
    subject = dataclasses.replace(draw_subject(draws), rhythm=jnp.int32(0))
    torso = draw_torso(draws, subject)
    heart = hearts.draw_heart(draws, subject)
    place = torso.heart_cm + torso.radius_cm * heart.offset
    lead_mv = to_leads(leads_from_sources(torso, place, heart.dipole_ma_cm))[:, LEADS.index("I")]
    # A sinus, an atrial and a ventricular beat, too far apart to meet, at an interval of a second.
    beat_s = _APART_S * jnp.arange(-1.0, 4.0)
    kind = jnp.array([-1, 0, 1, 2, -1])
    unused = jnp.zeros(())
    rhythm = Rhythm(beat_s, kind, jnp.ones(5), jnp.ones(()), unused, unused, unused)
    time_s = jnp.concatenate([_APART_S * k + _WAVE_S for k in range(3)])
    sinus, atrial, ventricular = jnp.split(hearts.activation(heart, rhythm, time_s) * lead_mv, 3)
    index = hearts.KERNELS.index
    early, late = index("ventricular_early"), index("ventricular_late")
    return {
        "p": sinus[:, hearts.P].sum(axis=1),
        "qrs": sinus[:, hearts.QRS].sum(axis=1),
        "t": sinus[:, hearts.T].sum(axis=1),
        "p_ectopic": atrial[:, index("p_ectopic")],
        "ventricular": ventricular[:, early] + ventricular[:, late],
        "ventricular_t": ventricular[:, index("ventricular_t")],
        "qrs_s": heart.qrs_s,
        "ventricular_s": heart.ventricular_qrs_s,
        "f_wave_mv": F_WAVE_MV * jnp.exp(RHYTHM.f_wave_log_sd * draws.normal()),
    }


def _recording(seed: int, number: int, waves: Waves) -> Recording:
    rhythm = draw_class(seed, number)
    rng = np.random.default_rng([seed, number, 1])
    # Under noise lies any rhythm that the other classes have.
    others = [name for name in CLASSES if name != "~"]
    share = np.array([CLASS_SHARES[name] for name in others])
    beneath = rng.choice(others, p=share / share.sum()) if rhythm == "~" else rhythm
    kinds = [(kind, share) for kind, (name, share, _) in KINDS.items() if name == beneath]
    kind = str(rng.choice([name for name, _ in kinds], p=[share for _, share in kinds]))
    seconds = USUAL_S if rng.random() < USUAL else rng.uniform(*SECONDS)
    time_s = np.arange(round(seconds * FS_HZ)) / FS_HZ
    events = KINDS[kind][2](rng, seconds)
    signal_mv = _beating(rng, waves, events, time_s) + _atrial_waves(rng, waves, events, time_s)
    height_mv = np.ptp(waves.qrs)
    signal_mv = _spoilt(rng, signal_mv, height_mv) if rhythm == "~" else signal_mv
    signal_mv = _recorded(signal_mv + _hands(rng, time_s, height_mv))
    return Recording(signal_mv * (-1 if rng.random() < INVERTED else 1), rhythm, kind)


def _beating(rng: np.random.Generator, waves: Waves, events: Events, time_s: np.ndarray) -> np.ndarray:
    """[time]: every wave in its place; QRS complexes breathe, and the QT interval follows the rate."""
    signal_mv = np.zeros(len(time_s))
    breath_hz, depth = rng.normal(0.25, 0.04), 0.06 * np.exp(0.5 * rng.normal())
    phase = rng.uniform(0, 2 * np.pi)
    rr_s = np.diff(events.qrs_s, prepend=events.qrs_s[0] - 0.8)
    usual_s = np.median(rr_s)
    stretch = np.cbrt(np.clip(0.75 * usual_s + 0.25 * rr_s, 0.3, 1.6))
    size = 1 + depth * np.sin(2 * np.pi * breath_hz * events.qrs_s + phase)
    ectopic, ventricular = events.p_is_ectopic, events.is_ventricular
    _add(signal_mv, waves.p, events.p_s[~ectopic])
    _add(signal_mv, waves.p_ectopic, events.p_s[ectopic])
    for chosen, qrs, t, duration_s in (
        (~ventricular, waves.qrs, waves.t, waves.qrs_s),
        (ventricular, waves.ventricular, waves.ventricular_t, waves.ventricular_s),
    ):
        _add(signal_mv, qrs, events.qrs_s[chosen], size[chosen])
        _add(signal_mv, t, events.qrs_s[chosen], 1.0, stretch[chosen], float(duration_s) / 2)
    return signal_mv


def _add(
    signal_mv: np.ndarray,
    wave: np.ndarray,
    times_s: np.ndarray,
    size: np.ndarray | float = 1.0,
    stretch: np.ndarray | float = 1.0,
    before_s: float = 0.0,
) -> None:
    """Adds a wave to [time] at each of `times_s` [event], stretched about `before_s` before its middle."""
    reach = np.arange(np.floor(_WAVE_S[0] * FS_HZ), np.ceil(1.2 * _WAVE_S[-1] * FS_HZ)).astype(int)
    sample = np.rint(times_s * FS_HZ).astype(int)[:, None] + reach
    size, stretch = (np.broadcast_to(values, times_s.shape)[:, None] for values in (size, stretch))
    place_s = (sample / FS_HZ - times_s[:, None] + before_s) / stretch - before_s
    value = size * np.interp(place_s, _WAVE_S, wave, left=0.0, right=0.0)
    is_in = (sample >= 0) & (sample < len(signal_mv))
    signal_mv += np.bincount(sample[is_in], value[is_in], len(signal_mv))


def _atrial_waves(rng: np.random.Generator, waves: Waves, events: Events, time_s: np.ndarray) -> np.ndarray:
    """[time] of fibrillating or fluttering atria: three harmonics; see `ecgjax.simulate.generator`."""
    if not events.atrial_hz:
        return np.zeros(len(time_s))
    swing = 0.0 if events.is_fluttering else 1.0
    phase = rng.uniform(0, 2 * np.pi, 6)
    slow = [np.sin(2 * np.pi * hz * time_s + p) for hz, p in zip((0.35, 0.8, 0.25), phase[:3], strict=True)]
    angle = 2 * np.pi * events.atrial_hz * time_s + swing * (0.9 * slow[0] + 0.5 * slow[1])
    size = float(waves.f_wave_mv) * (1 + 0.4 * swing * slow[2]) * (1 if swing else 2)
    return size * sum(np.sin(n * angle + swing * phase[2 + n]) / n for n in (1, 2, 3))


def _hands(rng: np.random.Generator, time_s: np.ndarray, height_mv: float) -> np.ndarray:
    """[time] of wander, muscle and, in some recordings, a burst and a jerk, as any recording may have them."""
    noise_mv = _wander(rng, time_s, 0.06 * np.exp(0.6 * rng.normal()))
    muscle_mv = np.full(len(time_s), 0.012 * np.exp(0.7 * rng.normal()) + 0.008 * height_mv)
    if rng.random() < 0.25:
        muscle_mv = muscle_mv * (1 + rng.uniform(2, 8) * _stretch_of(rng, time_s, rng.uniform(1, 5)))
    if rng.random() < 0.15:
        noise_mv = noise_mv + _jerks(rng, time_s, 1, 0.4)
    return noise_mv + muscle_mv * rng.normal(size=len(time_s))


def _spoilt(rng: np.random.Generator, signal_mv: np.ndarray, height_mv: float) -> np.ndarray:
    """[time]: a recording in most of which noise hides the beats: muscle, lost contact or jerks, or all."""
    time_s = np.arange(len(signal_mv)) / FS_HZ
    has = rng.random(3) < 0.5
    has[rng.integers(3)] = True
    height_mv = max(height_mv, 0.3)
    if has[1]:
        is_lost = np.zeros(len(time_s))
        for _ in range(rng.integers(2, 5)):
            is_lost = np.maximum(is_lost, _stretch_of(rng, time_s, rng.uniform(0.15, 0.4) * time_s[-1]))
        signal_mv = signal_mv * (1 - is_lost) + is_lost * 0.01 * rng.normal(size=len(time_s))
    if has[0]:
        cover = _stretch_of(rng, time_s, rng.uniform(0.7, 1.3) * time_s[-1])
        signal_mv = signal_mv + height_mv * rng.uniform(0.4, 1.5) * (0.3 + cover) * rng.normal(size=len(time_s))
    if has[2]:
        per_s = rng.uniform(0.5, 1.5)
        signal_mv = signal_mv + _jerks(rng, time_s, int(per_s * time_s[-1]) + 1, height_mv * rng.uniform(1, 3))
        signal_mv = signal_mv + _wander(rng, 4 * time_s, height_mv * rng.uniform(0.5, 2))
    return signal_mv


def _stretch_of(rng: np.random.Generator, time_s: np.ndarray, seconds: float) -> np.ndarray:
    """[time]: 1 in a stretch so long that begins anywhere, 0 outside, with soft edges."""
    middle_s = rng.uniform(0, time_s[-1])
    return 1 / (1 + np.exp(np.clip((np.abs(time_s - middle_s) - seconds / 2) / 0.1, -30, 30)))


def _wander(rng: np.random.Generator, time_s: np.ndarray, size_mv: float) -> np.ndarray:
    """[time] of slow tones, smaller the faster they are."""
    tone_hz = 0.05 * 20 ** rng.random((6, 1))
    return size_mv * (rng.normal(size=(6, 1)) * np.sqrt(0.3 / tone_hz) * np.sin(2 * np.pi * (tone_hz * time_s))).sum(0)


def _jerks(rng: np.random.Generator, time_s: np.ndarray, number: int, size_mv: float) -> np.ndarray:
    """[time] of steps that fade."""
    signal_mv = np.zeros(len(time_s))
    for _ in range(number):
        since_s = time_s - rng.uniform(0, time_s[-1])
        fade = np.exp(-np.maximum(since_s, 0) / rng.uniform(0.1, 0.8))
        signal_mv += size_mv * rng.normal() * fade / (1 + np.exp(np.clip(-since_s / 0.015, -30, 30)))
    return signal_mv


def _recorded(signal_mv: np.ndarray) -> np.ndarray:
    """[time] in the band of the device."""
    return scipy.signal.sosfiltfilt(_device(), signal_mv, padlen=round(FS_HZ))


@functools.cache
def _device() -> np.ndarray:
    return scipy.signal.butter(1, PASS_HZ, "bandpass", fs=FS_HZ, output="sos")
