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

from ecgjax import augment, leads, metrics
from ecgjax.beats import BeatWindow, average_beat
from ecgjax.data.records import Split
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.preprocess import Preprocess
from ecgjax.tasks import reversal_baselines
from ecgjax.tasks.task import Record

CLASS_NAMES = tuple(placement.name for placement in leads.PLACEMENTS)
LIMB_CLASSES = tuple(CLASS_NAMES.index(placement.name) for placement in (*leads.LIMB_SWAPS, *leads.LIMB_CYCLES))

VIEWS = ("beat", "signal")
"""What the network sees: the average beat or the whole signal."""

_NUM_CLASSES = len(CLASS_NAMES)
_NONE = CLASS_NAMES.index(leads.CORRECT.name)
_UNLISTED = -1
"""Target of a random chest permutation that is none of the classes: reversed, of no type."""

_MATRICES = jnp.asarray(np.stack([placement.matrix for placement in leads.PLACEMENTS]), jnp.float32)
_NEUTRAL_GAINS = jnp.asarray(np.stack([placement.neutral_gain for placement in leads.PLACEMENTS]), jnp.float32)
_CHEST = slice(leads.LEADS.index("V1"), leads.LEADS.index("V6") + 1)


def _chest_order(placement: leads.Placement) -> list[int]:
    reads = [placement.reads.get(v, v) for v in leads.PRECORDIAL_LEADS]
    # A placement that touches the limbs equals no chest permutation.
    limb = any(jack in leads.LIMB_ELECTRODES for jack in placement.reads)
    return [-1 if limb else leads.PRECORDIAL_LEADS.index(v) for v in reads]


_CHEST_ORDERS = jnp.asarray([_chest_order(placement) for placement in leads.PLACEMENTS])


def prior(none: float) -> np.ndarray:
    """`[class]`: the probability `none` for a correct record, the rest shared by the reversals."""
    share = np.full(_NUM_CLASSES, (1 - none) / (_NUM_CLASSES - 1))
    share[_NONE] = none
    return share


def at_prior(probability: np.ndarray, none: float) -> np.ndarray:
    """Class probabilities `[..., class]` at a prior of one half, carried over to the prior `none` (Bayes' rule)."""
    weighed = probability * (prior(none) / prior(0.5))
    return weighed / weighed.sum(axis=-1, keepdims=True)


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

    @property
    def num_outputs(self) -> int:
        """The logit of any reversal and one a placement; or two classes, none and any."""
        return 1 + _NUM_CLASSES if self.typed else 2

    @property
    def num_views(self) -> int:
        return _NUM_CLASSES

    def class_names(self) -> tuple[str, ...]:
        return CLASS_NAMES if self.typed else ("none", "any")

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        # The noise of the neutral electrode in evaluation belongs to the record, whatever its place in the split.
        return {"record_hash": np.array([zlib.crc32(str(name).encode()) % 2**31 for name in split.record_ids])}

    def training_view(self, key: jax.Array, record: Record) -> Record:
        draw_key, body_key, stretch_key, noise_key, neutral_key = jax.random.split(key, 5)
        signal_mv, num_averaged = record["signal_mv"], 1.0
        if self.view == "beat":
            # Exchanges leave the beats where they are, so that averaging first is the same and cheaper.
            signal_mv, num_averaged = average_beat(signal_mv, self.window)
            signal_mv = augment.stretch_time(stretch_key, signal_mv, self.window.num_before, self.stretch)
        placement, matrix = self._draw(draw_key)
        body = augment.vary_body(body_key, self.rotation_rad, self.elongation, self.displacement, self.gain)
        signal_mv += augment.electrode_noise(noise_key, signal_mv.shape[0], self.noise_mv)
        signal_mv = signal_mv @ (matrix @ body).T
        signal_mv += self._neutral(neutral_key, placement, signal_mv.shape[0]) / jnp.sqrt(jnp.maximum(num_averaged, 1))
        return {"signal_mv": self.preprocess.normalised(signal_mv), "placement": placement}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        key = jax.random.fold_in(jax.random.key(0), record["record_hash"])
        signal_mv = record["signal_mv"] @ _MATRICES[view].T
        signal_mv += self._neutral(key, view, signal_mv.shape[0])
        if self.view == "beat":
            signal_mv, _ = average_beat(signal_mv, self.window)
        return {"signal_mv": self.preprocess.normalised(signal_mv), "placement": view}

    def _draw(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A placement for training, as its class and its matrix `[12, 12]`."""
        class_key, share_key, order_key = jax.random.split(key, 3)
        placement = jax.random.categorical(class_key, jnp.log(prior(self.none_share)))
        matrix = _MATRICES[placement]
        if not self.random_chest_share:
            return placement, matrix
        order = jax.random.permutation(order_key, len(leads.PRECORDIAL_LEADS))
        is_random = jax.random.bernoulli(share_key, self.random_chest_share) & (placement != _NONE)
        shuffled = jnp.eye(len(leads.LEADS)).at[_CHEST, _CHEST].set(jnp.eye(len(order))[order])
        same = jnp.all(_CHEST_ORDERS == order, axis=1)
        listed = jnp.where(jnp.any(same), jnp.argmax(same), _UNLISTED)
        return jnp.where(is_random, listed, placement), jnp.where(is_random, shuffled, matrix)

    def _neutral(self, key: jax.Array, placement: jax.Array, num_samples: int) -> jax.Array:
        """`[time, lead]`: what the potential of RL above LL adds to the leads."""
        # _UNLISTED indexes the last class, which leaves the neutral electrode alone.
        return self.neutral_noise_mv * jax.random.normal(key, (num_samples, 1)) * _NEUTRAL_GAINS[placement]

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        placement = batch["placement"]
        is_reversed = placement != _NONE
        # Outputs are log-odds at even priors; training draws at others (logit adjustment, Menon et al., ICLR 2021).
        adjustment = jnp.log(prior(self.none_share) / prior(0.5))
        odds = jnp.log((1 - self.none_share) / self.none_share)
        if not self.typed:
            logits = outputs + jnp.stack([jnp.zeros(()), odds])
            return optax.softmax_cross_entropy_with_integer_labels(logits, is_reversed.astype(jnp.int32))
        any_loss = optax.sigmoid_binary_cross_entropy(outputs[:, 0] + odds, is_reversed.astype(jnp.float32))
        is_typed = placement != _UNLISTED
        type_loss = optax.softmax_cross_entropy_with_integer_labels(
            outputs[:, 1:] + adjustment, jnp.where(is_typed, placement, _NONE)
        )
        return any_loss + is_typed * type_loss

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        placement = batch["placement"]
        if not self.typed:
            scores = jax.nn.softmax(outputs)
            return {"targets": (placement != _NONE).astype(jnp.int32), "scores": scores, "placement": placement,
                    "any_reversal": scores[:, 1]}  # fmt: skip
        return {
            "targets": placement,
            "scores": jax.nn.softmax(outputs[:, 1:]),
            "placement": placement,
            "any_reversal": jax.nn.sigmoid(outputs[:, 0]),
        }

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        return reversal_figures(
            predictions["placement"],
            predictions["any_reversal"],
            predictions["scores"] if self.typed else None,
            predictions["patient_ids"],
            num_bootstrap,
        )

    def baselines(self, train: Split, test: Split, num_bootstrap: int) -> dict[str, dict[str, Metric]]:
        methods = reversal_baselines.fit_and_score(train, test, self.seed)
        return {
            name: reversal_figures(
                scored["targets"],
                1 - scored["scores"][:, _NONE],
                scored["scores"],
                scored["patient_ids"],
                num_bootstrap,
            )
            for name, scored in methods.items()
        }


def reversal_figures(
    placement: np.ndarray,
    any_reversal: np.ndarray,
    scores: np.ndarray | None,
    patient_ids: np.ndarray,
    num_bootstrap: int,
) -> dict[str, Metric]:
    """Figures of detection, and with `scores` `[n, class]` of typing, at priors of 50 % and 2 %.

    `placement` `[n]` is the true class and `any_reversal` `[n]` the probability of a reversal at even priors.
    """
    is_reversed = placement != _NONE
    is_limb = np.isin(placement, LIMB_CLASSES)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        """From the weights of an even prior."""
        named = {}
        for prevalence, suffix in ((0.5, ""), (0.02, "_at_2pct")):
            odds = any_reversal * prevalence
            probability = odds / (odds + (1 - any_reversal) * (1 - prevalence))
            flagged = probability >= 0.5
            weighed = weights * np.where(is_reversed, 2 * prevalence, 2 * (1 - prevalence))
            named[f"accuracy{suffix}"] = metrics.accuracy(is_reversed, flagged, weighed)
            named[f"recall{suffix}"] = metrics.recall(is_reversed, flagged, weighed)
            named[f"specificity{suffix}"] = metrics.specificity(is_reversed, flagged, weighed)
            named[f"ece{suffix}"] = metrics.ece(is_reversed, probability, weighed)
            if scores is not None:
                typed = at_prior(scores, 1 - prevalence).argmax(axis=1)
                confusion = metrics.confusion_matrix(placement, typed, weighed, _NUM_CLASSES)
                named[f"macro_f1{suffix}"] = metrics.macro_f1(confusion)
        named["precision"] = metrics.precision(is_reversed, any_reversal >= 0.5, weights)
        named["auroc"] = metrics.auroc(is_reversed, any_reversal, weights)
        named["auroc_limb"] = metrics.auroc(is_limb, any_reversal, weights * (is_limb | ~is_reversed))
        named |= _ppv_figures(is_reversed, any_reversal, weights)
        named |= _figures_by_class(placement, any_reversal, scores, weights)
        return named

    weights = metrics.weights_at_prevalence(is_reversed, 0.5)
    return metrics.with_intervals(figures, weights, patient_ids, num_bootstrap)


def _ppv_figures(is_reversed: np.ndarray, any_reversal: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Positive predictive value where reversals are as rare as in practice, deciding at that prevalence."""
    named = {}
    for percent in (0.5, 2, 5):
        prevalence = percent / 100
        flagged = any_reversal * prevalence >= (1 - any_reversal) * (1 - prevalence)
        sensitivity = metrics.recall(is_reversed, flagged, weights)
        specificity = metrics.specificity(is_reversed, flagged, weights)
        named[f"ppv_at_{percent:g}pct"] = metrics.ppv_at(prevalence, sensitivity, specificity)
    return named


def _figures_by_class(
    placement: np.ndarray, any_reversal: np.ndarray, scores: np.ndarray | None, weights: np.ndarray
) -> dict[str, np.ndarray]:
    flagged = (any_reversal >= 0.5).astype(int)
    detected = metrics.confusion_matrix(placement, flagged, weights, _NUM_CLASSES)[..., 1]
    occurs = metrics.confusion_matrix(placement, np.zeros_like(flagged), weights, _NUM_CLASSES)[..., 0]
    with np.errstate(invalid="ignore"):
        detected = detected / occurs
    named = {f"detected/{name}": detected[..., i] for i, name in enumerate(CLASS_NAMES) if i != _NONE}
    if scores is not None:
        confusion = metrics.confusion_matrix(placement, scores.argmax(axis=1), weights, _NUM_CLASSES)
        recall, f1 = metrics.recall_by_class(confusion), metrics.f1_by_class(confusion)
        for i, name in enumerate(CLASS_NAMES):
            named |= {f"recall/{name}": recall[..., i], f"f1/{name}": f1[..., i]}
    return named
