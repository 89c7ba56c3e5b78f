"""Missing leads rebuilt: any of the twelve leads in, all twelve out.

A network sees the leads that are given, those that follow from them, and zeros. It answers with I, II and V1..V6; what
is given stays, what follows by algebra comes from algebra, and neither is ever learnt or scored.
"""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ecgjax import augment, leads, scp
from ecgjax.beat_levels import qrs_and_st
from ecgjax.beats import POWER_METRIC, BeatWindow, average_beat
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.fast_random import split
from ecgjax.lead_completion import IS_INDEPENDENT, complete, is_known, learnt_leads
from ecgjax.metrics import Metric
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.reconstruction_baselines import rival_predictions
from ecgjax.tasks.reconstruction_figures import Rebuilt, gains_over, reconstruction_figures, variance_ratio
from ecgjax.tasks.task import Record

LOSSES = ("l1", "l2", "huber")
RANDOM, EVALUATED = "random", "evaluated"

_NUM_LEADS = len(leads.LEADS)
_GROUPS = "superclass"
# A lead that hardly moves counts as if it moved this much.
_LEAST_DEVIATION_MV = 0.05
# Beats are found and weighed in the true leads alone; the rebuilt ones are averaged along with them.
_TRUE_LEADS_ONLY = np.pad(POWER_METRIC, (0, _NUM_LEADS))


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """The task; its options are described in configs/reconstruction.py."""

    evaluated: tuple[str, ...]
    given: str
    loss_name: str
    huber_mv: float
    relative: float
    rotation_rad: float
    elongation: float
    displacement: float
    gain: float
    noise_mv: float
    restore_variance: float
    window: BeatWindow
    preprocess: Preprocess
    restored: tuple[tuple[float, ...], ...] = ()
    """[view][lead] factors about the mean of a rebuilt lead, once `tuned` has chosen them; none before."""
    name: str = "reconstruction"

    def __post_init__(self):
        if self.loss_name not in LOSSES:
            raise InputError(f"unknown reconstruction.loss {self.loss_name!r}", f"use one of {', '.join(LOSSES)}")
        if not self.evaluated:
            raise InputError("reconstruction.evaluated is empty", "name sets of given leads, such as I+II+V2")
        if len(set(self.evaluated)) < len(self.evaluated):
            raise InputError(f"reconstruction.evaluated names a set twice: {self.evaluated}", "name each once")
        for text in (*self.evaluated, *(() if self.given in (RANDOM, EVALUATED) else (self.given,))):
            if not learnt_leads(leads.lead_subset(text)):
                raise InputError(f"all leads follow from {text!r}, so that nothing is rebuilt", "give fewer leads")
        if not 0 <= self.restore_variance <= 1:
            raise InputError(f"reconstruction.restore_variance is {self.restore_variance}", "give 0 (off) to 1")
        if self.preprocess.normalise != "none":
            raise InputError(
                f"preprocess.normalise is {self.preprocess.normalise!r} and leads are rebuilt in mV", "set it to none"
            )

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Reconstruction":
        """The task that `config` describes."""
        if config.evaluation.window_stride_s:
            raise InputError(
                "evaluation.window_stride_s is set, and rebuilt signals have no mean over windows", "set it to 0"
            )
        options = config.reconstruction.to_dict()
        return cls(
            loss_name=options.pop("loss"),
            preprocess=Preprocess.from_config(config),
            window=BeatWindow(fs_hz=config.preprocess.fs_hz, **config.beat.to_dict()),
            **options,
        )

    @property
    def num_outputs(self) -> int:
        return len(leads.INDEPENDENT_LEADS)

    @property
    def num_views(self) -> int:
        return len(self.evaluated)

    @property
    def sets(self) -> tuple[tuple[str, ...], ...]:
        """The given leads of each view."""
        return tuple(leads.lead_subset(text) for text in self.evaluated)

    def class_names(self) -> tuple[str, ...]:
        return leads.LEADS

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        # Where nothing was recorded, nothing can be rebuilt.
        return {"all leads flat": np.array([not np.any(ecg != ecg[:1]) for ecg in split.ecg])}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        found = {}
        # A dataset without diagnoses has no groups to look at.
        with contextlib.suppress(InputError):
            found["groups"] = scp.labels(split, _GROUPS)
        return found

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        body_key, noise_key, lead_key = split(key, 3)
        full_mv, is_given = record["signal_mv"], self._given(lead_key)
        body = augment.another_body(body_key, self)
        if body is not None:
            full_mv = augment.seen_through(augment.FROM_INDEPENDENT @ body, full_mv)
        # The target stays without: noise of an electrode that is not seen cannot be foretold.
        shown = augment.showing(is_given) @ augment.FROM_INDEPENDENT
        noise = augment.electrode_noise(noise_key, len(full_mv), self.noise_mv, shown)
        return _shown(augment.seen_through(shown, full_mv, noise), full_mv, is_given)

    def _given(self, key: jax.Array) -> jax.Array:
        """bool `[12]`: the leads that a training record shows."""
        if self.given == RANDOM:
            return augment.random_leads(key)
        sets = self.sets if self.given == EVALUATED else (leads.lead_subset(self.given),)
        return _masks(sets)[jax.random.randint(key, (), 0, len(sets))]

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        signal_mv = record["signal_mv"]
        is_recorded = jnp.arange(signal_mv.shape[0]) < record["num_samples"]
        is_given = _masks(self.sets)[view]
        shown = _shown(augment.show_leads(signal_mv, is_given), signal_mv, is_given)
        groups = {"groups": record["groups"]} if "groups" in record else {}
        return {**shown, **groups, "is_recorded": is_recorded}

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        full_mv = batch["full_mv"]
        rebuilt_mv = jax.vmap(complete)(batch["signal_mv"], outputs, batch["is_given"])
        difference = (rebuilt_mv - full_mv)[..., leads.INDEPENDENT_COLUMNS]
        deviation_mv = jnp.std(full_mv[..., leads.INDEPENDENT_COLUMNS], axis=1, keepdims=True)
        difference /= (deviation_mv + _LEAST_DEVIATION_MV) ** self.relative
        if self.loss_name == "l1":
            each = jnp.abs(difference)
        elif self.loss_name == "l2":
            each = difference**2
        else:
            each = optax.huber_loss(difference, delta=self.huber_mv)
        is_learnt = batch["is_learnt"][:, leads.INDEPENDENT_COLUMNS]
        return jnp.sum(jnp.mean(each, axis=1) * is_learnt, axis=1) / jnp.maximum(jnp.sum(is_learnt, axis=1), 1)

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        rebuilt_mv = jax.vmap(complete)(batch["signal_mv"], outputs.astype(jnp.float32), batch["is_given"])
        found = jax.vmap(self._judged)(batch["full_mv"], rebuilt_mv, batch["is_recorded"])
        groups = {"groups": batch["groups"]} if "groups" in batch else {}
        return {**found, "is_learnt": batch["is_learnt"], **groups}

    def _judged(self, full_mv: jax.Array, rebuilt_mv: jax.Array, is_recorded: jax.Array) -> dict[str, jax.Array]:
        """What is kept of one record: targets and scores are the true and the rebuilt peak of the QRS complex."""
        beats, num_beats = average_beat(jnp.concatenate([full_mv, rebuilt_mv], axis=1), self.window, _TRUE_LEADS_ONLY)
        true_beat, rebuilt_beat = jnp.split(beats, 2, axis=1)
        qrs_mv, st_mv = qrs_and_st(true_beat, rebuilt_beat, self.window)
        return {
            "targets": qrs_mv[:, 0],
            "scores": qrs_mv[:, 1],
            "st_mv": st_mv,
            "moments": _moments(full_mv, rebuilt_mv, is_recorded),
            "num_beats": num_beats,
            "rebuilt_beat_mv": rebuilt_beat.astype(jnp.float16),
        }

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> "Reconstruction":
        if not self.restore_variance:
            return self
        is_chest = np.isin(leads.LEADS, leads.PRECORDIAL_LEADS)
        chosen = []
        for view, given in enumerate(self.sets):
            ratio = variance_ratio(Rebuilt.from_predictions(predictions, predictions["view"] == view))
            # Limb leads are bound to each other, which factors of their own would break.
            is_free = is_chest & np.isin(leads.LEADS, learnt_leads(given)) & (np.nan_to_num(ratio) > 0)
            factors = np.where(is_free, np.where(is_free, ratio, 1.0) ** (-self.restore_variance / 2), 1.0)
            chosen.append(tuple(factors.tolist()))
        return dataclasses.replace(self, restored=tuple(chosen))

    @property
    def gains(self) -> np.ndarray:
        """[view, 12]: by what rebuilt leads are scaled about their mean."""
        return np.array(self.restored) if self.restored else np.ones((self.num_views, _NUM_LEADS))

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        return reconstruction_figures(predictions, self.evaluated, self.gains, _group_names(predictions), num_bootstrap)

    def rivals(self, train: Split, test: Split) -> dict[str, dict[str, np.ndarray]]:
        return rival_predictions(self, train, test, self.sets)

    def baselines(
        self,
        rivals: dict[str, dict[str, np.ndarray]],
        test: Split,
        predictions: dict[str, np.ndarray],
        num_bootstrap: int,
    ) -> dict[str, dict[str, Metric]]:
        as_they_are = np.ones_like(self.gains)
        return {
            name: reconstruction_figures(rival, self.evaluated, as_they_are, _group_names(rival), num_bootstrap)
            | gains_over(predictions, rival, self.evaluated, self.gains, num_bootstrap)
            for name, rival in rivals.items()
        }

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """For each set of given leads the average beats of the record whose correlation is the median."""
        rows, errors_mv = [], []
        for view, given in enumerate(self.sets):
            of_view = np.flatnonzero(predictions["view"] == view)
            rebuilt = Rebuilt.from_predictions(predictions, of_view).amplified(self.gains[view])
            learnt = np.isin(leads.LEADS, learnt_leads(given))
            typical = np.nan_to_num(rebuilt.correlation()[:, learnt]).mean(axis=1)
            rows.append(of_view[np.argsort(typical, kind="stable")[len(typical) // 2]])
            errors_mv.append(np.sqrt(rebuilt.squared_error().mean(axis=0)))
        row_of = {name: i for i, name in enumerate(split.record_ids)}
        chosen = [row_of[name] for name in predictions["record_ids"][rows]]
        signals_mv = (split.ecg[chosen] / split.gain).astype(np.float32)
        true_mv = jax.jit(jax.vmap(lambda signal_mv: average_beat(signal_mv, self.window)[0]))(signals_mv)
        # Beats have no level of meaning, so that the factors act on them as on the whole lead.
        rebuilt_mv = predictions["rebuilt_beat_mv"][rows].astype(np.float32) * self.gains[:, None]
        return {
            "true_beat_mv": np.asarray(true_mv),
            "rebuilt_beat_mv": rebuilt_mv.astype(np.float32),
            "rmse_mv": np.array(errors_mv, np.float32),
            "is_learnt": predictions["is_learnt"][rows],
            "given": np.array(self.evaluated),
            "record_ids": predictions["record_ids"][rows],
            "fs_hz": np.float32(split.fs_hz),
            "before_s": np.float32(self.window.before_s),
        }


def _masks(sets: tuple[tuple[str, ...], ...]) -> jax.Array:
    """bool `[set, 12]`."""
    return jnp.array([np.isin(leads.LEADS, given) for given in sets])


def _shown(signal_mv: jax.Array, full_mv: jax.Array, is_given: jax.Array) -> Record:
    """A record `full_mv` of which `signal_mv` shows the leads `is_given` bool `[12]`."""
    return {
        "signal_mv": signal_mv,
        "full_mv": full_mv,
        "is_given": is_given,
        "is_learnt": jnp.asarray(IS_INDEPENDENT) & ~is_known(is_given),
    }


def _moments(full_mv: jax.Array, rebuilt_mv: jax.Array, is_recorded: jax.Array) -> jax.Array:
    """`[12, 5]` of `[time, 12]` each, over the samples of `is_recorded` `[time]`; see MOMENTS of the figures."""
    share = (is_recorded / jnp.maximum(jnp.sum(is_recorded), 1))[:, None]
    mean_true, mean_rebuilt = jnp.sum(share * full_mv, axis=0), jnp.sum(share * rebuilt_mv, axis=0)
    true, rebuilt = full_mv - mean_true, rebuilt_mv - mean_rebuilt
    second = [jnp.sum(share * product, axis=0) for product in (true * true, rebuilt * rebuilt, true * rebuilt)]
    return jnp.stack([mean_true, mean_rebuilt, *second], axis=-1)


def _group_names(predictions: dict[str, np.ndarray]) -> tuple[str, ...]:
    if "groups" not in predictions:
        return ()
    return tuple(f"{_GROUPS} {name}" for name in scp.class_names(_GROUPS))
