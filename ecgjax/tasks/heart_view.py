"""What a network is shown of half a second of twelve leads that starts with the activation of the ventricles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ecgjax import augment, leads
from ecgjax.errors import InputError
from ecgjax.fast_random import split

SCALINGS = ("none", "lead_range", "record_range", "global_range", "standard")
"""mV as they are; by the peak-to-peak of each lead of each record; by the highest of its record; by `range_mv`; by
`mean_mv` and `sd_mv` of each lead."""

_LEAST_RANGE_MV = 1e-3


@dataclasses.dataclass(frozen=True)
class HeartView:
    """Signals `[time, 12]` in mV of one record to what the network sees; see configs/heart_view.py for the options.

    Leads that are not shown are zero unless they follow from those that are. Nothing moves or stretches the beat in
    time but a delay, by which times of the targets have to be delayed as well.
    """

    scaling: str
    range_mv: float
    mean_mv: tuple[float, ...]
    sd_mv: tuple[float, ...]
    leads: str
    random_leads: float
    max_shift_ms: float
    rotation_rad: float
    elongation: float
    displacement: float
    gain: float
    noise_mv: float
    fs_hz: float

    def __post_init__(self):
        if self.scaling not in SCALINGS:
            raise InputError(f"unknown scaling {self.scaling!r}", f"use one of {', '.join(SCALINGS)}")
        if self.range_mv <= 0 or min(self.sd_mv) <= 0:
            raise InputError("range_mv or sd_mv is not above 0", "give those of the training records")
        if not len(self.mean_mv) == len(self.sd_mv) == len(leads.LEADS):
            raise InputError(
                f"mean_mv and sd_mv have {len(self.mean_mv)} and {len(self.sd_mv)} values", "give one for each lead"
            )
        if not 0 <= self.random_leads <= 1:
            raise InputError(f"random_leads is {self.random_leads}", "give a share between 0 and 1")
        if self.max_shift_ms < 0:
            raise InputError(f"max_shift_ms is {self.max_shift_ms}", "give 0 or more")
        leads.lead_subset(self.leads)  # refuses unknown names

    @classmethod
    def from_options(cls, config: ConfigDict, options: ConfigDict) -> "HeartView":
        """The view that the group `options` of a config describes, which may hold other options, too.

        Raises:
          InputError: an option is unknown, or something else in `config` would scale or crop the signals.
        """
        if config.data.crop_s != config.data.seconds:
            raise InputError(
                f"data.crop_s is {config.data.crop_s} and times count from the start of {config.data.seconds} s",
                "set both to the length of a record",
            )
        if config.preprocess.normalise != "none":
            raise InputError(f"preprocess.normalise is {config.preprocess.normalise!r}", "set it to none, use scaling")
        return cls(fs_hz=config.preprocess.fs_hz, **{name: options[name] for name in OPTIONS})

    @property
    def given_leads(self) -> tuple[str, ...]:
        """The leads that are shown."""
        return leads.lead_subset(self.leads)

    def draw_shift(self, key: jax.Array) -> jax.Array:
        """Samples by which a training record is delayed, int32 scalar from 0 to `max_shift_ms`."""
        return jax.random.randint(key, (), 0, round(self.max_shift_ms * self.fs_hz / 1000) + 1)

    def shift_ms(self, shift: jax.Array) -> jax.Array:
        """Milliseconds of a shift in samples."""
        return shift * (1000 / self.fs_hz)

    def training_signal(self, key: jax.Array, signal_mv: jax.Array, shift: jax.Array) -> jax.Array:
        """`[time, 12]` scaled, delayed by `shift` samples, in another body, with noise and with some of the leads."""
        body_key, noise_key, subset_key = split(key, 3)
        is_given = jnp.asarray(self._is_given)
        if self.random_leads:
            is_given = augment.some_leads(subset_key, self._is_given, self.random_leads)
        shown = change = augment.showing(is_given) @ augment.FROM_INDEPENDENT
        body = augment.another_body(body_key, self)
        if body is not None:
            change = shown @ body
        if self.max_shift_ms:
            signal_mv = delayed(signal_mv, shift, 0.0)
        # The electrodes stay where they are.
        noise = augment.electrode_noise(noise_key, len(signal_mv), self.noise_mv, shown)
        if body is not None or noise is not None or self.random_leads or not self._is_given.all():
            signal_mv = augment.seen_through(change, signal_mv, noise)
        return self._scaled(signal_mv, is_given)

    def evaluation_signal(self, signal_mv: jax.Array) -> jax.Array:
        """`[time, 12]` scaled, without the leads that are withheld."""
        if not self._is_given.all():
            signal_mv = augment.show_leads(signal_mv, self._is_given)
        return self._scaled(signal_mv, self._is_given)

    @property
    def _is_given(self) -> np.ndarray:
        """bool [12]"""
        return np.isin(leads.LEADS, self.given_leads)

    def _scaled(self, signal_mv: jax.Array, is_given: jax.Array | np.ndarray) -> jax.Array:
        if self.scaling == "lead_range":
            return signal_mv / jnp.maximum(jnp.ptp(signal_mv, axis=0), _LEAST_RANGE_MV)
        if self.scaling == "record_range":
            return signal_mv / jnp.maximum(jnp.max(jnp.ptp(signal_mv, axis=0)), _LEAST_RANGE_MV)
        if self.scaling == "global_range":
            return signal_mv / self.range_mv
        if self.scaling == "standard":
            known = jnp.any(signal_mv != 0, axis=0) | is_given
            return jnp.where(known, (signal_mv - jnp.array(self.mean_mv)) / jnp.array(self.sd_mv), 0.0)
        return signal_mv


OPTIONS = tuple(field.name for field in dataclasses.fields(HeartView) if field.name != "fs_hz")
"""Names of the options in a task's group of the config."""


def delayed(values: jax.Array, shift: jax.Array, before: jax.Array | float) -> jax.Array:
    """`[time, ...]` later by `shift` samples, with `before` where nothing was yet; what leaves at the end is lost."""
    is_before = (jnp.arange(values.shape[0]) < shift).reshape(-1, *(1,) * (values.ndim - 1))
    return jnp.where(is_before, before, jnp.roll(values, shift, axis=0))
