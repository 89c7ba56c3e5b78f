"""Age from the record, as one number or as a normal distribution."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ecgjax import scp
from ecgjax.data import simulated
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.simulate.age_floor import age_floor
from ecgjax.tasks.age_figures import age_figures, best_scale, paired_gains, spread_figures
from ecgjax.tasks.task import Record, Task
from ecgjax.tasks.twelve_lead_view import TwelveLeadView

LOSSES = ("l1", "gaussian")
"""Absolute error of the median, or the likelihood of mean and spread."""

LARGEST_LOG_SPREAD = 4.0
"""Bound of the logarithm of the spread over `spread_years`, so that one record cannot make the loss explode."""


@dataclasses.dataclass(frozen=True)
class Age:
    """The task; its options are described in configs/age.py. `spread_scale` is there once it is tuned."""

    loss_name: str
    centre_years: float
    spread_years: float
    shown: TwelveLeadView
    spread_scale: float | None = None
    name: str = "age"

    def __post_init__(self):
        if self.loss_name not in LOSSES:
            raise InputError(f"unknown age.loss {self.loss_name!r}", f"use one of {', '.join(LOSSES)}")
        if self.spread_years <= 0:
            raise InputError(f"age.spread_years is {self.spread_years}", "give years above 0")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Age":
        """The task that `config` describes."""
        options = config.age
        return cls(
            loss_name=options.loss,
            centre_years=options.centre_years,
            spread_years=options.spread_years,
            shown=TwelveLeadView.from_options(config, options),
        )

    @property
    def num_outputs(self) -> int:
        return 2 if self.loss_name == "gaussian" else 1

    @property
    def num_views(self) -> int:
        return 1

    def class_names(self) -> tuple[str, ...]:
        return ("age_years",)

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        age_years = _age_years(split)
        is_over = split.labels.get("age_over_89", np.zeros(len(split), bool)).astype(bool)
        return {"age above 89": is_over, "age unknown": np.isnan(age_years) & ~is_over}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        return {"age_years": _age_years(split), "superclass": _superclasses(split)}

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        return {**record, "signal_mv": self.shown.training_signal(key, record["signal_mv"])}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        return {**record, "signal_mv": self.shown.evaluation_signal(record["signal_mv"])}

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        error = outputs[:, 0] - (batch["age_years"] - self.centre_years) / self.spread_years
        if self.loss_name == "l1":
            return jnp.abs(error)
        log_spread = _log_spread(outputs)
        return 0.5 * jnp.square(error * jnp.exp(-log_spread)) + log_spread

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        found = {
            "targets": batch["age_years"],
            "scores": self.centre_years + self.spread_years * outputs[:, 0],
            "superclass": batch["superclass"].astype(jnp.int8),
        }
        if self.loss_name == "gaussian":
            found["spread_years"] = self.spread_years * jnp.exp(_log_spread(outputs))
        return found

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        if self.loss_name != "gaussian":
            return self
        scale = best_scale(predictions["targets"], predictions["scores"], predictions["spread_years"])
        return dataclasses.replace(self, spread_scale=scale)

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        truth, predicted, patients = (predictions[name] for name in ("targets", "scores", "patient_ids"))
        is_class = predictions["superclass"].astype(bool)
        found = age_figures(truth, predicted, patients, is_class, scp.class_names("superclass"), num_bootstrap)
        if self.spread_scale is None:
            return found
        spread_years = self.spread_scale * predictions["spread_years"].astype(float)
        found |= spread_figures(truth, predicted, spread_years, patients, num_bootstrap)
        return {**found, "spread_scale": Metric(self.spread_scale, None, len(truth))}

    def rivals(self, train: Split, test: Split) -> dict[str, np.ndarray]:
        from ecgjax.tasks import average_beat_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        methods = average_beat_baselines.ages(train, test, _age_years(train), self.shown.given_leads)
        if simulated.is_simulated(test):
            # Not a rival but a bound: what could be told if everything that a record depends on were seen.
            methods["simulator_floor"] = age_floor(simulated.SEED, simulated.heart_numbers(test), simulated.SECONDS)
        return methods

    def baselines(
        self, rivals: dict[str, np.ndarray], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        truth, own, patients = (predictions[name] for name in ("targets", "scores", "patient_ids"))
        is_class, names = predictions["superclass"].astype(bool), scp.class_names("superclass")
        return {
            name: age_figures(truth, guess, patients, is_class, names, num_bootstrap)
            | paired_gains(truth, own, guess, patients, num_bootstrap)
            for name, guess in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}


def _log_spread(outputs: jax.Array) -> jax.Array:
    """`[batch]`, over `spread_years`."""
    return LARGEST_LOG_SPREAD * jnp.tanh(outputs[:, 1] / LARGEST_LOG_SPREAD)


def _age_years(split: Split) -> np.ndarray:
    if "age_years" not in split.labels:
        raise InputError(f"{split.dataset} knows no ages", "use ptbxl, records in its layout, or simulated")
    return split.labels["age_years"].astype(np.float32)


def _superclasses(split: Split) -> np.ndarray:
    """bool [record, class]; nothing where the dataset has no diagnoses, which ages do not need."""
    try:
        return scp.labels(split, "superclass")
    except InputError:
        return np.zeros((len(split), len(scp.class_names("superclass"))), bool)
