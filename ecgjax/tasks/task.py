"""What the training loop asks of a task."""

from typing import Any, Protocol

import jax
import numpy as np

from ecgjax.data.split import Split
from ecgjax.metrics import Metric

Record = dict[str, jax.Array]
"""One record inside the compiled step: `signal_mv` `[time, lead]` float32, how many of its samples were recorded and do
not pad it, `num_samples`, and the task's targets; batched by vmap."""


RIVALS_SEED = 0
"""Of the methods that the network is compared with, as far as they draw."""


class Task(Protocol):
    """A frozen dataclass that turns records into batches, losses, predictions and figures.

    What handles a `Record` runs inside the compiled step, the rest on the host.
    """

    @property
    def name(self) -> str:
        """What results call it."""

    @property
    def num_outputs(self) -> int:
        """Width of the model's output."""

    @property
    def num_views(self) -> int:
        """How many times evaluation presents each record, changed each time; 1 for most tasks."""

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        """Reason -> bool `[record]`: what can neither be trained on nor scored; it is left out and counted."""

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        """Per-record arrays `[record, ...]` that live on the device beside the signals."""

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        """How often training draws each record `[record]`, in proportion; None takes every record once an epoch."""

    def training_view(self, key: jax.Array, record: Record) -> Record:
        """A randomly augmented record and its targets."""

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        """The record as presented for the scalar `view` in `range(num_views)`; deterministic."""

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        """`[batch]` from the model's `outputs` `[batch, num_outputs]` and a batched record."""

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        """What is written to `predictions_SPLIT.npz`, `[batch, ...]` each: at least `targets` and `scores`."""

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Decisions `[n, ...]` that are written beside the host predictions, which may be means over an ensemble."""

    def class_names(self) -> tuple[str, ...]:
        """Names of the last axis of `scores`."""

    def tuned(self, predictions: dict[str, np.ndarray]) -> "Task":
        """The task with thresholds and scales chosen on host predictions for validation records.

        One that has none is itself, and looks at no predictions.
        """

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        """Figures from host predictions, which also hold `record_ids`, `patient_ids` and `view` `[n]`.

        `num_bootstrap` of 0 leaves the intervals out (while training). What needs `tuned` is left out before it.
        """

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A few records for the report: `signal_mv` `[example, time, lead]`, `fs_hz`, `record_ids`, `truth`,
        `prediction` and `probability`; empty where there is nothing to draw."""

    def rivals(self, train: Split, test: Split) -> dict[str, Any]:
        """Name -> what a method that the network has to beat makes of `test`.

        The same whatever the seed of the network, so that runs of several seeds need it once.
        """

    def baselines(
        self, rivals: dict[str, Any], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        """Name -> figures of the `rivals` for `test`.

        With the network's own `predictions` for `test`, `gain/FIGURE` is its figure minus theirs, paired.
        """
