"""What the machine can do, measured: products of matrices in each type, and copying memory."""

import dataclasses
import functools
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax.extend import backend

from ecgjax.models import DTYPES
from ecgjax.runlog import git_version, hardware

_SMALLEST, _LARGEST = 1024, 16384
"""Rows of matrices."""
_LEAST_S = 0.05
"""Matrices grow until their product takes so long."""
_MEASURED_S = 0.4
_COPIED_BYTES = 1 << 28
"""More than caches hold."""
_FINE = 2.0**-12
"""Beside 1, more digits than TF32 has, and fewer than float32."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """The devices of this process.

    Attributes:
      hardware: devices and processor.
      backend: cpu, gpu or tpu.
      num_devices: that JAX sees.
      flops_per_s: by type, the highest rate of a product of square matrices on one device, at JAX's default precision.
      uses_tf32: whether that default rounds float32 to the ten bits of TF32 in products.
      bytes_per_s: read and written together, the highest rate of a copy on one device.
      versions: of what computes.
      git: commit of this code.
    """

    hardware: str
    backend: str
    num_devices: int
    flops_per_s: dict[str, float]
    uses_tf32: bool
    bytes_per_s: float
    versions: dict[str, str]
    git: str

    def at_best(self, other: "Machine") -> "Machine":
        """The higher of two measurements of each rate."""
        return dataclasses.replace(
            self,
            flops_per_s={name: max(rate, other.flops_per_s[name]) for name, rate in self.flops_per_s.items()},
            bytes_per_s=max(self.bytes_per_s, other.bytes_per_s),
        )


def measured() -> Machine:
    """The machine on which this runs; takes a few seconds."""
    return Machine(
        hardware=hardware(),
        backend=jax.default_backend(),
        num_devices=jax.device_count(),
        flops_per_s={name: _product_flops_per_s(dtype) for name, dtype in DTYPES.items()},
        uses_tf32=_uses_tf32(),
        bytes_per_s=_copied_bytes_per_s(),
        versions={
            "python": platform.python_version(),
            "jax": jax.__version__,
            "jaxlib": jaxlib.__version__,
            "numpy": np.__version__,
            "platform": backend.get_backend().platform_version.splitlines()[0],
            "system": f"{platform.system()} {platform.release()}",
        },
        git=git_version(),
    )


def load_average() -> float:
    """Processes that want a core, over the last minute."""
    return os.getloadavg()[0]


def _product_flops_per_s(dtype: Any) -> float:
    product = jax.jit(jnp.matmul)
    best, size = 0.0, _SMALLEST
    while True:
        keys = jax.random.split(jax.random.key(0))
        a, b = (jax.random.normal(key, (size, size), dtype) for key in keys)
        seconds = _least_s(functools.partial(product, a, b))
        best = max(best, 2 * size**3 / seconds)
        if seconds > _LEAST_S or size == _LARGEST:
            return best
        size *= 2


def _copied_bytes_per_s() -> float:
    values = jnp.ones(_COPIED_BYTES // 4, jnp.float32)
    # What XLA cannot leave out, and costs no more than copying.
    copy = jax.jit(jnp.negative)
    return 2 * _COPIED_BYTES / _least_s(lambda: copy(values))


def _least_s(call: Callable[[], jax.Array]) -> float:
    """Seconds for one call, the least that were seen; of several in a row, so that starting them does not count."""
    call().block_until_ready()
    in_a_row, least, until = 1, float("inf"), time.perf_counter() + _MEASURED_S
    while time.perf_counter() < until:
        began = time.perf_counter()
        # Only the last result is kept: memory for more may not be there.
        for _ in range(in_a_row):
            last = call()
        last.block_until_ready()
        taken_s = time.perf_counter() - began
        least = min(least, taken_s / in_a_row)
        in_a_row = max(in_a_row, min(100, round(_MEASURED_S / 8 / max(taken_s / in_a_row, 1e-9))))
    return least


def _uses_tf32() -> bool:
    values = jnp.full((256, 256), 1 + _FINE, jnp.float32)
    return bool(jnp.any(jax.jit(jnp.matmul)(values, jnp.eye(256)) != values))
