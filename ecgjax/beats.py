"""The average beat of a record, found in a way that exchanges of electrodes or of leads cannot disturb.

Beats are found and weighed by a power: that of the nine electrode potentials about their mean, which no permutation of
electrodes changes, or for leads in unknown order the sum of theirs. Averaging is linear. So the average beat of a
rewired record is the rewired average beat.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.compiled_apart import apart

_ABOUT_MEAN = leads.ELECTRODES_FROM_LEADS - leads.ELECTRODES_FROM_LEADS.mean(axis=0)
POWER_METRIC = (_ABOUT_MEAN.T @ _ABOUT_MEAN).astype(np.float32)
"""[12, 12]: the power of the electrode potentials about their mean is `x @ POWER_METRIC @ x` for the leads `x`."""


@dataclasses.dataclass(frozen=True)
class BeatWindow:
    """What is cut around each R peak.

    Attributes:
      fs_hz: rate of the signal.
      before_s, after_s: reach of the window around the peak.
      max_beats: beats that are looked at; later ones are left out.
    """

    fs_hz: float
    before_s: float
    after_s: float
    max_beats: int

    @property
    def num_before(self) -> int:
        return round(self.before_s * self.fs_hz)

    @property
    def num_samples(self) -> int:
        return self.num_before + round(self.after_s * self.fs_hz)


# A beat of the ventricles takes at least this long; a second peak within it is the same beat.
REFRACTORY_S = 0.25
SMOOTHING_S = 0.1
# A peak counts when it reaches this share of the median over stretches of STRETCH_S of their highest.
THRESHOLD = 0.25
STRETCH_S = 1.5


ONE_LEAD = np.ones((1, 1), np.float32)
"""The metric of a single lead."""


def find_beats(
    signal_mv: jax.Array,
    window: BeatWindow,
    metric: np.ndarray = POWER_METRIC,
    is_recorded: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """R peaks of `[time, lead]`: sample indices `[max_beats]` in order of time, and which of them are beats.

    `metric` `[lead, lead]` gives the power of a sample `x` as `x @ metric @ x`; `is_recorded` `[time]` bool, where some
    of the end pads the signal. Beats then need not have their whole window.
    """
    num_samples = signal_mv.shape[0]
    # Central differences: one-sided ones put a symmetric peak between two samples.
    slope = jnp.asarray(jnp.gradient(signal_mv, axis=0))
    if is_recorded is not None:
        slope = jnp.where((is_recorded & jnp.append(is_recorded[1:], False))[:, None], slope, 0.0)
    energy = _smoothed(_power(slope, metric), np.hanning(2 * round(SMOOTHING_S * window.fs_hz / 2) + 3))

    highest = _highest_around(energy, _refractory_samples(window))
    stretch = min(round(STRETCH_S * window.fs_hz), num_samples)
    stretches = energy[: num_samples // stretch * stretch].reshape(-1, stretch)
    highest_of = jnp.max(stretches, axis=1)
    if is_recorded is None:
        threshold = THRESHOLD * jnp.median(highest_of)
        sample = jnp.arange(num_samples)
        fits = (sample >= window.num_before) & (sample <= num_samples - (window.num_samples - window.num_before))
    else:
        # The median of the stretches that hold something; the others are zero and come last.
        num_stretches = jnp.ceil(jnp.sum(is_recorded) / stretch).astype(int)
        middle = jnp.clip(num_stretches // 2, 0, len(highest_of) - 1)
        threshold = THRESHOLD * -jnp.sort(-highest_of)[middle]
        fits = is_recorded
    is_peak = fits & (energy >= highest) & (energy > threshold)
    return first_places(is_peak, window.max_beats)


_BLOCK = 64
"""Samples that are counted by one product in `first_places`."""


def first_places(is_there: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """The first places where bool `[time]` holds, `[count]` in order, and which of them there are; 0 in the others.

    XLA would sort all of the time for `top_k`. Here products count within blocks and over them: first the block of each
    place is found, then the place in the block.
    """
    blocks = jnp.pad(is_there.astype(jnp.float32), (0, -len(is_there) % _BLOCK)).reshape(-1, _BLOCK)
    counted = blocks @ np.triu(np.ones((_BLOCK, _BLOCK), np.float32))
    up_to = counted[:, -1] @ np.triu(np.ones((len(blocks), len(blocks)), np.float32))
    rank = jnp.arange(count, dtype=jnp.float32)
    is_found = rank < up_to[-1]
    block = jnp.where(is_found, jnp.sum(up_to <= rank[:, None], axis=1), 0)
    passed = rank - (up_to - counted[:, -1])[block]
    place = block * _BLOCK + jnp.sum(counted[block] <= passed[:, None], axis=1)
    return jnp.where(is_found, place, 0), is_found


def average_beat(
    signal_mv: jax.Array, window: BeatWindow, metric: np.ndarray = POWER_METRIC
) -> tuple[jax.Array, jax.Array]:
    """`[time, lead]` -> `[num_samples, lead]` and the number of beats that it averages; `metric` as in `find_beats`.

    Beats unlike the others are weighed down: one that differs from the plain mean by half of the mean's energy keeps
    a weight of 1/e, so that ectopic beats and artefacts fade. A record without a beat gives zeros.
    """
    last_start = max(signal_mv.shape[0] - window.num_samples, 0)
    # No more have room, as far apart as they are.
    most = last_start // (_refractory_samples(window) + 1) + 1
    peaks, is_beat = (of_beat[:most] for of_beat in find_beats(signal_mv, window, metric))
    sample = jnp.clip(peaks - window.num_before, 0, last_start)[:, None] + jnp.arange(window.num_samples)
    beats = signal_mv[sample]
    mean = _weighted_mean(beats, is_beat.astype(jnp.float32))
    # Multiplied out, so that the beats themselves, which overlap and are many, need no metric.
    power_at = apart(functools.partial(_power, metric=metric))
    power, mean_power = jnp.sum(power_at(signal_mv)[sample], axis=1), jnp.sum(_power(mean, metric))
    difference = power - 2 * (beats.reshape(len(beats), -1) @ (mean @ metric).reshape(-1)) + mean_power
    weight = is_beat * jnp.exp(-2 * difference / (mean_power + 1e-6))
    num_beats = jnp.sum(weight) ** 2 / (jnp.sum(weight**2) + 1e-6)
    return _weighted_mean(beats, weight), num_beats


def _refractory_samples(window: BeatWindow) -> int:
    return round(REFRACTORY_S * window.fs_hz)


def _smoothed(values: jax.Array, kernel: np.ndarray) -> jax.Array:
    """`[time]` convolved with an odd `kernel` over its sum, zeros beyond the ends.

    As a sum of shifted copies, which XLA fuses; its convolution takes ten times as long for a single channel.
    """
    padded = jnp.pad(values, len(kernel) // 2)
    return sum(share * padded[i : i + len(values)] for i, share in enumerate(kernel / kernel.sum()) if share)


def _highest_around(values: jax.Array, reach: int) -> jax.Array:
    """`[time]`: the highest of `[time]` up to `reach` samples before and after, from windows that double in size."""
    highest, size = jnp.pad(values, reach, constant_values=-jnp.inf), 1
    while size < 2 * reach + 1:
        step = min(size, 2 * reach + 1 - size)
        highest, size = jnp.maximum(highest[:-step], highest[step:]), size + step
    return highest


def _power(signal_mv: jax.Array, metric: np.ndarray) -> jax.Array:
    """`[..., lead]` -> `[...]`: a sum of squares of sums over leads, written out, since XLA makes one loop of that.

    A product with `metric` is written and read once more and takes five times as long.
    """
    each = jnp.moveaxis(signal_mv, -1, 0)
    roots = (
        sum(weight * lead_mv for weight, lead_mv in zip(row, each, strict=True) if weight) for row in _root(metric)
    )
    return jnp.asarray(sum(root**2 for root in roots))


def _root(metric: np.ndarray) -> np.ndarray:
    """`[rank, lead]`: `x @ metric @ x` is the sum of squares of `root @ x`."""
    power, directions = np.linalg.eigh(metric.astype(np.float64))
    root = np.sqrt(np.clip(power, 0, None))[:, None] * directions.T
    return root[power > 1e-6 * power.max()].astype(np.float32)


def _weighted_mean(beats: jax.Array, weight: jax.Array) -> jax.Array:
    return jnp.tensordot(weight / (jnp.sum(weight) + 1e-6), beats, axes=1)
