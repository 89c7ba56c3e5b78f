"""InceptionTime: convolutions of three lengths side by side, over and over, and the mean over time."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.sequence_layers import Linear

_MODULES_A_SHORTCUT = 3


class InceptionTime(nn.Module):
    """Inception modules, with a shortcut around every three, then the mean over time and one dense layer.

    One network of the ensemble of Ismail Fawaz et al. 2020, arXiv:1909.04939. Convolutions over fewer samples than
    their kernel are slow on CPU.

    Attributes:
      num_outputs: width of the output.
      num_modules: inception modules.
      features: channels of each of a module's branches.
      bottleneck: channels that the convolutions of a module see.
      kernel_sizes: samples that the convolutions of a module span, one a branch.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    num_modules: int
    features: int
    bottleneck: int
    kernel_sizes: tuple[int, ...]
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> `[batch, num_outputs]`."""
        x = start = signal_mv.astype(self.dtype)
        for i in range(self.num_modules):
            x = nn.relu(self._norm(self._branches(x, i), is_training, f"norm_{i}"))
            if i % _MODULES_A_SHORTCUT == _MODULES_A_SHORTCUT - 1:
                shortcut = self._pointwise(x.shape[-1], f"shortcut_{i}")(start)
                x = start = nn.relu(x + self._norm(shortcut, is_training, f"shortcut_norm_{i}"))
        return nn.Dense(self.num_outputs, name="out")(jnp.mean(x, axis=1, dtype=jnp.float32))

    def _branches(self, x: jax.Array, module: int) -> jax.Array:
        narrow = self._pointwise(self.bottleneck, f"bottleneck_{module}")(x)
        branches = [
            nn.Conv(
                self.features,
                (size,),
                use_bias=False,
                dtype=self.dtype,
                kernel_init=nn.initializers.glorot_uniform(),
                name=f"conv_{module}_{i}",
            )(narrow)
            for i, size in enumerate(self.kernel_sizes)
        ]
        pooled = nn.max_pool(x, (3,), (1,), "SAME")
        return jnp.concatenate([*branches, self._pointwise(self.features, f"pooled_{module}")(pooled)], axis=-1)

    def _pointwise(self, features: int, name: str) -> nn.Module:
        start = nn.initializers.glorot_uniform()
        return Linear(features, self.dtype, use_bias=False, kernel_init=start, name=name)

    def _norm(self, x: jax.Array, is_training: bool, name: str) -> jax.Array:
        return BatchNorm(is_training, self.dtype, self.axis_name, momentum=0.99, epsilon=1e-3, name=name)(x)
