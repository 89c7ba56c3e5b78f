"""A user's labels: one class of several, any number of labels, or numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ecgjax import leads
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.preprocess import Preprocess
from ecgjax.tasks import labelled_figures, rhythm_view
from ecgjax.tasks.diagnosis_figures import Thresholds, chosen_thresholds
from ecgjax.tasks.rhythm_features import bounded, measured
from ecgjax.tasks.rhythm_view import RhythmView
from ecgjax.tasks.task import Record, Task
from ecgjax.tasks.twelve_lead_view import TwelveLeadView

WEIGHTINGS = ("none", "balanced")
"""How much a class weighs in the loss: its number of records, or as much as any other."""

ONE_LEAD_NETWORKS = ("rhythm_reader", "residual34")
"""They read one lead of any length, all others twelve."""


@dataclasses.dataclass(frozen=True)
class Labelled:
    """The task; its options are described in configs/finetune.py.

    `kind` is one of `data_prep.labelled_table.KINDS`. `thresholds` of several labels are there once it is tuned.
    """

    kind: str
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    weighting: str
    shown: TwelveLeadView | RhythmView
    seed: int
    thresholds: Thresholds | None = None
    name: str = "labelled"
    num_views: int = 1

    def __post_init__(self):
        if self.weighting not in WEIGHTINGS:
            raise InputError(f"unknown labelled.weighting {self.weighting!r}", f"use one of {', '.join(WEIGHTINGS)}")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Labelled":
        """The task that `config` describes; its network says whether it reads one lead or twelve."""
        options = config.labelled
        shown: TwelveLeadView | RhythmView
        if config.model.name in ONE_LEAD_NETWORKS:
            shown = RhythmView(
                preprocess=Preprocess.from_config(config),
                **{name: config.one_lead[name] for name in rhythm_view.OPTIONS},
            )
        else:
            shown = TwelveLeadView.from_options(config, config.twelve_leads)
        found = {name: options[name] for name in ("kind", "columns", "classes", "centre", "spread", "weighting")}
        return cls(**found, shown=shown, seed=config.seed)

    @property
    def num_outputs(self) -> int:
        return len(self.class_names())

    def class_names(self) -> tuple[str, ...]:
        return self.columns if self.kind == "numbers" else self.classes

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        if "label" not in split.labels or split.labels["label"].shape[1:] != (len(self.columns),):
            raise InputError(
                f"{split.dataset} does not hold the labels of {', '.join(self.columns) or 'a folder'}",
                "begin with python -m ecgjax.main --config=configs/finetune.py --config.data.dir=FOLDER",
            )
        num_leads = 1 if isinstance(self.shown, RhythmView) else len(leads.LEADS)
        if split.ecg.shape[2] != num_leads:
            raise InputError(
                f"records of {split.dataset} have {split.ecg.shape[2]} leads, the network reads {num_leads}",
                "give the folder itself in data.dir, or another init",
            )
        return {}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        # Records that are only to be judged have none.
        label = split.labels.get("label", np.zeros((len(split), len(self.columns)), np.float32))
        found = {"label": label, "loss_weight": self._weights(label)}
        if isinstance(self.shown, RhythmView) and self.shown.measures:
            found["measures"] = bounded(measured(split), np)
        return found

    def _weights(self, label: np.ndarray) -> np.ndarray:
        """Of the output of each label in the loss, float32 `[record, column]`, 1 in the mean."""
        if self.weighting == "none" or self.kind == "numbers":
            return np.ones(label.shape, np.float32)
        share = np.zeros(label.shape)
        for column in range(label.shape[1]):
            values, place, counts = np.unique(label[:, column], return_inverse=True, return_counts=True)
            share[:, column] = counts[place] * len(values) / len(label)
        return (1 / share).astype(np.float32)

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        if isinstance(self.shown, RhythmView):
            return {**record, "signal_mv": self.shown.training_signal(key, record)}
        # A lead that was not recorded gets no noise either.
        is_there = jnp.any(record["signal_mv"] != 0, axis=0)
        return {**record, "signal_mv": is_there * self.shown.training_signal(key, record["signal_mv"])}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        # The weights of a split belong to training on it: figures of different splits are to be comparable.
        record = {**record, "loss_weight": jnp.ones_like(record["loss_weight"])}
        if isinstance(self.shown, RhythmView):
            return {**record, "signal_mv": self.shown.evaluation_signal(record)}
        return {**record, "signal_mv": self.shown.evaluation_signal(record["signal_mv"])}

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        label, weight = batch["label"], batch["loss_weight"]
        if self.kind == "classes":
            each = optax.softmax_cross_entropy_with_integer_labels(outputs, label[:, 0].astype(jnp.int32))
            return each * weight[:, 0]
        if self.kind == "several":
            return jnp.mean(optax.sigmoid_binary_cross_entropy(outputs, label) * weight, axis=1)
        scaled = (label - jnp.array(self.centre)) / jnp.array(self.spread)
        return jnp.mean(jnp.abs(outputs - scaled), axis=1)

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        label = batch["label"]
        if self.kind == "classes":
            return {"targets": label[:, 0].astype(jnp.int32), "scores": jax.nn.softmax(outputs)}
        if self.kind == "several":
            return {"targets": label.astype(jnp.int8), "scores": jax.nn.sigmoid(outputs)}
        return {"targets": label, "scores": jnp.array(self.centre) + jnp.array(self.spread) * outputs}

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        if self.kind != "several":
            return self
        thresholds = chosen_thresholds(predictions["targets"].astype(bool), predictions["scores"])
        return dataclasses.replace(self, thresholds=thresholds)

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        return labelled_figures.figures(
            self.kind, self.class_names(), predictions, predictions["scores"], self.thresholds, num_bootstrap
        )

    def rivals(self, train: Split, test: Split) -> dict[str, np.ndarray]:
        from ecgjax.tasks import labelled_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        label = train.labels["label"]
        given = () if isinstance(self.shown, RhythmView) else self.shown.given_leads
        if self.kind == "numbers":
            return labelled_baselines.numbers(train, test, label, given)
        is_class = label[:, :1] == np.arange(len(self.classes)) if self.kind == "classes" else label.astype(bool)
        return labelled_baselines.class_scores(train, test, is_class, given, adds_up=self.kind == "classes")

    def baselines(
        self, rivals: dict[str, np.ndarray], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        names = self.class_names()
        return {
            name: labelled_figures.figures(self.kind, names, predictions, scores, None, num_bootstrap)
            | labelled_figures.paired_gains(self.kind, predictions, scores, num_bootstrap)
            for name, scores in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Records of twelve leads that are judged most wrongly and, of classes, some that are named rightly."""
        if self.kind != "classes" or isinstance(self.shown, RhythmView):
            return {}
        return labelled_figures.examples(split, predictions, self.classes, self.seed)
