"""What a network is shown of a twelve-lead record: augmented in training, and with all its leads or only some."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ecgjax import augment, leads
from ecgjax.beats import BeatWindow, average_beat
from ecgjax.errors import InputError
from ecgjax.fast_random import split
from ecgjax.preprocess import Preprocess

VIEWS = ("signal", "beat")
"""The whole signal or the average beat."""


@dataclasses.dataclass(frozen=True)
class TwelveLeadView:
    """Signals `[time, 12]` in mV of one record to what the network sees; see configs/twelve_leads.py for the options.

    Only the leads `leads` are shown; those that follow from them by algebra are filled in, all others are zero.
    """

    view: str
    leads: str
    random_leads: float
    rotation_rad: float
    elongation: float
    displacement: float
    gain: float
    noise_mv: float
    lead_noise_mv: float
    stretch: float
    window: BeatWindow
    preprocess: Preprocess

    def __post_init__(self):
        if self.view not in VIEWS:
            raise InputError(f"unknown view {self.view!r}", f"use one of {', '.join(VIEWS)}")
        if not 0 <= self.random_leads <= 1:
            raise InputError(f"random_leads is {self.random_leads}", "give a share between 0 and 1")
        leads.lead_subset(self.leads)  # refuses unknown names

    @classmethod
    def from_options(cls, config: ConfigDict, options: ConfigDict) -> "TwelveLeadView":
        """The view that the group `options` of a config describes, which may hold other options, too."""
        window = BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict())
        preprocess = Preprocess.from_config(config)
        return cls(window=window, preprocess=preprocess, **{name: options[name] for name in OPTIONS})

    @property
    def given_leads(self) -> tuple[str, ...]:
        """The leads that are shown."""
        return leads.lead_subset(self.leads)

    @property
    def shows_some(self) -> bool:
        """Whether any lead is withheld."""
        return len(leads.derivable(self.given_leads)) < len(leads.LEADS)

    @property
    def completion(self) -> np.ndarray:
        """`[12, 12]`: takes a record to what is shown of it."""
        return leads.completion(self.given_leads) if self.shows_some else np.eye(len(leads.LEADS))

    def training_signal(self, key: jax.Array, signal_mv: jax.Array) -> jax.Array:
        """`[time, 12]` in another body and with noise, of `leads` or a random subset of them."""
        body_key, noise_key, lead_key, stretch_key, subset_key = split(key, 5)
        if self.stretch:
            signal_mv = augment.stretch_time(stretch_key, signal_mv, signal_mv.shape[0] // 2, self.stretch)
        shown = jnp.asarray(self.completion, signal_mv.dtype)
        if self.random_leads:
            given = np.isin(leads.LEADS, self.given_leads)
            shown = augment.showing(augment.some_leads(subset_key, given, self.random_leads))
        change = shown @ augment.FROM_INDEPENDENT
        body = augment.another_body(body_key, self)
        if body is not None:
            change = change @ body
        noise = augment.electrode_noise(noise_key, len(signal_mv), self.noise_mv, change)
        seen_mv = signal_mv
        if body is not None or noise is not None or self.random_leads or self.shows_some:
            seen_mv = augment.seen_through(change, signal_mv, noise)
        if self.lead_noise_mv:
            seen_mv += augment.lead_noise(lead_key, signal_mv, self.lead_noise_mv) @ shown.T
        return self.preprocess.normalised(self._seen(seen_mv))

    def evaluation_signal(self, signal_mv: jax.Array) -> jax.Array:
        """`[time, 12]` as it is, but for the leads that are withheld."""
        if self.shows_some:
            signal_mv = signal_mv @ jnp.asarray(self.completion, signal_mv.dtype).T
        return self.preprocess.normalised(self._seen(signal_mv))

    def _seen(self, signal_mv: jax.Array) -> jax.Array:
        if self.view == "beat":
            beat, _ = average_beat(signal_mv, self.window)
            return beat
        return signal_mv


OPTIONS = tuple(
    field.name for field in dataclasses.fields(TwelveLeadView) if field.name not in ("window", "preprocess")
)
"""Names of the options in a task's group of the config."""
