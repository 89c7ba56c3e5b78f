"""Tiny runs, tasks and networks whose explanations are known in closed form."""

import dataclasses

import fake_task
import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax import experiment
from ecgjax.explain.runs import Run


@dataclasses.dataclass(frozen=True)
class NumberTask(fake_task.FakeTask):
    """A regression of one number from the record as it is."""

    num_views: int = 1

    def predict(self, outputs, batch):
        return {"scores": outputs, "targets": batch["number"].astype(jnp.float32)[:, None]}

    def class_names(self):
        return ("number",)


@dataclasses.dataclass(frozen=True)
class LeadsTask(fake_task.FakeTask):
    """Names the three leads of a record, which come in an order that depends on `shuffle`."""

    num_outputs: int = 3
    num_views: int = 1
    shuffle: int = 0

    def evaluation_view(self, record, view):
        key = jax.random.fold_in(jax.random.key(self.shuffle), record["number"])
        names = jax.random.permutation(key, 3)
        return {**record, "signal_mv": record["signal_mv"][:, names], "names": names}

    def predict(self, outputs, batch):
        ordered = jnp.take_along_axis(outputs, jnp.argsort(batch["names"])[..., None], axis=1)
        return {"scores": jax.nn.softmax(ordered), "targets": jnp.tile(jnp.arange(3), (len(outputs), 1))}

    def class_names(self):
        return ("I", "II", "III")


class Quadratic(nn.Module):
    """Sums of a weight times the input and half of its square."""

    @nn.compact
    def __call__(self, signal_mv, is_training):
        weight = self.param("weight", nn.initializers.normal(), signal_mv.shape[1:])
        return jnp.sum(weight * signal_mv + 0.5 * signal_mv**2, axis=(1, 2))[:, None]


class Waves(nn.Module):
    """Sums of sines of the input."""

    @nn.compact
    def __call__(self, signal_mv, is_training):
        return jnp.sum(jnp.sin(3 * signal_mv), axis=(1, 2))[:, None]


class EachLead(nn.Module):
    """Scores every lead by itself; leads are folded into the batch, and time comes first in `timewise`."""

    @nn.compact
    def __call__(self, signal_mv, is_training):
        batch, time, num_leads = signal_mv.shape
        folded = signal_mv.transpose(1, 0, 2).reshape(time, batch * num_leads, 1)
        x = nn.tanh(nn.Dense(5, name="timewise")(folded))
        x = nn.tanh(nn.Dense(6, name="folded")(jnp.mean(x, axis=0)))
        self.sow("intermediates", "pairs", jnp.repeat(x, 2, axis=0))
        x = x.reshape(batch, num_leads, -1)
        nn.Dense(4, name="together")(jnp.mean(x, axis=1))
        return nn.Dense(3, name="name")(x)


def fake_run(num_records=11, task=None, module=None, seed=0) -> Run:
    """Records of the fake task, with a network that has random weights."""
    config = fake_task.fake_config()
    split = fake_task.fake_split("test", num_records)
    with fake_task.installed():
        built = experiment.build(config, split)
    built = dataclasses.replace(built, task=task or built.task, module=module or built.module)
    start = jax.jit(lambda key: built.module.init(key, jnp.zeros((1, 40, 3)), is_training=False))
    variables = start(jax.random.key(seed))
    return Run(built, built.parallel.replicate(variables), split, built.resident(split))
