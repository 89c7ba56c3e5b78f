"""A network that scores electrode placements by undoing each and asking whether the result looks right.

By Bayes' rule the probability that a record `x` was written under placement `h` is proportional to the likelihood of
the undone record `M_h^-1 x` as a rightly wired one, times the prior of `h`. One small network gives the logarithm of
that likelihood for all placements; so what it learns of one exchange holds for every other, and exchanging electrodes
of the input exchanges the scores exactly where placements form a group. Placements that lose a potential to the
neutral electrode cannot be undone; there one of I, II and III is flat, and their powers are the evidence.
"""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.models.layers import Dense, NormGelu

_LIMB_SCALE_LEADS = 3  # I, II and III
_UNDOABLE = np.array([not placement.uses_neutral for placement in leads.PLACEMENTS])
_INVERSES = np.stack([p.inverse.matrix for p in leads.PLACEMENTS if not p.uses_neutral]).astype(np.float32)
_UNDO = _INVERSES[:, leads.INDEPENDENT_COLUMNS]
"""[placement, independent lead, lead]"""


_SHARES = (0.5, 0.35, 0.15)
"""Of the decoys that are drawn: single exchanges, two of them at once, other orders of the chest."""


@functools.cache
def _decoys() -> tuple[np.ndarray, np.ndarray]:
    """[decoy, lead, lead]: ways to undo what is none of the placements; and the chance of each, [decoy].

    A half of the draws are single exchanges. What is left of one where another is undone tells exchanges of a limb and
    a chest cable from each other; orders of the chest are the rest.
    """
    swaps = [_order(leads.swap(pair)) for pair in itertools.combinations(leads.ELECTRODES, 2)]
    known = {_order(placement) for placement in leads.PLACEMENTS if not placement.uses_neutral}
    chest = itertools.permutations(range(len(leads.LIMB_ELECTRODES), len(leads.ELECTRODES)))
    groups = []
    for drawn in (swaps, [_after(one, other) for one in swaps for other in swaps], [(0, 1, 2, *six) for six in chest]):
        groups.append(sorted(set(drawn) - known))
        known |= set(drawn)
    chance = np.concatenate(
        [np.full(len(group), share / len(group)) for group, share in zip(groups, _SHARES, strict=True)]
    )
    wrong = [leads.permutation([leads.ELECTRODES[i] for i in order]) for group in groups for order in group]
    return np.stack([placement.inverse.matrix for placement in wrong]).astype(np.float32), chance


def _order(placement: leads.Placement) -> tuple[int, ...]:
    """The electrode that each jack reads."""
    return tuple(leads.ELECTRODES.index(placement.reads.get(jack, jack)) for jack in leads.ELECTRODES)


def _after(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one[i] for i in other)


class PlacementNet(nn.Module):
    """Log-odds of any reversal and of every placement of `leads.PLACEMENTS`, correct and reversed at even odds.

    Attributes:
      num_outputs: has to be 1 + the number of placements.
      patch: samples of the pieces into which a beat is cut.
      features: width of the embedding of a piece.
      hidden: width of the layers that join the pieces.
      num_blocks: residual blocks among these.
      fine_gain: small deflections, the P wave above all, are shown a second time as asinh(fine_gain * signal).
      num_decoys: while training, as many more ways to undo the record are drawn, none of them ever right, and their
        scores come out behind the others. They teach what no exchange may look like that is not in the list.
      dropout_rate: in the joining layers, while training.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    patch: int
    features: int
    hidden: int
    num_blocks: int
    fine_gain: float
    num_decoys: int
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, beat: jax.Array, is_training: bool, undo: jax.Array | None = None) -> jax.Array:
        """Average beats `[batch, time, lead]` -> `[batch, 1 + placement]`; `time` is a multiple of `patch`.

        With `undo` `[hypothesis, lead, lead]`, true = undo @ written, the log-likelihoods `[batch, hypothesis]`
        of the records that they give, and those of the neutral placements after them.
        """
        if self.num_outputs != 1 + len(_UNDOABLE):
            raise InputError(
                f"placement_net has {1 + len(_UNDOABLE)} outputs and the task wants {self.num_outputs}",
                "train it with reversal.typed=True, or choose another model.name",
            )
        if undo is not None:
            return jnp.concatenate([self._likelihood(_undone(beat, undo), is_training), self._flatness(beat)], axis=1)
        undone = jnp.einsum("btl,hml->bhtm", _normalised(beat), _UNDO)
        if is_training and self.num_decoys:
            decoys, chance = (jnp.asarray(array, jnp.float32) for array in _decoys())
            drawn = jax.random.choice(self.make_rng("dropout"), decoys, (self.num_decoys,), replace=False, p=chance)
            undone = jnp.concatenate([undone, _undone(beat, drawn)], axis=1)
        likelihood, decoys = jnp.split(self._likelihood(undone, is_training), [len(_UNDO)], axis=1)
        scores = jnp.zeros((len(beat), len(_UNDOABLE)))
        scores = scores.at[:, np.flatnonzero(_UNDOABLE)].set(likelihood)
        scores = scores.at[:, np.flatnonzero(~_UNDOABLE)].set(self._flatness(beat))

        correct, *_ = scores.T
        num_reversals = len(_UNDOABLE) - 1.0
        reversed_ = jax.nn.logsumexp(scores[:, 1:], axis=1) - jnp.log(num_reversals)
        types = scores.at[:, 1:].add(-jnp.log(num_reversals))
        return jnp.concatenate([(reversed_ - correct)[:, None], types, decoys - jnp.log(num_reversals)], axis=1)

    def _likelihood(self, undone: jax.Array, is_training: bool) -> jax.Array:
        """Log-likelihood `[batch, placement]` of the beats `[batch, placement, time, lead]` as rightly recorded."""
        batch, placements, time, num_leads = undone.shape
        if time % self.patch:
            raise InputError(
                f"an average beat of {time} samples does not divide into pieces of {self.patch}",
                "change model.placement_net.patch, or before_s and after_s of beat",
            )
        fine = nn.soft_sign(self.fine_gain * undone)
        shown = jnp.concatenate([undone, fine], axis=-1).astype(self.dtype)

        # Two axes only, from here on: products over several axes, and their gradients, are slow on CPU.
        x = shown.reshape(batch * placements * (time // self.patch), self.patch * 2 * num_leads)
        x = Dense(self.features, self.dtype, name="embed")(x)
        x = NormGelu(self.dtype, name="embed_norm")(x)
        x = Dense(self.hidden, self.dtype, name="join")(x.reshape(batch * placements, -1))
        for i in range(self.num_blocks):
            y = NormGelu(self.dtype, name=f"norm_{i}")(x)
            # One mask for all placements of a record: they are judged by the same thinned network.
            dropout = nn.Dropout(self.dropout_rate, broadcast_dims=(1,), deterministic=not is_training)
            y = dropout(y.reshape(batch, placements, -1)).reshape(y.shape)
            x = x + Dense(self.hidden, self.dtype, name=f"block_{i}")(y)
        x = NormGelu(self.dtype, name="score_norm")(x)
        return Dense(1, jnp.float32, name="score")(x).reshape(batch, placements)

    def _flatness(self, beat: jax.Array) -> jax.Array:
        """Log-likelihood `[batch, neutral placement]` from how the power of the limb leads is shared."""
        limb = _normalised(beat)[:, :, :_LIMB_SCALE_LEADS]
        power = jnp.log(jnp.mean(limb**2, axis=1) + 1e-5)
        share = power - jax.nn.logsumexp(power, axis=1, keepdims=True)
        hidden = nn.gelu(nn.Dense(32, name="flat_hidden")(share))
        return nn.Dense(int(np.sum(~_UNDOABLE)), name="flat_score")(hidden)


def _normalised(beat: jax.Array) -> jax.Array:
    """`[..., time, lead]` without the gain of the recorder, which tells nothing.

    Limb and chest leads count alike, so no exchange within either changes it.
    """
    limb_power, chest_power = (jnp.mean(part**2, axis=(-2, -1)) for part in jnp.split(beat, 2, axis=-1))
    return beat / jnp.sqrt(limb_power + chest_power + 1e-6)[..., None, None]


def _undone(beat: jax.Array, undo: jax.Array) -> jax.Array:
    """`[batch, time, lead]` and `[hypothesis, lead, lead]` -> `[batch, hypothesis, time, independent lead]`.

    Only after it is undone is a record normalised, as exchanges of limb and chest change the power of both.
    """
    return _normalised(jnp.einsum("btl,hml->bhtm", beat, undo))[..., leads.INDEPENDENT_COLUMNS]
