"""Lead identification: leads recorded together, in any order -> the name of each.

The leads of a record are shuffled inside the compiled step, record by record; a network sees nothing of where they
stood. What is written out is put back in order, so that row `k` of the scores is the lead that is truly name `k`.
"""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ecgjax import augment, decoding, leads
from ecgjax.beats import BeatWindow, average_beat
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.fast_random import split
from ecgjax.metrics import Metric
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.lead_id_figures import lead_id_figures
from ecgjax.tasks.task import RIVALS_SEED, Record, Task

VIEWS = ("beat", "signal")
"""What the network sees: the average beat or the whole signal."""


SMALLEST = 1e-30  # probability whose logarithm is still finite


@dataclasses.dataclass(frozen=True)
class LeadId:
    """The task; its options are described in configs/lead_id.py."""

    leads: str
    view: str
    min_leads: int
    rotation_rad: float
    elongation: float
    displacement: float
    gain: float
    noise_mv: float
    lead_noise_mv: float
    stretch: float
    window: BeatWindow
    preprocess: Preprocess
    seed: int
    name: str = "lead_id"

    def __post_init__(self):
        if self.view not in VIEWS:
            raise InputError(f"unknown lead_id.view {self.view!r}", f"use one of {', '.join(VIEWS)}")
        num_leads = len(self.class_names())
        if self.min_leads and not 2 <= self.min_leads <= num_leads:
            raise InputError(f"lead_id.min_leads is {self.min_leads}", f"give 0 (show all) or 2 to {num_leads}")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "LeadId":
        """The task that `config` describes."""
        return cls(
            preprocess=Preprocess.from_config(config),
            window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
            seed=config.seed,
            **config.lead_id.to_dict(),
        )

    @property
    def num_outputs(self) -> int:
        return len(self.class_names())

    @property
    def num_views(self) -> int:
        return 1

    def class_names(self) -> tuple[str, ...]:
        return leads.lead_set(self.leads)

    @property
    def _columns(self) -> np.ndarray:
        return np.array([leads.LEADS.index(name) for name in self.class_names()])

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        return {}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        # The order in which evaluation presents the leads belongs to the record, whatever its place in the split.
        return {"record_hash": np.array([zlib.crc32(str(name).encode()) % 2**31 for name in split.record_ids])}

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        body_key, stretch_key, noise_key, lead_key, hide_key, order_key = split(key, 6)
        signal_mv = record["signal_mv"]
        if self.view == "beat":
            signal_mv = self._average_beat(signal_mv)
            if self.stretch:
                signal_mv = augment.stretch_time(stretch_key, signal_mv, self.window.num_before, self.stretch)
        body = augment.another_body(body_key, self)
        change = jnp.asarray(augment.FROM_INDEPENDENT[self._columns])
        if body is not None:
            change = change @ body
        noise = augment.electrode_noise(noise_key, len(signal_mv), self.noise_mv, change)
        seen_mv = augment.seen_through(change, signal_mv, noise)
        if self.lead_noise_mv:
            seen_mv += augment.lead_noise(lead_key, seen_mv, self.lead_noise_mv)
        shown = self._shown(hide_key)
        return {**self._presented(order_key, jnp.where(shown, seen_mv, 0.0)), "is_asked": shown}

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        signal_mv = record["signal_mv"]
        if self.view == "beat":
            signal_mv = self._average_beat(signal_mv)
        key = jax.random.fold_in(jax.random.key(0), record["record_hash"])
        is_asked = jnp.ones(len(self.class_names()), bool)
        return {**self._presented(key, signal_mv[:, self._columns]), "is_asked": is_asked}

    def _average_beat(self, signal_mv: jax.Array) -> jax.Array:
        """Found in the leads of the set alone, none of them known by name."""
        in_set = np.isin(np.arange(len(leads.LEADS)), self._columns)
        beat, _ = average_beat(signal_mv, self.window, np.diag(in_set).astype(np.float32))
        return beat

    def _shown(self, key: jax.Array) -> jax.Array:
        """`[name]`: which leads a record shows in training, at least `min_leads` of them; all where that is 0."""
        num_names = len(self.class_names())
        if not self.min_leads:
            return jnp.ones(num_names, bool)
        number_key, rank_key = split(key, 2)
        number = jax.random.randint(number_key, (), self.min_leads, num_names + 1)
        return jax.random.permutation(rank_key, num_names) < number

    def _presented(self, key: jax.Array, signal_mv: jax.Array) -> Record:
        """`[time, name]` -> the same leads in random order, `names` `[lead]` and where each name went, `lead_of`."""
        names = jax.random.permutation(key, len(self.class_names()))
        return {
            "signal_mv": self.preprocess.normalised(signal_mv[:, names]),
            "names": names,
            "lead_of": jnp.zeros_like(names).at[names].set(jnp.arange(len(names))),
        }

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        ordered = _in_order(outputs, batch["lead_of"])
        each = optax.softmax_cross_entropy_with_integer_labels(ordered, jnp.arange(ordered.shape[1])[None])
        asked = batch["is_asked"]
        return jnp.sum(each * asked, axis=1) / jnp.sum(asked, axis=1)

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        ordered = _in_order(outputs, batch["lead_of"])
        return {
            "targets": jnp.broadcast_to(jnp.arange(ordered.shape[1]), ordered.shape[:2]),
            "scores": jax.nn.softmax(ordered),
        }

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"assigned": _assigned(predictions["scores"])}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        return self

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        return lead_id_figures(
            predictions["scores"],
            predictions["assigned"],
            predictions["patient_ids"],
            self.class_names(),
            num_bootstrap,
        )

    def rivals(self, train: Split, test: Split) -> dict[str, np.ndarray]:
        from ecgjax.tasks import lead_id_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        return lead_id_baselines.fit_and_score(train, test, self.class_names(), RIVALS_SEED)

    def baselines(
        self, rivals: dict[str, np.ndarray], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        return {
            name: lead_id_figures(scores, _assigned(scores), test.patient_ids, self.class_names(), num_bootstrap)
            for name, scores in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Up to three records of which leads were taken for others, the most certain first, and two without."""
        names = np.array(self.class_names())
        assigned, scores = predictions["assigned"], predictions["scores"]
        is_right = np.all(assigned == np.arange(len(names)), axis=1)
        chance = np.take_along_axis(scores, assigned[..., None], axis=2)[..., 0].min(axis=1)
        shuffled = np.random.default_rng(self.seed).permutation(len(is_right))
        wrong = np.argsort(np.where(is_right, 0.0, -chance), kind="stable")[: min(3, np.sum(~is_right))]
        chosen = np.concatenate([wrong, shuffled[is_right[shuffled]][: 5 - len(wrong)]])
        row = {name: i for i, name in enumerate(split.record_ids)}
        records = [row[name] for name in predictions["record_ids"][chosen]]
        return {
            "signal_mv": (split.ecg[records] / split.gain).astype(np.float32),
            "fs_hz": np.float32(split.fs_hz),
            "record_ids": predictions["record_ids"][chosen],
            "truth": np.full(len(chosen), "every lead named rightly"),
            "prediction": np.array([_said(names[assigned[i]], names) for i in chosen]),
            "probability": chance[chosen],
        }


def _said(found: np.ndarray, names: np.ndarray) -> str:
    mistaken = [f"{name} for {true}" for name, true in zip(found, names, strict=True) if name != true]
    return ", ".join(mistaken) if mistaken else "every lead named rightly"


def _assigned(scores: np.ndarray) -> np.ndarray:
    """Names `[n, lead]` under the optimal assignment of probabilities `[n, lead, name]`."""
    return np.asarray(jax.jit(decoding.assigned)(np.log(np.maximum(scores, SMALLEST))))


def _in_order(outputs: jax.Array, lead_of: jax.Array) -> jax.Array:
    """`[batch, lead, name]` with the leads in the order of their true names."""
    return jnp.take_along_axis(outputs, lead_of[..., None], axis=1)
