"""A network that scores electrode placements by undoing each and asking whether the result looks right.

By Bayes' rule the probability that a record `x` was written under placement `h` is proportional to the likelihood of
the undone record `M_h^-1 x` as a rightly wired one, times the prior of `h`. One small network gives the logarithm of
that likelihood for all placements; so what it learns of one exchange holds for every other, and exchanging electrodes
of the input exchanges the scores exactly where placements form a group. Placements that lose a potential to the
neutral electrode cannot be undone; there one of I, II and III is flat, and their powers are the evidence.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.models.layers import Dense, LayerNorm

_LIMB_SCALE_LEADS = 3  # I, II and III
_INDEPENDENT = np.array([leads.LEADS.index(name) for name in leads.INDEPENDENT_LEADS])
_UNDOABLE = np.array([not placement.uses_neutral for placement in leads.PLACEMENTS])
_UNDO = np.stack([p.inverse.matrix[_INDEPENDENT] for p in leads.PLACEMENTS if not p.uses_neutral]).astype(np.float32)
"""[placement, independent lead, lead]"""


class PlacementNet(nn.Module):
    """Log-odds of any reversal and of every placement of `leads.PLACEMENTS`, correct and reversed at even odds.

    Attributes:
      num_outputs: has to be 1 + the number of placements.
      patch: samples of the pieces into which a beat is cut.
      features: width of the embedding of a piece.
      hidden: width of the layers that join the pieces.
      num_blocks: residual blocks among these.
      fine_gain: small deflections, the P wave above all, are shown a second time as asinh(fine_gain * signal).
      dropout_rate: in the joining layers, while training.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    patch: int
    features: int
    hidden: int
    num_blocks: int
    fine_gain: float
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
        if undo is None:
            undone = jnp.einsum("btl,hml->bhtm", _normalised(beat), _UNDO)
        else:
            undone = _normalised(jnp.einsum("btl,hml->bhtm", beat, undo))[..., _INDEPENDENT]
        likelihood = self._likelihood(undone, is_training)
        flatness = self._flatness(_normalised(beat))
        if undo is not None:
            return jnp.concatenate([likelihood, flatness], axis=1)
        scores = jnp.zeros((len(beat), len(_UNDOABLE)))
        scores = scores.at[:, np.flatnonzero(_UNDOABLE)].set(likelihood).at[:, np.flatnonzero(~_UNDOABLE)].set(flatness)

        correct, *_ = scores.T
        reversed_ = jax.nn.logsumexp(scores[:, 1:], axis=1) - jnp.log(len(_UNDOABLE) - 1.0)
        types = scores.at[:, 1:].add(-jnp.log(len(_UNDOABLE) - 1.0))
        return jnp.concatenate([(reversed_ - correct)[:, None], types], axis=1)

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
        x = nn.gelu(LayerNorm(self.dtype, name="embed_norm")(x))
        x = Dense(self.hidden, self.dtype, name="join")(x.reshape(batch * placements, -1))
        for i in range(self.num_blocks):
            y = nn.gelu(LayerNorm(self.dtype, name=f"norm_{i}")(x))
            # One mask for all placements of a record: they are judged by the same thinned network.
            dropout = nn.Dropout(self.dropout_rate, broadcast_dims=(1,), deterministic=not is_training)
            y = dropout(y.reshape(batch, placements, -1)).reshape(y.shape)
            x = x + Dense(self.hidden, self.dtype, name=f"block_{i}")(y)
        x = nn.gelu(LayerNorm(self.dtype, name="score_norm")(x))
        return Dense(1, jnp.float32, name="score")(x).reshape(batch, placements)

    def _flatness(self, beat: jax.Array) -> jax.Array:
        """Log-likelihood `[batch, neutral placement]` from how the power of the limb leads is shared."""
        power = jnp.log(jnp.mean(beat[:, :, :_LIMB_SCALE_LEADS] ** 2, axis=1) + 1e-5)
        share = power - jax.nn.logsumexp(power, axis=1, keepdims=True)
        hidden = nn.gelu(nn.Dense(32, name="flat_hidden")(share))
        return nn.Dense(int(np.sum(~_UNDOABLE)), name="flat_score")(hidden)


def _normalised(beat: jax.Array) -> jax.Array:
    """`[..., time, lead]` without the gain of the recorder, which tells nothing.

    Limb and chest leads count alike, so no exchange within either changes it.
    """
    limb_power, chest_power = (jnp.mean(part**2, axis=(-2, -1)) for part in jnp.split(beat, 2, axis=-1))
    return beat / jnp.sqrt(limb_power + chest_power + 1e-6)[..., None, None]
