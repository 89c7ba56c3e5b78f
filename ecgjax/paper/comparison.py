"""What paper costs: networks for rhythms on recordings, on recordings read from strips, and on those of damaged strips.

The same folds, network and training for all; figures pool the test recordings of the folds, and methods are compared
recording by recording.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ecgjax import metrics, tasks
from ecgjax.analysis.markdown import table, value_and_interval
from ecgjax.evaluate import Predictions, joined
from ecgjax.experiment import build, load
from ecgjax.metrics import McNemar, Metric
from ecgjax.runlog import to_json
from ecgjax.tasks.rhythm import Rhythm
from ecgjax.tasks.rhythm_figures import paired_gains, rhythm_figures
from ecgjax.train import train_and_evaluate
from ecgjax.trained import tuned_task
from ecgjax.workdir import predictions_file, read_arrays, read_config

RAW = "raw"
SHOWN = ("f1_ano", "f1/N", "f1/A", "f1/O", "f1/~", "accuracy", "macro_auroc")
"""Figures of the table, one column each."""


@dataclasses.dataclass(frozen=True)
class Method:
    """A network for each fold, and what it says of the test recordings of all of them.

    Attributes:
      name: `raw`, or how its recordings went through paper.
      workdirs: those of the folds.
      predictions: of all folds, in the order of record ids.
      decided: `[n]` the class that each fold's task, as it is tuned, decides on.
    """

    name: str
    workdirs: tuple[Path, ...]
    predictions: Predictions
    decided: np.ndarray


def trained(name: str, configs: Sequence[ConfigDict], folder: Path) -> Method:
    """Trains a network for each fold in `folder`, or takes what is there."""
    workdirs = tuple(folder / f"fold_{config.data.fold}" / name for config in configs)
    for config, workdir in zip(configs, workdirs, strict=True):
        train_and_evaluate(config, workdir)
    return _method(name, workdirs, [read_arrays(workdir / predictions_file("test")) for workdir in workdirs])


def shown_paper(method: Method, dataset: str, variant: str) -> Method:
    """The networks of `method` on the test recordings of their folds as they come from other paper."""
    of_folds = []
    for workdir in method.workdirs:
        config = read_config(workdir)
        config.data.name, config.data.variant = dataset, variant
        records = load(config, "test")
        experiment = build(config, records)
        of_folds.append(experiment.predict(experiment.members(workdir), records)[0])
    return _method(method.name, method.workdirs, of_folds)


def _method(name: str, workdirs: tuple[Path, ...], of_folds: Sequence[Predictions]) -> Method:
    decided = np.concatenate(
        [_task(workdir).decided(found["scores"]) for workdir, found in zip(workdirs, of_folds, strict=True)]
    )
    named = [{key: values for key, values in found.items() if key != "class_names"} for found in of_folds]
    predictions = joined(named)
    order = np.argsort(predictions["record_ids"], kind="stable")
    return Method(name, workdirs, {key: values[order] for key, values in predictions.items()}, decided[order])


def _task(workdir: Path) -> Rhythm:
    config = read_config(workdir)
    task = tuned_task(tasks.build(config), workdir)
    assert isinstance(task, Rhythm)
    return task


def figures(method: Method, num_bootstrap: int) -> dict[str, Metric]:
    """Those of `configs/rhythm.py`, over all folds."""
    found = method.predictions
    return rhythm_figures(found["targets"], found["scores"], method.decided, found["patient_ids"], num_bootstrap)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a method loses against the one on raw signals: figures, paired by recording, and who is right."""

    losses: dict[str, Metric]
    mcnemar: McNemar

    def to_json(self) -> dict[str, Any]:
        return {"losses": to_json(self.losses), "mcnemar": dataclasses.asdict(self.mcnemar)}


def cost(method: Method, raw: Method, num_bootstrap: int) -> Cost:
    """`raw` minus `method`; the exact test of McNemar is of who names a recording rightly."""
    targets, patient_ids = raw.predictions["targets"], raw.predictions["patient_ids"]
    gains = paired_gains(targets, raw.decided, method.decided, patient_ids, num_bootstrap)
    losses = {name.replace("gain/", "loss/"): gain for name, gain in gains.items()}
    return Cost(losses, metrics.mcnemar(raw.decided == targets, method.decided == targets))


def comparison_table(found: Mapping[str, dict[str, Metric]], costs: Mapping[str, Cost]) -> str:
    """Markdown: a row for each method, by its name."""
    rows = []
    for name, own in found.items():
        of = costs.get(name)
        lost = [value_and_interval(of.losses["loss/f1_ano"]), f"{of.mcnemar.p_value:.3g}"] if of else ["-", "-"]
        rows.append([name, *(value_and_interval(own.get(figure)) for figure in SHOWN), *lost])
    return table(["recordings", *SHOWN, "loss of f1_ano", "McNemar p"], rows)


def curve_table(curve: dict[str, dict[str, Metric]]) -> str:
    """Markdown: a row for each paper, a column for each network."""
    networks = list(next(iter(curve.values())))
    rows = [[paper, *(value_and_interval(of[name]) for name in networks)] for paper, of in curve.items()]
    return table(["paper", *(f"f1_ano of the network for {name}" for name in networks)], rows)


def curve_figure(curve: dict[str, dict[str, Metric]], raw: Metric) -> Figure:
    """Scores over resolution and damage, one line for each network, and that on raw signals."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    papers = list(curve)
    for shift, name in zip((-0.06, 0.0, 0.06), next(iter(curve.values())), strict=False):
        found = [curve[paper][name] for paper in papers]
        values = np.array([metric.value for metric in found])
        bounds = np.array([metric.ci95 or (metric.value, metric.value) for metric in found]).T
        place = np.arange(len(papers)) + shift
        axes.errorbar(place, values, np.abs(bounds - values), marker="o", capsize=2, label=f"trained on {name}")
    axes.axhline(raw.value, color="black", linewidth=1, linestyle="--", label="raw signals")
    axes.set_xticks(np.arange(len(papers)), papers, rotation=20, ha="right")
    axes.set_ylabel("mean F1 of N, A, O")
    axes.legend(frameon=False)
    return figure
