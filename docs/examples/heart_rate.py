"""Heart rate from the record, in beats a minute."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ecgjax import augment, metrics
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.tasks.task import Record, Task


@dataclasses.dataclass(frozen=True)
class HeartRate:
    """The task; its options are described in configs/heart_rate.py."""

    centre_bpm: float
    spread_bpm: float
    noise_mv: float
    name: str = "heart_rate"
    num_outputs: int = 1
    num_views: int = 1

    def __post_init__(self):
        if self.spread_bpm <= 0:
            raise InputError(f"heart_rate.spread_bpm is {self.spread_bpm}", "give beats a minute above 0")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "HeartRate":
        """The task that `config` describes."""
        return cls(**config.heart_rate.to_dict())

    def class_names(self) -> tuple[str, ...]:
        return ("heart_rate_bpm",)

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        return {"heart rate unknown": np.isnan(_heart_rate_bpm(split))}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        return {"heart_rate_bpm": _heart_rate_bpm(split)}

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        signal_mv = record["signal_mv"]
        return {**record, "signal_mv": signal_mv + augment.lead_noise(key, signal_mv, self.noise_mv)}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        return record

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        return jnp.abs(outputs[:, 0] - (batch["heart_rate_bpm"] - self.centre_bpm) / self.spread_bpm)

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        return {
            "targets": batch["heart_rate_bpm"],
            "scores": self.centre_bpm + self.spread_bpm * outputs[:, 0],
        }

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        return self

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        return _errors(predictions["targets"], predictions["scores"], predictions["patient_ids"], num_bootstrap)

    def rivals(self, train: Split, test: Split) -> dict[str, Any]:
        return {"constant": np.full(len(test), np.median(_heart_rate_bpm(train)))}

    def baselines(
        self, rivals: dict[str, Any], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        truth, patients = predictions["targets"], predictions["patient_ids"]
        return {name: _errors(truth, guess, patients, num_bootstrap) for name, guess in rivals.items()}

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}


def _errors(
    truth_bpm: np.ndarray, predicted_bpm: np.ndarray, patient_ids: np.ndarray, num_bootstrap: int
) -> dict[str, Metric]:
    error = np.abs(predicted_bpm - truth_bpm).astype(float)
    return metrics.with_intervals(
        lambda weights: {"mae_bpm": metrics.ratio(weights @ error, weights.sum(-1))},
        np.ones(len(error)),
        patient_ids,
        num_bootstrap,
    )


def _heart_rate_bpm(split: Split) -> np.ndarray:
    if "heart_rate_bpm" not in split.labels:
        raise InputError(f"{split.dataset} knows no heart rates", "use simulated, or a dataset with that label")
    return split.labels["heart_rate_bpm"].astype(np.float32)
