"""Data parallelism: one per-device step, run by `jax.pmap` or `jax.shard_map` over the axis `batch`.

Both take the state and the data whole, on every device, and a batch of indices cut between the devices; both give back
what is the same on every device. So nothing outside this file, checkpoints included, knows how many there are.
Results are the same for any number of devices up to the order of summation, with one exception: dropout masks are
drawn by device.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ecgjax.errors import InputError

AXIS = "batch"
SHARDINGS = ("pmap", "shard_map")

Tree = Any


class Parallel:
    """Places arrays on the devices and compiles per-device steps for them."""

    def __init__(self, sharding: str):
        if sharding not in SHARDINGS:
            raise InputError(f"unknown sharding {sharding!r}", f"use one of {', '.join(SHARDINGS)}")
        self.sharding = sharding
        self.num_devices = jax.device_count()
        self._global_mesh = Mesh(np.array(jax.devices()), (AXIS,))
        # pmap is handed what one process holds, shard_map arrays that span the processes.
        self._mesh = self._global_mesh.local_mesh if sharding == "pmap" else self._global_mesh
        self._cut = NamedSharding(self._mesh, P(AXIS))
        # Place on the axis and device, for those of this process.
        self._own = [
            (place, device) for place, device in enumerate(jax.devices()) if device.process_index == jax.process_index()
        ]
        # Forced host devices share a thread pool: with two steps in flight their collectives wait for each other.
        self._one_at_a_time = jax.default_backend() == "cpu" and self.num_devices > 1

    def check_batch(self, name: str, batch_size: int) -> None:
        """Raises InputError unless the devices can share a batch evenly."""
        if batch_size < 1 or batch_size % self.num_devices:
            raise InputError(
                f"{name} is {batch_size}, for {self.num_devices} devices",
                f"give a positive multiple of {self.num_devices}",
            )

    def replicate(self, tree: Tree) -> Tree:
        """Host arrays, equal in every process -> the same on every device."""
        replicated = NamedSharding(self._mesh, P())
        return jax.tree.map(
            lambda x: jax.make_array_from_callback(np.shape(x), replicated, lambda index: np.asarray(x)[index]), tree
        )

    def shard(self, batch: Tree) -> Tree:
        """Host arrays `[..., batch]` -> `[device, ..., batch / devices]`, a part on each device.

        Every process passes the whole batch and places the parts of its own devices.
        """
        return self.place(jax.tree.map(self.own_parts, batch))

    def own_parts(self, x: np.ndarray) -> np.ndarray:
        """`[..., batch]` -> `[device, ..., batch / devices]` for the devices of this process."""
        parts = np.moveaxis(x.reshape(*x.shape[:-1], self.num_devices, -1), -2, 0)
        return parts[[place for place, _ in self._own]]

    def place(self, parts: Tree) -> Tree:
        """Host arrays `[device, ...]` for the devices of this process, a part on each."""

        def placed(x: np.ndarray) -> jax.Array:
            if jax.process_count() == 1 or self.sharding == "pmap":
                return jax.device_put(x, self._cut)
            arrays = [jax.device_put(x[k : k + 1], device) for k, (_, device) in enumerate(self._own)]
            return jax.make_array_from_single_device_arrays((self.num_devices, *x.shape[1:]), self._cut, arrays)

        return jax.tree.map(placed, parts)

    def compile(
        self, step: Callable[[Tree, Tree, Tree], Tree], *, donate: bool, cut_data: bool = False
    ) -> Callable[[Tree, Tree, Tree], Tree]:
        """Compiles `step(state, data, batch)`, whose results are equal on all devices.

        `state` comes from `replicate`, and `data` too unless it is cut between the devices; `batch` from `shard`.
        `donate` gives up the memory of `state`.
        """
        donated = (0,) if donate else ()
        if self.sharding == "pmap":
            compiled = jax.pmap(
                step,
                AXIS,
                in_axes=(None, 0 if cut_data else None, 0),
                out_axes=None,
                devices=list(self._global_mesh.devices.flat),
                donate_argnums=donated,
            )
        else:

            def on_device(state: Tree, data: Tree, batch: Tree) -> Tree:
                own_data = jax.tree.map(lambda x: x[0], data) if cut_data else data
                return step(state, own_data, jax.tree.map(lambda x: x[0], batch))

            # check_vma=False keeps gradients those of one device until the step averages them, as under pmap.
            compiled = jax.jit(
                jax.shard_map(
                    on_device,
                    mesh=self._global_mesh,
                    in_specs=(P(), P(AXIS) if cut_data else P(), P(AXIS)),
                    out_specs=P(),
                    check_vma=False,
                ),
                donate_argnums=donated,
            )
        if not self._one_at_a_time:
            return compiled
        return lambda *arguments: jax.block_until_ready(compiled(*arguments))


def mean_over_devices(tree: Tree) -> Tree:
    """Means over `AXIS` inside a compiled step, of all arrays in one exchange: between hosts each has its delay."""
    if jax.lax.axis_size(AXIS) == 1:
        return tree
    flat, restored = ravel_pytree(tree)
    return restored(jax.lax.pmean(flat, AXIS))


def any_process(flag: bool) -> bool:
    """Whether `flag` is set in at least one process; every process has to call this at the same step."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def to_host(tree: Tree) -> Tree:
    """Copies of arrays that are equal on all devices; the copies outlive donation."""
    return jax.tree.map(lambda x: np.array(x.addressable_data(0)), tree)
