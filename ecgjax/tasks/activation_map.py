"""Activation maps: twelve leads of one beat to the times at which 75 sites of the heart fire."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ecgjax import augment
from ecgjax.data import intracardiac
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.fast_random import split
from ecgjax.metrics import Metric
from ecgjax.tasks.activation_figures import activation_figures, paired_gains
from ecgjax.tasks.heart_view import HeartView
from ecgjax.tasks.task import Record, Task

LOSSES = ("l1", "mse", "huber")

_JUDGED = ("targets", "scores", "site_mm", "patient_ids")


@dataclasses.dataclass(frozen=True)
class ActivationMap:
    """The task; its options are described in configs/activation_map.py."""

    loss_name: str
    huber_ms: float
    centre_ms: float
    spread_ms: float
    stretch: float
    shown: HeartView
    name: str = "activation_map"

    def __post_init__(self):
        if self.loss_name not in LOSSES:
            raise InputError(f"unknown activation_map.loss {self.loss_name!r}", f"use one of {', '.join(LOSSES)}")
        for option, value in (("huber_ms", self.huber_ms), ("spread_ms", self.spread_ms)):
            if value <= 0:
                raise InputError(f"activation_map.{option} is {value}", "give milliseconds above 0")
        if self.stretch < 0:
            raise InputError(f"activation_map.stretch is {self.stretch}", "give 0 or more")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "ActivationMap":
        """The task that `config` describes."""
        options = config.activation_map
        return cls(
            loss_name=options.loss,
            huber_ms=options.huber_ms,
            centre_ms=options.centre_ms,
            spread_ms=options.spread_ms,
            stretch=options.stretch,
            shown=HeartView.from_options(config, options),
        )

    @property
    def num_outputs(self) -> int:
        return intracardiac.NUM_SITES

    @property
    def num_views(self) -> int:
        return 1

    def class_names(self) -> tuple[str, ...]:
        return intracardiac.SITES

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        return {"no site fires": np.isnan(heart_label(split, "activation_ms")).all(axis=1)}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        return {name: heart_label(split, name) for name in ("activation_ms", "site_mm")}

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        stretch_key, shift_key, signal_key = split(key, 3)
        signal_mv, activation_ms = record["signal_mv"], record["activation_ms"]
        if self.stretch:
            # The leads follow the potentials at once, so that a slower record is one of slower conduction.
            slower = jnp.exp(self.stretch * jax.random.normal(stretch_key))
            signal_mv = augment.at_samples(signal_mv, jnp.arange(signal_mv.shape[0]) / slower)
            activation_ms *= slower
        shift = self.shown.draw_shift(shift_key)
        return {
            **record,
            "signal_mv": self.shown.training_signal(signal_key, signal_mv, shift),
            "activation_ms": activation_ms + self.shown.shift_ms(shift),
        }

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        return {**record, "signal_mv": self.shown.evaluation_signal(record["signal_mv"])}

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        fires = ~jnp.isnan(batch["activation_ms"])
        # Before any arithmetic that is differentiated: a gradient through a NaN is NaN, masked or not.
        true_ms = jnp.where(fires, batch["activation_ms"], self.centre_ms)
        error = outputs - (true_ms - self.centre_ms) / self.spread_ms
        if self.loss_name == "l1":
            each = jnp.abs(error)
        elif self.loss_name == "mse":
            each = jnp.square(error)
        else:
            each = optax.huber_loss(error, delta=self.huber_ms / self.spread_ms)
        return jnp.sum(each * fires, axis=1) / jnp.maximum(jnp.sum(fires, axis=1), 1)

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        return {
            "targets": batch["activation_ms"],
            "scores": self.centre_ms + self.spread_ms * outputs.astype(jnp.float32),
            "site_mm": batch["site_mm"],
        }

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        return self

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        truth, own, site_mm, patients = (predictions[name] for name in _JUDGED)
        return activation_figures(truth, own, site_mm, patients, num_bootstrap)

    def rivals(self, train: Split, test: Split) -> dict[str, np.ndarray]:
        from ecgjax.tasks import heart_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        return heart_baselines.activation_maps(train, test, self.shown)

    def baselines(
        self, rivals: dict[str, np.ndarray], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        truth, own, site_mm, patients = (predictions[name] for name in _JUDGED)
        return {
            name: activation_figures(truth, guess, site_mm, patients, num_bootstrap)
            | paired_gains(truth, own, guess, patients, num_bootstrap)
            for name, guess in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}


def heart_label(split: Split, name: str) -> np.ndarray:
    """A label `[record, ...]` that datasets of hearts have; raises InputError where `split` is of another kind."""
    if name not in split.labels:
        raise InputError(f"{split.dataset} knows no hearts", "use simulated_hearts or intracardiac")
    return split.labels[name]
