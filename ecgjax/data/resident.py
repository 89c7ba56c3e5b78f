"""Splits that stay on the device, and the order in which training visits them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.data.split import Split
from ecgjax.fast_random import uniforms

Resident = dict
"""`{"ecg": int16 [record, time, lead], "num_samples": int32 [record] (before the zeros that pad it), "gain": float32
scalar (units per mV), "targets": {name: [record, ...]}}`"""


def resident(split: Split, targets: dict[str, np.ndarray]) -> Resident:
    """The host arrays of a split and its targets, of the types that the device keeps."""
    full = np.full(len(split), split.ecg.shape[1])
    return {
        "ecg": split.ecg,
        "num_samples": split.labels.get("num_samples", full).astype(np.int32),
        "gain": np.float32(split.gain),
        "targets": {name: _device_type(values) for name, values in targets.items()},
    }


def _device_type(values: np.ndarray) -> np.ndarray:
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    return values if values.dtype in (bool, np.int16) else values.astype(np.int32)


def random_crop(data: Resident, index: jax.Array, key: jax.Array, num_samples: int) -> dict[str, jax.Array]:
    """A record as `whole_record` gives it, but `num_samples` of its signal: padding only where it is shorter."""
    room = jnp.maximum(data["num_samples"][index] - num_samples, 0)
    offset = (uniforms(key, ()) * (room + 1)).astype(jnp.int32)
    return _record(data, index, offset, num_samples)


def whole_record(data: Resident, index: jax.Array) -> dict[str, jax.Array]:
    """One record: `signal_mv` `[time, lead]` float32, `num_samples` of it that were recorded, and its targets."""
    return _record(data, index, jnp.int32(0), data["ecg"].shape[1])


def _record(data: Resident, index: jax.Array, offset: jax.Array, num_samples: int) -> dict[str, jax.Array]:
    num_leads = data["ecg"].shape[2]
    ecg = jax.lax.dynamic_slice(data["ecg"], (index, offset, jnp.int32(0)), (1, num_samples, num_leads))[0]
    targets = {name: values[index] for name, values in data["targets"].items()}
    recorded = jnp.clip(data["num_samples"][index] - offset, 0, num_samples)
    return {"signal_mv": ecg.astype(jnp.float32) / data["gain"], "num_samples": recorded, **targets}


class BatchOrder:
    """The records of every step, as a function of the seed alone.

    Batches are cut from an endless row of epochs, so that no record is dropped and a batch may reach into the next
    epoch. An epoch is a permutation; with `weights` `[record]` it is as many draws, each record as often as its weight
    says.
    """

    def __init__(self, num_records: int, batch_size: int, seed: int, weights: np.ndarray | None):
        self.num_records = num_records
        self.batch_size = batch_size
        self.seed = seed
        self._share = None if weights is None else np.asarray(weights, float) / np.sum(weights, dtype=float)
        # A batch seldom touches more than two epochs; the row is never longer in memory than this.
        self._epoch = functools.lru_cache(maxsize=4)(self._drawn)

    def _drawn(self, epoch: int) -> np.ndarray:
        # PCG64 seeded by both: epochs of neighbouring seeds have nothing in common.
        rng = np.random.default_rng([self.seed, epoch])
        if self._share is None:
            return rng.permutation(self.num_records).astype(np.int32)
        return rng.choice(self.num_records, self.num_records, p=self._share).astype(np.int32)

    def indices(self, first_step: int, num_steps: int) -> np.ndarray:
        """`[num_steps, batch]` int32: the records of `num_steps` steps from `first_step` on."""
        start = first_step * self.batch_size
        stop = start + num_steps * self.batch_size
        epochs = range(start // self.num_records, (stop - 1) // self.num_records + 1)
        row = np.concatenate([self._epoch(epoch) for epoch in epochs])
        row = row[start - epochs.start * self.num_records :][: stop - start]
        return row.reshape(num_steps, self.batch_size)
