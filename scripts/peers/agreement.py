"""Whether a peer does what the task and the network of ecgjax do; asked before anything is timed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from ml_collections import ConfigDict

from ecgjax import models, tasks
from ecgjax.data.split import Split
from scripts.peers.trainer import Peer

Shown = dict[str, np.ndarray]

HARDLY = 1e-9
"""Deviation of a gain: without any, a task leaves the body, and with it the rounding of derived leads, as they are."""


def check(
    build: Callable[[ConfigDict, Split], Peer],
    config: ConfigDict,
    train: Split,
    quiet: dict[str, float],
    compared: Callable[[Shown], np.ndarray],
) -> None:
    """Raises AssertionError unless both show records alike, and outputs and loss on the same weights and batch agree.

    `quiet` are the fields of the config that leave nothing to chance in a view of whole records, from which `compared`
    takes what then has to be equal. Networks are compared on views that chance has changed.
    """
    few = train.select(np.arange(min(32, len(train))))
    whole = ConfigDict(config.to_dict())
    whole.data.crop_s = len(few.ecg[0]) / few.fs_hz
    whole.model[whole.model.name].dropout_rate = 0.0
    check_network(build(whole, few), whole, few, shown_here(whole, few))
    whole.update_from_flattened_dict(quiet)
    peer, expected = build(whole, few), compared(shown_here(whole, few))
    index, rng = np.arange(len(few)), np.random.default_rng(0)
    batch = {name: x.numpy() for name, x in peer.batch(torch.from_numpy(index)).items()}
    np.testing.assert_allclose(compared(batch), expected, atol=1e-4)
    each = [peer.one(int(i), rng) for i in index]
    batch = {name: np.stack([one[name] for one in each]) for name in each[0]}
    np.testing.assert_allclose(compared(batch), expected, atol=1e-4)


def shown_here(config: ConfigDict, train: Split) -> Shown:
    """What the task of `config` shows in training of all records of `train`, whole."""
    task = tasks.build(config)
    num_samples = np.full(len(train), train.ecg.shape[1], np.int32)
    records = {"signal_mv": train.ecg / np.float32(train.gain), "num_samples": num_samples, **task.targets(train)}
    keys = jax.random.split(jax.random.key(0), len(train))
    return jax.tree.map(np.array, jax.jit(jax.vmap(task.training_view))(keys, records))


def check_network(peer: Peer, config: ConfigDict, train: Split, shown: Shown) -> None:
    """Outputs and mean loss of both networks on the batch `shown`."""
    task = tasks.build(config)
    module = models.build(config.model, task.num_outputs, jnp.dtype("float32"), None)
    variables = jax.jit(lambda key: module.init(key, shown["signal_mv"], is_training=False))(jax.random.key(0))
    rng = np.random.default_rng(0)
    # Biases begin as zeros and scales as ones, which would hide a mix-up.
    variables = jax.tree.map(lambda x: x if x.ndim > 1 else x + 0.1 * abs(rng.standard_normal(x.shape)), variables)
    variables = jax.tree.map(lambda x: np.asarray(x, np.float32), variables)
    statistics = [name for name in variables if name != "params"]

    def ours(is_training: bool) -> jax.Array:
        rngs = {"dropout": jax.random.key(1)}
        return module.apply(variables, shown["signal_mv"], is_training, mutable=statistics, rngs=rngs)[0]

    peer.network.load_flax(variables)
    batch = {name: torch.from_numpy(x) for name, x in shown.items()}
    with torch.no_grad():
        outputs = peer.eval().network(batch["signal_mv"])
        np.testing.assert_allclose(outputs, jax.jit(ours, static_argnums=0)(False), atol=1e-3)
        loss = peer.train().loss(batch)
    expected = jax.jit(lambda: jnp.mean(task.loss(ours(True), jax.tree.map(jnp.asarray, shown))))()
    np.testing.assert_allclose(loss, expected, atol=1e-3)
