"""Where a finished run is right and where it is wrong: by diagnosis, noise, device, sex, age; against another run too.

    python scripts/analyse.py --workdir=RUN [--against=RUN2] [--split=test|validation] [--output=DIR]
        [--min_records=N] [--data_dir=DIR]

Reads the predictions of the run and the labels of its dataset. Writes analysis.json, analysis.md and figures to
--output, by default RUN/analysis_SPLIT, and prints the tables; exit status 2 and one line for bad input.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from ecgjax import cli, plots, tasks
from ecgjax.analysis import comparison, subgroups
from ecgjax.analysis.comparison import Answers, Comparison
from ecgjax.analysis.markdown import table, value_and_interval
from ecgjax.analysis.subgroups import Association, Subgroup
from ecgjax.crossval import joined
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.evaluate import Predictions
from ecgjax.experiment import load
from ecgjax.leads import LEADS
from ecgjax.metrics import Metric
from ecgjax.runlog import to_json, write_json
from ecgjax.tasks.lead_id_figures import exchanged_pairs, lead_confusion
from ecgjax.tasks.task import Task
from ecgjax.trained import tuned_task
from ecgjax.workdir import predictions_file, read_arrays, read_config

_HEADLINES = (
    *("lead_accuracy", "set_accuracy", "lead_accuracy_assigned", "set_accuracy_assigned"),
    *("accuracy", "recall", "specificity", "macro_f1", "macro_auroc", "mae_years", "pearson_r", "mae_ms", "snr_db"),
)
_MOST_HEADLINES = 4
_ASSOCIATED_FAMILIES = ("superclass", "code", "noise", "extra beats", "pacemaker")
_NAMED = {"superclass": "superclass {}", "code": "code {}"}
_MOST_ASSOCIATIONS = 12
_DPI = 150


@dataclasses.dataclass(frozen=True)
class Judged:
    """A group of records and the figures of the run on it."""

    group: Subgroup
    num_patients: int
    metrics: dict[str, Metric]

    def to_json(self) -> dict[str, Any]:
        """What analysis.json holds of it; figures by class are those of results.json alone."""
        return {
            "family": self.group.family,
            "name": self.group.name,
            "n_records": int(self.group.is_member.sum()),
            "n_patients": self.num_patients,
            "metrics": to_json({name: metric for name, metric in self.metrics.items() if "/" not in name}),
        }


def read_predictions(workdir: Path, split: str) -> Predictions:
    """What the run in `workdir` predicted for `split`."""
    path = workdir / predictions_file(split)
    if not path.exists():
        raise InputError(f"there is no {path}", "finish the run first, or give another --split")
    return read_arrays(path)


def analysed_records(config: ConfigDict, split: str) -> Split:
    """The records behind the predictions for `split`; those for validation of a cross-validated run are out of fold."""
    if config.kfold and split == "validation":
        return joined([load(config, "train"), load(config, "validation")])
    return load(config, split)


def judge(
    task: Task, predictions: Predictions, records: Split, groups: list[Subgroup], num_bootstrap: int
) -> list[Judged]:
    """The task's figures on each group of `records`."""
    rows = subgroups.rows_of(predictions["record_ids"], records)
    of_record = {
        name: values for name, values in predictions.items() if len(values) == len(rows) and name != "class_names"
    }
    judged = []
    for group in groups:
        is_member = group.is_member[rows]
        own = {name: values[is_member] for name, values in of_record.items()}
        num_patients = len(np.unique(own["patient_ids"]))
        judged.append(Judged(group, num_patients, task.metrics(own, num_bootstrap)))
    return judged


def associations(answers: Answers, records: Split, groups: list[Subgroup]) -> dict[str, list[Association]]:
    """What goes with records that are not wholly right, for each way of answering."""
    rows = subgroups.rows_of(answers.record_ids, records)
    chosen = [
        Subgroup(group.family, _NAMED.get(group.family, "{}").format(group.name), group.is_member[rows])
        for group in groups
        if group.family in _ASSOCIATED_FAMILIES and group.name != subgroups.NONE_NOTED
    ]
    return {
        answer.whole or name: subgroups.over_represented(chosen, ~answer.is_whole())
        for name, answer in answers.of.items()
        if answer.right.dtype == bool
    }


def headlines(judged: list[Judged]) -> list[str]:
    """Names of the figures that tables and pictures show."""
    names = [name for name in judged[0].metrics if "/" not in name]
    return ([name for name in _HEADLINES if name in names] or names)[:_MOST_HEADLINES]


def family_figures(judged: list[Judged], shown: list[str]) -> dict[str, Figure]:
    """File name -> picture of each family of groups, and of each figure; assigned names are hollow dots."""
    figures = {}
    for family in dict.fromkeys(entry.group.family for entry in judged):
        members = [entry for entry in judged if entry.group.family == family]
        if len(members) < 2:
            continue
        for name in shown:
            if name.endswith("_assigned"):
                continue
            found = [entry.metrics[name] for entry in members]
            second = [entry.metrics.get(f"{name}_assigned") for entry in members]
            figures[f"{family.replace(' ', '_')}_{name}.png"] = plots.by_class(
                [f"{entry.group.name} ({entry.group.is_member.sum():,})" for entry in members],
                np.array([metric.value for metric in found]),
                [metric.ci95 for metric in found],
                label=f"{name.replace('_', ' ')} (95 % interval)",
                is_share=all(0 <= metric.value <= 1 for metric in found),
                second=None if None in second else np.array([metric.value for metric in second if metric]),
                second_label="names given once each",
            )
    return figures


def lead_figures(predictions: Predictions) -> tuple[dict[str, Any], dict[str, Figure]]:
    """Confusion and exchanged pairs under both decodings of a run that names leads; empty for another."""
    if "assigned" not in predictions:
        return {}, {}
    names = [str(name) for name in predictions["class_names"]]
    content, figures = {}, {}
    decodings = {"argmax": predictions["scores"].argmax(axis=2), "assigned": predictions["assigned"]}
    for decoding, named in decodings.items():
        confusion = lead_confusion(named)
        content[decoding] = {"confusion": confusion.astype(int).tolist(), "exchanged": exchanged_pairs(named, names)}
        figures[f"confusion_{decoding}.png"] = plots.confusion(confusion, names)
    return {"names": names, **content}, figures


def subgroup_table(judged: list[Judged], shown: list[str]) -> str:
    header = ["family", "group", "records", "patients", *(name.replace("_", " ") for name in shown)]
    rows = [
        [entry.group.family, entry.group.name, entry.group.is_member.sum(), entry.num_patients]
        + [value_and_interval(entry.metrics[name]) for name in shown]
        for entry in judged
    ]
    return table(header, rows)


def association_table(found: list[Association]) -> str:
    rows = []
    for a in found[:_MOST_ASSOCIATIONS]:
        odds_ratio = f"{a.odds_ratio:.2f} ({a.ci95[0]:.2f} to {a.ci95[1]:.2f})"
        rows.append([a.name, a.n, a.num_wrong, odds_ratio, f"{a.p_value:.2g}", f"{a.q_value:.2g}"])
    return table(["group", "records", "wrong", "odds ratio", "p", "adjusted p"], rows)


def comparison_table(found: list[Comparison]) -> str:
    rows = []
    for c in found:
        tests = [[test.only_first, test.only_second, f"{test.p_value:.2g}"] for test in c.mcnemar] or [["-"] * 3]
        unit = "record" if c.is_independent else "part of a record (not independent)"
        rows.append([c.name, *map(value_and_interval, (c.first, c.second, c.difference)), *tests[0], unit])
    header = ["figure", "this run", "the other", "difference", "only this right", "only the other", "McNemar p", "unit"]
    return table(header, rows)


def analyse(
    workdir: Path, against: Path | None, split: str, min_records: int, data_dir: str | None
) -> tuple[dict[str, Any], str, dict[str, Figure]]:
    """Content of analysis.json, text of analysis.md and pictures by file name, for the run in `workdir`."""
    config = read_config(workdir)
    if data_dir is not None:
        config.data.dir = data_dir
    predictions = read_predictions(workdir, split)
    others = None if against is None else comparison.answers(read_predictions(against, split))
    own = comparison.answers(predictions)
    compared = [] if others is None else comparison.compare([own], [others], config.num_bootstrap)
    if others is not None and not compared:
        raise InputError(f"{workdir} and {against} share no figure", "compare runs of one task, on leads in common")
    records = analysed_records(config, split)
    scored = records.select(subgroups.rows_of(own.record_ids, records))
    superclass_of = subgroups.superclass_of_code(config.data.name, config.data.variant, config.data.dir)
    groups = subgroups.subgroups(scored.labels, superclass_of, min_records)
    task = tuned_task(tasks.build(config), workdir)
    judged = judge(task, predictions, scored, groups, config.num_bootstrap)
    associated = associations(own, scored, groups)
    of_leads, figures = lead_figures(predictions)
    shown = headlines(judged)
    figures |= family_figures(judged, shown)

    content: dict[str, Any] = {
        "task": config.task,
        "dataset": scored.dataset,
        "split": split,
        "workdir": str(workdir),
        "against": None if against is None else str(against),
        "subgroups": [entry.to_json() for entry in judged],
        "over_represented": {name: [dataclasses.asdict(a) for a in found] for name, found in associated.items()},
        "leads": of_leads,
        "comparison": {c.name: c.to_json() for c in compared},
    }
    title = f"# {config.task}: {scored.dataset}, {split}, {len(scored)} records of {judged[0].num_patients} patients"
    parts = [title, "Intervals are 95 %, by resampling patients.", "## By group", subgroup_table(judged, shown)]
    for name, found in associated.items():
        if found:
            parts += [f"## What goes with errors ({name.replace('_', ' ')})", association_table(found)]
    if of_leads:
        parts += ["## Leads that take each other's names", _exchanged_table(of_leads)]
    if compared:
        parts += [f"## Against {against}", _parts_of(compared), comparison_table(compared)]
    return content, "\n\n".join(parts), figures


def _exchanged_table(of_leads: dict[str, Any]) -> str:
    argmax, assigned = of_leads["argmax"]["exchanged"], of_leads["assigned"]["exchanged"]
    rows = [[pair, argmax.get(pair, 0), assigned.get(pair, 0)] for pair in dict.fromkeys((*argmax, *assigned))]
    return table(["pair", "most probable names", "names given once each"], rows)


def _parts_of(compared: list[Comparison]) -> str:
    parts = compared[0].parts
    return f"On the leads that both name: {', '.join(parts)}." if set(parts) <= set(LEADS) else "On the same records."


def main() -> None:
    """Analyses the run of the command line."""
    given = flags.FLAGS
    workdir = Path(given.workdir)
    content, text, figures = analyse(
        workdir, Path(given.against) if given.against else None, given.split, given.min_records, given.data_dir
    )
    output = Path(given.output or workdir / f"analysis_{given.split}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {output}: {error.strerror}", "give another --output") from error
    for name, figure in figures.items():
        figure.savefig(output / name, dpi=_DPI)
    pictures = "\n\n".join(f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in figures)
    (output / "analysis.md").write_text(f"{text}\n\n{pictures}\n", encoding="utf-8")
    write_json(output / "analysis.json", content)
    print(text)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the run", required=True)
    flags.DEFINE_string("against", None, "folder of another run on the same records")
    flags.DEFINE_enum("split", "test", ["validation", "test"], "which predictions")
    flags.DEFINE_integer("min_records", 10, "smallest group of an SCP code, site or device", lower_bound=1)
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_string("output", None, "folder to write to; analysis_SPLIT in the workdir by default")
    cli.run(main)
