"""Networks that read one beat in twelve leads: when the sites of a heart fire, and what their potentials do then."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.layers import Dense, LayerNorm

_UPSTROKE_MS = 0.4
_NOTCH_MS = 12.0
_PLATEAU_MS = 300.0
_INITIAL_HEIGHT = 0.85


class HeartEncoder(nn.Module):
    """Convolutions, each of which halves the time axis, then dense layers over the whole beat.

    Attributes:
      num_samples: of the beat that are read; a longer signal is cut there.
      fine: samples averaged before the convolutions.
      features: channels of each convolution.
      kernel_size: of all of them.
      hidden: width of the layers over the whole beat.
      num_blocks: residual blocks over it.
      dropout_rate: within the blocks.
      dtype: of the computation; parameters are float32.
    """

    num_samples: int
    fine: int
    features: tuple[int, ...]
    kernel_size: int
    hidden: int
    num_blocks: int
    dropout_rate: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, hidden]`."""
        batch, _, num_leads = signal_mv.shape
        x = signal_mv[:, : self.num_samples - self.num_samples % self.fine]
        x = jnp.mean(x.reshape(batch, -1, self.fine, num_leads), axis=2)
        for width in self.features:
            x = nn.Conv(width, (self.kernel_size,), strides=2, use_bias=False, dtype=self.dtype)(x)
            x = nn.gelu(LayerNorm(self.dtype)(x))
        x = Dense(self.hidden, self.dtype)(x.reshape(batch, -1))
        for _ in range(self.num_blocks):
            y = nn.gelu(Dense(self.hidden, self.dtype)(LayerNorm(self.dtype)(x)))
            y = nn.Dropout(self.dropout_rate, deterministic=not is_training)(y)
            x += Dense(self.hidden, self.dtype)(y)
        return LayerNorm(self.dtype)(x)


class ActivationReader(nn.Module):
    """One time for each site.

    Attributes:
      num_outputs: sites.
      encoder: the trunk.
    """

    num_outputs: int
    encoder: HeartEncoder

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`."""
        return Dense(self.num_outputs, jnp.float32)(self.encoder(signal_mv, is_training))


class PotentialReader(nn.Module):
    """Two times for each site, when it fires and how long it stays so, and a learnt action potential that they bend.

    What the network has to find in the record are numbers; the shape of what follows from them is one for each site:
    a sharp upstroke, a notch, a falling plateau and a repolarisation that may end sharper than it begins.

    Attributes:
      num_outputs: sites.
      centre_ms: of the time at which a site fires, and of how long it stays so: what outputs of 0 mean.
      spread_ms: of both: what an output of 1 adds.
      sample_ms: time between samples.
      encoder: the trunk.
    """

    num_outputs: int
    centre_ms: tuple[float, float]
    spread_ms: tuple[float, float]
    sample_ms: float
    encoder: HeartEncoder

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, time, num_outputs]`, 0 at rest and about 1 at the peak."""
        found = Dense(2 * self.num_outputs, jnp.float32)(self.encoder(signal_mv, is_training))
        found = found.reshape(-1, 2, self.num_outputs) * jnp.array(self.spread_ms)[:, None]
        fires_ms, lasts_ms = jnp.moveaxis(found + jnp.array(self.centre_ms)[:, None], 1, 0)
        since_ms = self.sample_ms * jnp.arange(signal_mv.shape[1])[:, None] - fires_ms[:, None]

        def of_site(name: str, initial: float) -> jax.Array:
            return self.param(name, nn.initializers.constant(initial), (self.num_outputs,))

        after_ms = jnp.maximum(since_ms, 0.0)
        early = after_ms / _NOTCH_MS
        plateau = 1 - of_site("fall", 0.2) * after_ms / _PLATEAU_MS - of_site("notch", 0.0) * early * jnp.exp(1 - early)
        left = (since_ms - lasts_ms[:, None]) * jnp.exp(of_site("log_steepness", -3.0))
        # A logistic fall for an exponent of 1; the higher, the slower it begins and the sharper it ends.
        down = jnp.exp(-jnp.exp(of_site("log_asymmetry", 0.0)) * jax.nn.softplus(left))
        height = of_site("height", _INITIAL_HEIGHT)
        return of_site("rest", 0.0) + height * jax.nn.sigmoid(since_ms / _UPSTROKE_MS) * plateau * down
