"""Which part of the signal a score hangs on: gradients, and gradients gathered on the way from other signals.

Explained is the log-odds with which a network tells the truth, or the prediction itself of a regression. Attributions
are to the network's own input; those to whole signals are cut around the R peaks and averaged, so that all methods and
tasks end as an average beat, in the order of the leads' names.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ecgjax import metrics
from ecgjax.beats import POWER_METRIC, BeatWindow, find_beats
from ecgjax.data.resident import Resident, whole_record
from ecgjax.errors import InputError
from ecgjax.evaluate import joined
from ecgjax.explain import waves
from ecgjax.explain.runs import Examples, Rows, Run, Step, examples, in_batches, in_lead_order, lead_order, sweep
from ecgjax.metrics import Metric
from ecgjax.parallel import AXIS, to_host
from ecgjax.state import Variables
from ecgjax.tasks.task import Record

METHODS = ("saliency", "input_x_gradient", "integrated_gradients", "expected_gradients")
"""The gradient (Simonyan et al. 2013, arXiv:1312.6034), times the input (Shrikumar et al. 2016, arXiv:1605.01713),
integrated on the way from the mean input (Sundararajan et al. 2017, arXiv:1703.01365), and that averaged over other
records in its place (Erion et al. 2021, Nat Mach Intell 3:620-631)."""

_ON_THE_WAY = ("integrated_gradients", "expected_gradients")
_MEAN_OF = 512
"""Examples whose mean stands for an input that tells nothing: zero would not do where a network ignores the gain."""

_USUAL_WINDOW = {"before_s": 0.40, "after_s": 0.56, "max_beats": 24}

_SMALLEST = 1e-30
_ROUNDING = 1e-7
_NO_CLASS = -1


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Attributions of one score, by example; `time` is that of the average beat, leads are in the order of their names.

    Attributes:
      examples: what was explained.
      patient_ids: [example] text.
      beat: [example, time, lead] the network's input around the R peaks.
      signed: [example, time, lead] mean attribution over the beats; NaN without a beat.
      magnitude: [example, time, lead] mean of its absolute value.
      wave: [example, time] index into `waves.WAVES`.
      score: [example] what is explained.
      gap: [example] how far the attributions of the whole input are from adding up to the score less that of the
        inputs on whose way they were gathered; NaN for methods that promise no such thing.
    """

    examples: Examples
    patient_ids: np.ndarray
    beat: np.ndarray
    signed: np.ndarray
    magnitude: np.ndarray
    wave: np.ndarray
    score: np.ndarray
    gap: np.ndarray

    def shares(self) -> np.ndarray:
        """`[example, wave, lead]` of the magnitude; an example's sum to 1, and are NaN where it has none."""
        is_wave = self.wave[:, :, None] == np.arange(len(waves.WAVES))
        by_wave = np.einsum("ntl,ntw->nwl", self.magnitude, is_wave.astype(np.float32), dtype=float)
        total = by_wave.sum(axis=(1, 2), keepdims=True)
        return np.divide(by_wave, total, out=np.full_like(by_wave, np.nan), where=total > 0)

    def mean(self, name: str) -> np.ndarray:
        """`beat`, `signed` or `magnitude` `[time, lead]`, over the examples that have beats; zero where none has."""
        values = getattr(self, name)
        defined = values[~np.isnan(values[:, 0, 0])]
        return defined.mean(axis=0) if len(defined) else np.zeros(values.shape[1:], values.dtype)

    def usual_wave(self) -> np.ndarray:
        """`[time]`: the wave that most examples have there."""
        return np.argmax(np.sum(self.wave[:, :, None] == np.arange(len(waves.WAVES)), axis=0), axis=1)

    def durations(self) -> np.ndarray:
        """`[example, wave]`: the share of the beat's time."""
        return np.mean(self.wave[:, :, None] == np.arange(len(waves.WAVES)), axis=1)


def truth_scores(predictions: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """What a task predicts -> the score of the truth `[batch, entry]`, and its class `[batch, entry]`.

    Of classes on the last axis of `scores`, one more than `targets` has, each entry of `targets` is one, scored by the
    log-odds of its class. Of labels that hold or not, each is one, scored by the log-odds of what is the case; its
    class is -1 where the label does not hold. Of numbers, each is one, scored by its prediction.
    """
    scores, targets = predictions["scores"], predictions["targets"]
    num_classes, batch = scores.shape[-1], scores.shape[0]
    columns = jnp.broadcast_to(jnp.arange(num_classes), (batch, num_classes))
    if jnp.issubdtype(targets.dtype, jnp.floating):
        return scores.reshape(batch, num_classes), columns
    if targets.size == scores.size:
        holds = targets.reshape(batch, num_classes) == 1
        probability = scores.reshape(batch, num_classes)
        log_odds = _log(probability, _ROUNDING) - _log(1 - probability, _ROUNDING)
        return jnp.where(holds, log_odds, -log_odds), jnp.where(holds, columns, _NO_CLASS)
    is_true = targets[..., None] == jnp.arange(num_classes)
    right, others = (jnp.sum(jnp.where(mask, scores, 0.0), axis=-1) for mask in (is_true, ~is_true))
    log_odds = _log(right, _SMALLEST) - _log(others, _SMALLEST)
    return log_odds.reshape(batch, -1), targets.reshape(batch, -1)


def _log(probability: jax.Array, smallest: float) -> jax.Array:
    return jnp.log(jnp.maximum(probability, smallest))


def explained(predictions: dict[str, jax.Array], target: jax.Array) -> jax.Array:
    """The score `[batch]` that is explained: the mean over the entries whose truth is the class `target` `[batch]`.

    A `target` of -1 takes all entries; without an entry the score is 0.
    """
    score, truth = truth_scores(predictions)
    counts = (truth == target[:, None]) | (target[:, None] == _NO_CLASS)
    return jnp.sum(jnp.where(counts, score, 0.0), axis=1) / jnp.maximum(jnp.sum(counts, axis=1), 1)


def beat_window(config: ConfigDict) -> BeatWindow:
    """What is cut around R peaks: that of the run, where its task has one."""
    return BeatWindow(fs_hz=config.preprocess.fs_hz, **(config.beat.to_dict() if "beat" in config else _USUAL_WINDOW))


class Attributor:
    """Explains the scores of a run with compiled steps that all targets share.

    Attributes:
      run: the network and the records; those on whose way gradients are gathered are drawn from all of them.
      method: one of METHODS.
      window: of the average beat; that of the task where the task presents average beats.
      num_steps: gradients an example, where they are gathered on the way: nodes of a Gauss-Legendre rule, or records.
      seed: of the records that are drawn.
    """

    def __init__(self, run: Run, method: str, window: BeatWindow, num_steps: int, seed: int):
        if method not in METHODS:
            raise InputError(f"unknown method {method!r}", f"use one of {', '.join(METHODS)}")
        if num_steps < 1:
            raise InputError(f"num_steps is {num_steps}", "give 1 or more")
        if len(run.split) < 2 and method == "expected_gradients":
            raise InputError("expected gradients need other records and the split holds one", "choose another method")
        self.run, self.method, self.window, self.seed = run, method, window, seed
        self._parallel = run.experiment.parallel
        self._places, self._weights = _places(method, num_steps)
        self._show, self._scored, self._gradient = (
            self._parallel.compile(step, donate=False)
            for step in (
                _show_step(run, window),
                _score_step(run, method),
                _gradient_step(run, method, num_steps, seed),
            )
        )
        self._data = {"split": run.data}
        if method == "integrated_gradients":
            self._data["mean"] = self._parallel.replicate(self._mean_input())

    def truths(self, chosen: Examples) -> np.ndarray:
        """`[example, entry]`: the class of each entry of the truth, -1 for a label that does not hold."""
        rows = chosen.rows() | {"target": np.full(len(chosen), _NO_CLASS, np.int32)}
        return sweep(self._parallel, partial(self._scored, self.run.variables, self._data), rows)["truth"]

    def __call__(self, chosen: Examples, target: int) -> Attribution:
        """Attributions of the score of the class `target`, or for -1 of the whole truth, to the input of `chosen`."""
        rows = chosen.rows() | {
            # What is drawn for an example belongs to it, whatever others are chosen.
            "number": chosen.index * np.int32(self.run.task.num_views) + chosen.view,
            "target": np.full(len(chosen), target, np.int32),
        }
        parts = []
        for batch, count in in_batches(self._parallel, rows):
            parts.append({name: values[:count] for name, values in self._explained(batch).items()})
        every = joined(parts)
        return Attribution(
            examples=chosen,
            patient_ids=self.run.split.patient_ids[chosen.index],
            wave=waves.wave_of_sample(every["beat"], self.window),
            **every,
        )

    def _explained(self, batch: Rows) -> Rows:
        """Attributions of a batch by the names of their attributes."""
        placed = self._parallel.shard(batch)
        shown = to_host(self._show(self.run.variables, self.run.data, placed))
        found = to_host(self._scored(self.run.variables, self._data, placed)) | self._gathered(batch)
        total = found["contribution"].sum(axis=(1, 2), dtype=float)
        gap = np.full_like(total, np.nan)
        if self.method in _ON_THE_WAY:
            gap = total - (found["score"] - found["start_score"])
        return {**self._around_beats(shown, found["contribution"]), "score": found["score"], "gap": gap}

    def _mean_input(self) -> np.ndarray:
        """`[time, lead]`"""
        chosen = examples(self.run, 0, self.seed)
        drawn = np.random.default_rng(self.seed).permutation(len(chosen))[:_MEAN_OF]
        shown = sweep(
            self._parallel, partial(self._show, self.run.variables, self.run.data), chosen.select(drawn).rows()
        )
        return shown["signal_mv"].mean(axis=0)

    def _gathered(self, batch: Rows) -> Rows:
        """`contribution` `[batch, time, lead]`, and `start_score` `[batch]` where examples have starts of their own."""
        total: Any = None
        for number, (place, weight) in enumerate(zip(self._places, self._weights, strict=True)):
            like = np.ones(len(batch["index"]), np.float32)
            step = {"place": place * like, "weight": weight * like, "step": np.full(len(like), number, np.int32)}
            part = self._gradient(self.run.variables, self._data, self._parallel.shard({**batch, **step}))
            total = part if total is None else jax.tree.map(jnp.add, total, part)
        return to_host(total)

    def _around_beats(self, shown: Rows, contribution: np.ndarray) -> Rows:
        """`beat`, `signed` and `magnitude`, of whole signals cut around the peaks."""
        signal_mv, contribution = (in_lead_order(x, shown["order"]) for x in (shown["signal_mv"], contribution))
        num_shown, num_recorded, num_averaged = signal_mv.shape[1], self.run.split.ecg.shape[1], self.window.num_samples
        if num_shown == num_averaged:
            return {"beat": signal_mv, "signed": contribution, "magnitude": np.abs(contribution)}
        if num_shown != num_recorded:
            raise InputError(
                f"the task shows {num_shown} samples, neither the {num_recorded} of a record nor the {num_averaged} of "
                "an average beat",
                "give the run's own before_s and after_s",
            )
        mean = partial(mean_over_beats, peaks=shown["peaks"], is_beat=shown["is_beat"], window=self.window)
        return {"beat": mean(signal_mv), "signed": mean(contribution), "magnitude": mean(np.abs(contribution))}


def by_class(attributor: Attributor, chosen: Examples, target: str | None) -> dict[str, Attribution]:
    """Attributions of the score of the class `target`, None for each, by its name, over the examples it is true of.

    Raises:
      InputError: there is no such class, or no such example.
    """
    names = attributor.run.task.class_names()
    if target is not None and target not in names:
        raise InputError(f"unknown target {target!r}", f"use one of {', '.join(names)}")
    truths = attributor.truths(chosen)
    found = {}
    for number, name in enumerate(names):
        is_true = (truths == number).any(axis=1)
        if is_true.any() and target in (None, name):
            found[name] = attributor(chosen.select(is_true), number)
    if not found:
        num_records = len(np.unique(chosen.index))
        raise InputError(f"the truth of none of {num_records} records is {target or 'a class'}", "ask for more of them")
    return found


def mean_over_beats(values: np.ndarray, peaks: np.ndarray, is_beat: np.ndarray, window: BeatWindow) -> np.ndarray:
    """`[example, time, lead]` cut around `peaks` `[example, beat]` and averaged, NaN without a beat."""
    starts = np.clip(peaks - window.num_before, 0, values.shape[1] - window.num_samples)
    sample = starts[:, :, None] + np.arange(window.num_samples)
    cut = values[np.arange(len(values))[:, None, None], sample]
    num_beats = is_beat.sum(axis=1)[:, None, None]
    total = np.einsum("nptl,np->ntl", cut, is_beat.astype(values.dtype))
    return np.divide(total, num_beats, out=np.full_like(total, np.nan), where=num_beats > 0)


def _places(method: str, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Where gradients are taken, as shares of the way to the input, and how they weigh; float32 each."""
    places, weights = np.ones(1), np.ones(1)
    if method == "integrated_gradients":
        nodes, weights = np.polynomial.legendre.leggauss(num_steps)
        places, weights = (nodes + 1) / 2, weights / 2
    elif method == "expected_gradients":
        # The beginnings of equal parts, within which the step draws.
        places, weights = np.arange(num_steps) / num_steps, np.full(num_steps, 1 / num_steps)
    return places.astype(np.float32), weights.astype(np.float32)


def _show_step(run: Run, window: BeatWindow) -> Step:
    """Examples as the network sees them, and where the beats of their records are."""

    def beats(data: Resident, index: jax.Array) -> dict[str, jax.Array]:
        signal_mv = whole_record(data, index)["signal_mv"]
        num_leads = signal_mv.shape[-1]
        metric = POWER_METRIC if num_leads == len(POWER_METRIC) else np.eye(num_leads, dtype=np.float32)
        peaks, is_beat = find_beats(signal_mv, window, metric)
        return {"peaks": peaks, "is_beat": is_beat}

    def step(variables: Variables, data: Resident, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        del variables
        record = run.presented(data, batch["index"], batch["view"])
        shown = jax.vmap(partial(beats, data))(batch["index"])
        shown |= {"signal_mv": record["signal_mv"], "order": lead_order(record)}
        return jax.lax.all_gather(shown, AXIS, tiled=True)

    return step


def _score_step(run: Run, method: str) -> Step:
    """The classes of the truth, the score that is explained, and for one start of all examples that of the start."""

    def step(variables: Variables, data: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        record = run.presented(data["split"], batch["index"], batch["view"])
        signal_mv = record["signal_mv"]
        predictions = run.task.predict(run.outputs(variables, signal_mv), record)
        _, truth = truth_scores(predictions)
        found = {"truth": truth, "score": explained(predictions, batch["target"])}
        if method == "integrated_gradients":
            start = jnp.broadcast_to(data["mean"], signal_mv.shape)
            found["start_score"] = _score(run, variables, record, batch["target"], start)
        return jax.lax.all_gather(found, AXIS, tiled=True)

    return step


def _score(run: Run, variables: Variables, record: Record, target: jax.Array, signal_mv: jax.Array) -> jax.Array:
    """What is explained `[batch]`, had the network seen `signal_mv` in the place of the record's."""
    return explained(run.task.predict(run.outputs(variables, signal_mv), record), target)


def _gradient_step(run: Run, method: str, num_steps: int, seed: int) -> Step:
    """What one place on the way adds to the attributions, by example."""

    def drawn_start(data: Resident, batch: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Another record under any view, and a place on the way from it."""
        num_records = data["ecg"].shape[0]

        def draw(number: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), number), step)
            record_key, view_key, place_key = jax.random.split(key, 3)
            return (
                jax.random.randint(record_key, (), 1, num_records),
                jax.random.randint(view_key, (), 0, run.task.num_views),
                jax.random.uniform(place_key),
            )

        other, view, within = jax.vmap(draw)(batch["number"], batch["step"])
        start = run.presented(data, (batch["index"] + other) % num_records, view)
        return start["signal_mv"], batch["place"] + within / num_steps

    def step(variables: Variables, data: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        record = run.presented(data["split"], batch["index"], batch["view"])
        signal_mv = record["signal_mv"]

        score = partial(_score, run, variables, record, batch["target"])
        start, place = jnp.zeros_like(signal_mv), batch["place"]
        if method == "integrated_gradients":
            start = jnp.broadcast_to(data["mean"], signal_mv.shape)
        elif method == "expected_gradients":
            start, place = drawn_start(data["split"], batch)
        way = signal_mv - start
        # Examples do not meet in a network that evaluates: the gradient of the sum is that of each.
        gradient = jax.grad(lambda x: jnp.sum(score(x)))(start + place[:, None, None] * way)
        contribution = gradient if method == "saliency" else gradient * way
        found = {"contribution": contribution * batch["weight"][:, None, None]}
        if method == "expected_gradients":
            found["start_score"] = score(start) * batch["weight"]
        return jax.lax.all_gather(found, AXIS, tiled=True)

    return step


def share_figures(
    attributions: Sequence[Attribution], lead_names: Sequence[str], num_bootstrap: int
) -> dict[str, Metric]:
    """How the magnitude is shared, means over the examples of all `attributions` that have any.

    `share/WAVE` is that of a part of the beat; `density/WAVE` is it over the part's share of the time; `lead/NAME` is
    that of a lead.
    """
    shares = np.concatenate([attribution.shares() for attribution in attributions])
    durations = np.concatenate([attribution.durations() for attribution in attributions])
    patient_ids = np.concatenate([attribution.patient_ids for attribution in attributions])
    defined = ~np.isnan(shares[:, 0, 0])
    columns = np.concatenate([shares.sum(axis=2), shares.sum(axis=1), durations], axis=1)[defined]
    num_waves, num_leads = len(waves.WAVES), len(lead_names)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        means = weights @ columns / np.sum(weights, axis=-1)[..., None]
        by_wave, by_lead, time = np.split(means, [num_waves, num_waves + num_leads], axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            density = np.where(time > 0, by_wave / time, np.nan)
        return {
            **{f"share/{name}": by_wave[..., i] for i, name in enumerate(waves.WAVES)},
            **{f"density/{name}": density[..., i] for i, name in enumerate(waves.WAVES)},
            **{f"lead/{name}": by_lead[..., i] for i, name in enumerate(lead_names)},
        }

    if not defined.any():
        raise InputError("no example has an attribution other than zero", "look at another target, split or method")
    return metrics.with_intervals(figures, np.ones(len(columns)), patient_ids[defined], num_bootstrap)
