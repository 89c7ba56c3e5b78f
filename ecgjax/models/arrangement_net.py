"""A network that names leads by weighing all orders of the chest leads against each other.

Every lead's average beat is embedded by itself, told what the other leads look like on average and which linear
identities it takes part in (II = I + III gives limb leads away to rounding), and scored for every name. Every pair of
leads is scored for every pair of chest names. The scores of an order of the chest leads add up (a conditional random
field over permutations), and as there are at most 720 of them, the posterior is exact; what comes out are its
marginals. Reordering the input reorders the output, and any number of leads can be asked about.
"""

import itertools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.models.layers import Dense, Dropout, NormGelu

_SMALLEST = 1e-20  # keeps logarithms of probabilities finite
_ROUNDING = 1e-4  # relative power of what rounding leaves of an identity


class ArrangementNet(nn.Module):
    """Log-probabilities of the names of leads.

    Attributes:
      names: of the leads that may occur, in the order of the output.
      patch: samples of the pieces into which a beat is cut.
      features: width of the embedding of a piece.
      hidden: width of everything else.
      num_blocks: residual blocks for each lead.
      num_pair_blocks: and for each pair.
      fine_gain: small deflections, the P wave above all, are shown a second time as softsign(fine_gain * signal).
      dropout_rate: in the blocks, while training.
      dtype: of the computation; parameters and output are float32.
    """

    names: tuple[str, ...]
    patch: int
    features: int
    hidden: int
    num_blocks: int
    num_pair_blocks: int
    fine_gain: float
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, beat: jax.Array, is_training: bool) -> jax.Array:
        """Average beats `[batch, time, lead]` in any order -> `[batch, lead, name]`; `time` is a multiple of `patch`.

        There are at most as many leads as names. Leads that are zero throughout are taken for absent.
        """
        num_leads = beat.shape[2]
        if num_leads > len(self.names):
            raise InputError(f"{num_leads} leads came for {len(self.names)} names", "name more leads, or show fewer")
        beat = jnp.pad(beat, ((0, 0), (0, 0), (0, len(self.names) - num_leads)))
        is_present = jnp.any(beat != 0, axis=1)
        power = jnp.sum(jnp.mean(beat**2, axis=1), axis=1) / jnp.maximum(jnp.sum(is_present, axis=1), 1)
        beat = beat / jnp.sqrt(power + 1e-6)[:, None, None]

        shown = is_present[..., None].astype(jnp.float32)
        lead = self._embed(beat) + Dense(self.hidden, self.dtype, name="algebra")(identity_residuals(beat, self.names))
        others = jnp.sum(shown * nn.gelu(lead), axis=1, keepdims=True) / jnp.maximum(
            jnp.sum(shown, 1, keepdims=True), 1
        )
        lead = lead + Dense(self.hidden, self.dtype, name="others")(others)
        lead = NormGelu(self.dtype, name="lead_norm")(self._blocks("lead", self.num_blocks, lead, is_training))

        unary = shown * Dense(len(self.names), jnp.float32, name="unary")(lead)
        logits = nn.log_softmax(unary)
        chest = [i for i, name in enumerate(self.names) if name in leads.PRECORDIAL_LEADS]
        if len(chest) > 1:
            logits = self._arranged(logits, unary, lead, shown, chest, is_training)
        return logits[:, :num_leads]

    def _embed(self, beat: jax.Array) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, lead, hidden]`, each lead by itself."""
        batch, time, num_leads = beat.shape
        if time % self.patch:
            raise InputError(
                f"an average beat of {time} samples does not divide into pieces of {self.patch}",
                "change model.arrangement_net.patch, or before_s and after_s of beat",
            )
        each = beat.transpose(0, 2, 1)
        views = jnp.stack([each, nn.soft_sign(self.fine_gain * each)], axis=-1).astype(self.dtype)
        x = Dense(self.features, self.dtype, name="piece")(views.reshape(-1, self.patch * 2))
        x = NormGelu(self.dtype, name="piece_norm")(x)
        x = x.reshape(batch * num_leads, time // self.patch * self.features)
        return Dense(self.hidden, self.dtype, name="join")(x).reshape(batch, num_leads, self.hidden)

    def _blocks(self, name: str, num_blocks: int, x: jax.Array, is_training: bool) -> jax.Array:
        for i in range(num_blocks):
            y = NormGelu(self.dtype, name=f"{name}_norm_{i}")(x)
            y = Dropout(self.dropout_rate)(y, is_training)
            x = x + Dense(self.hidden, self.dtype, name=f"{name}_block_{i}")(y)
        return x

    def _arranged(
        self,
        logits: jax.Array,
        unary: jax.Array,
        lead: jax.Array,
        shown: jax.Array,
        chest: list[int],
        is_training: bool,
    ) -> jax.Array:
        """`logits` `[batch, lead, name]` with the chest names of chest leads by the posterior over their orders.

        As many leads are taken for chest leads as there are chest names: those with the best odds, after them absent
        ones, whose odds are even.
        """
        batch, num_names, size = len(lead), len(self.names), len(chest)
        is_chest = np.isin(np.arange(num_names), chest)
        any_chest = jax.nn.logsumexp(logits[:, :, is_chest], axis=2)
        if size < num_names:
            odds = any_chest - jax.nn.logsumexp(logits[:, :, ~is_chest], axis=2)
            ranked = jnp.argsort(-odds * shown[..., 0], axis=1, stable=True)[:, :size]
        else:
            ranked = jnp.broadcast_to(jnp.arange(size), (batch, size))
        # [batch, place, lead]; products with it gather and scatter, gradients included.
        pick = jax.nn.one_hot(ranked, num_names)

        chosen = pick @ lead.astype(jnp.float32)
        chosen_shown = pick @ shown
        of_name = jnp.where(is_chest, unary, 0.0)[:, :, chest]
        orders = Orders(size)
        energy = (pick @ of_name).reshape(batch, size * size) @ orders.of_lead
        pairs = self._pairs(chosen, is_training) * (chosen_shown * chosen_shown.transpose(0, 2, 1))[..., None]
        energy += pairs.reshape(batch, -1) @ orders.of_pair

        posterior = jax.nn.softmax(energy, axis=1)
        marginal = (posterior @ orders.of_lead.T).reshape(batch, size, size)
        arranged = jnp.log(jnp.maximum(marginal, _SMALLEST)) + pick @ any_chest[..., None]
        is_chosen = jnp.sum(pick, axis=1)[..., None] > 0
        spread = (
            jnp.zeros((batch, num_names, num_names)).at[:, :, np.array(chest)].set(pick.transpose(0, 2, 1) @ arranged)
        )
        return jnp.where(is_chosen & is_chest, spread, logits)

    def _pairs(self, chosen: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, place, place, name pair]`: scores of ordered pairs of leads for every pair of chest names."""
        batch, size, _ = chosen.shape
        first = Dense(self.hidden, self.dtype, name="pair_first")(chosen)[:, :, None]
        second = Dense(self.hidden, self.dtype, name="pair_second")(chosen)[:, None]
        x = self._blocks("pair", self.num_pair_blocks, (first + second).reshape(batch * size**2, -1), is_training)
        x = NormGelu(self.dtype, name="pair_norm")(x)
        return Dense(size * (size - 1) // 2, jnp.float32, name="pair")(x).reshape(batch, size, size, -1)


class Orders:
    """All orders of `size` leads, and which lead, and which pair of leads, each puts where."""

    def __init__(self, size: int):
        orders = np.array(list(itertools.permutations(range(size))))
        names = list(itertools.combinations(range(size), 2))
        of_lead = np.zeros((size, size, len(orders)), np.float32)
        of_pair = np.zeros((size, size, len(names), len(orders)), np.float32)
        each = np.arange(len(orders))
        for name in range(size):
            of_lead[orders[:, name], name, each] = 1
        for k, (one, other) in enumerate(names):
            of_pair[orders[:, one], orders[:, other], k, each] = 1
        self.of_lead = of_lead.reshape(-1, len(orders))
        """`[lead * name, order]`"""
        self.of_pair = of_pair.reshape(-1, len(orders))
        """`[lead * lead * name pair, order]`"""


def identity_residuals(beat: jax.Array, names: Sequence[str]) -> jax.Array:
    """`[batch, time, lead]` -> `[batch, lead, role]`: how well each lead plays each role of each identity of `names`.

    The logarithm of the smallest relative power of the weighted sum over all pairs of partners; about -1 for a lead
    whose partners are there, and near 0 for any other. Zero where `names` hold no identity.
    """
    beat = jax.lax.stop_gradient(beat)
    gram = jnp.einsum("btl,btm->blm", beat, beat)
    power = jnp.diagonal(gram, axis1=1, axis2=2)
    x, y, z = power[:, :, None, None], power[:, None, :, None], power[:, None, None, :]
    xy, xz, yz = gram[:, :, :, None], gram[:, :, None, :], gram[:, None, :, :]
    lead = np.arange(beat.shape[2])
    differ = ~np.eye(len(lead), dtype=bool)
    distinct = differ[:, :, None] & differ[:, None, :] & differ[None]
    is_present = distinct & (x > 0) & (y > 0) & (z > 0)
    roles = []
    for identity in leads.IDENTITIES:
        if set(identity) <= set(names):
            a, b, c = identity.values()
            separate = a * a * x + b * b * y + c * c * z
            together = separate + 2 * (a * b * xy + a * c * xz + b * c * yz)
            share = jnp.where(is_present, together / jnp.maximum(separate, _SMALLEST), 1.0)
            roles += [jnp.min(share, axis=others) for others in ((2, 3), (1, 3), (1, 2))]
    if not roles:
        return jnp.zeros((*power.shape, 1))
    return jnp.log(jnp.maximum(jnp.stack(roles, axis=-1), 0.0) + _ROUNDING) / -np.log(_ROUNDING)
