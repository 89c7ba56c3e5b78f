"""What training changes: one pytree, and the step that changes it."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ecgjax.data.resident import Resident, random_crop
from ecgjax.parallel import AXIS, mean_over_devices
from ecgjax.tasks.task import Record, Task

Variables = dict[str, Any]
"""`{"params": ..., "batch_stats": ...}`, the second where the network has running statistics."""


class TrainState(flax.struct.PyTreeNode):
    """Everything that a checkpoint holds of the network.

    Attributes:
      step: steps taken.
      variables: weights and running statistics.
      average: their moving average, which evaluation uses; empty when `ema_decay` is 0.
      optimizer: state of the optimiser.
      window: sums of the logged figures since the last line of the log.
      bad_step: the first step whose loss or gradient was not finite, or -1.
    """

    step: jax.Array
    variables: Variables
    average: Variables
    optimizer: optax.OptState
    window: dict[str, jax.Array]
    bad_step: jax.Array

    def evaluated(self) -> Variables:
        """The variables that evaluation uses."""
        return self.average or self.variables


def create(
    key: jax.Array, module: nn.Module, signal_shape: tuple[int, int], tx: optax.GradientTransformation, ema_decay: float
) -> TrainState:
    """A fresh state for signals of `signal_shape` `(time, lead)`."""
    variables: Any = module.init({"params": key}, jnp.zeros((1, *signal_shape)), is_training=False)
    return TrainState(
        step=jnp.int32(0),
        variables=variables,
        # A copy, since donation may not meet the same memory twice.
        average=jax.tree.map(jnp.copy, variables) if ema_decay else {},
        optimizer=tx.init(variables["params"]),
        window={"loss": jnp.float32(0), "grad_norm": jnp.float32(0)},
        bad_step=jnp.int32(-1),
    )


def initial_key(seed: int | jax.Array) -> jax.Array:
    """The key of the initial weights."""
    return jax.random.fold_in(jax.random.key(seed), 0)


def step_key(seed: int | jax.Array) -> jax.Array:
    """The key that every step folds its number into."""
    return jax.random.fold_in(jax.random.key(seed), 1)


def num_parameters(state: TrainState) -> int:
    """Trained weights, running statistics left out."""
    return sum(x.size for x in jax.tree.leaves(state.variables["params"]))


def make_train_step(
    config: ConfigDict,
    task: Task,
    module: nn.Module,
    *,
    tx: optax.GradientTransformation,
    schedule: optax.Schedule,
    crop_samples: int,
) -> Callable[[TrainState, Resident, dict], tuple[TrainState, dict]]:
    """The per-device function `(state, data, {"index": [step, batch]}) -> (state, figures)`.

    Gathers, crops, augments and trains; `figures` are `loss` and `grad_norm`, means since the last line of the log,
    `learning_rate`, and `bad_step`. Every record has a key of its own, made of the seed, the step and its place in
    the batch over all devices, so that augmentation does not depend on their number.
    """

    def one_step(state: TrainState, data: Resident, index: jax.Array) -> tuple[TrainState, dict]:
        view_key, dropout_key = jax.random.split(jax.random.fold_in(step_key(config.seed), state.step))
        place = jax.lax.axis_index(AXIS) * index.shape[0] + jnp.arange(index.shape[0])

        def view(record: jax.Array, place: jax.Array) -> Record:
            crop_key, task_key = jax.random.split(jax.random.fold_in(view_key, place))
            return task.training_view(task_key, random_crop(data, record, crop_key, crop_samples))

        batch = jax.vmap(view)(index, place)
        params, statistics = state.variables["params"], _without_params(state.variables)
        rngs = {"dropout": jax.random.fold_in(dropout_key, jax.lax.axis_index(AXIS))}

        def mean_loss(params: Any) -> tuple[jax.Array, Any]:
            outputs, updated = module.apply(
                {"params": params, **statistics},
                batch["signal_mv"],
                is_training=True,
                mutable=list(statistics),
                rngs=rngs,
            )
            return jnp.mean(task.loss(outputs, batch).astype(jnp.float32)), updated

        (loss, statistics), gradients = jax.value_and_grad(mean_loss, has_aux=True)(params)
        loss, statistics, gradients = mean_over_devices((loss, statistics, gradients))
        updates, optimizer = tx.update(gradients, state.optimizer, params)
        variables = {"params": optax.apply_updates(params, updates), **statistics}

        norm = optax.tree.norm(gradients)
        window = _add(state.window, {"loss": loss, "grad_norm": norm}, state.step % config.log_every == 0)
        bad = ~(jnp.isfinite(loss) & jnp.isfinite(norm))
        new = TrainState(
            step=state.step + 1,
            variables=variables,
            average=_moved(state.average, variables, config.ema_decay, state.step) if config.ema_decay else {},
            optimizer=optimizer,
            window=window,
            bad_step=jnp.where(bad & (state.bad_step < 0), state.step + 1, state.bad_step),
        )
        num_steps = (state.step % config.log_every + 1).astype(jnp.float32)
        figures = {name: total / num_steps for name, total in window.items()}
        return new, {**figures, "learning_rate": jnp.float32(schedule(state.step)), "bad_step": new.bad_step}

    def steps(state: TrainState, data: Resident, batch: dict) -> tuple[TrainState, dict]:
        index = batch["index"]
        if index.shape[0] == 1:
            return one_step(state, data, index[0])
        state, figures = jax.lax.scan(lambda state, index: one_step(state, data, index), state, index)
        return state, jax.tree.map(lambda x: x[-1], figures)

    return steps


def _without_params(variables: Variables) -> Variables:
    return {name: collection for name, collection in variables.items() if name != "params"}


def _add(window: dict[str, jax.Array], new: dict[str, jax.Array], starts: jax.Array) -> dict[str, jax.Array]:
    """The sums with `new` added, begun anew where the window `starts`."""
    return {name: jnp.where(starts, 0.0, window[name]) + value for name, value in new.items()}


def _moved(average: Variables, variables: Variables, decay: float, step: jax.Array) -> Variables:
    """The moving average one step on, running statistics included, so that these belong to the averaged weights.

    The decay grows from 0.1 to `decay`, so that the random initial weights are soon forgotten.
    """
    rate = 1.0 - jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda old, new: old + rate * (new - old), average, variables)
