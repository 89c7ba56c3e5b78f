"""What an elimination is judged by: figures of a task from scores, for any weights of the records."""

import dataclasses
from collections.abc import Callable

import numpy as np

from ecgjax import metrics
from ecgjax.errors import InputError

MEAN = "mean"
"""Name of the figure that decides; of a diagnosis the mean over its labels."""


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A figure of a task.

    Attributes:
      name: as in `results.json`.
      task: the task that it belongs to.
      is_better_higher: whether more is better.
      is_by_label: whether every label has a figure of its own, named after it.
      of_column: from targets `[n]`, scores `[n]` and weights `[..., n]` to `[...]`.
    """

    name: str
    task: str
    is_better_higher: bool
    is_by_label: bool
    of_column: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

    def figure_names(self, class_names: tuple[str, ...]) -> tuple[str, ...]:
        """`mean`, and every label where there are several."""
        return (MEAN, *class_names) if self.is_by_label else (MEAN,)

    def column(self, targets: np.ndarray, scores: np.ndarray, weights: np.ndarray, place: int) -> np.ndarray:
        """`[...]`: the figure of one label, or of the only output; `targets` and `scores` `[n]` or `[n, label]`."""
        targets, scores = (np.asarray(values).reshape(len(values), -1) for values in (targets, scores))
        return np.asarray(self.of_column(targets[:, place], scores[:, place], weights))

    def figures(self, targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """`[figure, ...]` in the order of `figure_names`; arguments as of `column`.

        A label without positives is NaN and not part of the mean.
        """
        num_columns = np.asarray(targets).reshape(len(targets), -1).shape[1]
        columns = np.stack([self.column(targets, scores, weights, place) for place in range(num_columns)])
        if not self.is_by_label:
            return columns[:1]
        return np.concatenate([metrics.mean_defined(np.moveaxis(columns, 0, -1))[None], columns])

    def cost(self, figures: np.ndarray) -> np.ndarray:
        """The same with less being better."""
        return -figures if self.is_better_higher else figures


def _auroc(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return metrics.auroc(targets > 0.5, scores, weights)


def _auprc(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return metrics.auprc(targets > 0.5, scores, weights)


def _mean_absolute_error(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ np.abs(scores - targets) / weights.sum(-1)


CRITERIA = {
    criterion.name: criterion
    for criterion in (
        Criterion("macro_auroc", "diagnosis", True, True, _auroc),
        Criterion("macro_auprc", "diagnosis", True, True, _auprc),
        Criterion("mae_years", "age", False, False, _mean_absolute_error),
    )
}
"""By name; the first of a task is its default."""


def criterion_of(task: str, name: str | None) -> Criterion:
    """The criterion `name` of a task, by default its first.

    Raises:
      InputError: leads cannot be eliminated for such a task, or by such a figure.
    """
    known = [criterion for criterion in CRITERIA.values() if criterion.task == task]
    if not known:
        tasks = dict.fromkeys(criterion.task for criterion in CRITERIA.values())
        raise InputError(f"leads are eliminated for {' and '.join(tasks)}, not for {task}", "give a run of these tasks")
    found = [criterion for criterion in known if name in (None, criterion.name)]
    if not found:
        raise InputError(f"{name!r} is no figure of {task}", f"use --metric={'|'.join(c.name for c in known)}")
    return found[0]
