"""The millimetre grid of ECG paper: where its lines run in a picture, however it was turned or seen from the side.

Lines at equal distances are peaks in the spectrum. Each block of the picture tells frequency and phase of both families
of lines, and one map from the picture to the plane of the paper has to agree with them all.
"""

import dataclasses

import cv2
import numpy as np
import scipy.fft
import scipy.ndimage

from ecgjax.images.grid_lines import told_apart
from ecgjax.images.paper_map import NUM_TERMS, PaperMap, bend_slopes, bend_terms

WORKING_AREA_PX = 1.6e6
"""A larger picture is made smaller by a whole factor: pages of 8 pixels a millimetre keep 4, which is enough."""

BLOCK_PX = 128
STEP_PX = 96
MIN_CYCLES = 4
"""Of lines in a block, for a peak of its own in the spectrum."""

MAX_TURN_RAD = np.deg2rad(20)
MIN_PITCH_PX = 2.1
"""Lines closer than about two pixels are not resolved."""

MIN_AMPLITUDE = 0.04
"""Of a wave in a block, where 0.47 is a picture of that wave alone, and 0.02 the strongest of white noise."""

FREQUENCY_ERROR_BINS = 0.1
PHASE_ERROR_CYCLES = 0.02
MAX_OFF_BINS = 1.5
"""How well a block tells frequency, in bins of its spectrum, and phase, and when it is held to see something else."""

BEND_CYCLES = 3.0
"""How far paper may be bent, in distances of lines."""

FLAT_CYCLES = 0.06
MIN_BETTER = 0.75
"""Paper is taken for a plane unless it is bent by more than the first, and is then missed by less than this share."""

NUM_STEPS = 4
MIN_STRENGTH = 0.3
MIN_EXPLAINED = 0.5
"""Shares of blocks that agree, and of peaks in the spectrum of the straight picture that are lines, for a grid."""


@dataclasses.dataclass(frozen=True)
class Grid:
    """A grid that was found.

    Attributes:
      to_mm: from pixels of the picture to millimetres of paper; lines every 5 mm (of 1 mm where there are no others)
        stand at whole multiples.
      strength: share of the paper whose lines agree, 0..1.
      has_fine, has_bold: whether lines every 1 mm and every 5 mm were told apart.
    """

    to_mm: PaperMap
    strength: float
    has_fine: bool
    has_bold: bool

    @property
    def is_pitch_certain(self) -> bool:
        """False if only one kind of line was seen, and its distance was taken from the size of the page."""
        return self.has_fine and self.has_bold


def find_grid(brightness: np.ndarray) -> tuple[Grid | None, float]:
    """The grid in a picture, None if there is none, and its strength.

    Args:
      brightness: uint8 [y, x], of each pixel in its darkest channel; shading removed.
    """
    working, factor = _shrunk(brightness)
    blocks = _Blocks(working)
    best, strength = None, 0.0
    for u_frequency, v_frequency in _wave_pairs(blocks.mean_power()):
        u, v = blocks.waves(u_frequency), blocks.waves(v_frequency)
        to_cycles, agreeing = _fit(u, v, blocks.centre_px, working.shape)
        strength = max(strength, agreeing)
        if to_cycles is None or agreeing < MIN_STRENGTH:
            continue
        lines = told_apart(working, to_cycles)
        if best is None or lines.explained * agreeing > best[0].explained * best[1]:
            best = lines, agreeing
        if agreeing > 0.9 and lines.explained > 0.6:
            break
    if best is None or best[0].explained < MIN_EXPLAINED:
        return None, min(strength, MIN_STRENGTH)
    lines, strength = best
    return Grid(lines.to_mm.enlarged(factor), strength, lines.has_fine, lines.has_bold), strength


def _shrunk(brightness: np.ndarray) -> tuple[np.ndarray, int]:
    """Darkness 0..1, float32 [y, x], at working size, and how many pixels along an edge make one of its own."""
    factor = 1
    while brightness.size / factor**2 > WORKING_AREA_PX:
        factor += 1
    if factor > 1:
        height, width = brightness.shape[0] // factor * factor, brightness.shape[1] // factor * factor
        size = width // factor, height // factor
        brightness = cv2.resize(brightness[:height, :width], size, interpolation=cv2.INTER_AREA)
    return 1 - brightness.astype(np.float32) / 255, factor


class _Blocks:
    """Overlapping square blocks of a picture, as they look through a window, and their spectra."""

    def __init__(self, darkness: np.ndarray):
        height, width = darkness.shape
        size = min(BLOCK_PX, height, width)
        step = max(1, size * STEP_PX // BLOCK_PX)
        tops = np.linspace(0, height - size, 1 + -(-(height - size) // step)).round().astype(int)
        lefts = np.linspace(0, width - size, 1 + -(-(width - size) // step)).round().astype(int)
        corners = np.array([(top, left) for top in tops for left in lefts])
        # Strong strokes of ink and what varies slowly would drown the lines.
        even = darkness - cv2.blur(darkness, (size // 4, size // 4))
        limit = 3 * float(np.mean(np.abs(even)))
        even = np.clip(even, -limit, limit)
        window = np.hanning(size + 2)[1:-1].astype(np.float32)
        views = np.lib.stride_tricks.sliding_window_view(even, (size, size))
        self.values = views[corners[:, 0], corners[:, 1]] * np.outer(window, window)
        self.size = size
        self.centre_px = corners[:, ::-1] + (size - 1) / 2
        self.spectra = scipy.fft.rfft2(self.values)

    def mean_power(self) -> np.ndarray:
        """[fy, fx] over both signs of either frequency, zero in the middle; each block weighs as much."""
        power = np.abs(self.spectra) ** 2
        power = (power / (power.sum(axis=(1, 2), keepdims=True) + 1e-12)).mean(axis=0)
        full = np.empty((self.size, self.size))
        half = power.shape[1]
        full[:, :half] = power
        rest = np.arange(half, self.size)
        full[:, rest] = power[(-np.arange(self.size)) % self.size][:, self.size - rest]
        return np.fft.fftshift(full)

    def waves(self, frequency: np.ndarray) -> "_Waves":
        """The strongest wave of each block near a frequency (x, y) in cycles a pixel."""
        size = self.size
        reach = max(1, round(0.1 * float(np.hypot(*frequency)) * size))
        at = np.rint(frequency * size).astype(int)
        offsets = np.arange(-reach, reach + 1)
        fy, fx = np.meshgrid(at[1] + offsets, at[0] + offsets, indexing="ij")
        flip = fx < 0
        rows, columns = np.where(flip, -fy, fy) % size, np.minimum(np.abs(fx), size // 2)
        near = np.abs(self.spectra[:, rows, columns])
        peak = near.reshape(len(near), -1).argmax(axis=1)
        coarse = np.stack([fx.ravel()[peak], fy.ravel()[peak]], axis=1) / size
        return self._refined(coarse)

    def _refined(self, frequency: np.ndarray) -> "_Waves":
        """Frequencies to a small part of a bin, by parabolas through the logarithm of the peak."""
        for spacing in (0.5, 0.25):
            log = np.log(np.abs(self._transform(frequency, spacing / self.size * np.arange(-1, 2))) + 1e-12)
            along_x = _parabola(log[:, 1, 0], log[:, 1, 1], log[:, 1, 2])
            along_y = _parabola(log[:, 0, 1], log[:, 1, 1], log[:, 2, 1])
            frequency = frequency + spacing / self.size * np.stack([along_x, along_y], axis=1)
        found = self._transform(frequency, np.zeros(1))[:, 0, 0]
        total = np.sqrt((self.values**2).sum(axis=(1, 2)) * self.size**2) + 1e-12
        return _Waves(frequency, np.angle(found) / (2 * np.pi), np.abs(found) / total)

    def _transform(self, frequency: np.ndarray, around: np.ndarray) -> np.ndarray:
        """Fourier transform [block, y, x] at frequencies [block, (x, y)] and steps of `around` beside them."""
        turns = (frequency[:, :, None] + around)[:, :, None] * (np.arange(self.size) - (self.size - 1) / 2)[:, None]
        wave = np.exp(-2j * np.pi * turns)
        # Real products are several times as fast as making the picture complex.
        across = np.concatenate([wave[:, 0].real, wave[:, 0].imag], axis=2).astype(np.float32)
        rows = self.values @ across
        num = len(around)
        return wave[:, 1].transpose(0, 2, 1) @ (rows[:, :, :num] + 1j * rows[:, :, num:])


def _parabola(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where the peak of a parabola through three points is, from the middle one, at most one spacing away."""
    bend = np.minimum(before - 2 * at + after, -1e-6)
    return np.clip(0.5 * (before - after) / bend, -1, 1)


@dataclasses.dataclass(frozen=True)
class _Waves:
    """One family of lines as blocks see it: cycles a pixel [block, (x, y)], cycles at the centre, amplitude 0..1."""

    frequency: np.ndarray
    phase: np.ndarray
    amplitude: np.ndarray


def _wave_pairs(power: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frequencies (x, y), cycles a pixel, of pairs of like waves at right angles, the strongest first."""
    size = len(power)
    middle = size // 2
    fy, fx = np.meshgrid(*[np.arange(size) - middle] * 2, indexing="ij")
    radius = np.hypot(fx, fy)
    rings = np.rint(radius).astype(int)
    # Ink and paper vary more the slower: a peak counts by how far it stands above its ring.
    floor = scipy.ndimage.median(power, rings, np.arange(rings.max() + 1))
    contrast = power / np.sqrt(floor[rings] + 1e-12)
    contrast = cv2.blur(contrast, (3, 3))
    contrast[(radius < MIN_CYCLES) | (radius > size / MIN_PITCH_PX)] = 0
    is_peak = (contrast == cv2.dilate(contrast, np.ones((5, 5)))) & (contrast > 0)
    turn = np.arctan2(fy, fx)
    u_peaks = np.argwhere(is_peak & (np.abs(turn) < MAX_TURN_RAD))
    u_peaks = u_peaks[np.argsort(-contrast[tuple(u_peaks.T)])][:12]
    pairs = []
    for row, column in u_peaks:
        u = np.array([column, row]) - middle
        # Seen from the side, right angles and equal distances are so only nearly.
        ahead = (fx * -u[1] + fy * u[0]) / (u @ u)
        aside = (fx * u[0] + fy * u[1]) / (u @ u)
        beside = np.where((np.abs(ahead - 1) < 0.12) & (np.abs(aside) < 0.15), contrast, 0)
        v = np.array(np.unravel_index(beside.argmax(), beside.shape))[::-1] - middle
        pairs.append((float(np.sqrt(contrast[row, column] * beside.max())), u / size, v / size))
    pairs.sort(key=lambda pair: -pair[0])
    return [(u, v) for score, u, v in pairs[:4] if score > 0]


def _fit(u: _Waves, v: _Waves, centre_px: np.ndarray, shape: tuple[int, ...]) -> tuple[PaperMap | None, float]:
    """The map from pixels to cycles of both waves, and the share of blocks that agree with it."""
    is_wave = np.minimum(u.amplitude, v.amplitude) > MIN_AMPLITUDE
    if is_wave.sum() < 4:
        return None, 0.0
    frequency = np.stack([u.frequency, v.frequency], axis=1)
    phase = np.stack([u.phase, v.phase], axis=1)
    # Numbers near one, and the middle of the picture as the origin, keep the eight unknowns apart.
    middle = (np.array(shape[1::-1]) - 1) / 2
    reach = float(np.hypot(*middle))
    at = (centre_px - middle) / reach
    frequency = frequency * reach

    def cycles(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        below = 1 + at @ h[6:]
        position = (at @ h[:4].reshape(2, 2).T + h[4:6]) / below[:, None]
        slope = (h[:4].reshape(1, 2, 2) - position[:, :, None] * h[6:]) / below[:, None, None]
        return position, slope

    def misfit(h: np.ndarray, has_phase: np.ndarray) -> np.ndarray:
        position, slope = cycles(h)
        by_frequency = (slope - frequency)[is_wave] / (FREQUENCY_ERROR_BINS * reach / BLOCK_PX)
        by_phase = _wrapped(position - phase)[is_wave & has_phase] / PHASE_ERROR_CYCLES
        return np.concatenate([by_frequency.ravel(), by_phase.ravel()])

    def solved(h: np.ndarray, has_phase: np.ndarray) -> np.ndarray:
        # Frequencies alone do not tell where the lines begin.
        free = np.eye(8) if has_phase.any() else np.delete(np.eye(8), (4, 5), axis=0)
        for _ in range(NUM_STEPS):
            miss = misfit(h, has_phase)
            slopes = np.stack([(misfit(h + 1e-5 * way, has_phase) - miss) / 1e-5 for way in free], axis=1)
            weight = _trust(miss)
            h = h - np.linalg.lstsq(slopes * weight[:, None], miss * weight, rcond=None)[0] @ free
        return h

    h = np.zeros(8)
    h[:4] = np.median(frequency[is_wave], axis=0).ravel()
    h = solved(h, np.zeros(len(at), bool))
    turns = np.exp(2j * np.pi * (phase - cycles(h)[0]))[is_wave]
    near = np.hypot(*at[is_wave].T) < 0.4
    h[4:6] += np.angle(turns[near if near.any() else slice(None)].mean(axis=0)) / (2 * np.pi)
    # Whole cycles are counted from the middle outwards, where the map is still known well enough.
    for radius in (0.4, 0.7, 1.01):
        misses = np.abs(_wrapped(cycles(h)[0] - phase)).max(axis=1)
        h = solved(h, (np.hypot(*at.T) < radius) & (misses < 0.3))
    to_cycles = np.array([[h[0], h[1], h[4]], [h[2], h[3], h[5]], [h[6], h[7], 1]])
    to_unit = np.array([[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, reach]]) / reach
    position, slope = cycles(h)
    bend = _bend(at, is_wave, phase - position, frequency - slope, reach / BLOCK_PX)
    if bend is not None:
        position = position + bend_terms(at) @ bend
        slope = slope + np.einsum("bxt,tc->bcx", bend_slopes(at), bend)
    agrees = is_wave & (np.abs(_wrapped(position - phase)) < 0.12).all(axis=1)
    agrees &= (np.abs(slope - frequency) < MAX_OFF_BINS * reach / BLOCK_PX).all(axis=(1, 2))
    return PaperMap(to_cycles @ to_unit, bend, middle, reach), float(agrees.mean())


def _bend(
    at: np.ndarray, is_wave: np.ndarray, off_cycles: np.ndarray, off_slope: np.ndarray, bin_cycles: float
) -> np.ndarray | None:
    """Polynomial [term, (u, v)] through what a plane leaves over; None where that is not much.

    Args:
      at: centres of blocks, [block, (x, y)].
      is_wave: whether they have lines.
      off_cycles, off_slope: what is left of phase, [block, (u, v)], and of its slope, [block, (u, v), (x, y)].
      bin_cycles: a bin of the spectrum of a block, in units of the slope.
    """
    terms, slopes = bend_terms(at), bend_slopes(at)
    ridge = np.eye(NUM_TERMS) / BEND_CYCLES
    bend = np.zeros((NUM_TERMS, 2))
    for radius in (0.4, 0.6, 0.8, 1.01, 1.01):
        miss = _wrapped(off_cycles - terms @ bend)
        has_phase = is_wave & (np.hypot(*at.T) < radius) & (np.abs(miss).max(axis=1) < 0.3)
        off = np.abs(off_slope - np.einsum("bxt,tc->bcx", slopes, bend)).max(axis=(1, 2))
        has_slope = is_wave & (off < MAX_OFF_BINS * bin_cycles)
        by_slope = slopes[has_slope].reshape(-1, NUM_TERMS) / (FREQUENCY_ERROR_BINS * bin_cycles)
        for k in (0, 1):
            weight = _trust(miss[has_phase, k] / PHASE_ERROR_CYCLES) / PHASE_ERROR_CYCLES
            by_phase = terms[has_phase] * weight[:, None]
            goal = by_phase @ bend[:, k] + miss[has_phase, k] * weight
            slope_goal = off_slope[has_slope, k].ravel() / (FREQUENCY_ERROR_BINS * bin_cycles)
            goal = np.concatenate([goal, slope_goal, np.zeros(NUM_TERMS)])
            bend[:, k] = np.linalg.lstsq(np.concatenate([by_phase, by_slope, ridge]), goal, rcond=None)[0]
    flat, bent = (
        np.abs(_wrapped(off_cycles[is_wave] - off @ bend)).mean() for off in (0 * terms[is_wave], terms[is_wave])
    )
    return bend if bent < MIN_BETTER * flat and np.abs(terms @ bend).max() > FLAT_CYCLES else None


def _trust(miss: np.ndarray) -> np.ndarray:
    """Cauchy's weights: blocks that see something else, such as text, are far off and shall not count."""
    return 1 / np.sqrt(1 + (miss / 3) ** 2)


def _wrapped(cycles: np.ndarray) -> np.ndarray:
    return cycles - np.rint(cycles)
