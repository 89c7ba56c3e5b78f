"""The exact posterior over hypotheses of wiring, and what the names and flatness of leads say of each."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.placements.hypotheses import (
    CORRECT,
    LIMB_CHEST_SWAPS,
    NUM_CHEST_ORDERS,
    NUM_GRID,
    NUM_UNDOABLE_LIMB,
    chest_orders,
    undo_matrices,
)


def log_posterior(log_likelihood: jax.Array, log_prior: jax.Array | np.ndarray) -> jax.Array:
    """Bayes' rule: `[batch, hypothesis]` and `[hypothesis]` -> `[batch, hypothesis]`, which sums to one."""
    return jax.nn.log_softmax(log_likelihood + log_prior, axis=-1)


@dataclasses.dataclass(frozen=True)
class Flatness:
    """How flat a lead is when a jack reads RL, and when none does.

    The logarithm of its deviation over that of the larger of the other two among I, II and III is normal in both cases,
    with one deviation and so with evidence that is linear in it.
    """

    flat: float
    usual: float
    deviation: float


FLATNESS = Flatness(flat=-1.9, usual=-0.25, deviation=0.5)
"""Measured on the training folds of PTB-XL at 0.5-40 Hz, with 0.015 mV of noise between RL and LL."""

_FLAT_LEADS = np.array([leads.LEADS.index(name) for name in ("II", "III", "I")])
"""Which lead each of NEUTRAL_SWAPS makes flat."""


def flatness_evidence(signal_mv: jax.Array, flatness: Flatness) -> jax.Array:
    """`[batch, time, lead]` -> `[batch, 3]`: log-likelihood ratio of each of NEUTRAL_SWAPS against no use of RL."""
    deviation = jnp.std(signal_mv[:, :, :3], axis=1) + 1e-6
    others = jnp.stack([jnp.roll(deviation, shift, axis=1) for shift in (1, 2)]).max(axis=0)
    ratio = jnp.log(deviation / others)[:, _FLAT_LEADS]
    middle = (flatness.flat + flatness.usual) / 2
    return (flatness.flat - flatness.usual) / flatness.deviation**2 * (ratio - middle)


@functools.cache
def version_matrices() -> np.ndarray:
    """[24, 12, 12]: the versions of a record that a network has to name the leads of, true leads = matrix @ written.

    First the limb placements that can be undone, then the exchanges of a limb with a chest cable, each undone.
    """
    limb = undo_matrices()[: NUM_UNDOABLE_LIMB * NUM_CHEST_ORDERS : NUM_CHEST_ORDERS]
    return np.concatenate([limb, undo_matrices()[NUM_GRID:]])


def evidence_from_lead_names(log_probs: jax.Array, neutral_evidence: jax.Array) -> jax.Array:
    """`[batch, version, 12 lead, 12 name]` and `[batch, 3]` -> log-likelihood `[batch, hypothesis]`.

    `log_probs` holds, for every version of `version_matrices` or for the first six alone, the logarithm of the
    probability that a network gives each name on each lead. A hypothesis says which name every lead of its version has;
    its log-likelihood is the sum over them. Without the last 18 versions the exchanges of a limb with a chest cable are
    impossible. With a jack on RL the names of limb leads mean nothing: chest leads are named in the record as it is,
    limb leads count as on average over the six versions, and `neutral_evidence` (see `flatness_evidence`) is added.
    """
    own = jnp.sum(jnp.diagonal(log_probs, axis1=2, axis2=3)[:, :, :6], axis=-1)
    chest_probs = log_probs[:, :, 6:, 6:].reshape(*log_probs.shape[:2], -1)
    limb, swapped = own[:, :NUM_UNDOABLE_LIMB], own[:, NUM_UNDOABLE_LIMB:]
    chest = chest_probs[:, :NUM_UNDOABLE_LIMB] @ jnp.asarray(_chest_incidence()).T
    undoable = limb[:, :, None] + chest
    limb_mean = jax.nn.logsumexp(limb, axis=1) - jnp.log(float(NUM_UNDOABLE_LIMB))
    neutral = (neutral_evidence + limb_mean[:, None])[:, :, None] + chest[:, :1]
    grid = jnp.concatenate([undoable, neutral], axis=1).reshape(len(log_probs), NUM_GRID)
    if swapped.shape[1]:
        limb_chest = swapped + chest_probs[:, NUM_UNDOABLE_LIMB:] @ jnp.asarray(_chest_incidence()[CORRECT])
    else:
        limb_chest = jnp.full((len(log_probs), len(LIMB_CHEST_SWAPS)), -jnp.inf)
    return jnp.concatenate([grid, limb_chest], axis=1)


@functools.cache
def _chest_incidence() -> np.ndarray:
    """[720, 36], one where chest lead k carries the name that the order gives it."""
    return np.eye(len(leads.PRECORDIAL_LEADS), dtype=np.float32)[chest_orders()].reshape(NUM_CHEST_ORDERS, -1)
