"""Optimisers and learning-rate schedules by name."""

import ast
import functools
import inspect
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from ecgjax.errors import InputError

_LEFT_OUT = ("lbfgs", "noisy_sgd", "optimistic_adam", "polyak_sgd", "rprop", "sm3")
"""They need a key or the loss, take no schedule, or (optimistic_adam) are deprecated."""

SCHEDULES = ("constant", "cosine", "linear", "exponential", "step", "onecycle")


def optimizer_names() -> tuple[str, ...]:
    """The optimisers of optax that need nothing but gradients and a learning rate."""

    def is_one(name: str) -> bool:
        function = getattr(optax, name)
        # Parts of optimisers are called scale_by_...
        if name.startswith("scale_by_"):
            return False
        if not inspect.isroutine(function) and not isinstance(function, functools.partial):
            return False
        parameters = list(inspect.signature(function).parameters.values())
        takes_rate = bool(parameters) and parameters[0].name == "learning_rate"
        return takes_rate and all(p.default is not p.empty for p in parameters[1:])

    return tuple(name for name in dir(optax) if name not in _LEFT_OUT and is_one(name))


def build_optimizer(config: ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Clipping, the optimiser `config.name`, and weight decay on arrays of two and more dimensions.

    Decay is decoupled for optimisers that have it so (adamw, lion...) and added to the gradient for the others.
    """
    if config.name not in optimizer_names():
        raise InputError(f"unknown optimizer.name {config.name!r}", f"use one of {', '.join(optimizer_names())}")
    constructor = getattr(optax, config.name)
    options = _options(config)
    decays = {"weight_decay", "mask"} <= set(inspect.signature(constructor).parameters)
    steps = []
    if config.clip_norm > 0:
        steps.append(optax.clip_by_global_norm(config.clip_norm))
    if decays:
        options |= {"weight_decay": config.weight_decay, "mask": _matrices}
    # A value that is traced is told apart from none before.
    elif isinstance(config.weight_decay, jax.Array) or config.weight_decay > 0:
        steps.append(optax.add_decayed_weights(config.weight_decay, _matrices))
    return optax.chain(*steps, constructor(schedule, **options))


def _matrices(params: Any) -> Any:
    """True for the arrays that weight decay acts on."""
    return jax.tree.map(lambda x: x.ndim >= 2, params)


def _options(config: ConfigDict) -> dict:
    """`optimizer.options`, "b1=0.9,nesterov=True", as keyword arguments."""
    known = [name for name in inspect.signature(getattr(optax, config.name)).parameters if name != "learning_rate"]
    options = {}
    for item in filter(None, config.options.split(",")):
        name, _, text = item.partition("=")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = None
        if name not in known or value is None:
            raise InputError(
                f"optimizer.options holds {item!r}", f"give NAME=VALUE, the names of {config.name} being {known}"
            )
        options[name] = value
    return options


def build_schedule(config: ConfigDict, num_steps: int) -> optax.Schedule:
    """Step -> learning rate: a linear rise from 0, then `config.name` up to `num_steps`."""
    if config.name not in SCHEDULES:
        raise InputError(f"unknown schedule.name {config.name!r}", f"use one of {', '.join(SCHEDULES)}")
    if not 0 <= config.warmup_fraction < 1 or not 0 <= config.final_fraction <= 1:
        raise InputError(
            f"schedule.warmup_fraction is {config.warmup_fraction} and final_fraction {config.final_fraction}",
            "keep both between 0 and 1",
        )
    peak, final = config.learning_rate, config.learning_rate * config.final_fraction
    warmup = round(config.warmup_fraction * num_steps)
    after = max(num_steps - warmup, 1)
    if config.name == "onecycle":
        if not warmup:
            raise InputError("schedule.warmup_fraction is 0", "a onecycle schedule needs a rise, 0.3 for example")
        return optax.cosine_onecycle_schedule(num_steps, peak, config.warmup_fraction)
    if config.name == "constant":
        body = optax.constant_schedule(peak)
    elif config.name == "cosine":
        body = optax.cosine_decay_schedule(peak, after, alpha=config.final_fraction)
    elif config.name == "linear":
        body = optax.linear_schedule(peak, final, after)
    elif config.name == "exponential":
        if config.final_fraction == 0:
            raise InputError("schedule.final_fraction is 0", "an exponential schedule needs one above 0")
        body = optax.exponential_decay(peak, after, config.final_fraction)
    else:
        body = optax.exponential_decay(peak, max(after // config.num_stages, 1), config.step_factor, staircase=True)
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), body], [warmup]) if warmup else body
