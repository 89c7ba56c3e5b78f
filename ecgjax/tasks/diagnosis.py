"""Diagnosis: the labels of a record, of which it may have several or none."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ecgjax import scp
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.tasks.diagnosis_figures import (
    FALLBACK,
    Thresholds,
    chosen_thresholds,
    is_named,
    paired_gains,
    ranking_figures,
    threshold_figures,
)
from ecgjax.tasks.task import Record, Task
from ecgjax.tasks.twelve_lead_view import TwelveLeadView

WEIGHTINGS = ("none", "balanced")
"""How much the positives of a class weigh in the loss: as much as the negatives, or as much as all of them together."""

NOTHING = "none of the labels"


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """The task; its options are described in configs/diagnosis.py. `thresholds` are there once it is tuned."""

    labels: str
    weighting: str
    shown: TwelveLeadView
    seed: int
    thresholds: Thresholds | None = None
    name: str = "diagnosis"

    def __post_init__(self):
        scp.class_names(self.labels)
        if self.weighting not in WEIGHTINGS:
            raise InputError(f"unknown diagnosis.weighting {self.weighting!r}", f"use one of {', '.join(WEIGHTINGS)}")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Diagnosis":
        """The task that `config` describes."""
        options = config.diagnosis
        shown = TwelveLeadView.from_options(config, options)
        return cls(labels=options.labels, weighting=options.weighting, shown=shown, seed=config.seed)

    @property
    def num_outputs(self) -> int:
        return len(self.class_names())

    @property
    def num_views(self) -> int:
        return 1

    def class_names(self) -> tuple[str, ...]:
        return scp.class_names(self.labels)

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        if not scp.always_labelled(self.labels):
            return {}
        return {f"no label of the set {self.labels}": scp.labels(split, self.labels).sum(axis=1) == 0}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        is_class = scp.labels(split, self.labels)
        weight = np.ones(is_class.shape, np.float32)
        if self.weighting == "balanced":
            num_positive = is_class.sum(axis=0)
            # A class that the split lacks has no positives to weigh.
            ratio = (len(is_class) - num_positive) / np.maximum(num_positive, 1)
            weight = np.where(is_class, ratio, 1.0).astype(np.float32)
        return {"classes": is_class, "loss_weight": weight}

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        return {**record, "signal_mv": self.shown.training_signal(key, record["signal_mv"])}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        # The weights of a split belong to training on it: figures of different splits are to be comparable.
        plain = jnp.ones_like(record["loss_weight"])
        return {**record, "signal_mv": self.shown.evaluation_signal(record["signal_mv"]), "loss_weight": plain}

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        each = optax.sigmoid_binary_cross_entropy(outputs, batch["classes"].astype(jnp.float32))
        return jnp.mean(each * batch["loss_weight"], axis=1)

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        return {"targets": batch["classes"].astype(jnp.int8), "scores": jax.nn.sigmoid(outputs)}

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        thresholds = chosen_thresholds(predictions["targets"].astype(bool), predictions["scores"])
        return dataclasses.replace(self, thresholds=thresholds)

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        is_class, scores = predictions["targets"].astype(bool), predictions["scores"]
        patient_ids, names = predictions["patient_ids"], self.class_names()
        found = ranking_figures(is_class, scores, patient_ids, names, num_bootstrap)
        if self.thresholds is None:
            return found
        names_one = scp.always_labelled(self.labels)
        return found | threshold_figures(
            is_class,
            scores,
            self.thresholds,
            patient_ids,
            names,
            names_one=names_one,
            num_bootstrap=num_bootstrap,
        )

    def rivals(self, train: Split, test: Split) -> dict[str, np.ndarray]:
        from ecgjax.tasks import average_beat_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        is_class = scp.labels(train, self.labels)
        return average_beat_baselines.class_scores(train, test, is_class, self.shown.given_leads)

    def baselines(
        self, rivals: dict[str, np.ndarray], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        truth = predictions["targets"].astype(bool)
        patients = predictions["patient_ids"]
        return {
            name: ranking_figures(truth, scores, patients, self.class_names(), num_bootstrap)
            | paired_gains(truth, predictions["scores"], scores, patients, num_bootstrap)
            for name, scores in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Three records of which the network is most wrongly sure, and two that it names rightly."""
        truth, scores = predictions["targets"].astype(bool), predictions["scores"].astype(float)
        thresholds = (FALLBACK,) * len(self.class_names()) if self.thresholds is None else self.thresholds.f1
        named = is_named(scores, thresholds, names_one=False)
        is_right = np.all(named == truth, axis=1)
        of_truth = np.where(truth, scores, 1 - scores).min(axis=1)
        shuffled = np.random.default_rng(self.seed).permutation(len(is_right))
        wrong = np.argsort(np.where(is_right, np.inf, of_truth), kind="stable")[: min(3, int(np.sum(~is_right)))]
        chosen = np.concatenate([wrong, shuffled[is_right[shuffled]][: 5 - len(wrong)]])
        row = {name: i for i, name in enumerate(split.record_ids)}
        records = [row[name] for name in predictions["record_ids"][chosen]]
        return {
            "signal_mv": (split.ecg[records] / split.gain).astype(np.float32),
            "fs_hz": np.float32(split.fs_hz),
            "record_ids": predictions["record_ids"][chosen],
            "truth": np.array([self._said(truth[i]) for i in chosen]),
            "prediction": np.array([self._said(named[i]) for i in chosen]),
            "probability": np.where(named, scores, 1 - scores).min(axis=1)[chosen],
        }

    def _said(self, named: np.ndarray) -> str:
        return ", ".join(name for name, is_in in zip(self.class_names(), named, strict=True) if is_in) or NOTHING
