"""What a network is shown of a twelve-lead record: augmented in training, and with all its leads or only some."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ecgjax import augment, leads
from ecgjax.beats import BeatWindow, average_beat
from ecgjax.errors import InputError
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
        body_key, noise_key, lead_key, stretch_key, share_key, subset_key = jax.random.split(key, 6)
        if self.stretch:
            signal_mv = augment.stretch_time(stretch_key, signal_mv, signal_mv.shape[0] // 2, self.stretch)
        if self.noise_mv:
            signal_mv += augment.electrode_noise(noise_key, signal_mv.shape[0], self.noise_mv)
        if self.rotation_rad or self.elongation or self.displacement or self.gain:
            body = augment.vary_body(body_key, self.rotation_rad, self.elongation, self.displacement, self.gain)
            signal_mv = signal_mv @ body.T
        if self.lead_noise_mv:
            signal_mv += augment.lead_noise(lead_key, signal_mv, self.lead_noise_mv)
        is_given = jnp.asarray(np.isin(leads.LEADS, self.given_leads))
        if self.random_leads:
            subset = augment.random_leads(subset_key) & is_given
            is_reduced = jax.random.bernoulli(share_key, self.random_leads) & subset.any()
            is_given = jnp.where(is_reduced, subset, is_given)
        return self.preprocess.normalised(self._seen(augment.show_leads(signal_mv, is_given)))

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
