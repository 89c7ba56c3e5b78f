"""A trained run as one function of arrays: preprocessing, view, all networks of the run, and what the task predicts."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import models
from ecgjax.beats import POWER_METRIC, average_beat
from ecgjax.data.heartbeats import RR_FIGURES
from ecgjax.data.resident import resident
from ecgjax.data.split import Split
from ecgjax.evaluate import apply_in_windows, windows_of
from ecgjax.export.preprocessing import preprocessing
from ecgjax.lead_completion import completion_matrices
from ecgjax.leads import completion
from ecgjax.tasks.heartbeat import Heartbeat
from ecgjax.tasks.heartbeat_view import log_ratios
from ecgjax.tasks.labelled import Labelled
from ecgjax.tasks.lead_id import LeadId
from ecgjax.tasks.reversal import Reversal
from ecgjax.tasks.reversal_figures import NONE
from ecgjax.tasks.rhythm_features import bounded, feature_names
from ecgjax.tasks.rhythm_view import RhythmView
from ecgjax.tasks.task import Record, Task
from ecgjax.tasks.transmembrane import Transmembrane
from ecgjax.trained import Trained

SIGNAL, REBUILT = "signal_mv", "rebuilt_mv"

_OUTPUTS = {
    "reversal": {
        "scores": "probability of each placement of the electrodes, correct and reversed at even odds",
        "any_reversal": "probability that electrodes are exchanged, at even odds",
    },
    "lead_id": {"scores": "[lead, name]: probability of each name for each lead, which come in any order"},
    "age": {"scores": "years", "spread_years": "standard deviation in years"},
    "activation_map": {"scores": "milliseconds from the first sample to the activation of each site"},
    "transmembrane": {"scores": "[sample, site]: transmembrane potential in mV"},
    "reconstruction": {REBUILT: "[sample, lead]: the given leads, and the others rebuilt, in mV"},
}
_PROBABILITIES = {"scores": "probability of each class"}


@dataclasses.dataclass(frozen=True)
class Array:
    """An input, float32: its shape behind the batch, and what it holds."""

    name: str
    shape: tuple[int, ...]
    meaning: str


@dataclasses.dataclass(frozen=True)
class Forward:
    """What is exported.

    Attributes:
      inputs: the signal, and for some tasks a second array.
      meanings: output -> what it holds.
      apply: one array `[batch, ...]` for each input, in order -> output -> `[batch, ...]`.
    """

    inputs: tuple[Array, ...]
    meanings: dict[str, str]
    apply: Callable[..., dict[str, jax.Array]]


def in_single_precision(trained: Trained) -> Trained:
    """The run with a network that computes in float32, whatever it was trained in: other programs know no bfloat16."""
    module = models.build(trained.config.model, trained.task.num_outputs, models.DTYPES["float32"], axis_name=None)
    return dataclasses.replace(trained, module=module)


@dataclasses.dataclass(frozen=True)
class Given:
    """What a reconstruction reads: the leads, and the factors `[8]` of what it rebuilds from them."""

    leads: tuple[str, ...]
    gains: np.ndarray


def forward(
    trained: Trained, task: Task, example: Split, *, fs_hz: float, seconds: float, given: Given | None
) -> Forward:
    """The function of the run `trained` for signals of so many seconds at `fs_hz`.

    Args:
      trained: the run.
      task: its task, as tuned.
      example: at least one record of the kind that it reads, in memory as for training.
      fs_hz, seconds: of the signals that are going to be given.
      given: for a reconstruction.
    """
    num_samples, length = round(seconds * fs_hz), example.ecg.shape[1]
    prepare = preprocessing(trained.preprocess, num_samples, fs_hz, length, rounds=given is None)
    recorded = min(trained.preprocess.num_samples(num_samples, fs_hz), length)
    names = task.class_names() if isinstance(task, LeadId) else example.lead_names
    order = "leads in any order" if isinstance(task, LeadId) else f"leads {', '.join(names)}"
    inputs = (Array(SIGNAL, (num_samples, len(names)), f"mV at {fs_hz:g} Hz, {order}"), *_second_input(task))
    windows = windows_of(trained.config)
    targets = resident(example, task.targets(example))["targets"]
    unknown = {name: np.zeros_like(values[0]) for name, values in targets.items()}
    meanings = _OUTPUTS.get(task.name, _PROBABILITIES)
    if isinstance(task, Labelled) and task.kind == "numbers":
        meanings = {"scores": "the numbers that were asked for"}

    def of_record(signal_mv: jax.Array, *more: jax.Array) -> dict[str, jax.Array]:
        record = {**unknown, SIGNAL: prepare(signal_mv), "num_samples": jnp.int32(recorded), **_second(task, *more)}
        shown = _shown(task, record) if given is None else _completed(record, given)
        batch = jax.tree.map(lambda x: jnp.asarray(x)[None], shown)
        found = []
        for variables in trained.members:
            outputs = apply_in_windows(trained.module, variables, batch[SIGNAL], batch["num_samples"], windows)
            if given is None:
                found.append({name: values[0] for name, values in _predict(task, outputs, batch).items()})
            else:
                found.append({REBUILT: _rebuilt(record[SIGNAL][:recorded], outputs[0, :recorded], given)})
        return {name: jnp.mean(jnp.stack([one[name] for one in found]), 0) for name in meanings if name in found[0]}

    return Forward(inputs, meanings, jax.vmap(of_record))


def _second_input(task: Task) -> tuple[Array, ...]:
    """What a network is told beside the signal."""
    if _shows_measures(task):
        names = ", ".join(feature_names())
        return (Array("measures", (len(feature_names()),), f"ecgjax.tasks.rhythm_features.features: {names}"),)
    if isinstance(task, Heartbeat) and task.shown.view == "wide":
        return (Array("rr_figures", (len(RR_FIGURES),), f"{', '.join(RR_FIGURES)}; NaN where unknown"),)
    if isinstance(task, Heartbeat):
        return (Array("cut_samples", (1,), "samples from R on that are shown"),)
    return ()


def _shows_measures(task: Task) -> bool:
    shown = getattr(task, "shown", None)
    return isinstance(shown, RhythmView) and shown.measures


def _second(task: Task, *arrays: jax.Array) -> Record:
    """The fields of a record that `_second_input` gives."""
    if not arrays:
        return {}
    (values,) = arrays
    if _shows_measures(task):
        return {"measures": bounded(values, jnp)}
    if isinstance(task, Heartbeat) and task.shown.view == "wide":
        return {"log_rr": log_ratios(dict(zip(RR_FIGURES, values, strict=True)), jnp)}
    return {"cut_samples": values[0].astype(jnp.int32)}


def _shown(task: Task, record: Record) -> Record:
    """What the network sees: the record as evaluation presents it, but as it is and in the order it came in."""
    signal_mv = record[SIGNAL]
    if not isinstance(task, Reversal | LeadId):
        return {**record, **task.evaluation_view(record, jnp.int32(0))}
    if task.view == "beat":
        metric = POWER_METRIC if isinstance(task, Reversal) else np.eye(signal_mv.shape[1], dtype=np.float32)
        signal_mv, _ = average_beat(signal_mv, task.window, metric)
    return {**record, SIGNAL: task.preprocess.normalised(signal_mv), "placement": jnp.int32(NONE)}


def _predict(task: Task, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
    if isinstance(task, LeadId):
        return {"scores": jax.nn.softmax(outputs)}
    if isinstance(task, Transmembrane):
        return {"scores": task.potentials_mv(outputs)}
    return task.predict(outputs, batch)


def _completed(record: Record, given: Given) -> Record:
    """The leads that are given, and those that follow from them."""
    return {**record, SIGNAL: record[SIGNAL] @ np.asarray(completion(given.leads).T, np.float32)}


def _rebuilt(signal_mv: jax.Array, estimate_mv: jax.Array, given: Given) -> jax.Array:
    """`[time, 12]` with the estimate in place of what is not given."""
    from_given, from_estimate = (np.asarray(matrix.T, np.float32) for matrix in completion_matrices(given.leads))
    level = jnp.mean(estimate_mv, axis=0)
    scaled = level + given.gains.astype(np.float32) * (estimate_mv - level)
    return signal_mv @ from_given + scaled @ from_estimate
