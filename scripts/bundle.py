"""Trains the networks that come with ecgjax and makes their folders and the model card.

    python scripts/bundle.py [--only=reversal,lead_id,...] [--workdir=runs/bundle] [--data_dir=DIR]
        [--output=ecgjax/weights]
    python scripts/bundle.py --card [--output=ecgjax/weights]

PTB-XL and the simulated records have to be prepared (python -m data_prep). The same command resumes where it stopped,
and trains nothing that is finished. A network whose folder is there already is replaced once the new one is whole. With
--card the card alone is written anew, as after `scripts/benchmark_check.py --output=ecgjax/weights`.
"""

import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Config files import what they share.
sys.path.insert(0, str(ROOT))

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from ecgjax import cli, model_card
from ecgjax.analysis.subgroups import Subgroup, rows_of, subgroups, superclass_of_code
from ecgjax.bundled import write_bundle
from ecgjax.crossval import joined
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.evaluate import figures
from ecgjax.experiment import build, load
from ecgjax.interrupt import StoppedError, raised_signals
from ecgjax.metrics import with_interval
from ecgjax.runlog import say, to_json, write_json
from ecgjax.tasks.reversal_figures import NONE
from ecgjax.train import DivergedError, train_and_evaluate
from ecgjax.trained import tuned_task
from ecgjax.workdir import RESULTS, predictions_file, read_arrays, read_config, read_results

FAMILIES = ("all", "sex", "age", "superclass", "pacemaker", "noise", "extra beats")
"""Groups of records that the card lists ..."""

MIN_RECORDS = 10
"""... from this many on."""

STAGES = {
    "reversal": ("simulated,decoys=12,steps=1000", "ptbxl,decoys=16,steps=2000"),
    "lead_id": ("ptbxl",),
    "diagnosis": ("ptbxl,labels=superclass",),
    "age": ("ptbxl",),
    "reconstruction": ("ptbxl",),
}
"""Task -> what is given to its config, stage by stage; each begins with the weights of the one before."""


def config_of(task: str, stage: int, workdir: Path, data_dir: str) -> ConfigDict:
    """That of a stage; stages but the last have folders of their own."""
    config = runpy.run_path(str(ROOT / "configs" / f"{task}.py"))["get_config"](STAGES[task][stage])
    config.data.dir = data_dir
    if stage:
        config.init = str(stage_dir(task, stage - 1, workdir))
    return config


def stage_dir(task: str, stage: int, workdir: Path) -> Path:
    """Where a stage is trained."""
    is_last = stage == len(STAGES[task]) - 1
    return workdir / (task if is_last else f"{task}_{stage}")


def train(task: str, workdir: Path, data_dir: str) -> Path:
    """Trains what is not trained yet; the folder of the finished run, with the scores on both splits."""
    for stage, args in enumerate(STAGES[task]):
        say(f"{task}: {args}")
        train_and_evaluate(config_of(task, stage, workdir, data_dir), stage_dir(task, stage, workdir))
    finished = stage_dir(task, len(STAGES[task]) - 1, workdir)
    complete(finished, [f"configs/{task}.py:{args}" for args in STAGES[task]])
    return finished


def complete(workdir: Path, trained: list[str]) -> None:
    """Adds to `results.json` how the network was `trained` and its scores on the validation records."""
    results, config = read_results(workdir), read_config(workdir)
    validation, predictions = load(config, "validation"), read_arrays(workdir / predictions_file("validation"))
    results["trained"] = trained
    if "out_of_fold" not in results:
        task = tuned_task(build(config, validation).task, workdir)
        results["validation"] = to_json(figures(task, predictions, config.num_bootstrap))
    if config.task == "reversal":
        judged = joined([load(config, "train"), validation]) if config.kfold else validation
        superclass_of = superclass_of_code(config.data.name, config.data.variant, config.data.dir)
        groups = subgroups(judged.labels, superclass_of, MIN_RECORDS)
        results["groups"] = by_group(predictions, groups, judged, config.num_bootstrap)
    write_json(workdir / RESULTS, results)


def by_group(
    predictions: dict[str, np.ndarray], groups: Sequence[Subgroup], judged: Split, num_bootstrap: int
) -> dict[str, Any]:
    """Group of the records `judged` -> how many, how many correct ones are recognised and placements named rightly."""
    is_right = predictions["scores"].argmax(axis=1) == predictions["targets"]
    is_correct = predictions["placement"] == NONE
    row = rows_of(predictions["record_ids"], judged)
    found = {}
    for group in groups:
        size = int(group.is_member.sum())
        if group.family not in FAMILIES or size < MIN_RECORDS:
            continue
        counted = {
            name: with_interval(
                lambda weights: weights @ is_right / weights.sum(axis=-1),
                (group.is_member[row] & which).astype(float),
                predictions["patient_ids"],
                num_bootstrap,
            )
            for name, which in (("left_alone", is_correct), ("named", ~is_correct))
        }
        found[group.name] = {"n": size, **to_json(counted)}
    return found


def replace(workdir: Path, folder: Path) -> None:
    """Makes the folder of a network of the run in `workdir`; an older one goes only then."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_bundle(workdir, fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def main() -> None:
    """Makes what the command line asks for."""
    given = flags.FLAGS
    unknown = set(given.only) - set(STAGES)
    if unknown:
        raise InputError(f"no network for {', '.join(sorted(unknown))} is bundled", f"use {', '.join(STAGES)}")
    output = Path(given.output)
    if given.card:
        model_card.write(output)
        return
    output.mkdir(parents=True, exist_ok=True)
    try:
        with raised_signals():
            for task in given.only or STAGES:
                replace(train(task, Path(given.workdir), given.data_dir), output / task)
    except DivergedError as error:
        cli.fail(str(error))
    except StoppedError as error:
        cli.fail(f"stopped by {error}; the same command resumes")
    model_card.write(output)
    say(f"{output / model_card.CARD}")


if __name__ == "__main__":
    flags.DEFINE_bool("card", False, "only write the card")
    flags.DEFINE_list("only", [], "which networks; all of them by default")
    flags.DEFINE_string("workdir", "runs/bundle", "where they are trained")
    flags.DEFINE_string("data_dir", "", "where prepared datasets lie; TFDS's own default otherwise")
    flags.DEFINE_string("output", str(ROOT / "ecgjax" / "weights"), "folder for a folder of each")
    cli.run(main)
