"""A network that rebuilds missing leads: sources seen through the given ones, and what no weighted sum can hold.

The leads of a heart are weighted sums of a few sources. Were the weights known, the sources would follow from whichever
leads are given, and all other leads from the sources; so one matrix of weights serves every subset of leads. It belongs
to the body, the place of its heart and that of the electrodes: a trunk looks at the average beat of the given leads and
bends it for the record. A second path reads short stretches of the signal, in the light of what the trunk saw, and adds
what no weighted sum of the given leads at that instant holds.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.augment import DOWER
from ecgjax.errors import InputError
from ecgjax.models.beat_encoder import BeatEncoder
from ecgjax.models.layers import Dense, LayerNorm

_NUM_INDEPENDENT = len(leads.INDEPENDENT_LEADS)
_FROM_INDEPENDENT = leads.LEADS_FROM_INDEPENDENT.astype(np.float32)

_SOURCE_MV = 0.2
"""What a source adds to a lead, roughly."""


def _dipole_first(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Weights `[lead, source]` of a dipole in an average body, and of sources that hardly show yet."""
    weights = 0.1 * _SOURCE_MV * jax.random.normal(key, shape)
    return weights.at[:, : DOWER.shape[1]].add(_SOURCE_MV * DOWER)


class LeadFiller(nn.Module):
    """The independent leads in mV from the leads that are given, any of them.

    Attributes:
      num_outputs: has to be the number of independent leads.
      encoder: the trunk.
      num_sources: three of them begin as the dipole of an average body.
      stride: samples of a stretch.
      reach: stretches before and behind that are read with it.
      width: of the path that reads them.
      num_layers: of this path, each scaled and shifted as the trunk says.
      path_dropout_rate: in this path, while training.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    encoder: BeatEncoder
    num_sources: int
    stride: int
    reach: int
    width: int
    num_layers: int
    path_dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, 12]` with zeros for leads that are not known -> `[batch, time, 8]`."""
        if self.num_outputs != _NUM_INDEPENDENT:
            raise InputError(
                f"lead_filler gives {_NUM_INDEPENDENT} leads and the task wants {self.num_outputs} outputs",
                "train it with the task reconstruction, or choose another model.name",
            )
        seen = self.encoder(signal_mv, is_training)
        # Which leads are given shows in their being zero, but a layer sees it better in a flag.
        is_known = jnp.any(signal_mv != 0, axis=1)
        seen = nn.gelu(Dense(self.encoder.hidden, self.dtype)(jnp.concatenate([seen, is_known], axis=1)))
        return self._from_sources(signal_mv, is_known, seen) + self._read(signal_mv, seen, is_training)

    def _from_sources(self, signal_mv: jax.Array, is_known: jax.Array, seen: jax.Array) -> jax.Array:
        """The independent leads, of sources with unit power that are estimated by ridge regression."""
        shape = (_NUM_INDEPENDENT, self.num_sources)
        weights = self.param("sources", _dipole_first, shape)
        bent = nn.Dense(shape[0] * shape[1], kernel_init=nn.initializers.normal(0.01), name="bend")
        weights += _SOURCE_MV * bent(seen.astype(jnp.float32)).reshape(-1, *shape)
        noise_mv = jnp.exp(self.param("log_noise_mv", nn.initializers.constant(np.log(0.02)), ()))

        seen_through = (_FROM_INDEPENDENT @ weights) * is_known[:, :, None]
        power = jnp.swapaxes(seen_through, 1, 2) @ seen_through + noise_mv**2 * jnp.eye(self.num_sources)
        to_sources = jnp.linalg.solve(power, jnp.swapaxes(seen_through, 1, 2))
        return signal_mv @ jnp.swapaxes(weights @ to_sources, 1, 2)

    def _read(self, signal_mv: jax.Array, seen: jax.Array, is_training: bool) -> jax.Array:
        """Stretches that overlap by half, faded into each other."""
        batch, time, num_leads = signal_mv.shape
        surplus = -time % self.stride
        whole = jnp.pad(signal_mv, ((0, 0), (0, surplus), (0, 0)))
        number = whole.shape[1] // self.stride
        shown = jnp.concatenate([2 * whole, nn.soft_sign(self.encoder.fine_gain * whole)], axis=-1).astype(self.dtype)
        stretches = shown.reshape(batch, number, self.stride * 2 * num_leads)
        padded = jnp.pad(stretches, ((0, 0), (self.reach, self.reach), (0, 0)))
        x = jnp.concatenate([padded[:, i : i + number] for i in range(2 * self.reach + 1)], axis=-1)

        x = Dense(self.width, self.dtype, name="embed")(x.reshape(batch * number, -1))
        for i in range(self.num_layers):
            scale, shift = jnp.split(Dense(2 * self.width, self.dtype, name=f"light_{i}")(seen)[:, None], 2, axis=-1)
            y = LayerNorm(self.dtype, name=f"norm_{i}")(x).reshape(batch, number, -1)
            y = nn.gelu(y * (1 + scale) + shift)
            y = nn.Dropout(self.path_dropout_rate, deterministic=not is_training)(y)
            x = x + Dense(self.width, self.dtype, name=f"layer_{i}")(y.reshape(batch * number, -1))
        x = nn.gelu(LayerNorm(self.dtype, name="last_norm")(x))
        x = Dense(2 * self.stride * self.num_outputs, jnp.float32, name="write")(x)

        rising, falling = jnp.moveaxis(x.reshape(batch, number, 2, self.stride, self.num_outputs), 2, 0)
        share = ((jnp.arange(self.stride) + 0.5) / self.stride)[:, None]
        before = jnp.pad(falling[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
        faded = rising * share + before * (1 - share)
        return faded.reshape(batch, number * self.stride, self.num_outputs)[:, :time]
