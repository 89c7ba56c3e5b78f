"""The updates of the peers are those of ecgjax, and every way trains on the same records."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import common
from ecgjax import optimizers, state
from ecgjax.data.resident import BatchOrder
from ecgjax.errors import InputError

torch = pytest.importorskip("torch")
trainer = pytest.importorskip("scripts.peers.trainer")

NUM_STEPS = 8


def config_of(**optimizer):
    config = common.base()
    config.num_steps, config.ema_decay, config.batch_size = NUM_STEPS, 0.3, 3
    config.schedule.warmup_fraction, config.schedule.learning_rate = 0.3, 0.1
    config.optimizer.update(optimizer)
    return config


@pytest.mark.parametrize("options", [{"name": "adamw", "weight_decay": 0.3}, {"name": "adam", "clip_norm": 0.0}])
def test_updates_are_those_of_ecgjax(options):
    config, rng = config_of(**options), np.random.default_rng(0)
    params = {name: rng.normal(size=shape).astype(np.float32) for name, shape in (("weight", (2, 3)), ("bias", (2,)))}
    gradients = [
        {name: rng.normal(size=x.shape).astype(np.float32) for name, x in params.items()} for _ in range(NUM_STEPS)
    ]

    network = torch.nn.Linear(3, 2)
    network.load_state_dict({name: torch.tensor(x) for name, x in params.items()})
    updates = trainer.Updates(network, config)
    for gradient in gradients:
        updates.apply(sum((x * torch.tensor(gradient[name])).sum() for name, x in network.named_parameters()))

    schedule = optimizers.build_schedule(config.schedule, NUM_STEPS)
    tx = optimizers.build_optimizer(config.optimizer, schedule)

    @jax.jit
    def one_step(step, params, average, kept, gradient):
        change, kept = tx.update(gradient, kept, params)
        params = optax.apply_updates(params, change)
        return params, state._moved(average, params, config.ema_decay, step), kept

    average, kept = params, jax.jit(tx.init)(params)
    for step, gradient in enumerate(gradients):
        params, average, kept = one_step(jnp.float32(step), params, average, kept, gradient)
    for theirs, ours in ((network, params), (updates.average, average)):
        for name, x in theirs.named_parameters():
            np.testing.assert_allclose(x.detach(), ours[name], atol=1e-5)


@pytest.mark.parametrize("options", [{"name": "lion"}, {"options": "b1=0.8"}])
def test_other_optimisers_are_refused(options):
    with pytest.raises(InputError, match="there is no peer for optimizer.name"):
        trainer.Updates(torch.nn.Linear(3, 2), config_of(**options))


class Means(trainer.Peer):
    """Learns the mean of numbers, and remembers which it was shown."""

    def __init__(self):
        super().__init__()
        self.network = torch.nn.Linear(1, 1)
        # From 0 on every batch is equally far from the mean.
        for weight in self.network.parameters():
            torch.nn.init.zeros_(weight)
        self.seen = []

    def batch(self, index):
        return {"index": index}

    def one(self, index, rng):
        return {"index": np.asarray(index)}

    def loss(self, batch):
        self.seen.append(batch["index"].tolist())
        return (self.network(batch["index"].float()[:, None]) - 5).square().mean()


@pytest.mark.parametrize(
    "way", ["eager", *(pytest.param(way, marks=pytest.mark.slow) for way in ("compile", "loader"))]
)
def test_every_way_trains_on_the_batches_of_the_order(way):
    config, order = config_of(), BatchOrder(10, 3, 0, weights=None)
    peer = Means()
    one = trainer.Trainer(peer, order, config, way, "cpu")
    before = one.cpu_s()
    first = one.train(range(2))
    assert one.train(range(2, NUM_STEPS)) < first
    if way != "compile":
        assert peer.seen == order.indices(0, NUM_STEPS).tolist()
    assert one.cpu_s() > before


def test_computing_in_bfloat16_leaves_weights_and_losses_in_float32():
    config = config_of()
    config.dtype = "bfloat16"
    types = []
    peer = Means()
    peer.network.register_forward_hook(lambda module, inputs, output: types.append(output.dtype))
    trainer.Trainer(peer, BatchOrder(10, 3, 0, weights=None), config, "eager", "cpu").train(range(2))
    assert set(types) == {torch.bfloat16}
    assert jax.tree.all(jax.tree.map(lambda x: x.dtype == torch.float32, list(peer.network.parameters())))
