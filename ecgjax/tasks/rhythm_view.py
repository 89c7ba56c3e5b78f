"""What a network is shown of a recording of any length: its scaled signal, and where there is one."""

import dataclasses

import jax
import jax.numpy as jnp

from ecgjax.augment import at_samples
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.fast_random import normals, split
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.task import Record

SCALINGS = ("zscore", "mv", "range")
"""Mean 0 and deviation 1, as recorded, or 0 to 1 as pictures have it; over the samples that were recorded."""

_WANDER_HZ = (0.05, 0.7)
_WANDERS = 3


@dataclasses.dataclass(frozen=True)
class RhythmView:
    """One recording `[time, lead]` in mV, of which its lead is shown: signal and mask, with zeros after both.

    With `measures`, these follow as channels that are constant in time: `[time, 2 + measure]`. Options are described in
    configs/rhythm.py; those from `noise` on change training recordings alone.
    """

    scaling: str
    measures: bool
    noise: float
    wander: float
    gain: float
    stretch: float
    flip: float
    mask_s: float
    preprocess: Preprocess

    def __post_init__(self):
        if self.scaling not in SCALINGS:
            raise InputError(f"unknown rhythm.scaling {self.scaling!r}", f"use one of {', '.join(SCALINGS)}")
        for name in OPTIONS[OPTIONS.index("noise") :]:
            if getattr(self, name) < 0:
                raise InputError(f"rhythm.{name} is {getattr(self, name)}", "give 0 (off) or more")
        if self.flip > 1:
            raise InputError(f"rhythm.flip is {self.flip}", "give a share of 0 to 1")
        if self.preprocess.normalise != "none":
            raise InputError(
                "preprocess.normalise would scale what pads a recording, too", "set it to none and use rhythm.scaling"
            )

    def check(self, split: Split) -> None:
        """Raises InputError where a recording has more than one lead."""
        if split.ecg.shape[2] != 1:
            raise InputError(
                f"records of {split.dataset} have {split.ecg.shape[2]} leads", "use simulated_rhythms or cinc2017"
            )

    def training_signal(self, key: jax.Array, record: Record) -> jax.Array:
        """`[time, channel]` of the rhythm in another recording: of another rate, polarity and noise."""
        few_key, flip_key, noise_key, wander_key, mask_key = split(key, 5)
        stretch, level, gain = normals(few_key, (3,))
        signal, num_samples = record["signal_mv"][:, 0], record["num_samples"]
        if self.stretch:
            signal, num_samples = _stretched(signal, num_samples, self.stretch * stretch)
        if self.flip:
            signal *= jnp.where(jax.random.bernoulli(flip_key, self.flip), -1, 1)
        is_in = jnp.arange(len(signal)) < num_samples
        _, deviation = _moments(signal, is_in)
        if self.noise:
            signal += deviation * self.noise * jnp.abs(level) * normals(noise_key, signal.shape)
        if self.wander:
            signal += deviation * self.wander * _wander(wander_key, len(signal), self.preprocess.fs_hz)
        signal = self._scaled(signal, is_in)
        if self.gain:
            signal *= jnp.exp(self.gain * gain)
        if self.mask_s:
            signal = jnp.where(_gap(mask_key, is_in, self.mask_s * self.preprocess.fs_hz), 0.0, signal)
        return self._shown(signal, is_in, record)

    def evaluation_signal(self, record: Record) -> jax.Array:
        """`[time, channel]` of the recording as it is."""
        signal = record["signal_mv"][:, 0]
        is_in = jnp.arange(len(signal)) < record["num_samples"]
        return self._shown(self._scaled(signal, is_in), is_in, record)

    def _shown(self, signal: jax.Array, is_in: jax.Array, record: Record) -> jax.Array:
        shown = jnp.stack([signal, is_in], axis=1)
        if not self.measures:
            return shown
        return jnp.concatenate([shown, jnp.broadcast_to(record["measures"], (len(shown), len(record["measures"])))], 1)

    def _scaled(self, signal: jax.Array, is_in: jax.Array) -> jax.Array:
        """`[time]`, zero outside `is_in`."""
        if self.scaling == "zscore":
            mean, deviation = _moments(signal, is_in)
            signal = (signal - mean) / jnp.where(deviation > 0, deviation, 1.0)
        elif self.scaling == "range":
            low = jnp.min(jnp.where(is_in, signal, jnp.inf))
            extent = jnp.max(jnp.where(is_in, signal, -jnp.inf)) - low
            signal = (signal - low) / jnp.where(extent > 0, extent, 1.0)
        return jnp.where(is_in, signal, 0.0)


def _moments(signal: jax.Array, is_in: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and deviation of `[time]` over the samples of `is_in`."""
    count = jnp.maximum(jnp.sum(is_in), 1)
    mean = jnp.sum(jnp.where(is_in, signal, 0.0)) / count
    return mean, jnp.sqrt(jnp.sum(jnp.where(is_in, (signal - mean) ** 2, 0.0)) / count)


def _stretched(signal: jax.Array, num_samples: jax.Array, log_factor: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`[time]` at another pace, and its length; what no longer fits is cut off."""
    factor = jnp.exp(log_factor)
    longer = jnp.clip(jnp.floor(num_samples * factor).astype(jnp.int32), 1, len(signal))
    return at_samples(signal[:, None], jnp.arange(len(signal)) / factor)[:, 0], longer


def _wander(key: jax.Array, num_samples: int, fs_hz: float) -> jax.Array:
    """`[time]` of slow sines; each has a random rate, and an amplitude of deviation 1 in all."""
    rate_key, phase_key, level_key = split(key, 3)
    shape = (_WANDERS, 1)
    rate_hz = jax.random.uniform(rate_key, shape, minval=_WANDER_HZ[0], maxval=_WANDER_HZ[1])
    phase = jax.random.uniform(phase_key, shape, maxval=2 * jnp.pi)
    level = jax.random.normal(level_key, shape) / _WANDERS**0.5
    return jnp.sum(level * jnp.sin(2 * jnp.pi * rate_hz * jnp.arange(num_samples) / fs_hz + phase), axis=0)


def _gap(key: jax.Array, is_in: jax.Array, longest: float) -> jax.Array:
    """bool `[time]`: a stretch of up to `longest` samples that begins anywhere in `is_in`."""
    start_key, length_key = split(key, 2)
    start = jax.random.uniform(start_key) * jnp.sum(is_in)
    place = jnp.arange(len(is_in)) - start
    return (place >= 0) & (place < longest * jax.random.uniform(length_key))


OPTIONS = tuple(field.name for field in dataclasses.fields(RhythmView) if field.name != "preprocess")
"""Names of the options in the task's group of the config."""
