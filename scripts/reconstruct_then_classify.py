"""What rebuilt leads are worth to a reader: twelve-lead networks on true, rebuilt and shown leads of the same records.

    python scripts/reconstruct_then_classify.py --reconstruction=RUN [--diagnosis=RUN] [--age=RUN] [--reduced=RUN,...]
        [--leads=I+II+V2] [--split=test] [--num_bootstrap=1000] [--output=DIR]

Networks stay as they are. They read the true twelve leads, the twelve that the reconstruction run makes of --leads,
those that least squares make of them, and, where they were trained with random leads, the shown leads alone. --reduced
are runs trained on nothing but those leads. Writes then_classify.json, .md and .png to --output, which is a folder in
the reconstruction run by default: figures of each, and paired differences with intervals by patient. Exit status 2 and
one line for bad input.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ecgjax import cli, leads, metrics
from ecgjax.analysis.markdown import table, value_and_interval
from ecgjax.data.signals import INT16
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.evaluate import Predictions
from ecgjax.experiment import Experiment, build, load
from ecgjax.lead_completion import completion_matrices, learnt_leads
from ecgjax.metrics import Metric
from ecgjax.plots import ACCENT, MUTED, new_figure, styled
from ecgjax.rebuilder import Rebuilder, load_rebuilder
from ecgjax.runlog import git_version, hardware, to_json, write_json
from ecgjax.state import Variables
from ecgjax.tasks.reconstruction_baselines import least_squares, second_moments
from ecgjax.workdir import read_config

TRUE, REBUILT, LEAST_SQUARES, SHOWN, REDUCED = (
    "true twelve leads",
    "rebuilt by the network",
    "rebuilt by least squares",
    "shown leads alone",
    "trained on these leads",
)
PAIRS = (
    *((REBUILT, TRUE), (LEAST_SQUARES, TRUE), (REDUCED, TRUE)),
    *((REBUILT, LEAST_SQUARES), (REBUILT, SHOWN), (REBUILT, REDUCED)),
)
"""Differences that are shown, first minus second."""

HEADLINES = {"diagnosis": "macro_auroc", "age": "mae_years"}
NAME = "then_classify"

Weighted = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Reader:
    """A trained run of diagnosis or age, and the records that it can be judged on."""

    workdir: Path
    config: ConfigDict
    experiment: Experiment
    members: list[Variables]
    records: Split

    @property
    def shown(self) -> Any:
        """What the run shows its network of a record."""
        return getattr(self.experiment.task, "shown")  # noqa: B009 - not in the protocol that all tasks share

    def read(self, records: Split) -> Predictions:
        """What it makes of `records`."""
        return self.experiment.predict(self.members, records)[0]


def open_reader(workdir: Path, split: str, rebuilder: ConfigDict) -> Reader:
    """The run in `workdir` with the records of `split`.

    Raises:
      InputError: it is no run of diagnosis or age, or its signals are not those of the reconstruction run `rebuilder`.
    """
    config = read_config(workdir)
    if config.task not in HEADLINES:
        raise InputError(f"{workdir} holds a run of {config.task}", "give a run of diagnosis or of age")
    for group, names in (("preprocess", ("fs_hz", "filter", "low_hz", "high_hz")), ("data", ("name", "seconds"))):
        for name in names:
            own, other = config[group][name], rebuilder[group][name]
            if own != other:
                raise InputError(
                    f"{group}.{name} is {own!r} in {workdir} and {other!r} in the reconstruction run",
                    "give runs that treat their signals alike",
                )
    records = load(config, split)
    experiment = build(config, records)
    members = experiment.members(workdir)
    return Reader(workdir, config, experiment, members, records)


def with_signals(records: Split, signal_mv: np.ndarray) -> Split:
    """The same records with other signals, `[record, time, 12]` in mV."""
    units = np.clip(np.rint(signal_mv * records.gain), INT16.min, INT16.max)
    return dataclasses.replace(records, ecg=units.astype(np.int16))


def versions(records: Split, given: tuple[str, ...], rebuilder: Rebuilder, linear: np.ndarray) -> dict[str, Split]:
    """The records with their true leads, and with what was rebuilt of `given`; `linear` `[8, 12]` is the rival's."""
    signal_mv = records.ecg / records.gain
    from_given, from_estimate = completion_matrices(given)
    by_least_squares = signal_mv @ (from_given + from_estimate @ linear).T
    return {
        TRUE: records,
        REBUILT: with_signals(records, rebuilder.rebuilt(signal_mv, given)),
        LEAST_SQUARES: with_signals(records, by_least_squares),
        SHOWN: with_signals(records, signal_mv @ leads.completion(given).T),
    }


def answers(reader: Reader, reduced: Reader | None, of_version: dict[str, Split]) -> dict[str, Predictions]:
    """What is made of each version of the records."""
    # A network that never saw leads withheld has nothing to say of them.
    left_out = () if reader.shown.random_leads else (SHOWN,)
    found = {name: reader.read(records) for name, records in of_version.items() if name not in left_out}
    if reduced is not None:
        found[REDUCED] = reduced.read(reduced.records)
    return found


def check_reduced(reduced: Reader, reader: Reader, given: tuple[str, ...]) -> None:
    """Raises InputError where the two cannot be compared."""
    if reduced.experiment.task.class_names() != reader.experiment.task.class_names():
        raise InputError(f"{reduced.workdir} and {reader.workdir} have other classes", "give runs of the same labels")
    if leads.derivable(reduced.shown.given_leads) != leads.derivable(given):
        raise InputError(
            f"{reduced.workdir} was trained on {reduced.shown.leads}, and given are {'+'.join(given)}",
            "give a run for the same leads, or other --leads",
        )
    if list(reduced.records.record_ids) != list(reader.records.record_ids):
        raise InputError(f"{reduced.workdir} and {reader.workdir} judge other records", "give runs on the same data")


def weighted_figures(task: str, predictions: Predictions, class_names: tuple[str, ...]) -> Weighted:
    """The figures of one version, by weights of the records."""
    if task == "age":
        error = predictions["scores"].astype(float) - predictions["targets"]

        def of_ages(weights: np.ndarray) -> dict[str, np.ndarray]:
            total = weights.sum(axis=-1)
            return {
                "mae_years": metrics.ratio(weights @ np.abs(error), total),
                "rmse_years": np.sqrt(metrics.ratio(weights @ error**2, total)),
            }

        return of_ages
    is_class, scores = predictions["targets"].astype(bool), predictions["scores"]

    def of_classes(weights: np.ndarray) -> dict[str, np.ndarray]:
        auroc, auprc = metrics.areas_by_class(is_class, scores, weights)
        by_class = {f"auroc/{name}": auroc[..., i] for i, name in enumerate(class_names)}
        return {"macro_auroc": metrics.mean_defined(auroc), "macro_auprc": metrics.mean_defined(auprc), **by_class}

    return of_classes


def judged(reader: Reader, found: dict[str, Predictions], num_bootstrap: int) -> dict[str, dict[str, Metric]]:
    """Version -> its figures, and `FIRST minus SECOND` -> paired differences."""
    names = reader.experiment.task.class_names()
    patient_ids = found[TRUE]["patient_ids"]
    figures = {name: weighted_figures(reader.config.task, one, names) for name, one in found.items()}
    weights = np.ones(len(patient_ids))
    compared = {
        name: metrics.with_intervals(of_version, weights, patient_ids, num_bootstrap)
        for name, of_version in figures.items()
    }
    for first, second in PAIRS:
        if {first, second} <= figures.keys():

            def difference(
                weights: np.ndarray, one: Weighted = figures[first], other: Weighted = figures[second]
            ) -> dict[str, np.ndarray]:
                ours, theirs = one(weights), other(weights)
                return {name: ours[name] - theirs[name] for name in ours}

            name = f"{first} minus {second}"
            compared[name] = metrics.with_intervals(difference, weights, patient_ids, num_bootstrap)
    return compared


def markdown(of_task: dict[str, dict[str, dict[str, Metric]]], title: str) -> str:
    """A table for each task."""
    parts = [f"# {title}"]
    for task, compared in of_task.items():
        names = [name for name in compared[TRUE] if "/" not in name]
        rows = [[version, *(value_and_interval(of[name]) for name in names)] for version, of in compared.items()]
        parts.append(f"## {task}\n\n{table([task, *names], rows)}")
    return "\n\n".join(parts) + "\n"


@styled
def forest(of_task: dict[str, dict[str, dict[str, Metric]]], title: str) -> Figure:
    """For each task its headline of every version, and the differences."""
    figure = new_figure(9.6, 0.6 + 2.6 * len(of_task))
    grid = figure.subplots(len(of_task), 2, squeeze=False)
    for row, (task, compared) in zip(grid, of_task.items(), strict=True):
        for axes, is_difference in zip(row, (False, True), strict=True):
            found = {name: of[HEADLINES[task]] for name, of in compared.items() if (" minus " in name) == is_difference}
            for place, metric in enumerate(found.values()):
                if metric.ci95 is not None:
                    axes.hlines(place, *metric.ci95, color=ACCENT, linewidth=2.2, alpha=0.55)
                axes.scatter(metric.value, place, s=28, color=ACCENT, zorder=3)
            axes.set_yticks(np.arange(len(found)), found)
            axes.set_ylim(len(found) - 0.5, -0.5)
            axes.grid(False, axis="y")
            if is_difference:
                axes.axvline(0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
            axes.set_xlabel(HEADLINES[task] + (", difference" if is_difference else ""))
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    return figure


def main() -> None:
    """Judges the runs of the command line."""
    options = flags.FLAGS
    given = leads.lead_subset(options.leads)
    if not learnt_leads(given):
        raise InputError(f"all leads follow from {options.leads}", "give fewer --leads")
    workdirs = {task: options[task].value for task in HEADLINES if options[task].value}
    if not workdirs:
        raise InputError("there is no run to read the records", "give --diagnosis or --age")
    reconstruction = Path(options.reconstruction)
    output = Path(options.output or reconstruction / f"{NAME}_{'_'.join(given)}_{options.split}")
    if (output / f"{NAME}.json").exists():
        raise InputError(f"{output / NAME}.json is already there", "give another --output; no file is overwritten")
    rebuilder, config = load_rebuilder(reconstruction), read_config(reconstruction)
    rebuilder.check(given)
    readers = {task: open_reader(Path(workdir), options.split, config) for task, workdir in workdirs.items()}
    for task, reader in readers.items():
        if reader.config.task != task:
            raise InputError(f"--{task}={reader.workdir} is a run of {reader.config.task}", "give a run of that task")
        if reader.shown.shows_some:
            raise InputError(f"{reader.workdir} reads only {reader.shown.leads}", "give a run on all leads")
    reduced = {}
    for workdir in options.reduced:
        run = open_reader(Path(workdir), options.split, config)
        if run.config.task not in readers:
            raise InputError(f"--reduced={workdir} is a run of {run.config.task}", f"give --{run.config.task}, too")
        check_reduced(run, readers[run.config.task], given)
        reduced[run.config.task] = run

    train = load(config, "train")
    linear = least_squares(second_moments(train.ecg, train.gain), given)
    of_task, num_records = {}, {}
    for task, reader in readers.items():
        found = answers(reader, reduced.get(task), versions(reader.records, given, rebuilder, linear))
        of_task[task] = judged(reader, found, options.num_bootstrap)
        num_records[task] = len(reader.records)
    title = f"{'+'.join(given)} given, {options.split} split of {config.data.name}"
    output.mkdir(parents=True, exist_ok=True)
    text = markdown(of_task, title)
    (output / f"{NAME}.md").write_text(text)
    forest(of_task, title).savefig(output / f"{NAME}.png", dpi=150)
    content = {
        "leads": list(given),
        "dataset": config.data.name,
        "split": options.split,
        "n_records": num_records,
        "runs": {"reconstruction": str(reconstruction), **workdirs, "reduced": options.reduced},
        "git": git_version(),
        "hardware": hardware(),
        "figures": {
            task: {version: to_json(found) for version, found in compared.items()} for task, compared in of_task.items()
        },
    }
    write_json(output / f"{NAME}.json", content)
    print(text)


if __name__ == "__main__":
    flags.DEFINE_string("reconstruction", None, "folder of the reconstruction run", required=True)
    flags.DEFINE_string("diagnosis", None, "folder of a diagnosis run on all twelve leads")
    flags.DEFINE_string("age", None, "folder of an age run on all twelve leads")
    flags.DEFINE_list("reduced", [], "folders of runs of the same tasks that were trained on --leads alone")
    flags.DEFINE_string("leads", "I+II+V2", "the given leads")
    flags.DEFINE_enum("split", "test", ["train", "validation", "test", "all"], "which records")
    flags.DEFINE_integer("num_bootstrap", 1000, "resamples behind the intervals")
    flags.DEFINE_string("output", None, "folder for the figures; one in the reconstruction run by default")
    cli.run(main)
