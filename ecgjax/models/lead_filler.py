"""A network that rebuilds missing leads: one linear map a record, and what linear maps cannot do.

The heart is near enough to one dipole that a missing lead is nearly a weighted sum of the others; only the weights
belong to the body, the place of its heart and that of the electrodes. A trunk looks at the average beat of the given
leads and chooses the weights for the record. A second path reads short stretches of the signal, in the light of what
the trunk saw, and adds what no weighted sum of the given leads at that instant holds.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.models.beat_encoder import BeatEncoder
from ecgjax.models.layers import Dense, LayerNorm

_INDEPENDENT = np.array([leads.LEADS.index(name) for name in leads.INDEPENDENT_LEADS])


class LeadFiller(nn.Module):
    """The independent leads in mV from the leads that are given, any of them.

    Attributes:
      num_outputs: has to be the number of independent leads.
      encoder: the trunk.
      stride: samples of a stretch.
      reach: stretches before and behind that are read with it.
      width: of the path that reads them.
      num_layers: of this path, each scaled and shifted as the trunk says.
      path_dropout_rate: in this path, while training.
      dtype: of the computation; parameters and output are float32.
    """

    num_outputs: int
    encoder: BeatEncoder
    stride: int
    reach: int
    width: int
    num_layers: int
    path_dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, 12]` with zeros for leads that are not known -> `[batch, time, 8]`."""
        if self.num_outputs != len(_INDEPENDENT):
            raise InputError(
                f"lead_filler gives {len(_INDEPENDENT)} leads and the task wants {self.num_outputs} outputs",
                "train it with the task reconstruction, or choose another model.name",
            )
        seen = self.encoder(signal_mv, is_training)
        # Which leads are given shows in their being zero, but a layer sees it better in a flag.
        is_given = jnp.any(signal_mv != 0, axis=1).astype(self.dtype)
        seen = nn.gelu(Dense(self.encoder.hidden, self.dtype)(jnp.concatenate([seen, is_given], axis=1)))
        return self._weighted(signal_mv, seen) + self._read(signal_mv, seen, is_training)

    def _weighted(self, signal_mv: jax.Array, seen: jax.Array) -> jax.Array:
        size = len(_INDEPENDENT)
        small = nn.initializers.normal(0.01)
        weights = nn.Dense(size * size, kernel_init=small, name="weights")(seen.astype(jnp.float32))
        return jnp.einsum("bti,bij->btj", signal_mv[:, :, _INDEPENDENT], weights.reshape(-1, size, size))

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
