"""The compiled steps of a case, as training and evaluation run them, in blocks that can be timed."""

import collections
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ecgjax.benchmark.cost import Arguments, Cost, shapes, step_cost
from ecgjax.benchmark.timing import Block
from ecgjax.data.feed import Feed
from ecgjax.data.resident import BatchOrder
from ecgjax.data.split import Split
from ecgjax.evaluate import make_evaluation_step
from ecgjax.experiment import Experiment

_ENDLESS = 1 << 30
"""Calls that a feed is told to expect."""

_WARM_UPS = 4
"""Blocks, each of which tells better how many calls the next one should have."""

_AHEAD = 32
"""Calls of evaluation that may be under way at once: their results wait in memory."""


class Steps:
    """A step that is called again and again, each time with the next arguments.

    Attributes:
      first_s: seconds that the first call took, most of which goes into compiling.
      num_steps: in one call.
      num_records: that one call sees.
      cost: of one step, on one device.
    """

    def __init__(
        self, call: Callable[[], Any], cost: Callable[[], Cost], *, num_steps: int, num_records: int, lead_in: int
    ):
        self._call = call
        self._lead_in = lead_in
        self.num_steps = num_steps
        self.num_records = num_records
        began = time.perf_counter()
        jax.block_until_ready(call())
        self.first_s = time.perf_counter() - began
        self.cost = cost()
        self._num_calls = 1

    def set_block(self, seconds: float) -> None:
        """Chooses how many calls make a block that lasts about so long; also a warm-up."""
        for _ in range(_WARM_UPS):
            call_s = self.block().wall_s / self._num_calls
            if call_s > seconds:
                break
            # A call alone takes longer than one in a row of them.
            self._num_calls = max(1, round(seconds / call_s))

    def block(self) -> Block:
        """Runs and times a block, until all of its results are there."""
        # What was read ahead before the block shall not shorten it.
        for _ in range(self._lead_in):
            jax.block_until_ready(self._call())
        wall, cpu = time.perf_counter(), time.process_time()
        under_way: collections.deque = collections.deque()
        for _ in range(self._num_calls):
            under_way.append(self._call())
            if len(under_way) > _AHEAD:
                jax.block_until_ready(under_way.popleft())
        jax.block_until_ready(list(under_way))
        return Block(
            steps=self._num_calls * self.num_steps,
            records=self._num_calls * self.num_records,
            wall_s=time.perf_counter() - wall,
            cpu_s=time.process_time() - cpu,
        )


class TrainingRun:
    """Training without its log, validations and checkpoints: step after step from the first one on.

    Attributes:
      num_steps: `steps_per_dispatch`, those of one call.
      feed: brings the records.
      step: the compiled step.
      state: after the last call.
    """

    def __init__(self, built: Experiment, split: Split):
        config, parallel = built.config, built.parallel
        self.num_steps = config.steps_per_dispatch
        self.feed = built.feed(split)
        self.step = parallel.compile(built.train_step(), donate=True, cut_data=self.feed.cuts_data)
        self.state = parallel.replicate(built.initial_state())
        self.order = BatchOrder(len(split), config.batch_size, config.seed, built.task.sampling_weights(split))
        self._batches = self.feed(_ENDLESS, self._block)

    def _block(self, number: int) -> dict[str, np.ndarray]:
        return {"index": self.order.indices(number * self.num_steps, self.num_steps)}

    def call(self) -> Any:
        """The figures of the next steps, which may still be under way."""
        self.state, figures = self.step(self.state, *next(self._batches))
        return figures

    def train(self, num_steps: int) -> None:
        """Does so many steps, a multiple of those of a call, and returns when they are done."""
        for _ in range(0, num_steps, self.num_steps):
            self.call()
        jax.block_until_ready(self.state)


def training(built: Experiment, split: Split) -> Steps:
    """Optimiser steps, `steps_per_dispatch` in a call."""
    config, run = built.config, TrainingRun(built, split)
    arguments = run.state, *next(iter(run.feed(1, lambda number: {"index": run.order.indices(0, 1)})))
    return Steps(
        run.call,
        _cost(built, run.feed, run.step, arguments, config.batch_size),
        num_steps=run.num_steps,
        num_records=run.num_steps * config.batch_size,
        lead_in=config.data.batches_ahead if run.feed.cuts_data else 0,
    )


def inference(built: Experiment, split: Split) -> Steps:
    """What scores records, view after view: in every step one batch, as `Evaluator` has it."""
    config, parallel = built.config.evaluation, built.parallel
    feed = built.feed(split)
    evaluate = make_evaluation_step(built.task, built.module, built.windows(config.window_stride_s))
    step = parallel.compile(evaluate, donate=False, cut_data=feed.cuts_data)
    variables = parallel.replicate(built.initial_state().evaluated())
    num_views = built.task.num_views

    def block(number: int) -> dict[str, np.ndarray]:
        place = number * config.batch_size + np.arange(config.batch_size)
        index = place // num_views % len(split)
        return {"index": index.astype(np.int32), "view": (place % num_views).astype(np.int32)}

    batches = feed(_ENDLESS, block)
    arguments = variables, *next(iter(feed(1, block)))
    return Steps(
        lambda: step(variables, *next(batches)),
        _cost(built, feed, step, arguments, config.batch_size),
        num_steps=1,
        num_records=config.batch_size,
        lead_in=built.config.data.batches_ahead if feed.cuts_data else 0,
    )


def _cost(built: Experiment, feed: Feed, step: Callable, arguments: Arguments, batch_size: int) -> Callable[[], Cost]:
    """What works out the cost of a step, also when its arguments are donated."""
    kept = shapes(arguments)
    # All that is streamed is read.
    num_read = len(arguments[1]["num_samples"]) if feed.cuts_data else batch_size // built.parallel.num_devices
    return lambda: step_cost(step, kept, num_read)
