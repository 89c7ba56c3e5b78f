"""When atria and ventricles fire in the rhythms that a one-lead recording tells apart.

Every kind of rhythm is a function from random numbers and a length to events. Times are seconds from the start of the
recording; events before it and after it are there too.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from ecgjax.simulate.population import RHYTHM

LEAD_IN_S = 4.0
"""Events start so long before the recording, and end so long after it."""

SINUS_BPM = (45.0, 100.0)
BRADYCARDIA_BPM = (28.0, 43.0)
TACHYCARDIA_BPM = (108.0, 175.0)
BRIEF_S = 0.03
"""Deviation of the time that an ectopic beat takes from the one before."""


@dataclasses.dataclass(frozen=True)
class Events:
    """What the heart does in a recording.

    Attributes:
      p_s: [wave] when the QRS complex of each P wave is due, whether it comes or not.
      p_is_ectopic: [wave] whether it comes from another place than the sinus node.
      qrs_s: [beat] the middle of each QRS complex.
      is_ventricular: [beat] whether it begins in the ventricles.
      atrial_hz: rate of fibrillating or fluttering atria; 0 where they do neither.
      is_fluttering: whether their waves are all alike.
    """

    p_s: np.ndarray
    p_is_ectopic: np.ndarray
    qrs_s: np.ndarray
    is_ventricular: np.ndarray
    atrial_hz: float = 0.0
    is_fluttering: bool = False


def sinus(rng: np.random.Generator, seconds: float) -> Events:
    """Sinus rhythm, from clockwork to strong sinus arrhythmia."""
    return _conducted(_sinus_intervals(rng, seconds, rng.uniform(*SINUS_BPM)))


def fibrillation(rng: np.random.Generator, seconds: float) -> Events:
    """Irregular, uncorrelated intervals with a refractory floor; see `ecgjax.simulate.rhythm.draw_rhythm`."""
    mean_s = 60 / np.clip(RHYTHM.afib_rate_bpm * np.exp(RHYTHM.afib_rate_log_sd * rng.normal()), 45, 165)
    cv = RHYTHM.afib_rr_cv * np.exp(RHYTHM.afib_rr_cv_log_sd * rng.normal())
    floor_s = min(0.6 * mean_s, 0.45)
    log_sd = np.sqrt(np.log1p((cv * mean_s / (mean_s - floor_s)) ** 2))
    rr_s = floor_s + (mean_s - floor_s) * rng.lognormal(-(log_sd**2) / 2, log_sd, _count(seconds, mean_s))
    is_ventricular = rng.random(len(rr_s)) < (0.08 if rng.random() < 0.1 else 0.0)
    atrial_hz = float(np.clip(rng.normal(RHYTHM.f_wave_hz, RHYTHM.f_wave_sd_hz), 4, 9))
    return dataclasses.replace(_without_p(_times(rr_s)), is_ventricular=is_ventricular, atrial_hz=atrial_hz)


def flutter(rng: np.random.Generator, seconds: float) -> Events:
    """Every second, third or fourth wave of the atria conducted, or now one and now another."""
    atrial_hz = rng.normal(RHYTHM.flutter_hz, 0.35)
    count = _count(seconds, 2 / atrial_hz)
    fixed = rng.choice((2, 3, 4), p=(0.5, 0.15, 0.35))
    ratio = rng.choice((2, 3, 4), count, p=(0.4, 0.15, 0.45)) if rng.random() < 0.45 else np.full(count, fixed)
    qrs_s = _times(ratio / atrial_hz) + 0.006 * rng.normal(size=count)
    return dataclasses.replace(_without_p(qrs_s), atrial_hz=float(atrial_hz), is_fluttering=True)


def ventricular_ectopy(rng: np.random.Generator, seconds: float) -> Events:
    """Now and then a wide, early beat, and a compensatory pause after it."""
    return _with_ectopics(rng, seconds, _some(rng, seconds), is_ventricular=True)


def atrial_ectopy(rng: np.random.Generator, seconds: float) -> Events:
    """Now and then an early beat from elsewhere in the atria, which resets the sinus node."""
    return _with_ectopics(rng, seconds, _some(rng, seconds), is_ventricular=False)


def bigeminy(rng: np.random.Generator, seconds: float) -> Events:
    """Every second or third beat ectopic, through the whole recording."""
    period = 2 if rng.random() < 0.7 else 3
    return _with_ectopics(rng, seconds, lambda place: place % period == 0, is_ventricular=rng.random() < 0.7)


def av_block(rng: np.random.Generator, seconds: float) -> Events:
    """P waves without a beat: every second one, the last one of a Wenckebach period, or no P wave conducted at all."""
    pp_s = 60 / rng.uniform(62, 105)
    p_s = _times(pp_s * (1 + 0.015 * rng.normal(size=_count(seconds, pp_s))))
    place = np.arange(len(p_s))
    kind = rng.choice(("two to one", "wenckebach", "complete"), p=(0.4, 0.45, 0.15))
    if kind == "two to one":
        return _sinus_p(p_s, p_s[place % 2 == 0])
    if kind == "complete":
        escape_s = 60 / rng.uniform(30, 46)
        rr_s = escape_s * (1 + 0.01 * rng.normal(size=_count(seconds, escape_s)))
        events = _sinus_p(p_s, _times(rr_s))
        return dataclasses.replace(events, is_ventricular=np.full(len(rr_s), rng.random() < 0.6))
    period = rng.integers(3, 6)
    # The delay grows, by less each time.
    delay_s = np.array([0.0, 0.09, 0.14, 0.17])[: period - 1]
    is_conducted = place % period < period - 1
    return _sinus_p(p_s, p_s[is_conducted] + delay_s[(place % period)[is_conducted]])


def tachycardia(rng: np.random.Generator, seconds: float) -> Events:
    """A fast and regular rhythm: of the sinus node, or from above the ventricles without P waves to be seen."""
    rate_bpm = rng.uniform(*TACHYCARDIA_BPM)
    qrs_s = _sinus_intervals(rng, seconds, rate_bpm, most_respiratory=0.03)
    return _without_p(qrs_s) if rate_bpm > 140 or rng.random() < 0.2 else _conducted(qrs_s)


def bradycardia(rng: np.random.Generator, seconds: float) -> Events:
    """A slow rhythm: of the sinus node, or of the atrioventricular node without P waves."""
    qrs_s = _sinus_intervals(rng, seconds, rng.uniform(*BRADYCARDIA_BPM))
    return _without_p(qrs_s) if rng.random() < 0.25 else _conducted(qrs_s)


def pauses(rng: np.random.Generator, seconds: float) -> Events:
    """Sinus rhythm that now and then stands still for two or three intervals."""
    qrs_s = _sinus_intervals(rng, seconds, rng.uniform(*SINUS_BPM))
    rr_s = np.diff(qrs_s)
    where = rng.choice(_inside(qrs_s[1:], seconds), rng.integers(1, 4))
    rr_s[where] *= rng.uniform(1.7, 3.0, len(where))
    return _conducted(qrs_s[0] + np.cumsum(rr_s))


def _count(seconds: float, mean_s: float) -> int:
    """Events that reach beyond the end."""
    return int(1.3 * (seconds + 2 * LEAD_IN_S) / mean_s) + 8


def _times(rr_s: np.ndarray) -> np.ndarray:
    return np.cumsum(rr_s) - LEAD_IN_S


def _inside(times_s: np.ndarray, seconds: float) -> np.ndarray:
    """Which events are well within the recording."""
    return np.flatnonzero((times_s > 0.7) & (times_s < seconds - 1.0))


def _conducted(qrs_s: np.ndarray) -> Events:
    return _sinus_p(qrs_s, qrs_s)


def _sinus_p(p_s: np.ndarray, qrs_s: np.ndarray) -> Events:
    return Events(p_s, np.zeros(len(p_s), bool), qrs_s, np.zeros(len(qrs_s), bool))


def _without_p(qrs_s: np.ndarray) -> Events:
    return _sinus_p(np.zeros(0), qrs_s)


def _sinus_intervals(
    rng: np.random.Generator, seconds: float, rate_bpm: float, most_respiratory: float = RHYTHM.most_respiratory
) -> np.ndarray:
    """Beats of the sinus node: breathing, the 0.1 Hz wave, noise and a slow drift; see `draw_rhythm`."""
    mean_s = 60 / rate_bpm
    count = _count(seconds, mean_s)
    respiratory = RHYTHM.respiratory * np.exp(RHYTHM.respiratory_log_sd * rng.normal())
    respiratory *= RHYTHM.sinus_arrhythmia_gain if rng.random() < 0.12 else 1.0
    mayer = RHYTHM.mayer * np.exp(RHYTHM.mayer_log_sd * rng.normal())
    breath_hz = np.clip(rng.normal(RHYTHM.breath_hz, RHYTHM.breath_sd_hz), 0.1, 0.45)
    nominal_s = mean_s * np.arange(count)
    phase = rng.uniform(0, 2 * np.pi, 2)
    modulation = min(respiratory, most_respiratory) * np.sin(2 * np.pi * breath_hz * nominal_s + phase[0])
    modulation += mayer * np.sin(2 * np.pi * 0.1 * nominal_s + phase[1])
    modulation += RHYTHM.white * rng.normal(size=count) + 0.006 * np.cumsum(rng.normal(size=count)) / np.sqrt(count)
    modulation += rng.normal(0, 0.02) * np.linspace(-1, 1, count)
    return _times(mean_s * (1 + modulation))


def _some(rng: np.random.Generator, seconds: float) -> Callable[[np.ndarray], np.ndarray]:
    """Which places in a row of beats are ectopic: a share of them, log-uniform, at random."""
    share = np.exp(rng.uniform(np.log(0.03), np.log(0.35)))
    return lambda place: rng.random(len(place)) < share


def _with_ectopics(
    rng: np.random.Generator, seconds: float, drawn: Callable[[np.ndarray], np.ndarray], is_ventricular: bool
) -> Events:
    """Sinus rhythm of which some beats are early, at least one; no two of them are neighbours."""
    qrs_s = _sinus_intervals(rng, seconds, rng.uniform(*SINUS_BPM), most_respiratory=0.06)
    is_ectopic = drawn(np.arange(len(qrs_s)))
    is_ectopic[rng.choice(_inside(qrs_s, seconds))] = True
    is_ectopic[0] = False
    for beat in np.flatnonzero(is_ectopic):
        is_ectopic[beat] &= not is_ectopic[beat - 1]
    low, high = RHYTHM.coupling_ventricular if is_ventricular else RHYTHM.coupling_atrial
    coupling = np.where(is_ectopic, rng.uniform(low, high) + BRIEF_S * rng.normal(size=len(qrs_s)), 1.0)
    pause = np.ones(len(qrs_s))
    after = np.flatnonzero(is_ectopic[:-1]) + 1
    pause[after] = 2 - coupling[after - 1] if is_ventricular else rng.uniform(1.0, 1.15)
    rr_s = np.diff(qrs_s, prepend=qrs_s[0] - 1) * coupling * pause
    qrs_s = np.cumsum(np.maximum(rr_s, RHYTHM.shortest_rr_s)) + qrs_s[0] - 1
    has_p = ~is_ectopic | (not is_ventricular)
    return Events(qrs_s[has_p], is_ectopic[has_p], qrs_s, is_ectopic & is_ventricular)


KINDS: dict[str, tuple[str, float, Callable[[np.random.Generator, float], Events]]] = {
    "sinus": ("N", 1.0, sinus),
    "fibrillation": ("A", 1.0, fibrillation),
    "ventricular_ectopy": ("O", 0.20, ventricular_ectopy),
    "atrial_ectopy": ("O", 0.22, atrial_ectopy),
    "bigeminy": ("O", 0.10, bigeminy),
    "flutter": ("O", 0.12, flutter),
    "av_block": ("O", 0.10, av_block),
    "tachycardia": ("O", 0.12, tachycardia),
    "bradycardia": ("O", 0.08, bradycardia),
    "pauses": ("O", 0.06, pauses),
}
"""Kind -> its class of `ecgjax.data.rhythms`, its share of the class, and its events."""
