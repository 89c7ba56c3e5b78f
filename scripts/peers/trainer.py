"""What every peer in PyTorch offers, and what trains it: the updates of `ecgjax.optimizers` and `ecgjax.state`.

A peer is written as somebody would who wants PyTorch to be fast: whole batches, data in memory, nothing repeated. Its
way "loader" is the one of published projects instead: workers that load and augment record by record in NumPy.
"""

import abc
import copy
import os
import time
from collections.abc import Iterator

import jax
import numpy as np
import threadpoolctl
import torch
from ml_collections import ConfigDict
from torch import nn
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from ecgjax.data.resident import BatchOrder
from ecgjax.errors import InputError
from ecgjax.optimizers import build_schedule

WAYS = ("eager", "compile", "loader")
"""Data in memory; the same with torch.compile; and record by record in workers."""

Batch = dict[str, torch.Tensor]

_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Peer(nn.Module, abc.ABC):
    """A task's network and records. Tensors that are not weights are buffers, so that `to` takes all to a device.

    Attributes:
      network: the network of the task's default config; its `load_flax(variables)` takes over the weights of ours.
    """

    network: nn.Module

    @abc.abstractmethod
    def batch(self, index: torch.Tensor) -> Batch:
        """The records `index` int64 `[batch]`, cropped and augmented all at once, and their targets."""

    @abc.abstractmethod
    def one(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The same of one record in NumPy."""

    @abc.abstractmethod
    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean loss of the network on a batch."""


class Updates:
    """Clipping, Adam or AdamW, schedule and moving average, as the config says."""

    def __init__(self, network: nn.Module, config: ConfigDict):
        options = config.optimizer
        if options.name not in _OPTIMIZERS or options.options or config.init:
            raise InputError(
                f"there is no peer for optimizer.name={options.name}, optimizer.options={options.options!r}, "
                f"init={config.init!r}",
                f"use one of {', '.join(_OPTIMIZERS)} and nothing else",
            )
        self._clip_norm, self._decay = options.clip_norm, config.ema_decay
        self._weights = list(network.parameters())
        matrices, others = [x for x in self._weights if x.ndim >= 2], [x for x in self._weights if x.ndim < 2]
        groups = [{"params": matrices, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = _OPTIMIZERS[options.name](groups, fused=True)
        schedule = build_schedule(config.schedule, config.num_steps)
        self._rates = np.asarray(jax.vmap(schedule)(np.arange(config.num_steps))).tolist()
        self._current = _averaged(network)
        self.average = copy.deepcopy(network) if self._decay else None
        """The network with the averaged weights."""
        self._average = [] if self.average is None else _averaged(self.average)
        self._step = 0

    def apply(self, loss: torch.Tensor) -> None:
        """One step down the gradient of `loss`; beyond `num_steps` at the last rate."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._clip_norm > 0:
            nn.utils.clip_grad_norm_(self._weights, self._clip_norm, foreach=True)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rates[min(self._step, len(self._rates) - 1)]
        self._optimizer.step()
        if self._average:
            decay = min(self._decay, (1 + self._step) / (10 + self._step))
            with torch.no_grad():
                torch._foreach_lerp_(self._average, self._current, 1 - decay)
        self._step += 1


def _averaged(network: nn.Module) -> list[torch.Tensor]:
    """Weights and running statistics."""
    return [x for x in network.state_dict().values() if x.is_floating_point()]


class Trainer:
    """Trains a peer on the batches of `order` in one of WAYS."""

    def __init__(self, peer: Peer, order: BatchOrder, config: ConfigDict, way: str, device: str):
        self._device, self._order = torch.device(device), order
        self._loader = _load(peer, config.seed, pin=self._device.type == "cuda") if way == "loader" else None
        self._worker_cpu_s: dict[int, float] = {}
        self._peer = peer.to(self._device).train()
        self.updates = Updates(self._peer.network, config)
        self._autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=config.dtype == "bfloat16")
        self._loss = torch.compile(self._loss_of_records) if way == "compile" else self._loss_of_records

    def train(self, steps: range) -> float:
        """Does these steps of the order; the loss of the last one."""
        for loss in self._losses(steps):
            self.updates.apply(loss)
        return loss.item()

    def cpu_s(self) -> float:
        """Processor time so far, that of the workers included."""
        return time.process_time() + sum(self._worker_cpu_s.values())

    def _losses(self, steps: range) -> Iterator[torch.Tensor]:
        if self._loader is None:
            for step in steps:
                index = torch.from_numpy(self._order.indices(step, 1)[0]).long()
                yield self._loss(index.to(self._device, non_blocking=True))
            return
        self._loader.batch_sampler.batches = [self._order.indices(step, 1)[0].tolist() for step in steps]
        for worker, cpu_s, batch in self._loader:
            self._worker_cpu_s[worker] = cpu_s
            yield self._loss_of({name: x.to(self._device, non_blocking=True) for name, x in batch.items()})

    def _loss_of_records(self, index: torch.Tensor) -> torch.Tensor:
        return self._loss_of(self._peer.batch(index))

    def _loss_of(self, batch: Batch) -> torch.Tensor:
        with self._autocast:
            return self._peer.loss(batch)


def _load(peer: Peer, seed: int, pin: bool) -> DataLoader:
    """A worker for every core; they stay, and begin with each call of `iter` on the batches then set."""
    return DataLoader(
        _Records(copy.deepcopy(peer)),
        batch_sampler=_Batches(),
        num_workers=len(os.sched_getaffinity(0)),
        collate_fn=_collate,
        pin_memory=pin,
        worker_init_fn=_begin_worker,
        multiprocessing_context="spawn",
        generator=torch.Generator().manual_seed(seed),
        persistent_workers=True,
    )


class _Batches:
    """The records of the next steps."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


class _Records(Dataset):
    """One record after another as `Peer.one` gives it."""

    def __init__(self, peer: Peer):
        self._peer = peer
        self._rng: np.random.Generator | None = None

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if self._rng is None:
            # Every worker has a seed of its own.
            self._rng = np.random.default_rng(torch.initial_seed())
        return self._peer.one(index, self._rng)


def _collate(records: list[dict[str, np.ndarray]]) -> tuple[int, float, Batch]:
    """The worker, its processor time so far, and the batch."""
    return get_worker_info().id, time.process_time(), default_collate(records)


def _begin_worker(worker: int) -> None:
    # The workers share the cores: threads of their own would only get in each other's way.
    threadpoolctl.threadpool_limits(1)
