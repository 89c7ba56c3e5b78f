"""The metric against the number of leads: chosen on validation records, reported on test records."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ecgjax.elimination import subsets
from ecgjax.elimination.scoring import MEAN, Criterion
from ecgjax.elimination.search import Step
from ecgjax.elimination.sweep import SubsetScores
from ecgjax.metrics import BOOTSTRAP_SEED, Metric, bootstrap_weights, mean_defined, percentile_interval

_MOST_NAMED = 20
"""Tied subsets that a point of `elimination.json` lists one by one."""


@dataclasses.dataclass(frozen=True)
class Point:
    """One number of leads.

    Attributes:
      num_leads: how many.
      leads: which, in words; of several runs that differ all of them.
      tied: the equally good subsets of each run.
      validation: figure that it was chosen by, mean over the runs.
      test: figure on the test records, mean over the runs.
      difference: the same minus that with all leads, paired.
    """

    num_leads: int
    leads: str
    tied: tuple[tuple[int, ...], ...]
    validation: float
    test: Metric
    difference: Metric

    def to_json(self) -> dict[str, Any]:
        """An entry of a curve of `elimination.json`."""
        named = [[list(subsets.names_of(subset)) for subset in of_run[:_MOST_NAMED]] for of_run in self.tied]
        is_one = all(of_run == named[0] for of_run in named)
        return {
            "num_leads": self.num_leads,
            "leads": self.leads,
            "n_tied": [len(of_run) for of_run in self.tied],
            "subsets": named[:1] if is_one else named,
            "validation": self.validation if np.isfinite(self.validation) else None,
            "test": self.test.to_json(),
            "against_all": self.difference.to_json(),
        }


@dataclasses.dataclass(frozen=True)
class Curve:
    """A figure against the number of leads, most leads first.

    Attributes:
      figure: `mean` or a label.
      chosen_by: the figure that the subsets were chosen by.
      search: how, a key of `search.SEARCHES` or `retrained`.
      points: of each number of leads.
    """

    figure: str
    chosen_by: str
    search: str
    points: list[Point]

    def to_json(self) -> dict[str, Any]:
        """An entry of `elimination.json`."""
        return {
            "figure": self.figure,
            "chosen_by": self.chosen_by,
            "search": self.search,
            "points": [point.to_json() for point in self.points],
        }


class Judge:
    """Figures of chosen subsets on one set of records, with intervals that resample patients.

    Replicates are shared by all subsets, so that differences are paired, and remembered.
    """

    def __init__(self, runs: Sequence[SubsetScores], criterion: Criterion, num_labels: int, num_bootstrap: int):
        self._runs = runs
        self._criterion = criterion
        self._num_labels = num_labels
        patient_ids = runs[0].patient_ids
        self.num_runs = len(runs)
        self.num_records = len(patient_ids)
        drawn = bootstrap_weights(patient_ids, num_bootstrap, BOOTSTRAP_SEED)
        # The first replicate is the records themselves.
        self._weights = np.concatenate([np.ones((1, self.num_records)), drawn])
        self._has_intervals = num_bootstrap > 0 and len(np.unique(patient_ids)) > 1
        self._known: dict[tuple[int, int, int], np.ndarray] = {}

    def replicates(self, tied: Sequence[Sequence[int]], figure: int) -> np.ndarray:
        """`[1 + resample]` of a figure, mean over the runs and over what is `tied` in each of them.

        `figure` is a place in `Criterion.figure_names`.
        """
        of_runs = []
        for run, of_run in enumerate(tied):
            places = np.unique(self._runs[run].place_of(of_run))
            of_runs.append(np.mean([self._replicates(run, int(place), figure) for place in places], axis=0))
        return np.mean(of_runs, axis=0)

    def _replicates(self, run: int, place: int, figure: int) -> np.ndarray:
        if not self._criterion.is_by_label:
            return self._column(run, place, 0)
        if figure == 0:
            return mean_defined(
                np.stack([self._column(run, place, label) for label in range(self._num_labels)], axis=-1)
            )
        return self._column(run, place, figure - 1)

    def _column(self, run: int, place: int, column: int) -> np.ndarray:
        key = run, place, column
        if key not in self._known:
            scores = self._runs[run]
            self._known[key] = self._criterion.column(scores.targets, scores.scores[place], self._weights, column)
        return self._known[key]

    def metric(self, replicates: np.ndarray) -> Metric:
        """The figure with its interval."""
        interval = percentile_interval(replicates[1:]) if self._has_intervals else None
        return Metric(float(replicates[0]), interval, self.num_records)


def along(
    judge: Judge,
    steps: Sequence[Sequence[Step]],
    validation: Sequence[Sequence[float]],
    figure: tuple[int, str],
    chosen_by: str,
    search: str,
) -> Curve:
    """The curve of a figure (its place and name) on the subsets of `steps`, one list a run, most leads first.

    `validation` has the figure on the validation records for each of them.
    """
    place, name = figure
    points = []
    complete = judge.replicates([of_run[0].tied for of_run in steps], place)
    for number, of_runs in enumerate(zip(*steps, strict=True)):
        tied = tuple(step.tied for step in of_runs)
        replicates = judge.replicates(tied, place)
        points.append(
            Point(
                num_leads=of_runs[0].num_leads,
                leads="; ".join(dict.fromkeys(subsets.describe(one) for one in tied)),
                tied=tied,
                validation=float(np.mean([of_run[number] for of_run in validation])),
                test=judge.metric(replicates),
                difference=judge.metric(replicates - complete),
            )
        )
    return Curve(name, chosen_by, search, points)


def fewest_without_loss(curve: Curve, is_better_higher: bool) -> int:
    """The fewest leads down to which no test interval of the difference to all leads lies on the side of a loss."""
    fewest = curve.points[0].num_leads
    for point in curve.points[1:]:
        interval = point.difference.ci95
        if interval is None or (interval[1] < 0 if is_better_higher else interval[0] > 0):
            break
        fewest = point.num_leads
    return fewest


def wearables(
    judge: Judge, validation: np.ndarray, figure_names: Sequence[str], candidates: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Name of a wearable set -> its leads and points by figure; sets whose signals are no candidates are left out.

    `validation` `[4096, figure]` is indexed by subset.
    """
    everything = subsets.subset_of(candidates)
    known = int(subsets.known_leads(everything))
    found: dict[str, dict[str, Any]] = {}
    for name, names in subsets.WEARABLE_SETS.items():
        subset = subsets.subset_of(names)
        if subset & ~known:
            continue
        step, complete = (Step(one.bit_count(), (one,), 0.0) for one in (subset, everything))
        points = {}
        for place, figure in enumerate(figure_names):
            values = [validation[int(subsets.known_leads(one)), place] for one in (everything, subset)]
            num_runs = judge.num_runs
            curve = along(judge, [[complete, step]] * num_runs, [values] * num_runs, (place, figure), MEAN, "named")
            points[figure] = curve.points[1]
        found[name] = {"leads": names, "points": points}
    return found
