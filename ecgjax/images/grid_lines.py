"""Which lines a lattice on paper is made of: those every millimetre, those every five, or both."""

import dataclasses

import cv2
import numpy as np
import scipy.fft
import scipy.ndimage

from ecgjax.images.paper_map import PaperMap, placement

MM_ACROSS = 100
"""Lines of one kind alone are taken for millimetres if more than this many fit across the picture, for fives else."""

PADDING = 2
PEAK_BINS = 2
SLOW_BINS = 6
"""The spectrum of a profile: how many times longer zeros make it, half the width of a peak before that, and how many of
its bins are left out because paper and ink vary slowly."""


@dataclasses.dataclass(frozen=True)
class Lines:
    """A lattice with its scale.

    Attributes:
      to_mm: from pixels to millimetres.
      explained: share of what repeats in the picture that these lines explain.
      has_fine, has_bold: whether there are lines every 1 mm and every 5 mm.
    """

    to_mm: PaperMap
    explained: float
    has_fine: bool
    has_bold: bool


def told_apart(darkness: np.ndarray, to_cycles: PaperMap) -> Lines:
    """Lines every millimetre and every five, from all of the picture at once, turned straight."""
    profiles, pitch_px, to_straight = _profiles(darkness, to_cycles)
    explained, overtones = {}, {}
    for k in range(1, 11):
        # The waves that were followed may be an overtone of the lines.
        base = 1 / (pitch_px * k)
        near = np.array([np.mean([profile.amplitude(base * j) for profile in profiles]) for j in range(1, 12)])
        # Equal lines have overtones that fall off; where every fifth is bolder, those between may be faint.
        below = near[4 : k - 1 : 5] if k % 5 == 0 else near[: k - 1]
        if k == 1 or (below > 0.25 * near[k - 1]).all():
            explained[k] = float(np.mean([profile.explained(base) for profile in profiles]))
            overtones[k] = near
    # The fewest lines that explain nearly as much as any.
    k = next(k for k in explained if explained[k] >= max(explained.values()) - 0.1)
    base, near = 1 / (pitch_px * k), overtones[k]
    # Bold lines between fine ones: the fifth overtone stands out, the others are there. Above a cycle a pixel nothing
    # is left in the picture.
    stands_out = 5 * base < 0.7 and near[4] > 1.2 * max(near[3], near[5])
    has_both = bool(stands_out and near[:4].max() > 0.04 * near[4])
    if stands_out and not has_both:
        base *= 5
    is_bold = has_both or max(darkness.shape) * base <= MM_ACROSS
    scale = base * (5 if is_bold else 1)
    begin = [profile.first_line(base) for profile in profiles]
    to_mm = to_straight.scaled(scale, -scale * np.array(begin))
    return Lines(to_mm, explained[k], has_both or not is_bold, is_bold)


@dataclasses.dataclass(frozen=True)
class _Profile:
    """Darkness along one axis of a straight picture, and peaks of its spectrum. Frequencies are in cycles a pixel."""

    values: np.ndarray
    peaks: np.ndarray

    def wave(self, frequency: float) -> complex:
        return complex(self.values @ np.exp(-2j * np.pi * frequency * np.arange(len(self.values))))

    def amplitude(self, frequency: float) -> float:
        return abs(self.wave(frequency))

    def explained(self, base: float) -> float:
        """Share of the peaks that stands at overtones of a frequency."""
        size = 2 * (len(self.peaks) - 1)
        # Overtones above half a cycle a pixel come back from there.
        overtones = base * np.arange(1, int(1 / base))
        at = np.rint(np.abs(overtones - np.rint(overtones)) * size).astype(int)
        reach = PEAK_BINS * PADDING
        is_overtone = np.zeros(len(self.peaks), bool)
        is_overtone[(at[:, None] + np.arange(-reach, reach + 1)).clip(0, len(self.peaks) - 1)] = True
        # What would be there by chance is taken off.
        chance = float(is_overtone[reach:].mean())
        share = float(self.peaks[is_overtone].sum() / (self.peaks.sum() + 1e-12))
        return (share - chance) / (1 - chance) if chance < 0.9 else 0.0

    def first_line(self, base: float) -> float:
        """Where the darkest line of a period is, in pixels."""
        phase = np.arange(200) / 200
        overtones = range(1, max(2, int(0.5 / base)))
        dark = sum((self.wave(base * j) * np.exp(2j * np.pi * j * phase)).real for j in overtones)
        return float(phase[np.argmax(dark)] / base)


def _profiles(darkness: np.ndarray, to_cycles: PaperMap) -> tuple[list[_Profile], float, PaperMap]:
    """Profiles along x and y of the straight picture, pixels a cycle there, and the map to it."""
    pitch_px, low, size_px = placement(to_cycles, darkness.shape)
    to_straight = to_cycles.scaled(pitch_px, -pitch_px * low)
    even = np.clip(darkness - cv2.blur(darkness, (31, 31)), -0.5, 0.5)
    straight = to_straight.straightened(even, size_px, cv2.INTER_LINEAR, 0)
    profiles = []
    for axis in (0, 1):
        values = straight.mean(axis=axis, dtype=np.float64)
        values = (values - values.mean()) * np.hanning(len(values))
        power = np.abs(scipy.fft.rfft(values, PADDING * len(values))) ** 2
        # Strokes of ink and the edges of the paper are slow or weak: peaks stand above the floor around them.
        floor = scipy.ndimage.median_filter(power, 40 * PADDING + 1, mode="nearest")
        power = np.where(power > 20 * floor, power, 0)
        power[: PADDING * SLOW_BINS] = 0
        profiles.append(_Profile(values, np.sqrt(power)))
    return profiles, pitch_px, to_straight
