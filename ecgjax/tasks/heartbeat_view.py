"""What a network is shown of a heartbeat: the cut that Kaggle distributes, or the wide window with its rhythm."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.augment import at_samples
from ecgjax.data.heartbeats import BEFORE_SAMPLES, CUT_SAMPLES, FS_HZ, LEAD_NAMES, RR_FIGURES, WINDOW_SAMPLES
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.fast_random import LARGEST_NORMAL, normals, split, uniforms
from ecgjax.medians import median
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.task import Record

VIEWS = ("cut", "wide")
"""From R on, scaled to 0..1 and zero after its end; or window, typical beat and intervals between beats."""

SCALINGS = ("mv", "typical")
"""Of the wide view: as recorded, or centred and over the peak-to-peak voltage of the typical beat."""

NUM_INTERVALS = 7
LOCAL = 5
"""Which of them is the usual interval itself, and not a ratio."""

LARGEST_LOG = 2.0
"""Bound of the logarithms of intervals: a pause of a minute is no other beat than one of five seconds."""

SMALLEST_RANGE_MV = 0.05
"""Typical beats below this are not magnified further."""

LEAST_IRREGULARITY = 0.01
"""Below it a rhythm is as regular as R peaks can be told."""

_WANDER_HZ = (0.1, 0.7)


@dataclasses.dataclass(frozen=True)
class HeartbeatView:
    """One window `[250, 4]` in mV, or one beat of the Kaggle files `[250, 1]`, to what the network sees.

    Options are described in configs/heartbeat.py; those from `turned` on change training beats alone.
    """

    view: str
    scaling: str
    turned: float
    gain: float
    noise_mv: float
    wander_mv: float
    shift_s: float
    stretch: float
    rr_jitter: float
    preprocess: Preprocess

    def __post_init__(self):
        for name, choices in (("view", VIEWS), ("scaling", SCALINGS)):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"unknown heartbeat.{name} {getattr(self, name)!r}", f"use one of {', '.join(choices)}"
                )

    def check(self, split: Split) -> None:
        """Raises InputError where the split has no such view."""
        if split.ecg.shape[1] != WINDOW_SAMPLES or split.fs_hz != FS_HZ:
            raise InputError(
                f"beats of {split.dataset} have {split.ecg.shape[1]} samples at {split.fs_hz:g} Hz",
                f"keep data.seconds at {WINDOW_SAMPLES / FS_HZ:g} and preprocess.fs_hz at {FS_HZ:g}",
            )
        if split.lead_names == LEAD_NAMES:
            return
        if split.ecg.shape[2] > 1:
            leads = f"the leads {', '.join(split.lead_names)} instead of {', '.join(LEAD_NAMES)}"
            raise InputError(f"beats of {split.dataset} have {leads}", "delete it and prepare it again")
        if self.view == "wide":
            raise InputError(f"{split.dataset} holds cut beats alone", "use heartbeat.view=cut")

    def training_signal(self, key: jax.Array, record: Record) -> jax.Array:
        """`[time, channel]` of the beat in another recording: with another gain, rate and noise."""
        turn_key, few_key, noise_key, wander_key = split(key, 4)
        stretch, moved, gain, level, *jitter = normals(few_key, (4 + NUM_INTERVALS,))
        signal_mv, cut_samples, log_rr = record["signal_mv"], record["cut_samples"], record["log_rr"]
        r = r_sample(signal_mv.shape[1])
        signal_mv = _turned(turn_key, signal_mv, self.turned) if self.turned else first_lead(signal_mv)
        # The typical beat is a median of many: noise and a misplaced R peak are those of the single beat.
        of_beat = jnp.arange(signal_mv.shape[1]) == 0
        if self.shift_s:
            beat_mv = _moved(signal_mv[:, 0], moved, FS_HZ * self.shift_s)
            signal_mv = jnp.where(of_beat, beat_mv[:, None], signal_mv)
        if self.stretch:
            log_factor = self.stretch * stretch
            place = r + (jnp.arange(len(signal_mv)) - r) * jnp.exp(-log_factor)
            signal_mv = at_samples(signal_mv, place)
            cut_samples = jnp.clip(jnp.rint(cut_samples * jnp.exp(log_factor)), 1, CUT_SAMPLES)
            log_rr = log_rr.at[LOCAL].add(log_factor)
        if self.gain:
            signal_mv *= jnp.exp(self.gain * gain)
        if self.noise_mv:
            noise_mv = self.noise_mv * jnp.abs(level) * normals(noise_key, (len(signal_mv),))
            signal_mv += of_beat * noise_mv[:, None]
        if self.wander_mv:
            signal_mv += of_beat * _wander(wander_key, len(signal_mv), self.wander_mv)[:, None]
        if self.rr_jitter:
            log_rr += self.rr_jitter * jnp.stack(jitter)
        return self._seen(signal_mv, r, cut_samples, log_rr)

    def evaluation_signal(self, record: Record) -> jax.Array:
        """`[time, channel]` of the beat as it is."""
        signal_mv = record["signal_mv"]
        r = r_sample(signal_mv.shape[1])
        return self._seen(first_lead(signal_mv), r, record["cut_samples"], record["log_rr"])

    def _seen(self, signal_mv: jax.Array, r: int, cut_samples: jax.Array, log_rr: jax.Array) -> jax.Array:
        if len(signal_mv) != WINDOW_SAMPLES:
            raise InputError(
                f"a crop of {len(signal_mv)} samples is no beat", f"set data.crop_s to {WINDOW_SAMPLES / FS_HZ:g}"
            )
        if self.view == "cut":
            return self.preprocess.normalised(cut(signal_mv[r:], cut_samples))
        if self.scaling == "typical":
            centred = signal_mv - jax.vmap(median, in_axes=1)(signal_mv)
            signal_mv = centred / jnp.maximum(jnp.ptp(centred[:, 1]), SMALLEST_RANGE_MV)
        rhythm = jnp.broadcast_to(log_rr, (len(signal_mv), NUM_INTERVALS))
        return jnp.concatenate([self.preprocess.normalised(signal_mv), rhythm], axis=1)


def first_lead(signal_mv: Any) -> Any:
    """The beat, and beside it the typical beat where there is one: `[..., time, 4]` -> `[..., time, 2]`."""
    return signal_mv[..., ::2]


def _turned(key: jax.Array, signal_mv: jax.Array, share: float) -> jax.Array:
    """The beat and the typical beat in a lead of any direction between two leads, in a `share` of cases.

    Leads are projections of one heart vector: their weighted sums are what electrodes elsewhere would have recorded, so
    that few patients show the network many shapes.
    """
    if signal_mv.shape[1] < len(LEAD_NAMES):
        return first_lead(signal_mv)
    direction, whether = uniforms(key, (2,))
    angle = jnp.pi * (2 * direction - 1) * (whether < share)
    return jnp.cos(angle) * signal_mv[:, ::2] + jnp.sin(angle) * signal_mv[:, 1::2]


def cut(beat_mv: jax.Array, cut_samples: jax.Array) -> jax.Array:
    """`[187, 1]` of a beat `[time, lead]` that begins with R, as Kaggle distributes it (Kachuee et al., IEEE ICHI 2018,
    443-444): `cut_samples` of its first lead, scaled to 0..1, and zeros after them.
    """
    beat = beat_mv[:CUT_SAMPLES, :1]
    is_in = jnp.arange(CUT_SAMPLES)[:, None] < cut_samples
    low = jnp.min(jnp.where(is_in, beat, jnp.inf))
    extent = jnp.max(jnp.where(is_in, beat, -jnp.inf)) - low
    return jnp.where(is_in, (beat - low) / jnp.where(extent > 0, extent, 1.0), 0.0)


def log_intervals(split: Split) -> np.ndarray:
    """float32 `[record, NUM_INTERVALS]`: logarithms, 0 where unknown.

    Of the two intervals before the beat and the two after it, over the usual one around it; of that before the beat
    over the recording's mean; of the usual one in seconds; and of how irregular the rhythm is.
    """
    figures = {name: split.labels[name].astype(float) for name in RR_FIGURES}
    # No interval is known to be 0, but a preparation of other recordings might hold one.
    with np.errstate(divide="ignore", invalid="ignore"):
        return log_ratios(figures, np).astype(np.float32)


def log_ratios(figures: Mapping[str, Any], library: Any) -> Any:
    """The `log_intervals` `[..., NUM_INTERVALS]` of `RR_FIGURES` `[...]` each, computed by NumPy or by JAX's."""
    second_before, before, after, second_after, local, mean, irregularity = (figures[name] for name in RR_FIGURES)
    ratios = [second_before / local, before / local, after / local, second_after / local, before / mean, local]
    logs = [library.log(ratio) for ratio in ratios]
    logs.append(library.log(irregularity + LEAST_IRREGULARITY) / -np.log(LEAST_IRREGULARITY))
    return library.clip(library.nan_to_num(library.stack(logs, axis=-1), nan=0.0), -LARGEST_LOG, LARGEST_LOG)


def r_sample(num_leads: int) -> int:
    """Where R is: beats of the Kaggle files, which have no typical beat beside them, begin with it."""
    return BEFORE_SAMPLES if num_leads == len(LEAD_NAMES) else 0


def _moved(signal_mv: jax.Array, normal: jax.Array, sd_samples: float) -> jax.Array:
    """`[time]` later by `sd_samples` times a number of `normals`, interpolated linearly; edges are repeated.

    A sum of few copies, weighted, where XLA on CPU would gather sample by sample.
    """
    reach = math.ceil(LARGEST_NORMAL * sd_samples)
    padded = jnp.pad(signal_mv, reach, mode="edge")
    weights = jnp.clip(1 - jnp.abs(jnp.arange(-reach, reach + 1) - sd_samples * normal), 0)
    copies = (padded[begin : begin + len(signal_mv)] for begin in range(2 * reach, -1, -1))
    return sum((weight * copy for weight, copy in zip(weights, copies, strict=True)), jnp.zeros_like(signal_mv))


def _wander(key: jax.Array, num_samples: int, sd_mv: float) -> jax.Array:
    """`[time]` of a slow sine, as breathing makes it."""
    rate_key, phase_key, level_key = split(key, 3)
    rate_hz = jax.random.uniform(rate_key, minval=_WANDER_HZ[0], maxval=_WANDER_HZ[1])
    phase = jax.random.uniform(phase_key, maxval=2 * jnp.pi)
    time_s = jnp.arange(num_samples) / FS_HZ
    return sd_mv * jax.random.normal(level_key) * jnp.sin(2 * jnp.pi * rate_hz * time_s + phase)


OPTIONS = tuple(field.name for field in dataclasses.fields(HeartbeatView) if field.name != "preprocess")
"""Names of the options in the task's group of the config."""
