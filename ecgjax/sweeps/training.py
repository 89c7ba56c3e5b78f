"""Training the runs of a sweep: one after the other, in several processes, or several in one compiled step."""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from ecgjax import together
from ecgjax.errors import InputError
from ecgjax.runlog import say
from ecgjax.sweeps.plan import Run
from ecgjax.train import DivergedError, train_and_evaluate
from ecgjax.workdir import is_scored

_POLL_S = 0.2


def jobs(runs: Sequence[Run], in_one_step: bool) -> list[list[Run]]:
    """What is trained at a time: single runs, or all that one compiled step can train."""
    if not in_one_step:
        return [[run] for run in runs]
    grouped: dict[object, list[Run]] = {}
    for run in runs:
        grouped.setdefault(together.common_program(run.config) or run.workdir, []).append(run)
    return list(grouped.values())


def train_jobs(numbered: Sequence[tuple[int, list[Run]]], num_jobs: int) -> None:
    """Trains what is not finished yet and no other process is training; those that diverge are told and left."""
    for number, job in numbered:
        with contextlib.ExitStack() as stack:
            own = [run for run in job if stack.enter_context(claimed(run.workdir))]
            if own:
                others = f" and {len(own) - 1} more" if len(own) > 1 else ""
                say(f"run {number + 1} of {num_jobs}: {own[0].workdir}{others}")
                _train(own)


def _train(runs: Sequence[Run]) -> None:
    if len(runs) > 1:
        together.train_and_evaluate([(run.config, run.workdir) for run in runs])
        return
    try:
        train_and_evaluate(runs[0].config, runs[0].workdir)
    except DivergedError as error:
        say(f"left out, since it diverged: {error}")


@contextlib.contextmanager
def claimed(workdir: Path) -> Iterator[bool]:
    """Within it no other process trains in `workdir`; False where one does already.

    The claim ends with the process, however that ends. The processes of one distributed job train the same runs.
    """
    if jax.process_count() > 1:
        yield True
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / ".claim").open("w")
    except OSError as error:
        raise InputError(f"cannot write to {workdir}: {error.strerror}", "give another --workdir") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"left to the process that is training it: {workdir}")
            yield False
            return
        yield True


def train_in_processes(command: Sequence[str], todo: Sequence[int], num_processes: int, logs: Path) -> None:
    """Runs `command --only=INDEX` for each index of `todo`, so many at once, each with its share of the cores.

    Raises:
      InputError: one of them failed; the others are stopped, with their states saved.
    """
    logs.mkdir(parents=True, exist_ok=True)
    cores = sorted(os.sched_getaffinity(0))
    num_processes = min(num_processes, len(cores), len(todo))
    free = [cores[place::num_processes] for place in range(num_processes)]
    waiting, running = [*todo], list[tuple[int, list[int], subprocess.Popen]]()
    try:
        while waiting or running:
            while waiting and free:
                running.append(_started(command, waiting.pop(0), free.pop(), cores, logs))
            for job in [job for job in running if job[2].poll() is not None]:
                index, share, process = job
                running.remove(job)
                free.append(share)
                if process.returncode:
                    *_, last = ["", *_log(logs, index).read_text().splitlines()]
                    raise InputError(f"run {index} ended with status {process.returncode}: {last}",
                                     f"see {_log(logs, index)}")  # fmt: skip
            time.sleep(_POLL_S)
    finally:
        for *_, process in running:
            process.terminate()
        for *_, process in running:
            process.wait()


def _started(
    command: Sequence[str], index: int, share: list[int], cores: list[int], logs: Path
) -> tuple[int, list[int], subprocess.Popen]:
    say(f"run {index} starts on {len(share)} cores; {_log(logs, index)}")
    with _log(logs, index).open("w") as log:
        # What this thread may use is what the process inherits, and XLA starts as many threads.
        os.sched_setaffinity(0, share)
        try:
            process = subprocess.Popen([*command, f"--only={index}"], stdout=log, stderr=subprocess.STDOUT)
        finally:
            os.sched_setaffinity(0, cores)
    return index, share, process


def _log(logs: Path, index: int) -> Path:
    return logs / f"{index}.txt"


def unfinished(jobs: Sequence[Sequence[Run]]) -> list[int]:
    """Indices of the jobs of which a run is missing."""
    return [index for index, job in enumerate(jobs) if not all(is_scored(run.workdir) for run in job)]
