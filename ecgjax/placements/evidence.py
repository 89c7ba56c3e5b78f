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
from ecgjax.bundled import workdir_of
from ecgjax.errors import InputError
from ecgjax.placements.hypotheses import CORRECT, NUM_CHEST_ORDERS, NUM_UNDOABLE_LIMB, is_undoable, undo_matrices
from ecgjax.placements.posterior import FLATNESS, evidence_from_lead_names, flatness_evidence, version_matrices
from ecgjax.placements.prior import likely_hypotheses
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.lead_id import LeadId
from ecgjax.tasks.reversal import Reversal
from ecgjax.trained import Trained, load_trained
from ecgjax.workdir import read_config

TEMPER = 1.0
"""Share of a reversal network's log-likelihood that counts: 1, as by the log-loss of PTB-XL's fold 9 over single
exchanges at even odds, less the three records that every network holds to be wrong already."""

_CHUNK = 241
"""Hypotheses scored at once; divides the 4,338 that can be undone."""


LogLikelihood = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What trained networks make of a record.

    Attributes:
      preprocess: what is done to a record first, as in training.
      seconds: the middle of the record that is looked at; shorter ones are padded with zeros at the end.
      log_likelihood: `[batch, time, lead]` in mV, preprocessed -> `[batch, hypothesis]`, up to a constant for each.
      of_likely: the same for `likely_hypotheses()` alone, of the first network and, where there are several, of all;
        empty where all hypotheses cost as little.
    """

    preprocess: Preprocess
    seconds: float
    log_likelihood: LogLikelihood
    of_likely: tuple[LogLikelihood, ...] = ()

    def prepare(self, signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
        """`[..., time, lead]` at any rate -> `[..., seconds * preprocess.fs_hz, lead]` float32."""
        signal_mv = self.preprocess.apply(signal_mv, fs_hz)
        length = round(self.seconds * self.preprocess.fs_hz)
        start = max(0, (signal_mv.shape[-2] - length) // 2)
        kept = signal_mv[..., start : start + length, :]
        missing = length - kept.shape[-2]
        return np.pad(kept, [(0, 0)] * (kept.ndim - 2) + [(0, missing), (0, 0)]) if missing else kept


def load_evidence(workdir: Path) -> Evidence:
    """The evidence of a run of reversal with placement_net, or of lead_id on all leads with arrangement_net.

    That of several networks is the mean of their log-likelihoods; `bundled` stands for those that come with ecgjax.

    Raises:
      InputError: the folder holds no such run.
    """
    workdir = workdir_of(workdir, "reversal")
    config = read_config(workdir)
    known = {"reversal": "placement_net", "lead_id": "arrangement_net"}
    if known.get(config.task) != config.model.name or (config.task == "lead_id" and config.lead_id.leads != "all"):
        raise InputError(
            f"{workdir} holds a run of {config.task} with {config.model.name}",
            "give the folder of a reversal run with placement_net, or of lead_id with arrangement_net on all leads",
        )
    trained = load_trained(workdir)
    if config.task == "lead_id":
        return Evidence(trained.preprocess, config.data.seconds, _compiled(_of_lead_names, trained, trained.members))
    screens = dict.fromkeys((1, len(trained.members)))
    return Evidence(
        trained.preprocess,
        config.data.seconds,
        log_likelihood=_compiled(_of_undone_records, trained, trained.members),
        of_likely=tuple(_compiled(_of_likely_records, trained, trained.members[:count]) for count in screens),
    )


OfBeat = Callable[[Trained, list[Any], jax.Array, jax.Array], jax.Array]
"""Run, variables of its networks, the average beat `[time, lead]` and the record that it is of."""


def _compiled(of_beat: OfBeat, trained: Trained, members: list[Any]) -> LogLikelihood:
    """`of_beat` of some networks of the run, for a batch of records."""
    assert isinstance(trained.task, Reversal | LeadId)
    window = trained.task.window

    @jax.jit
    def log_likelihood(members: list[Any], signal_mv: jax.Array) -> jax.Array:
        def of_record(record: tuple[jax.Array, jax.Array]) -> jax.Array:
            beat, signal_mv = record
            return of_beat(trained, members, beat, signal_mv)

        beats, _ = jax.vmap(lambda signal_mv: average_beat(signal_mv, window))(signal_mv)
        # One after another: what a network makes of one record under many hypotheses fills the cache already.
        return jax.lax.map(of_record, (beats, signal_mv))

    # Weights are an argument: as constants they would take long to compile.
    on_device = jax.device_put(members)
    return lambda signal_mv: log_likelihood(on_device, signal_mv)


def _of_undone_records(trained: Trained, members: list[Any], beat: jax.Array, signal_mv: jax.Array) -> jax.Array:
    """The log-likelihood that the record as a hypothesis would have it put right was rightly recorded.

    One network looks at all hypotheses, any others at those that it finds likeliest.
    """
    del signal_mv
    undo, num_grid = jnp.asarray(undo_matrices()[is_undoable()]), NUM_UNDOABLE_LIMB * NUM_CHEST_ORDERS
    chunks = undo.reshape(-1, _CHUNK, len(leads.LEADS), len(leads.LEADS))
    scored = jax.lax.map(lambda undo: _scores(trained, members[:1], beat, undo), chunks)
    likelihood, flatness = scored[:, :_CHUNK].reshape(-1), scored[0, _CHUNK:]
    if len(members) > 1:
        highest, likeliest = jax.lax.top_k(likelihood, _CHUNK)
        of_all = _scores(trained, members, beat, undo[likeliest])
        agreed, flatness = of_all[:_CHUNK], of_all[_CHUNK:]
        likelihood = (likelihood - highest[0] + agreed.max()).at[likeliest].set(agreed)
    grid = likelihood[:num_grid].reshape(NUM_UNDOABLE_LIMB, NUM_CHEST_ORDERS)
    # A limb potential that was never recorded leaves the chest order to be told as if none were missing.
    neutral = flatness[:, None] + grid[CORRECT] - grid[CORRECT].max()
    return jnp.concatenate([grid.reshape(-1), neutral.reshape(-1), likelihood[num_grid:]])


def _of_likely_records(trained: Trained, members: list[Any], beat: jax.Array, signal_mv: jax.Array) -> jax.Array:
    """As `_of_undone_records` has it for `likely_hypotheses()`, or more for a jack on RL."""
    del signal_mv
    likely = likely_hypotheses()
    undoable = likely[is_undoable()[likely]]
    scored = _scores(trained, members, beat, undo_matrices()[undoable])
    likelihood, flatness = scored[: len(undoable)], scored[len(undoable) :]
    limb_is_right = undoable < NUM_CHEST_ORDERS
    neutral = flatness + likelihood[CORRECT] - likelihood[limb_is_right].max()
    return jnp.concatenate([likelihood, neutral])


def _scores(trained: Trained, members: list[Any], beat: jax.Array, undo: jax.Array | np.ndarray) -> jax.Array:
    """`[hypothesis + 3]`: log-likelihoods of the beat undone by `[hypothesis, 12, 12]`, and of the jacks on RL.

    The mean over the networks, of which each is free to add a constant.
    """
    each = [trained.module.apply(variables, beat[None], is_training=False, undo=undo)[0] for variables in members]
    return TEMPER * jnp.mean(jnp.stack(each), axis=0)


def _of_lead_names(trained: Trained, members: list[Any], beat: jax.Array, signal_mv: jax.Array) -> jax.Array:
    """The log-probability that the chest leads, limb cables undone, are named as a hypothesis has it."""
    undone = jnp.einsum("tl,vml->vtm", beat, version_matrices())
    logits: list[Any] = [trained.module.apply(variables, undone, is_training=False) for variables in members]
    log_probs = jnp.mean(jax.nn.log_softmax(jnp.stack(logits)), axis=0)
    # The names of limb leads tell nothing of how their cables were exchanged.
    return evidence_from_lead_names(log_probs.at[:, :6].set(0.0)[None], flatness_evidence(signal_mv[None], FLATNESS))[0]
