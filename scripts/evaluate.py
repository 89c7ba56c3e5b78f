"""Scores a trained run again, on any split of its own or of another dataset.

    python scripts/evaluate.py --workdir=DIR [--split=train|validation|test|all] [--dataset=NAME[/VARIANT]]
        [--data_dir=DIR] [--output=FILE]

Signals are preprocessed as in training. A run that was stopped is scored by its best checkpoint so far, unless its task
is tuned on the validation records. Writes the format of results.json to results_SPLIT.json in the workdir, or to
--output; exit status 2 and one line for bad input.
"""

import time
from pathlib import Path
from typing import Any

from absl import flags

from ecgjax import cli
from ecgjax.errors import InputError
from ecgjax.evaluate import figures, results_of
from ecgjax.experiment import build, load
from ecgjax.runlog import results_table, write_json
from ecgjax.trained import tuned_task
from ecgjax.workdir import read_config


def score(workdir: Path, split: str, dataset: str | None, data_dir: str | None) -> dict[str, Any]:
    """Results of the run in `workdir` on a split of `dataset` in `data_dir`; None takes those of the run."""
    config = read_config(workdir)
    if dataset is not None:
        config.data.name, _, config.data.variant = dataset.partition("/")
        config.data.leave_out = ""
    if data_dir is not None:
        config.data.dir = data_dir
    records = load(config, split)
    experiment = build(config, records)
    task = tuned_task(experiment.task, workdir)
    members = experiment.members(workdir)
    began = time.perf_counter()
    predictions, records_per_s = experiment.predict(members, records)
    metrics = figures(task, predictions, config.num_bootstrap)
    wall_s = time.perf_counter() - began
    return results_of(config, records, metrics, {}, wall_s=wall_s, records_per_s=records_per_s)


def main() -> None:
    """Scores the run of the command line."""
    given = flags.FLAGS
    output = Path(given.output or Path(given.workdir) / f"results_{given.split}.json")
    if not output.parent.is_dir():
        raise InputError(f"there is no folder {output.parent}", "give the --workdir of a run, or another --output")
    results = score(Path(given.workdir), given.split, given.dataset, given.data_dir)
    write_json(output, results)
    print(results_table(results))


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the run", required=True)
    flags.DEFINE_enum("split", "test", ["train", "validation", "test", "all"], "which records")
    flags.DEFINE_string("dataset", None, "NAME or NAME/VARIANT; that of the run by default")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_string("output", None, "file to write; results_SPLIT.json in the workdir by default")
    cli.run(main)
