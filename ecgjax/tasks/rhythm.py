"""The rhythm of a recording in one lead: sinus rhythm, atrial fibrillation, another rhythm, or too much noise."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ecgjax.data.rhythms import CLASSES
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.preprocess import Preprocess
from ecgjax.tasks import rhythm_view
from ecgjax.tasks.heartbeat_figures import decisions
from ecgjax.tasks.rhythm_features import bounded, measured
from ecgjax.tasks.rhythm_figures import best_offsets, paired_gains, rhythm_figures
from ecgjax.tasks.rhythm_view import RhythmView
from ecgjax.tasks.task import RIVALS_SEED, Record, Task

WEIGHTINGS = {"none": 0.0, "inverse": -1.0, "sqrt_inverse": -0.5}
"""Power of the number of recordings of its class by which a training recording weighs in the loss."""

DECISIONS = ("most_probable", "tuned")
"""How the class is chosen; the second weighs classes as the challenge's score on validation recordings asks for."""

EXAMPLES = {True: 2, False: 2}
"""Of each class, recordings named rightly and wrongly that the report draws."""

EXAMPLE_S = 20.0
"""Beginning of a recording that it draws."""


@dataclasses.dataclass(frozen=True)
class Rhythm:
    """The task; its options are described in configs/rhythm.py. `offsets` are there once tuned."""

    weighting: str
    label_smoothing: float
    decision: str
    baseline_records: int
    shown: RhythmView
    seed: int
    offsets: tuple[float, ...] | None = None
    name: str = "rhythm"
    num_outputs: int = len(CLASSES)
    num_views: int = 1

    def __post_init__(self):
        for option, known in (("weighting", tuple(WEIGHTINGS)), ("decision", DECISIONS)):
            if getattr(self, option) not in known:
                raise InputError(f"unknown rhythm.{option} {getattr(self, option)!r}", f"use one of {', '.join(known)}")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"rhythm.label_smoothing is {self.label_smoothing}", "give 0 or more, and less than 1")
        if self.baseline_records < 1:
            raise InputError(f"rhythm.baseline_records is {self.baseline_records}", "give 1 or more")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Rhythm":
        """The task that `config` describes."""
        options = config.rhythm.to_dict()
        shown = {name: options.pop(name) for name in rhythm_view.OPTIONS}
        view = RhythmView(preprocess=Preprocess.from_config(config), **shown)
        return cls(shown=view, seed=config.seed, **options)

    def class_names(self) -> tuple[str, ...]:
        return CLASSES

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        if "rhythm" not in split.labels or not np.isin(split.labels["rhythm"], CLASSES).all():
            raise InputError(f"{split.dataset} holds no rhythms to tell", "use simulated_rhythms or cinc2017")
        self.shown.check(split)
        return {}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        classes = _classes(split)
        weight = np.bincount(classes)[classes] ** WEIGHTINGS[self.weighting]
        found = {"classes": classes, "loss_weight": (weight / weight.mean()).astype(np.float32)}
        if self.shown.measures:
            found["measures"] = bounded(measured(split), np)
        return found

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        return {**record, "signal_mv": self.shown.training_signal(key, record)}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        # The weights of a split belong to training on it: figures of different splits are to be comparable.
        plain = jnp.ones_like(record["loss_weight"])
        return {**record, "signal_mv": self.shown.evaluation_signal(record), "loss_weight": plain}

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        wanted = optax.smooth_labels(jax.nn.one_hot(batch["classes"], len(CLASSES)), self.label_smoothing)
        return optax.softmax_cross_entropy(outputs, wanted) * batch["loss_weight"]

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        return {"targets": batch["classes"], "scores": jax.nn.softmax(outputs)}

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        if self.decision == "most_probable":
            return self
        return dataclasses.replace(self, offsets=best_offsets(predictions["targets"], predictions["scores"]))

    def decided(self, scores: np.ndarray) -> np.ndarray:
        """Classes `[n]`."""
        return decisions(scores, None if self.offsets is None else np.array(self.offsets))

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        targets, scores, patient_ids = (predictions[name] for name in ("targets", "scores", "patient_ids"))
        found = rhythm_figures(targets, scores, self.decided(scores), patient_ids, num_bootstrap)
        for name, offset in zip(CLASSES, self.offsets or (), strict=False):
            found[f"offset/{name}"] = Metric(offset, None, len(targets))
        return found

    def rivals(self, train: Split, test: Split) -> dict[str, np.ndarray]:
        from ecgjax.tasks import rhythm_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        return rhythm_baselines.class_scores(train, _classes(train), test, self.baseline_records, RIVALS_SEED)

    def baselines(
        self, rivals: dict[str, np.ndarray], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        untuned = dataclasses.replace(self, offsets=None)
        targets, patient_ids = predictions["targets"], predictions["patient_ids"]
        own = self.decided(predictions["scores"])
        return {
            name: untuned.metrics({**predictions, "scores": scores}, num_bootstrap)
            | paired_gains(targets, own, scores.argmax(axis=1), patient_ids, num_bootstrap)
            for name, scores in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Recordings of each class: some named rightly, by chance, and those of which the network is most wrongly sure.

        `strip_mv` `[example, time]`, of which `strip_samples` were recorded, and what other tasks give.
        """
        targets, scores = predictions["targets"], predictions["scores"]
        decided = self.decided(scores)
        sure = scores[np.arange(len(scores)), decided]
        order = {True: np.random.default_rng(self.seed).permutation(len(scores)), False: np.argsort(-sure)}
        chosen = np.concatenate(
            [
                rows[(targets[rows] == k) & ((decided == targets)[rows] == is_right)][: EXAMPLES[is_right]]
                for k in range(len(CLASSES))
                for is_right, rows in order.items()
            ]
        )
        row = {name: i for i, name in enumerate(split.record_ids)}
        records = [row[name] for name in predictions["record_ids"][chosen]]
        strip = split.ecg[records, : round(EXAMPLE_S * split.fs_hz), 0]
        names = np.array(CLASSES)
        return {
            "strip_mv": (strip / split.gain).astype(np.float32),
            "strip_samples": np.minimum(split.labels["num_samples"][records], strip.shape[1]),
            "fs_hz": np.array(split.fs_hz, np.float32),
            "record_ids": predictions["record_ids"][chosen],
            "truth": names[targets[chosen]],
            "prediction": names[decided[chosen]],
            "probability": sure[chosen],
        }


def _classes(split: Split) -> np.ndarray:
    """Indices into `CLASSES`, int32 `[record]`."""
    return np.argmax(split.labels["rhythm"][:, None] == np.array(CLASSES), axis=1).astype(np.int32)
