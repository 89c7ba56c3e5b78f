"""Trains one config under many settings and compares what they reach, record by record.

    python scripts/sweep.py --config=configs/TASK.py[:ARGS] --vary=NAME|FIELD=VALUE,VALUE,... [--vary=...]
    python scripts/sweep.py --config=configs/TASK.py[:ARGS] --num_runs=20 \\
        --random="schedule.learning_rate=log(1e-4,1e-2);data.crop_s=uniform(2,5);batch_size=choice(64,128)"
    options: [--seeds=0,1,2] [--config.FIELD=VALUE ...] [--split=validation|test] [--workdir=DIR]
        [--together] [--parallel=N] [--count | --only=INDEX]

--vary takes the name of a sweep that the config file offers in SWEEPS, or a field of the config and its values; several
of them make a grid. --random draws each run's fields by --random_seed, the same in any order of execution. Each setting
and seed trains in a folder of its own under --workdir, by default runs/TASK_sweep; the same command resumes, and leaves
out what is finished and what another process is training. Writes sweep.md, sweep.csv, sweep.json and figures there, the
best `select.metric` on the validation split first. Choose on that split, which is the default: the test split is for
reporting.

--together trains what differs in seed, learning rate and weight decay alone in one program, each run as it would be on
its own; --parallel starts processes. As an array of jobs: --count prints how many there are, --only=INDEX trains one of
them, and the command without either trains what is left and writes the summary.
"""

import runpy
import sys
from pathlib import Path

# Config files import what they share.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
from absl import flags
from ml_collections.config_flags import config_flags

from ecgjax import cli, main, multihost
from ecgjax.errors import InputError
from ecgjax.interrupt import StoppedError, raised_signals
from ecgjax.sweeps import plan, summary, training
from ecgjax.sweeps.plan import Run, Setting
from ecgjax.workdir import is_scored


def sweep(runs: list[Run], jobs: list[list[Run]], workdir: Path, split: str) -> str:
    """Trains what is missing, writes the summary to `workdir` and returns its text."""
    training.train_jobs(list(enumerate(jobs)), len(jobs))
    return summarise(runs, workdir, split)


def summarise(runs: list[Run], workdir: Path, split: str) -> str:
    """Writes the summary of what is finished to `workdir` and returns its text."""
    if not any(is_scored(run.workdir) for run in runs):
        raise InputError("no run has a result", "where all diverged, lower schedule.learning_rate")
    if jax.process_index() > 0:
        return ""
    with training.claimed(workdir) as is_own:
        if not is_own:
            raise InputError(f"another process is writing the summary in {workdir}", "give the same command again")
        return summary.write_summary(runs, split, workdir)


def settings_of_flags() -> list[Setting]:
    """Those that the command line asks for."""
    given = flags.FLAGS
    if bool(given.vary) == bool(given.random):
        raise InputError("a sweep is either a grid or random", "give --vary=FIELD=VALUE,VALUE,... or --random=...")
    if given.random:
        return plan.random_space(given.random, given.num_runs, given.random_seed, given.config)
    path = config_flags.get_config_filename(given["config"]).partition(":")[0]
    return plan.grid(given.vary, runpy.run_path(path).get("SWEEPS", {}))


def run_command() -> None:
    """Runs the sweep of the command line."""
    main.explain(sys.argv)
    given = flags.FLAGS
    multihost.start(given.multihost)
    workdir = Path(given.workdir or f"runs/{given.config.task}_sweep")
    runs = plan.plan(main.completed(given.config), settings_of_flags(), _seeds(), workdir)
    jobs = training.jobs(runs, given.together)
    if given.count:
        print(len(jobs))
        return
    if given.only is not None and given.only >= len(jobs):
        raise InputError(f"--only={given.only} of {len(jobs)} runs", f"give 0 to {len(jobs) - 1}")
    try:
        with raised_signals():
            if given.only is not None:
                training.train_jobs([(given.only, jobs[given.only])], len(jobs))
                return
            todo = training.unfinished(jobs)
            if given.parallel > 1 and len(todo) > 1:
                command = [sys.executable, *sys.argv]
                training.train_in_processes(command, todo, given.parallel, workdir / "logs")
                print(summarise(runs, workdir, given.split))
            else:
                print(sweep(runs, jobs, workdir, given.split))
    except StoppedError as error:
        print(f"stopped by {error}; the same command resumes", file=sys.stderr)


def _seeds() -> list[int]:
    try:
        return [int(seed) for seed in flags.FLAGS.seeds]
    except ValueError as error:
        raise InputError(f"--seeds is {','.join(flags.FLAGS.seeds)}", "give whole numbers") from error


if __name__ == "__main__":
    flags.DEFINE_multi_string("vary", [], "a sweep of the config file, or FIELD=VALUE,VALUE,...; several make a grid")
    flags.DEFINE_string("random", "", f"FIELD=DISTRIBUTION;... where a distribution is {plan.DISTRIBUTIONS}")
    flags.DEFINE_integer("num_runs", 20, "draws of --random", lower_bound=1)
    flags.DEFINE_integer("random_seed", 0, "seed of --random", lower_bound=0)
    flags.DEFINE_list("seeds", [], "seeds that each setting is trained with; that of the config by default")
    flags.DEFINE_enum("split", "validation", ["validation", "test"], "records that the settings are judged on")
    flags.DEFINE_bool("together", False, "train what differs in seed, learning rate and weight decay in one program")
    flags.DEFINE_integer("parallel", 1, "processes at once, each on its share of the CPU cores", lower_bound=1)
    flags.DEFINE_integer("only", None, "train this job alone, the first being 0, and write no summary", lower_bound=0)
    flags.DEFINE_bool("count", False, "print the number of jobs and train nothing")
    cli.run(run_command, main.explain)
