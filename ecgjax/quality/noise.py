"""What disturbs a lead: noise between alike beats, the power line, muscles, a wandering or jumping baseline.

Measured in millivolts, so that a lead of small waves is not blamed for them.
"""

import dataclasses
import functools

import numpy as np

from ecgjax.quality.findings import Finding, are, chosen, has, listed
from ecgjax.quality.typical_beat import Beats, median_known

HUM_HZ = (50.0, 60.0)
HUM_ASIDE_HZ = 15.0
HUM_BLOCK_S = 0.2
"""Whole periods of both power lines; most blocks hold no QRS complex."""

HUM_RATIO = 3.0
"""By how much the power line stands out of what lies beside it in the spectrum."""

MUSCLE_BLOCK_S = 0.1

NOISY_MV, MUSCLE_MV, HUM_MV, WANDER_MV, JUMP_MV = 0.08, 0.06, 0.03, 1.5, 1.0
"""From where each is remarked. In fold 9 of PTB-XL (242 records at 100 Hz) muscle noise is so in 7 % of the records, of
which 44 % bear the label `static_noise` and 56 % some label of bad quality (prevalence 18 and 28 %; area under the ROC
curve of the largest value among leads against the label 0.77); wander in 8 %, of which 32 % are labelled
`baseline_drift` (prevalence 13 %; 0.82); jumps in 5 %, 46 and 62 % (0.83); noise between beats in 7 %, 56 % some
label (0.75 for `burst_noise`). The labels are sparse themselves."""

UNREADABLE_MV, UNREADABLE_SHARE = 0.25, 0.15
"""Noise between beats, in mV and as a share of the QRS height, beyond which the lead had better be taken anew: in one
of 500 records of folds 1-8."""

SPARED = 0.4
"""Three bipolar limb leads are disturbed by one electrode where the lead without it has less than this share of what
the two others have."""

_OPPOSITE = {"RA": "III", "LA": "II", "LL": "I"}


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """Of every lead `[lead]`, in mV; NaN where it cannot be measured.

    Attributes:
      noise_mv: root mean square difference between a beat and the typical one, outside QRS.
      muscle_mv: the same of the second difference in time, in quiet parts: what lies above about 20 Hz.
      hum_mv: amplitude of the stronger power line, 0 where it does not stand out.
      wander_mv: from the lowest to the highest level of a second.
      jump_mv: the greatest change of level from one second to the next.
    """

    noise_mv: np.ndarray
    muscle_mv: np.ndarray
    hum_mv: np.ndarray
    wander_mv: np.ndarray
    jump_mv: np.ndarray


def measure(signal_mv: np.ndarray, beats: Beats, fs_hz: float) -> Disturbance:
    """Of `[time, lead]` at the rate of the record, and its beats."""
    nothing = np.full(signal_mv.shape[1], np.nan)
    noise = np.median(beats.noise_mv, axis=0) if len(beats.noise_mv) else nothing
    levels = _block_medians(beats)
    wander = levels.max(axis=0) - levels.min(axis=0) if len(levels) else nothing
    jump = np.abs(np.diff(levels, axis=0)).max(axis=0) if len(levels) > 1 else nothing
    return Disturbance(noise, _muscle(beats), _hum(signal_mv, fs_hz), wander, jump)


def _block_medians(beats: Beats) -> np.ndarray:
    """`[second, lead]`"""
    width = round(beats.fs_hz)
    num, num_leads = len(beats.signal_mv) // width, beats.signal_mv.shape[1]
    return np.median(beats.signal_mv[: num * width].reshape(num, width, num_leads), axis=1)


def _muscle(beats: Beats) -> np.ndarray:
    signal_mv = beats.signal_mv
    width = round(MUSCLE_BLOCK_S * beats.fs_hz)
    num = (len(signal_mv) - 2) // width
    if num < 3:
        return np.full(signal_mv.shape[1], np.nan)
    bend = signal_mv[2:] - 2 * signal_mv[1:-1] + signal_mv[:-2]
    bend = bend[: num * width].reshape(num, width, -1)
    return np.sqrt(np.median(np.einsum("btl,btl->bl", bend, bend), axis=0) / width)


@functools.cache
def _hum_basis(num_samples: int, fs_hz: float) -> tuple[np.ndarray, int]:
    """[wave, time] sines and cosines at the power lines and beside them, free of level and slope; and the lines."""
    lines = [hz for hz in HUM_HZ if hz + HUM_ASIDE_HZ < fs_hz / 2]
    time_s = np.arange(num_samples) / fs_hz
    hertz = np.array([f for hz in lines for f in (hz, hz - HUM_ASIDE_HZ, hz + HUM_ASIDE_HZ)])
    angle = 2 * np.pi * hertz[:, None] * time_s
    waves = np.concatenate([np.cos(angle), np.sin(angle)]) * 2 / num_samples
    smooth, _ = np.linalg.qr(np.stack([np.ones(num_samples), time_s, time_s**2], axis=1))
    return (waves - waves @ smooth @ smooth.T).astype(np.float32), len(lines)


def _hum(signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
    """`[lead]`: amplitude of the power line in mV; NaN where the rate is too low to tell."""
    width = round(HUM_BLOCK_S * fs_hz)
    num = len(signal_mv) // width
    num_leads = signal_mv.shape[1]
    if num < 3:
        return np.full(num_leads, np.nan)
    waves, num_lines = _hum_basis(width, fs_hz)
    if not num_lines:
        return np.full(num_leads, np.nan)
    blocks = signal_mv[: num * width].reshape(num, width, num_leads)
    part = np.matmul(waves, blocks)
    half = len(waves) // 2
    # Blocks that hold a QRS complex have all frequencies.
    amplitude = np.median(np.hypot(part[:, :half], part[:, half:]), axis=0).reshape(num_lines, 3, num_leads)
    line, beside = amplitude[:, 0], amplitude[:, 1:].mean(axis=1)
    return np.where(line > HUM_RATIO * beside, line, 0.0).max(axis=0)


def disturbed(names: tuple[str, ...], measured: list[Disturbance], qrs_mv: np.ndarray) -> tuple[Finding, ...]:
    """From what was measured of each stretch of a record, of which the median counts, and the QRS heights `[lead]`."""
    noise, muscle, hum, wander, jump = (
        np.nan_to_num(median_known(np.stack([getattr(of_stretch, field.name) for of_stretch in measured])))
        for field in dataclasses.fields(Disturbance)
    )
    found = []
    is_unreadable = (noise > UNREADABLE_MV) & (noise > UNREADABLE_SHARE * np.nan_to_num(qrs_mv))
    for is_one, is_fault, advice in (
        (is_unreadable, True, ": record again"),
        ((noise > NOISY_MV) & ~is_unreadable, False, ""),
    ):
        if is_one.any():
            leads = chosen(names, is_one)
            sentence = (
                f"{listed(leads)} {are(leads)} noisy, with beats that differ from the typical one by up to "
                f"{noise[is_one].max():.2f} mV{_blamed(names, noise, is_one)}{advice}"
            )
            found.append(Finding("noisy", leads, sentence, None, is_fault))
    wanders, jumps, hums = wander > WANDER_MV, jump > JUMP_MV, hum > HUM_MV
    for values, is_one, what, advice in (
        (muscle, (muscle > MUSCLE_MV) & ~hums, "muscle noise of", "let the patient relax and be warm"),
        (hum, hums, "hum of the power line of", "look for bad contacts and mains nearby"),
        (jump, jumps, "a baseline that jumps by", "look for a loose electrode or cable"),
        (wander, wanders & ~jumps, "a baseline that wanders by", "let the patient lie still"),
    ):
        if is_one.any():
            leads = chosen(names, is_one)
            size = f"{'up to ' if len(leads) > 1 else ''}{values[is_one].max():.2g} mV"
            sentence = f"{listed(leads)} {has(leads)} {what} {size}{_blamed(names, values, is_one)}: {advice}"
            found.append(Finding("noisy", leads, sentence, None, False))
    return tuple(found)


def _blamed(names: tuple[str, ...], values: np.ndarray, is_one: np.ndarray) -> str:
    """The limb electrode that all disturbed bipolar limb leads share and the others do not, if there is one."""
    if not {"I", "II", "III"} <= set(names):
        return ""
    of_lead = {name: values[names.index(name)] for name in ("I", "II", "III")}
    for electrode, opposite in _OPPOSITE.items():
        least = min(value for name, value in of_lead.items() if name != opposite)
        others = [name for name in of_lead if name != opposite]
        if all(is_one[names.index(name)] for name in others) and of_lead[opposite] < SPARED * least:
            return f", from electrode {electrode}"
    return ""
