"""What the runs of a sweep reached: judged record by record, ranked on the validation split, tabled and drawn."""

import csv
import dataclasses
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgjax import plots, tasks
from ecgjax.analysis import comparison
from ecgjax.analysis.comparison import Answers, Comparison
from ecgjax.analysis.markdown import table, value_and_interval
from ecgjax.evaluate import figures
from ecgjax.metrics import Metric
from ecgjax.runlog import to_json, write_json
from ecgjax.sweeps.plan import Run, Setting
from ecgjax.trained import tuned_task
from ecgjax.workdir import is_scored, predictions_file, read_arrays

_DPI = 150


@dataclasses.dataclass(frozen=True)
class Variation:
    """What the finished runs of a setting reached, run by run.

    Attributes:
      answers: record by record.
      metrics: of its task.
      selected: `select.metric` on the validation records.
    """

    setting: Setting
    seeds: list[int]
    answers: list[Answers]
    metrics: list[dict[str, Metric]]
    selected: list[Metric]

    def rank(self, mode: str) -> float:
        """The mean of `selected`, signed so that less is better; what is undefined comes last."""
        mean = float(np.mean([metric.value for metric in self.selected]))
        return (mean if mode == "min" else -mean) if math.isfinite(mean) else math.inf


def collect(runs: Sequence[Run], split: str) -> list[Variation]:
    """What the finished ones of `runs` predicted for `split`, by setting."""
    collected = []
    for label in dict.fromkeys(run.setting.label for run in runs):
        own = [run for run in runs if run.setting.label == label and is_scored(run.workdir)]
        if not own:
            continue
        judged = [_judged(run, "validation") for run in own]
        metrics = judged if split == "validation" else [_judged(run, split) for run in own]
        collected.append(
            Variation(
                own[0].setting,
                [run.config.seed for run in own],
                [comparison.answers(read_arrays(run.workdir / predictions_file(split))) for run in own],
                metrics,
                [found[run.config.select.metric] for run, found in zip(own, judged, strict=True)],
            )
        )
    return collected


def _judged(run: Run, split: str) -> dict[str, Metric]:
    predictions = read_arrays(run.workdir / predictions_file(split))
    del predictions["class_names"]
    task = tuned_task(tasks.build(run.config), run.workdir)
    return figures(task, predictions, run.config.num_bootstrap)


def ranked(collected: Sequence[Variation], mode: str) -> list[Variation]:
    """The best first; `mode` is that of `select`."""
    return sorted(collected, key=lambda variation: variation.rank(mode))


def summarise(
    collected: Sequence[Variation], select: str, mode: str, num_bootstrap: int
) -> tuple[dict[str, Any], str, dict[str, dict[str, Metric]]]:
    """Content of sweep.json by setting, the best first, text of sweep.md, and the figures that pictures show.

    Differences are those to the first of `collected`. The figures are label -> name -> Metric.
    """
    reference = collected[0]
    content: dict[str, Any] = {}
    shown: dict[str, dict[str, Metric]] = {}
    compared: dict[str, list[Comparison]] = {}
    order = ranked(collected, mode)
    for variation in order:
        label = variation.setting.label
        shown[label] = comparison.figures_of(variation.answers, num_bootstrap)
        runs = [
            {"seed": seed, f"validation_{select}": selected.to_json(),
             "metrics": to_json({name: m for name, m in of_seed.items() if "/" not in name})}
            for seed, of_seed, selected in zip(variation.seeds, variation.metrics, variation.selected, strict=True)
        ]  # fmt: skip
        content[label] = {"fields": variation.setting.fields, "runs": runs, "mean": to_json(shown[label])}
        if variation is not reference:
            found = comparison.compare(variation.answers, reference.answers, num_bootstrap)
            content[label]["against_first"] = {c.name: c.to_json() for c in found}
            compared[label] = found
    text = [_figures_table(order, shown, select)]
    if any(compared.values()):
        text += [f"## Against {reference.setting.label}", _comparison_table(compared)]
    return content, "\n\n".join(text), shown


def _figures_table(order: Sequence[Variation], shown: dict[str, dict[str, Metric]], select: str) -> str:
    names = list(dict.fromkeys(name for of_label in shown.values() for name in of_label))
    several = any(len(variation.seeds) > 1 for variation in order)
    rows = []
    for variation in order:
        row: list[object] = [variation.setting.label, ", ".join(map(str, variation.seeds))]
        row += _cells(_mean(variation.selected), [metric.value for metric in variation.selected], several)
        for name in names:
            found = [comparison.figures_of([run], num_bootstrap=0) for run in variation.answers]
            values = [of_run[name].value for of_run in found if name in of_run]
            row += _cells(shown[variation.setting.label].get(name), values, several)
        rows.append(row)
    header = ["variation", "seeds"]
    for name in [f"validation_{select}", *names]:
        header += [name.replace("_", " "), *(["seeds from, to"] if several else [])]
    return table(header, rows)


def _mean(metrics: Sequence[Metric]) -> Metric:
    """Over seeds; the interval is left to a single one."""
    only, *others = metrics
    return Metric(float(np.mean([m.value for m in metrics])), None, only.n) if others else only


def _cells(metric: Metric | None, values: Sequence[float], several: bool) -> list[str]:
    """A figure, and where there are several seeds, the least and greatest of theirs."""
    spread = f"{min(values):.3f}, {max(values):.3f}" if values else "-"
    return [value_and_interval(metric), spread] if several else [value_and_interval(metric)]


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


def rows_of_csv(order: Sequence[Variation], select: str) -> str:
    """One line a run: fields, seed, `select` on the validation records, and every metric with its interval."""
    fields = list(dict.fromkeys(name for variation in order for name in variation.setting.fields))
    names = list(dict.fromkeys(n for v in order for of_run in v.metrics for n in of_run if "/" not in n))
    figure_names = [f"validation_{select}", *names]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["variation", *fields, "seed", *(n + end for n in figure_names for end in ("", "_low", "_high"))])
    for variation in order:
        given = [variation.setting.fields.get(field, "") for field in fields]
        for seed, selected, metrics in zip(variation.seeds, variation.selected, variation.metrics, strict=True):
            cells = [cell for m in (selected, *map(metrics.get, names)) for cell in _numbers(m)]
            writer.writerow([variation.setting.label, *given, seed, *cells])
    return file.getvalue()


def _numbers(metric: Metric | None) -> tuple[object, object, object]:
    """Value and ends of the interval, empty where undefined."""
    if metric is None or not math.isfinite(metric.value):
        return "", "", ""
    low, high = metric.ci95 or ("", "")
    return float(metric.value), low, high


def draw(shown: dict[str, dict[str, Metric]], folder: Path) -> list[str]:
    """Writes a picture of each figure and returns the names of the files; assigned names are hollow dots."""
    names = dict.fromkeys(name for of_label in shown.values() for name in of_label if not name.endswith("_assigned"))
    written = []
    for name in names:
        having = {label: of_label for label, of_label in shown.items() if name in of_label}
        found = [of_label[name] for of_label in having.values()]
        second = [of_label[f"{name}_assigned"].value for of_label in having.values() if f"{name}_assigned" in of_label]
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


def write_summary(runs: Sequence[Run], split: str, workdir: Path) -> str:
    """Writes sweep.md, sweep.json, sweep.csv and pictures of the finished runs to `workdir`; the text of sweep.md."""
    config = runs[0].config
    collected = collect(runs, split)
    select, mode = config.select.metric, config.select.mode
    content, text, shown = summarise(collected, select, mode, config.num_bootstrap)
    missing = [str(run.workdir.relative_to(workdir)) for run in runs if not is_scored(run.workdir)]
    num_records = next(iter(next(iter(shown.values())).values())).n
    head = [
        f"# {config.task}: {split}, {num_records} records",
        f"The best {select.replace('_', ' ')} on the validation split comes first. Intervals are 95 %, by resampling "
        "patients; of several seeds, the mean is shown. Differences are paired, on the parts of the records (leads or "
        "views) that both have.",
    ]
    if missing:
        head.append(f"Without a result, {len(missing)} of {len(runs)} runs: {', '.join(missing)}.")
    text = "\n\n".join([*head, text])
    written = draw(shown, workdir)
    pictures = "\n\n".join(f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in written)
    _write(workdir / "sweep.md", f"{text}\n\n{pictures}\n")
    _write(workdir / "sweep.csv", rows_of_csv(ranked(collected, mode), select))
    ranking = {"metric": select, "mode": mode, "split": "validation"}
    write_json(
        workdir / "sweep.json",
        {"task": config.task, "split": split, "ranked_by": ranking, "missing": missing, "variations": content},
    )
    return text


def _write(path: Path, text: str) -> None:
    """All of the file or nothing."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
