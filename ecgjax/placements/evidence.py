"""What a trained network makes of how a record was wired: a log-likelihood for every hypothesis.

The network of a reversal run scores the record as every hypothesis would have it put right. That of a lead
identification run names the leads of the record under every way to undo the limb cables; as Einthoven's law holds under
all of these, it knows the chest cables only. A weighted sum of both was no better than the former alone.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.beats import average_beat
from ecgjax.data.records import GAIN, Split
from ecgjax.errors import InputError
from ecgjax.experiment import Experiment, build
from ecgjax.placements.posterior import (
    CORRECT,
    FLATNESS,
    NUM_CHEST_ORDERS,
    NUM_UNDOABLE_LIMB,
    evidence_from_lead_names,
    flatness_evidence,
    is_undoable,
    undo_matrices,
    version_matrices,
)
from ecgjax.preprocess import Preprocess
from ecgjax.state import Variables
from ecgjax.tasks.lead_id import LeadId
from ecgjax.tasks.reversal import Reversal
from ecgjax.workdir import read_config

TEMPER = 0.7
"""Share of a reversal network's log-likelihood that counts: as much as its probabilities have to be toned down to be
believed, by the log-loss of the validation split of PTB-XL over single exchanges at even odds."""

_CHUNK = 241
"""Hypotheses scored at once; divides the 4,338 that can be undone."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What trained networks make of a record.

    Attributes:
      preprocess: what is done to a record first, as in training.
      seconds: the middle of the record that is looked at; shorter ones are padded with zeros at the end.
      log_likelihood: `[batch, time, lead]` in mV, preprocessed -> `[batch, hypothesis]`, up to a constant for each.
    """

    preprocess: Preprocess
    seconds: float
    log_likelihood: Callable[[jax.Array], jax.Array]

    def prepare(self, signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
        """`[time, lead]` at any rate -> `[seconds * preprocess.fs_hz, lead]` float32."""
        signal_mv = self.preprocess.apply(signal_mv, fs_hz)
        length = round(self.seconds * self.preprocess.fs_hz)
        start = max(0, (len(signal_mv) - length) // 2)
        kept = signal_mv[start : start + length]
        return np.pad(kept, ((0, length - len(kept)), (0, 0)))


def load_evidence(workdir: Path) -> Evidence:
    """The evidence of a run of reversal with placement_net, or of lead_id on all leads with arrangement_net.

    Raises:
      InputError: the folder holds no such run.
    """
    config = read_config(workdir)
    known = {"reversal": "placement_net", "lead_id": "arrangement_net"}
    if known.get(config.task) != config.model.name or (config.task == "lead_id" and config.lead_id.leads != "all"):
        raise InputError(
            f"{workdir} holds a run of {config.task} with {config.model.name}",
            "give the folder of a reversal run with placement_net, or of lead_id with arrangement_net on all leads",
        )
    experiment = build(config, _blank(config.data.seconds, config.preprocess.fs_hz))
    variables = jax.device_get(experiment.best_variables(workdir))
    of_task = _of_undone_records if config.task == "reversal" else _of_lead_names
    return Evidence(
        Preprocess.from_config(config), config.data.seconds, jax.jit(jax.vmap(of_task(experiment, variables)))
    )


def _blank(seconds: float, fs_hz: float) -> Split:
    """A split of one empty record, which tells a network the shape of its input."""
    ecg = np.zeros((1, round(seconds * fs_hz), len(leads.LEADS)), np.int16)
    ids = np.array(["blank"])
    return Split("blank", "test", ecg, GAIN, fs_hz, leads.LEADS, ids, ids, {})


def _of_undone_records(experiment: Experiment, variables: Variables) -> Callable[[jax.Array], jax.Array]:
    """The log-likelihood that the record as a hypothesis would have it put right was rightly recorded."""
    assert isinstance(experiment.task, Reversal)
    window = experiment.task.window
    undo = undo_matrices()[is_undoable()].reshape(-1, _CHUNK, len(leads.LEADS), len(leads.LEADS))
    num_grid = NUM_UNDOABLE_LIMB * NUM_CHEST_ORDERS

    def of_record(signal_mv: jax.Array) -> jax.Array:
        beat, _ = average_beat(signal_mv, window)

        def scores(undo: jax.Array) -> jax.Array:
            return experiment.module.apply(variables, beat[None], is_training=False, undo=undo)[0]

        scored = TEMPER * jax.lax.map(scores, undo)
        likelihood, flatness = scored[:, :_CHUNK].reshape(-1), scored[0, _CHUNK:]
        grid = likelihood[:num_grid].reshape(NUM_UNDOABLE_LIMB, NUM_CHEST_ORDERS)
        # A limb potential that was never recorded leaves the chest order to be told as if none were missing.
        neutral = flatness[:, None] + grid[CORRECT] - grid[CORRECT].max()
        return jnp.concatenate([grid.reshape(-1), neutral.reshape(-1), likelihood[num_grid:]])

    return of_record


def _of_lead_names(experiment: Experiment, variables: Variables) -> Callable[[jax.Array], jax.Array]:
    """The log-probability that the chest leads, limb cables undone, are named as a hypothesis has it."""
    assert isinstance(experiment.task, LeadId)
    window = experiment.task.window
    versions = version_matrices()

    def of_record(signal_mv: jax.Array) -> jax.Array:
        beat, _ = average_beat(signal_mv, window)
        undone = jnp.einsum("tl,vml->vtm", beat, versions)
        logits: Any = experiment.module.apply(variables, undone, is_training=False)
        log_probs = jax.nn.log_softmax(logits)
        # The names of limb leads tell nothing of how their cables were exchanged.
        return evidence_from_lead_names(
            log_probs.at[:, :6].set(0.0)[None], flatness_evidence(signal_mv[None], FLATNESS)
        )[0]

    return of_record
