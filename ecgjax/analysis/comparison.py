"""What runs answered record by record, and two methods on the same records against each other.

A record has parts: its leads, or the views under which a task presents it. Records are the unit: they are resampled by
patient, and a record is wholly right where all its parts are. A method is one run or several that differ by their seed,
whose figures are averaged.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ecgjax import metrics
from ecgjax.errors import InputError
from ecgjax.evaluate import Predictions
from ecgjax.metrics import McNemar, Metric

# What single precision makes of a label that is wholly excluded must not be an infinite loss.
_LEAST_PROBABILITY = 1e-7


@dataclasses.dataclass(frozen=True)
class Answer:
    """One way of answering, judged.

    Attributes:
      whole: name of the share of records that are wholly right; "" where a record has one part or is never right.
      parts: names of the parts.
      right: `[record, part]`, bool; errors as float where answers are more or less right.
      weights: `[record, part]`, of sum 1 for each record.
    """

    whole: str
    parts: tuple[str, ...]
    right: np.ndarray
    weights: np.ndarray

    def restricted(self, parts: tuple[str, ...]) -> "Answer":
        """The same for some of the parts."""
        columns = [self.parts.index(part) for part in parts]
        weights = self.weights[:, columns]
        return Answer(self.whole, parts, self.right[:, columns], weights / weights.sum(axis=1, keepdims=True))

    def mean(self) -> np.ndarray:
        """`[record]`: the mean over the parts."""
        return (self.right * self.weights).sum(axis=1)

    def is_whole(self) -> np.ndarray:
        """`[record]`: whether all parts are right."""
        return np.asarray(self.right.all(axis=1))


@dataclasses.dataclass(frozen=True)
class Answers:
    """The ways in which one run answers, name -> Answer, for records in the order of their ids."""

    record_ids: np.ndarray
    patient_ids: np.ndarray
    of: dict[str, Answer]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A figure of two methods on the same records.

    Attributes:
      name: of the figure.
      parts: those that both have.
      first, second: the figure of each.
      difference: first minus second, with an interval by patient.
      mcnemar: exact test of who is right, for each pair of runs; empty where answers are more or less right.
      is_independent: whether the examples of the test are records, not several parts of each.
    """

    name: str
    parts: tuple[str, ...]
    first: Metric
    second: Metric
    difference: Metric
    mcnemar: tuple[McNemar, ...]
    is_independent: bool

    def to_json(self) -> dict:
        """The entry of a JSON file."""
        tests = [{**dataclasses.asdict(test), "is_independent": self.is_independent} for test in self.mcnemar]
        figures = {name: getattr(self, name).to_json() for name in ("first", "second", "difference")}
        return {"parts": list(self.parts), **figures, "mcnemar": tests}


def answers(predictions: Predictions) -> Answers:
    """What a `predictions_SPLIT.npz` holds, judged.

    Leads named by `lead_id` are parts under two decodings, labels that may hold together are parts with the log loss of
    each; views are parts of any other task that has several, weighed for an even prior where it tells whether anything
    is wrong at all.

    Raises:
      InputError: the records were not all presented the same number of times.
    """
    record_ids, first, rows, counts = np.unique(
        predictions["record_ids"], return_index=True, return_inverse=True, return_counts=True
    )
    if np.ptp(counts):
        raise InputError("the records of these predictions have different numbers of views", "evaluate the run again")
    order = np.lexsort((predictions["view"], rows)).reshape(len(record_ids), -1)
    scores, targets = predictions["scores"][order], predictions["targets"][order]
    if "assigned" in predictions:
        of = _of_leads(scores[:, 0], predictions["assigned"][order[:, 0]], predictions["class_names"])
    elif targets.ndim == 3 and np.issubdtype(targets.dtype, np.integer):
        of = _of_labels(scores[:, 0], targets[:, 0].astype(bool), predictions["class_names"])
    else:
        of = _of_views(scores, targets, predictions["any_reversal"][order] if "any_reversal" in predictions else None)
    return Answers(record_ids, predictions["patient_ids"][first], of)


def _of_leads(scores: np.ndarray, assigned: np.ndarray, class_names: np.ndarray) -> dict[str, Answer]:
    truth = np.arange(len(class_names))
    weights = np.full(assigned.shape, 1 / len(class_names))
    parts = tuple(map(str, class_names))
    return {
        f"lead_accuracy{suffix}": Answer(f"set_accuracy{suffix}", parts, named == truth, weights)
        for named, suffix in ((scores.argmax(axis=-1), ""), (assigned, "_assigned"))
    }


def _of_labels(scores: np.ndarray, targets: np.ndarray, class_names: np.ndarray) -> dict[str, Answer]:
    """From `[record, label]` each."""
    probability = np.where(targets, scores, 1 - scores.astype(float))
    loss = -np.log(np.maximum(probability, _LEAST_PROBABILITY))
    return {"log_loss": Answer("", tuple(map(str, class_names)), loss, np.full(loss.shape, 1 / loss.shape[1]))}


def _of_views(scores: np.ndarray, targets: np.ndarray, any_reversal: np.ndarray | None) -> dict[str, Answer]:
    """From `scores` `[record, view, ...]` and `targets` `[record, view]`."""
    num_records, num_views = targets.shape[:2]
    parts = tuple(str(view) for view in range(num_views))
    weights = np.full((num_records, num_views), 1 / num_views)
    if not np.issubdtype(targets.dtype, np.integer):
        error = np.abs(scores.reshape(num_records, num_views, -1) - targets.reshape(num_records, num_views, -1))
        return {"absolute_error": Answer("", parts, metrics.mean_defined(error), weights)}
    named = scores.argmax(axis=-1) if scores.shape[-1] > 1 else (scores[..., 0] > 0.5).astype(int)
    if any_reversal is None:
        return {"accuracy": Answer("record_accuracy" if num_views > 1 else "", parts, named == targets, weights)}
    is_any = targets > 0
    weights = np.where(is_any, 0.5 / is_any.sum(axis=1, keepdims=True), 0.5 / (~is_any).sum(axis=1, keepdims=True))
    return {
        "accuracy": Answer("record_accuracy", parts, (any_reversal >= 0.5) == is_any, weights),
        "type_accuracy": Answer("record_type_accuracy", parts, named == targets, weights),
    }


def figures_of(runs: Sequence[Answers], num_bootstrap: int) -> dict[str, Metric]:
    """Every figure of a method, averaged over its runs on the same records, with intervals by patient."""
    columns = {}
    for name, answer in runs[0].of.items():
        several = [run.of[name] for run in runs]
        columns[name] = np.mean([answer.mean() for answer in several], axis=0)
        if answer.whole:
            columns[answer.whole] = np.mean([answer.is_whole() for answer in several], axis=0)
    return _means(columns, runs[0].patient_ids, num_bootstrap)


def compare(first: Sequence[Answers], second: Sequence[Answers], num_bootstrap: int) -> list[Comparison]:
    """Every figure that two methods share, on the parts that both have, if any; their runs are tested in pairs.

    Raises:
      InputError: they did not answer for the same records.
    """
    one, other = first[0], second[0]
    if not np.array_equal(one.record_ids, other.record_ids):
        num_common = len(np.intersect1d(one.record_ids, other.record_ids))
        raise InputError(
            f"the runs share {num_common} of {len(one.record_ids)} and {len(other.record_ids)} records",
            "compare runs on the same dataset and split",
        )
    found = []
    for name, answer in one.of.items():
        parts = tuple(part for part in answer.parts if name in other.of and part in other.of[name].parts)
        if parts:
            own, others = ([run.of[name].restricted(parts) for run in method] for method in (first, second))
            found += _compared(name, own, others, one.patient_ids, num_bootstrap)
    return found


def _compared(
    name: str, first: list[Answer], second: list[Answer], patient_ids: np.ndarray, num_bootstrap: int
) -> list[Comparison]:
    """The comparison by parts, and that of whole records where they have several."""

    def comparison(figure: str, values: Callable, outcomes: Callable, is_independent: bool) -> Comparison:
        own, others = (np.mean([values(run) for run in runs], axis=0) for runs in (first, second))
        means = _means({"first": own, "second": others, "difference": own - others}, patient_ids, num_bootstrap)
        pairs = zip(first, second, strict=False) if is_test else ()
        tests = tuple(metrics.mcnemar(outcomes(run), outcomes(other)) for run, other in pairs)
        return Comparison(figure, parts, **means, mcnemar=tests, is_independent=is_independent)

    parts, whole = first[0].parts, first[0].whole
    is_test = first[0].right.dtype == bool
    found = [comparison(name, Answer.mean, lambda run: run.right.ravel(), is_independent=len(parts) == 1)]
    if whole:
        found.append(comparison(whole, Answer.is_whole, Answer.is_whole, is_independent=True))
    return found


def _means(columns: dict[str, np.ndarray], patient_ids: np.ndarray, num_bootstrap: int) -> dict[str, Metric]:
    """Mean over records of each column `[record]`, with its interval."""
    table = np.stack(list(columns.values()), axis=1).astype(float)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        means = weights @ table / weights.sum(axis=-1)[..., None]
        return {name: means[..., i] for i, name in enumerate(columns)}

    return metrics.with_intervals(figures, np.ones(len(table)), patient_ids, num_bootstrap)
