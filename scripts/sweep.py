"""Trains one config under a list of variations and compares them with the first, record by record.

    python scripts/sweep.py --config=configs/TASK.py[:ARGS] --vary=NAME|FIELD=VALUE,VALUE,... [--seeds=0,1,2]
        [--config.FIELD=VALUE ...] [--split=validation|test] [--workdir=DIR]

--vary takes the name of a sweep that the config file offers in SWEEPS, or a field of the config and its values
(`model.name=placement_net,shallow_cnn`, `seed=0,1,2`). Each variation and seed trains in a folder of its own under
--workdir, by default runs/TASK_sweep; the same command resumes, and leaves out what is finished. Writes sweep.json,
sweep.md and figures there. Choose on the validation split, which is the default: the test split is for reporting.
"""

import copy
import dataclasses
import re
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Config files import what they share.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from ecgjax import cli, experiment, main, plots, tasks
from ecgjax.analysis import comparison
from ecgjax.analysis.comparison import Answers, Comparison
from ecgjax.analysis.markdown import table, value_and_interval
from ecgjax.errors import InputError
from ecgjax.evaluate import Predictions
from ecgjax.interrupt import StoppedError, raised_signals
from ecgjax.metrics import Metric
from ecgjax.runlog import say, to_json, write_json
from ecgjax.train import DivergedError, train_and_evaluate
from ecgjax.workdir import check_workdir, predictions_file, read_arrays, read_config

_DPI = 150


@dataclasses.dataclass(frozen=True)
class Run:
    """One variation with one seed."""

    label: str
    config: ConfigDict
    workdir: Path


@dataclasses.dataclass(frozen=True)
class Variation:
    """What the finished runs of a variation reached; `metrics` are those of its task, run by run."""

    label: str
    seeds: list[int]
    answers: list[Answers]
    metrics: list[dict[str, Metric]]


def variations(vary: str, sweeps: Mapping[str, tuple]) -> dict[str, dict[str, str]]:
    """Label -> the fields that it sets, from the flag --vary and the SWEEPS of a config file.

    SWEEPS has for each name a field, its values, and where all runs need more than the config has, a mapping of that.
    """
    field, equals, listed = vary.partition("=")
    fixed: dict[str, str] = {}
    if equals:
        # Commas within brackets belong to a value.
        values = [value.strip() for value in re.split(r",(?![^(\[]*[)\]])", listed)]
    elif vary in sweeps:
        field, chosen, *more = sweeps[vary]
        values = [str(value) for value in chosen]
        fixed = {name: str(value) for name, value in more[0].items()} if more else {}
    else:
        raise InputError(f"unknown sweep {vary!r}", f"use {', '.join(['FIELD=VALUE,VALUE,...', *sweeps])}")
    return {value: {**fixed, field: value} for value in values}


def plan(config: ConfigDict, varied: Mapping[str, Mapping[str, str]], seeds: list[int], workdir: Path) -> list[Run]:
    """Every run of a sweep, checked as far as that is possible before training; no `seeds` keeps that of `config`."""
    runs = []
    chosen: list[int | None] = [*seeds] or [None]
    for label, fields in varied.items():
        folder = workdir / re.sub(r"[^\w.+-]+", "_", label)
        for seed in chosen:
            # Not resolved yet: a field may be a reference to the one that varies.
            own = copy.deepcopy(config)
            for path, text in fields.items():
                cli.set_field(own, path, text)
            if seed is not None:
                own.seed = seed
            own = own.copy_and_resolve_references()
            runs.append(Run(label, own, folder if seed is None else folder / f"seed_{seed}"))
    folders = [run.workdir for run in runs]
    if len(set(folders)) < len(folders):
        raise InputError("two variations have the same name", "give each value and seed once")
    for run in runs:
        experiment.check(run.config)
        check_workdir(run.workdir, run.config)
    return runs


def train_all(runs: list[Run]) -> list[Run]:
    """Trains what is not finished yet; those that did not diverge."""
    finished = []
    for number, run in enumerate(runs, 1):
        say(f"run {number} of {len(runs)}: {run.workdir}")
        try:
            train_and_evaluate(run.config, run.workdir)
        except DivergedError as error:
            say(f"left out, since it diverged: {error}")
        else:
            finished.append(run)
    return finished


def collect(runs: list[Run], split: str) -> list[Variation]:
    """What the runs predicted for `split`, by variation."""
    collected = []
    for label in dict.fromkeys(run.label for run in runs):
        own = [run for run in runs if run.label == label]
        predictions = [read_arrays(run.workdir / predictions_file(split)) for run in own]
        collected.append(
            Variation(
                label,
                [read_config(run.workdir).seed for run in own],
                [comparison.answers(predicted) for predicted in predictions],
                [_metrics(run, predicted) for run, predicted in zip(own, predictions, strict=True)],
            )
        )
    return collected


def _metrics(run: Run, predictions: Predictions) -> dict[str, Metric]:
    of_rows = {name: values for name, values in predictions.items() if name != "class_names"}
    task = experiment.tuned_task(tasks.build(run.config), run.workdir)
    return task.metrics(of_rows, run.config.num_bootstrap)


def summarise(
    collected: list[Variation], num_bootstrap: int
) -> tuple[dict[str, Any], str, dict[str, dict[str, Metric]]]:
    """Content of sweep.json, text of sweep.md, and the figures that pictures show, label -> name -> Metric."""
    reference = collected[0]
    content: dict[str, Any] = {}
    shown: dict[str, dict[str, Metric]] = {}
    compared: dict[str, list[Comparison]] = {}
    for variation in collected:
        shown[variation.label] = comparison.figures_of(variation.answers, num_bootstrap)
        runs = [
            {"seed": seed, "metrics": to_json({name: m for name, m in of_seed.items() if "/" not in name})}
            for seed, of_seed in zip(variation.seeds, variation.metrics, strict=True)
        ]
        content[variation.label] = {"runs": runs, "mean": to_json(shown[variation.label])}
        if variation is not reference:
            found = comparison.compare(variation.answers, reference.answers, num_bootstrap)
            content[variation.label]["against_first"] = {c.name: c.to_json() for c in found}
            compared[variation.label] = found
    text = [_figures_table(collected, shown)]
    if any(compared.values()):
        text += [f"## Against {reference.label}", _comparison_table(compared)]
    return content, "\n\n".join(text), shown


def _figures_table(collected: list[Variation], shown: dict[str, dict[str, Metric]]) -> str:
    names = list(dict.fromkeys(name for figures in shown.values() for name in figures))
    several = any(len(variation.seeds) > 1 for variation in collected)
    rows = []
    for variation in collected:
        row: list[object] = [variation.label, ", ".join(map(str, variation.seeds))]
        for name in names:
            row.append(value_and_interval(shown[variation.label].get(name)))
            if several:
                row.append(_spread(variation, name))
        rows.append(row)
    header = ["variation", "seeds"]
    for name in names:
        header += [name.replace("_", " "), "seeds from, to"] if several else [name.replace("_", " ")]
    return table(header, rows)


def _spread(variation: Variation, name: str) -> str:
    """Least and greatest value over the seeds."""
    found = [comparison.figures_of([run], num_bootstrap=0) for run in variation.answers]
    values = [figures[name].value for figures in found if name in figures]
    return f"{min(values):.3f}, {max(values):.3f}" if values else "-"


def _comparison_table(compared: dict[str, list[Comparison]]) -> str:
    rows = [
        [label, c.name.replace("_", " "), len(c.parts), *map(value_and_interval, (c.first, c.second, c.difference)),
         "; ".join(f"{test.only_first}:{test.only_second}, p {test.p_value:.2g}" for test in c.mcnemar),
         "record" if c.is_independent else "part (not independent)"]
        for label, found in compared.items()
        for c in found
    ]  # fmt: skip
    header = ["variation", "figure", "parts", "of it", "of the first", "difference"]
    return table([*header, "McNemar (right alone: it, the first)", "unit of the test"], rows)


def draw(shown: dict[str, dict[str, Metric]], folder: Path) -> list[str]:
    """Writes a picture of each figure and returns the names of the files; assigned names are hollow dots."""
    names = dict.fromkeys(name for figures in shown.values() for name in figures if not name.endswith("_assigned"))
    written = []
    for name in names:
        having = {label: figures for label, figures in shown.items() if name in figures}
        found = [figures[name] for figures in having.values()]
        second = [figures[f"{name}_assigned"].value for figures in having.values() if f"{name}_assigned" in figures]
        figure = plots.by_class(
            list(having),
            np.array([metric.value for metric in found]),
            [metric.ci95 for metric in found],
            label=f"{name.replace('_', ' ')} (95 % interval)",
            is_share=all(0 <= metric.value <= 1 for metric in found),
            second=np.array(second) if len(second) == len(found) else None,
            second_label="names given once each",
        )
        figure.savefig(folder / f"{name}.png", dpi=_DPI)
        written.append(f"{name}.png")
    return written


def sweep(config: ConfigDict, varied: Mapping[str, Mapping[str, str]], seeds: list[int], workdir: Path,
          split: str) -> str:  # fmt: skip
    """Runs all of it, writes the summary to `workdir` and returns its text."""
    runs = train_all(plan(config, varied, seeds, workdir))
    if not runs:
        raise InputError("every variation diverged", "lower schedule.learning_rate or optimizer.clip_norm")
    if jax.process_index() > 0:
        return ""
    content, text, shown = summarise(collect(runs, split), config.num_bootstrap)
    num_records = next(iter(next(iter(shown.values())).values())).n
    head = [
        f"# {config.task}: {split}, {num_records} records",
        "Intervals are 95 %, by resampling patients; of several seeds, the mean is shown. Differences are paired, on "
        "the parts of the records (leads or views) that both have.",
    ]
    text = "\n\n".join([*head, text])
    written = draw(shown, workdir)
    pictures = "\n\n".join(f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in written)
    (workdir / "sweep.md").write_text(f"{text}\n\n{pictures}\n", encoding="utf-8")
    write_json(workdir / "sweep.json", {"task": config.task, "split": split, "variations": content})
    return text


def run_command() -> None:
    """Runs the sweep of the command line."""
    main.explain(sys.argv)
    given = flags.FLAGS
    if given.distributed:
        jax.distributed.initialize()
    config = given.config
    path = config_flags.get_config_filename(given["config"]).partition(":")[0]
    sweeps = runpy.run_path(path).get("SWEEPS", {})
    if config.compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(Path(config.compilation_cache_dir).expanduser()))
    seeds = [int(seed) for seed in given.seeds]
    workdir = Path(given.workdir or f"runs/{config.task}_sweep")
    try:
        with raised_signals():
            print(sweep(config, variations(given.vary, sweeps), seeds, workdir, given.split))
    except StoppedError as error:
        print(f"stopped by {error}; the same command resumes", file=sys.stderr)


if __name__ == "__main__":
    flags.DEFINE_string("vary", None, "a sweep of the config file, or FIELD=VALUE,VALUE,...", required=True)
    flags.DEFINE_list("seeds", [], "seeds that each variation is trained with; that of the config by default")
    flags.DEFINE_enum("split", "validation", ["validation", "test"], "records that the variations are judged on")
    cli.run(run_command, main.explain)
