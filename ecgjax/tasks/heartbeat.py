"""Heartbeats: the class of one beat, or whether it is normal."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ecgjax.data import heartbeats
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.preprocess import Preprocess
from ecgjax.tasks import heartbeat_view
from ecgjax.tasks.heartbeat_figures import (
    best_offsets,
    best_threshold,
    class_figures,
    decisions,
    detection_figures,
    paired_gains,
    ranking_figures,
    recording_figures,
)
from ecgjax.tasks.heartbeat_view import HeartbeatView, first_lead, log_intervals, r_sample
from ecgjax.tasks.task import RIVALS_SEED, Record, Task

CLASS_SETS = {
    "aami": heartbeats.CLASSES,
    "aami4": heartbeats.CLASSES[:4],
    "binary": ("normal", "abnormal"),
}
"""All classes of AAMI, those without paced and unclassifiable beats, or two."""

WEIGHTINGS = ("none", "inverse", "sqrt_inverse", "effective")
"""What a training beat weighs in the loss: as the others, or less the more beats its class has."""

SAMPLINGS = ("natural", "sqrt", "balanced")
"""How often a training beat is drawn: as the others, less the more beats its class has, or all classes equally."""

LOSSES = ("cross_entropy", "focal")
DECISIONS = ("most_probable", "prior_corrected")
"""How one of several classes is chosen; the second corrects for their shares as validation beats ask for."""

SMALLEST_DOUBT = 1e-6
"""Of a probability from 1, so that powers below 1 keep finite gradients."""

EVEN_ODDS = 0.5
EXAMPLES = {True: 3, False: 2}
"""Of each class, beats named rightly and wrongly that the report draws."""


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """The task; its options are described in configs/heartbeat.py. `threshold` or `offsets` are there once tuned."""

    classes: str
    loss_name: str
    focal_gamma: float
    weighting: str
    effective_beta: float
    sampling: str
    decision: str
    baseline_beats: int
    shown: HeartbeatView
    seed: int
    threshold: float | None = None
    offsets: tuple[float, ...] | None = None
    name: str = "heartbeat"

    def __post_init__(self):
        choices = {
            "classes": (self.classes, tuple(CLASS_SETS)),
            "loss": (self.loss_name, LOSSES),
            "weighting": (self.weighting, WEIGHTINGS),
            "sampling": (self.sampling, SAMPLINGS),
            "decision": (self.decision, DECISIONS),
        }
        for option, (given, known) in choices.items():
            if given not in known:
                raise InputError(f"unknown heartbeat.{option} {given!r}", f"use one of {', '.join(known)}")
        if not 0 <= self.effective_beta < 1:
            raise InputError(f"heartbeat.effective_beta is {self.effective_beta}", "give 0 or more, and less than 1")
        if self.focal_gamma < 0:
            raise InputError(f"heartbeat.focal_gamma is {self.focal_gamma}", "give 0 or more")
        if self.baseline_beats < 1:
            raise InputError(f"heartbeat.baseline_beats is {self.baseline_beats}", "give 1 or more")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Heartbeat":
        """The task that `config` describes."""
        if config.evaluation.window_stride_s:
            raise InputError("evaluation.window_stride_s is set, and a beat is one window", "set it to 0")
        options = config.heartbeat.to_dict()
        shown = {name: options.pop(name) for name in heartbeat_view.OPTIONS}
        return cls(
            loss_name=options.pop("loss"),
            shown=HeartbeatView(preprocess=Preprocess.from_config(config), **shown),
            seed=config.seed,
            **options,
        )

    @property
    def is_binary(self) -> bool:
        return self.classes == "binary"

    @property
    def num_outputs(self) -> int:
        return 1 if self.is_binary else len(self.class_names())

    @property
    def num_views(self) -> int:
        return 1

    def class_names(self) -> tuple[str, ...]:
        return CLASS_SETS[self.classes]

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        if "beat_class" not in split.labels:
            raise InputError(f"{split.dataset} holds no single beats", "use simulated_beats, mitbih or heartbeat")
        self.shown.check(split)
        if self.is_binary:
            return {}
        of_beat = split.labels["beat_class"]
        if not np.isin(of_beat, heartbeats.CLASSES).all():
            raise InputError(f"{split.dataset} does not know the class of every beat", "use heartbeat.classes=binary")
        return {f"class {name}": of_beat == name for name in heartbeats.CLASSES if name not in self.class_names()}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        classes = self._classes(split)
        return {
            "classes": classes,
            "loss_weight": self._loss_weights(classes),
            "cut_samples": split.labels["cut_samples"].astype(np.int32),
            "log_rr": log_intervals(split),
        }

    def _classes(self, split: Split) -> np.ndarray:
        if self.is_binary:
            return split.labels["is_abnormal"].astype(np.int32)
        return np.argmax(split.labels["beat_class"][:, None] == np.array(self.class_names()), axis=1).astype(np.int32)

    def _loss_weights(self, classes: np.ndarray) -> np.ndarray:
        """`[record]`, of mean 1."""
        count = np.bincount(classes)[classes].astype(float)
        if self.weighting == "effective":
            # Cui et al., CVPR 2019: beats of a class repeat each other, the more so the more there are.
            weight = 1 / (1 - self.effective_beta**count)
        else:
            weight = count ** {"none": 0.0, "inverse": -1.0, "sqrt_inverse": -0.5}[self.weighting]
        return (weight / weight.mean()).astype(np.float32)

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        if self.sampling == "natural":
            return None
        classes = self._classes(split)
        return np.bincount(classes)[classes] ** (-1.0 if self.sampling == "balanced" else -0.5)

    def training_view(self, key: jax.Array, record: Record) -> Record:
        return {**record, "signal_mv": self.shown.training_signal(key, record)}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        # The weights of a split belong to training on it: figures of different splits are to be comparable.
        plain = jnp.ones_like(record["loss_weight"])
        return {**record, "signal_mv": self.shown.evaluation_signal(record), "loss_weight": plain}

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        classes = batch["classes"]
        if self.is_binary:
            each = optax.sigmoid_binary_cross_entropy(outputs[:, 0], classes.astype(jnp.float32))
        else:
            each = optax.softmax_cross_entropy_with_integer_labels(outputs, classes)
        if self.loss_name == "focal":
            # Lin et al., ICCV 2017: what is surely right already counts for little.
            each *= jnp.maximum(-jnp.expm1(-each), SMALLEST_DOUBT) ** self.focal_gamma
        return each * batch["loss_weight"]

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        if self.is_binary:
            outputs = jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=1)
        return {"targets": batch["classes"], "scores": jax.nn.softmax(outputs)}

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        if self.is_binary:
            threshold = best_threshold(predictions["targets"] == 1, predictions["scores"][:, 1])
            return dataclasses.replace(self, threshold=threshold)
        if self.decision == "prior_corrected":
            offsets = best_offsets(predictions["targets"], predictions["scores"])
            return dataclasses.replace(self, offsets=tuple(offsets.tolist()))
        return self

    def decided(self, scores: np.ndarray) -> np.ndarray:
        """Classes `[n]`; without a threshold at even odds."""
        if self.is_binary:
            return (scores[:, 1] > (EVEN_ODDS if self.threshold is None else self.threshold)).astype(int)
        return decisions(scores, None if self.offsets is None else np.array(self.offsets))

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        targets, scores, patient_ids = (predictions[name] for name in ("targets", "scores", "patient_ids"))
        decided, names = self.decided(scores), self.class_names()
        if self.is_binary:
            is_abnormal = targets == 1
            found = ranking_figures(is_abnormal, scores[:, 1], patient_ids, num_bootstrap)
            if self.threshold is None:
                return found
            found |= detection_figures(is_abnormal, decided == 1, patient_ids, num_bootstrap)
            found["threshold"] = Metric(self.threshold, None, len(targets))
        else:
            found = class_figures(targets, scores, decided, patient_ids, names, num_bootstrap)
            for name, offset in zip(names, self.offsets or (), strict=False):
                found[f"offset/{name}"] = Metric(offset, None, len(targets))
        ectopic = None if self.is_binary else names.index("V")
        record_ids = predictions["record_ids"]
        return found | recording_figures(targets, decided, record_ids, patient_ids, ectopic, num_bootstrap)

    def rivals(self, train: Split, test: Split) -> dict[str, np.ndarray]:
        from ecgjax.tasks import heartbeat_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        return heartbeat_baselines.class_scores(
            (train, self.targets(train)),
            (test, self.targets(test)),
            len(self.class_names()),
            self.shown,
            self.baseline_beats,
            RIVALS_SEED,
        )

    def baselines(
        self, rivals: dict[str, np.ndarray], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        untuned = dataclasses.replace(self, threshold=EVEN_ODDS, offsets=None)
        targets, own = predictions["targets"], (predictions["scores"], self.decided(predictions["scores"]))
        patient_ids = predictions["patient_ids"]
        return {
            name: untuned.metrics({**predictions, "scores": scores}, num_bootstrap)
            | paired_gains(targets, own, (scores, scores.argmax(axis=1)), patient_ids, num_bootstrap)
            for name, scores in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Beats of each class: some named rightly, by chance, and those of which the network is most wrongly sure.

        `beat_mv` `[example, time, lead]` in lead II, and of the typical beat where there is one; `r_sample` of the R
        peak, and what other tasks give.
        """
        targets, scores = predictions["targets"], predictions["scores"]
        decided = self.decided(scores)
        sure = scores[np.arange(len(scores)), decided]
        order = {True: np.random.default_rng(self.seed).permutation(len(scores)), False: np.argsort(-sure)}
        chosen = np.concatenate(
            [
                rows[(targets[rows] == k) & ((decided == targets)[rows] == is_right)][: EXAMPLES[is_right]]
                for k in range(len(self.class_names()))
                for is_right, rows in order.items()
            ]
        )
        row = {name: i for i, name in enumerate(split.record_ids)}
        records = [row[name] for name in predictions["record_ids"][chosen]]
        names = np.array(self.class_names())
        return {
            "beat_mv": (first_lead(split.ecg[records]) / split.gain).astype(np.float32),
            "fs_hz": np.array(split.fs_hz, np.float32),
            "r_sample": np.array(r_sample(split.ecg.shape[2]), np.int32),
            "record_ids": predictions["record_ids"][chosen],
            "truth": names[targets[chosen]],
            "prediction": names[decided[chosen]],
            "probability": sure[chosen],
        }
