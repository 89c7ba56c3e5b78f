"""Electrode reversal: is the record wired wrongly, and how?

Records are taken as rightly recorded; reversals are made from them exactly, on the device. Training draws one a
record; evaluation shows every record under every placement. Scores are probabilities at a prior of one half for
`none`, the other half shared evenly by the reversals; other priors are had by Bayes' rule.
"""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ecgjax import augment, leads
from ecgjax.beats import BeatWindow, average_beat
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.fast_random import normals, split
from ecgjax.metrics import Metric
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.reversal_figures import CLASS_NAMES, NONE, prior, reversal_figures
from ecgjax.tasks.task import RIVALS_SEED, Record, Task

VIEWS = ("beat", "signal")
"""What the network sees: the average beat or the whole signal."""

_NUM_CLASSES = len(CLASS_NAMES)
_UNLISTED = -1
"""Target of a random chest permutation that is none of the classes: reversed, of no type."""

_MATRICES = np.stack([placement.matrix for placement in leads.PLACEMENTS]).astype(np.float32)
_NEUTRAL_GAINS = np.stack([placement.neutral_gain for placement in leads.PLACEMENTS]).astype(np.float32)
_CHEST = slice(leads.LEADS.index("V1"), leads.LEADS.index("V6") + 1)


def _chest_order(placement: leads.Placement) -> list[int]:
    reads = [placement.reads.get(v, v) for v in leads.PRECORDIAL_LEADS]
    # A placement that touches the limbs equals no chest permutation.
    limb = any(jack in leads.LIMB_ELECTRODES for jack in placement.reads)
    return [-1 if limb else leads.PRECORDIAL_LEADS.index(v) for v in reads]


_CHEST_ORDERS = np.array([_chest_order(placement) for placement in leads.PLACEMENTS])


@dataclasses.dataclass(frozen=True)
class Reversal:
    """The task; its options are described in configs/reversal.py."""

    view: str
    typed: bool
    none_share: float
    random_chest_share: float
    neutral_noise_mv: float
    rotation_rad: float
    elongation: float
    displacement: float
    gain: float
    noise_mv: float
    stretch: float
    window: BeatWindow
    preprocess: Preprocess
    seed: int
    name: str = "reversal"

    def __post_init__(self):
        if self.view not in VIEWS:
            raise InputError(f"unknown reversal.view {self.view!r}", f"use one of {', '.join(VIEWS)}")
        if not 0 < self.none_share < 1:
            raise InputError(f"reversal.none_share is {self.none_share}", "give a share between 0 and 1")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Reversal":
        """The task that `config` describes."""
        return cls(
            preprocess=Preprocess.from_config(config),
            window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
            seed=config.seed,
            **config.reversal.to_dict(),
        )

    @property
    def num_outputs(self) -> int:
        """The logit of any reversal and one a placement; or two classes, none and any."""
        return 1 + _NUM_CLASSES if self.typed else 2

    @property
    def num_views(self) -> int:
        return _NUM_CLASSES

    def class_names(self) -> tuple[str, ...]:
        return CLASS_NAMES if self.typed else ("none", "any")

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        return {}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        # The noise of the neutral electrode in evaluation belongs to the record, whatever its place in the split.
        return {"record_hash": np.array([zlib.crc32(str(name).encode()) % 2**31 for name in split.record_ids])}

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        draw_key, body_key, stretch_key, noise_key, neutral_key = split(key, 5)
        signal_mv, num_averaged = record["signal_mv"], jnp.ones(())
        if self.view == "beat":
            # Exchanges leave the beats where they are, so that averaging first is the same and cheaper.
            signal_mv, num_averaged = average_beat(signal_mv, self.window)
            if self.stretch:
                signal_mv = augment.stretch_time(stretch_key, signal_mv, self.window.num_before, self.stretch)
        placement, change = self._draw(draw_key)
        change = change @ augment.FROM_INDEPENDENT
        body = augment.another_body(body_key, self)
        if body is not None:
            change = change @ body
        noise = augment.electrode_noise(noise_key, len(signal_mv), self.noise_mv, change)
        seen_mv = augment.seen_through(change, signal_mv, noise)
        if self.neutral_noise_mv:
            of_neutral = normals(neutral_key, (len(signal_mv),)) / jnp.sqrt(jnp.maximum(num_averaged, 1))
            seen_mv += self._neutral(of_neutral, placement)
        return {"signal_mv": self.preprocess.normalised(seen_mv), "placement": placement}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        key = jax.random.fold_in(jax.random.key(0), record["record_hash"])
        signal_mv = record["signal_mv"] @ jnp.asarray(_MATRICES)[view].T
        signal_mv += self._neutral(jax.random.normal(key, (len(signal_mv),)), view)
        if self.view == "beat":
            signal_mv, _ = average_beat(signal_mv, self.window)
        return {"signal_mv": self.preprocess.normalised(signal_mv), "placement": view}

    def _draw(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A placement for training, as its class and its matrix `[12, 12]`."""
        class_key, share_key, order_key = split(key, 3)
        placement = jax.random.categorical(class_key, jnp.log(prior(self.none_share)))
        matrix = jnp.asarray(_MATRICES)[placement]
        if not self.random_chest_share:
            return placement, matrix
        order = jax.random.permutation(order_key, len(leads.PRECORDIAL_LEADS))
        is_random = jax.random.bernoulli(share_key, self.random_chest_share) & (placement != NONE)
        shuffled = jnp.eye(len(leads.LEADS)).at[_CHEST, _CHEST].set(jnp.eye(len(order))[order])
        same = jnp.all(order == _CHEST_ORDERS, axis=1)
        listed = jnp.where(jnp.any(same), jnp.argmax(same), _UNLISTED)
        return jnp.where(is_random, listed, placement), jnp.where(is_random, shuffled, matrix)

    def _neutral(self, noise: jax.Array, placement: jax.Array) -> jax.Array:
        """`[time, lead]`: what the potential of RL above LL adds to the leads, `noise` `[time]` of deviation 1."""
        # _UNLISTED indexes the last class, which leaves the neutral electrode alone.
        return self.neutral_noise_mv * noise[:, None] * jnp.asarray(_NEUTRAL_GAINS)[placement]

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        placement = batch["placement"]
        is_reversed = placement != NONE
        # Outputs are log-odds at even priors; training draws at others (logit adjustment, Menon et al., ICLR 2021).
        adjustment = jnp.log(prior(self.none_share) / prior(0.5))
        odds = jnp.log((1 - self.none_share) / self.none_share)
        if not self.typed:
            logits = outputs + jnp.stack([jnp.zeros(()), odds])
            return optax.softmax_cross_entropy_with_integer_labels(logits, is_reversed.astype(jnp.int32))
        any_loss = optax.sigmoid_binary_cross_entropy(outputs[:, 0] + odds, is_reversed.astype(jnp.float32))
        is_typed = placement != _UNLISTED
        # A network may add decoys in training, which count as much as any reversal and are never right.
        types, decoys = outputs[:, 1 : 1 + _NUM_CLASSES] + adjustment, outputs[:, 1 + _NUM_CLASSES :] + adjustment[-1]
        type_loss = optax.softmax_cross_entropy_with_integer_labels(
            jnp.concatenate([types, decoys], axis=1), jnp.where(is_typed, placement, NONE)
        )
        return any_loss + is_typed * type_loss

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        placement = batch["placement"]
        if not self.typed:
            scores = jax.nn.softmax(outputs)
            return {"targets": (placement != NONE).astype(jnp.int32), "scores": scores, "placement": placement,
                    "any_reversal": scores[:, 1]}  # fmt: skip
        return {
            "targets": placement,
            "scores": jax.nn.softmax(outputs[:, 1:]),
            "placement": placement,
            "any_reversal": jax.nn.sigmoid(outputs[:, 0]),
        }

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        return self

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        return reversal_figures(
            predictions["placement"],
            predictions["any_reversal"],
            predictions["scores"] if self.typed else None,
            predictions["patient_ids"],
            num_bootstrap,
        )

    def rivals(self, train: Split, test: Split) -> dict[str, dict[str, np.ndarray]]:
        from ecgjax.tasks import reversal_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        return reversal_baselines.fit_and_score(train, test, RIVALS_SEED)

    def baselines(
        self,
        rivals: dict[str, dict[str, np.ndarray]],
        test: Split,
        predictions: dict[str, np.ndarray],
        num_bootstrap: int,
    ) -> dict[str, dict[str, Metric]]:
        return {
            name: reversal_figures(
                scored["targets"],
                1 - scored["scores"][:, NONE],
                scored["scores"],
                scored["patient_ids"],
                num_bootstrap,
            )
            for name, scored in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The most confident mistakes about three records, a correct record and two reversals that were recognised."""
        truth, scores = predictions["targets"], predictions["scores"]
        confidence, is_right = scores.max(axis=1), scores.argmax(axis=1) == truth
        shuffled = np.random.default_rng(self.seed).permutation(len(truth))
        mistakes = np.argsort(np.where(is_right, 0.0, -confidence), kind="stable")[: np.sum(~is_right)]
        _, first_of_record = np.unique(predictions["record_ids"][mistakes], return_index=True)
        wrong = mistakes[np.sort(first_of_record)[:3]]
        plain = shuffled[(is_right & (predictions["placement"] == NONE))[shuffled]][:1]
        reversed_ = shuffled[(is_right & (predictions["placement"] != NONE))[shuffled]]
        chosen = np.concatenate([wrong, plain, reversed_[: 5 - len(wrong)]])
        row = {name: i for i, name in enumerate(split.record_ids)}
        records = [row[name] for name in predictions["record_ids"][chosen]]
        written = [leads.PLACEMENTS[view].apply(split.ecg[i] / split.gain)
                   for i, view in zip(records, predictions["placement"][chosen], strict=True)]  # fmt: skip
        names = np.array(self.class_names())
        return {
            "signal_mv": np.stack(written).astype(np.float32),
            "fs_hz": np.float32(split.fs_hz),
            "record_ids": predictions["record_ids"][chosen],
            "truth": names[truth[chosen]],
            "prediction": names[scores[chosen].argmax(axis=1)],
            "probability": confidence[chosen],
        }
