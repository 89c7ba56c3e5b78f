"""Which leads a diagnosis or an age can do without.

    python scripts/eliminate_leads.py --workdir=RUN[,RUN...] [--candidates=all|independent|LEADS] [--until=1]
        [--metric=macro_auroc|macro_auprc|mae_years] [--resamples=200] [--search_stride_s=S] [--data_dir=DIR]
        [--output=DIR]
    python scripts/eliminate_leads.py --config=configs/TASK.py[:ARGS] [--config.FIELD=VALUE ...] [--workdir=DIR]
        [--seeds=0,1,2] [--retrain_candidates] [--until=3] [--candidates=...] [--metric=...] [--resamples=200]

The first form asks one network, trained with random leads (--config.TASK.random_leads), about every subset of the
candidates, and looks for the best of every size, by greedy elimination and by greedy selection; of several runs, which
may differ in their seeds, figures are means. The second form trains a network for the leads of every step, from the
same initial weights, and drops the lead whose removal costs least; the same command resumes, and what is trained is not
trained again. Leads are chosen on validation records; the test records are only reported on. Writes elimination.json,
elimination.npz, elimination.md and pictures to --output, by default RUN/elimination, or to --workdir, by default
runs/TASK_elimination; exit status 2 and one line for bad input.
"""

import sys
import time
from pathlib import Path
from typing import Any

# Config files import what they share.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
from absl import flags
from ml_collections import ConfigDict

from ecgjax import cli, experiment, main, multihost, tasks
from ecgjax.data.split import Split
from ecgjax.elimination import one_network, retrained
from ecgjax.elimination.figures import draw
from ecgjax.elimination.outcome import Outcome
from ecgjax.elimination.scoring import criterion_of
from ecgjax.elimination.subsets import CANDIDATES, names_of, subset_of
from ecgjax.elimination.sweep import open_network, read_run_config
from ecgjax.errors import InputError
from ecgjax.interrupt import StoppedError, raised_signals
from ecgjax.leads import lead_subset
from ecgjax.runlog import git_version, hardware, write_json
from ecgjax.train import DivergedError
from ecgjax.workdir import check_workdir, write_arrays

_DPI = 150
_DIVERGED = 3
PUBLISHED_UNTIL = 3
"""Leads that the published elimination stops at."""


def candidates_of(text: str, until: int) -> tuple[str, ...]:
    """The leads to begin with, of which `until` are to stay."""
    named = CANDIDATES.get(text) or names_of(subset_of(lead_subset(text)))
    if not 1 <= until < len(named):
        raise InputError(f"until is {until} for {len(named)} leads", "give 1 or more, and fewer than the candidates")
    return named


def ask_one_network(
    workdirs: list[Path],
    *,
    candidates: str,
    until: int,
    metric: str | None,
    num_resamples: int,
    search_stride_s: float | None,
    data_dir: str | None,
) -> tuple[Outcome, dict[str, Any]]:
    """The outcome for trained runs, and what elimination.json says of its origin."""
    configs = [read_run_config(workdir, data_dir) for workdir in workdirs]
    first = configs[0]
    criterion = criterion_of(first.task, metric)
    named = candidates_of(candidates, until)
    for workdir, config in zip(workdirs, configs, strict=True):
        differing = [field for field in ("task", "data", "preprocess") if config[field] != first[field]]
        if differing or tasks.build(config).class_names() != tasks.build(first).class_names():
            what = ", ".join(differing) or "labels"
            raise InputError(f"{workdir} differs from {workdirs[0]} in {what}", "give runs that differ in their seeds")
    stride_s = first.evaluation.window_stride_s if search_stride_s is None else search_stride_s
    began = time.perf_counter()
    validation, test = (experiment.load(first, split) for split in ("validation", "test"))
    networks = [open_network(w, config, validation) for w, config in zip(workdirs, configs, strict=True)]
    outcome, rate = one_network.eliminate(
        networks,
        validation,
        test,
        criterion,
        candidates=named,
        until=until,
        num_resamples=num_resamples,
        search_stride_s=stride_s,
    )
    origin = {
        **_origin(first, validation, test),
        "how": "one network for every subset",
        "runs": [str(workdir) for workdir in workdirs],
        "seeds": [config.seed for config in configs],
        "wall_s": round(time.perf_counter() - began, 1),
        "pairs_per_s": round(rate, 1),
    }
    return outcome, origin


def train_every_step(
    config: ConfigDict,
    workdir: Path,
    seeds: list[int],
    *,
    candidates: str,
    until: int,
    metric: str | None,
    num_resamples: int,
    retrains_each: bool,
) -> tuple[Outcome, dict[str, Any]]:
    """The outcome of training along the elimination, in folders of `workdir`, and what is said of its origin."""
    criterion = criterion_of(config.task, metric)
    named = candidates_of(candidates, until)
    if config.kfold:
        raise InputError(f"kfold is {config.kfold}", "eliminate leads with kfold=0")
    runs = []
    for seed in seeds:
        own = retrained.leads_config(config, subset_of(named))
        own.seed = seed
        experiment.check(own)
        folder = workdir / f"seed_{seed}" if len(seeds) > 1 else workdir
        check_workdir(folder / retrained.NETWORKS / retrained.folder_name(subset_of(named)), own)
        runs.append((own, folder))
    validation, test = (experiment.load(config, split) for split in ("validation", "test"))
    began = time.perf_counter()
    found = []
    for own, folder in runs:
        trainer = retrained.Trainer(own, folder, validation, criterion, num_resamples)
        found.append(
            retrained.eliminate(
                trainer, criterion, candidates=named, until=until, retrains_each=retrains_each, seed=own.seed
            )
        )
    outcome = retrained.outcome(
        found,
        criterion,
        tasks.build(config).class_names(),
        candidates=named,
        num_bootstrap=config.num_bootstrap,
    )
    origin = {
        **_origin(config, validation, test),
        "how": "trained for every candidate" if retrains_each else "trained at every step",
        "runs": [str(folder) for _, folder in runs],
        "seeds": seeds,
        "wall_s": round(time.perf_counter() - began, 1),
    }
    return outcome, origin


def _origin(config: ConfigDict, validation: Split, test: Split) -> dict[str, Any]:
    return {
        "task": config.task,
        "dataset": test.dataset,
        "n_records": {"validation": len(validation), "test": len(test)},
        "left_out": dict(test.left_out),
        "git": git_version(),
        "hardware": hardware(),
    }


def write(outcome: Outcome, origin: dict[str, Any], folder: Path) -> str:
    """Writes everything to `folder` and returns the text of the tables."""
    counts = origin["n_records"]
    text = "\n\n".join(
        [
            f"# Fewer leads: {origin['task']} on {origin['dataset']}, {origin['how']}",
            f"Chosen on {counts['validation']} validation records, reported on {counts['test']} test records. "
            f"Intervals are 95 %, by resampling patients; figures are means over {outcome.num_runs} run(s).",
            outcome.text(),
        ]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}", "give another --output") from error
    pictures = draw(outcome)
    for name, figure in pictures.items():
        figure.savefig(folder / f"{name}.png", dpi=_DPI)
    shown = "\n\n".join(f"![{name.replace('_', ' ')}]({name}.png)" for name in pictures)
    (folder / "elimination.md").write_text(f"{text}\n\n{shown}\n", encoding="utf-8")
    write_arrays(folder / "elimination.npz", outcome.arrays)
    write_json(folder / "elimination.json", {**origin, **outcome.to_json()})
    return text


def run_command() -> None:
    """Runs the elimination of the command line."""
    given = flags.FLAGS
    if given.config is not None:
        main.explain(sys.argv)
    elif not given.workdir:
        raise InputError("neither --workdir nor --config is given", "name a trained run, or a config to train")
    multihost.start(given.multihost)
    shared = {
        "candidates": given.candidates,
        "metric": given.metric,
        "num_resamples": given.resamples,
    }
    try:
        with raised_signals():
            if given.config is None:
                workdirs = [Path(workdir) for workdir in given.workdir.split(",")]
                outcome, origin = ask_one_network(
                    workdirs,
                    until=given.until or 1,
                    search_stride_s=given.search_stride_s,
                    data_dir=given.data_dir,
                    **shared,
                )
                folder = Path(given.output or workdirs[0] / "elimination")
            else:
                config = given.config
                folder = Path(given.workdir or f"runs/{config.task}_elimination")
                outcome, origin = train_every_step(
                    config,
                    folder,
                    [int(seed) for seed in given.seeds] or [config.seed],
                    until=given.until or PUBLISHED_UNTIL,
                    retrains_each=given.retrain_candidates,
                    **shared,
                )
                folder = Path(given.output or folder)
            if jax.process_index() == 0:
                print(write(outcome, origin, folder))
    except DivergedError as error:
        cli.fail(str(error), _DIVERGED)
    except StoppedError as error:
        print(f"stopped by {error}; the same command resumes", file=sys.stderr)


if __name__ == "__main__":
    flags.DEFINE_string("candidates", "all", "leads to begin with: all, independent (I, II, V1..V6), or a list")
    flags.DEFINE_string("metric", None, "figure that decides; macro_auroc or mae_years by default")
    flags.DEFINE_integer("until", None, "leads to stop at; 1, or 3 where networks are trained", lower_bound=1)
    flags.DEFINE_integer("resamples", 200, "resamples of validation patients behind the stability", lower_bound=0)
    flags.DEFINE_float("search_stride_s", None, "between windows while all subsets are scored; that of the run else")
    flags.DEFINE_list("seeds", [], "seeds that every step is trained with; that of the config by default")
    flags.DEFINE_bool("retrain_candidates", False, "train a network for every candidate, not for every step")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_string("output", None, "folder to write to")
    cli.run(run_command)
