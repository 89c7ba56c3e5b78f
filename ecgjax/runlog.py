"""What a run tells: metrics.jsonl, the progress bar, and what it ran on."""

import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import tqdm

from ecgjax.data.split import Split
from ecgjax.metrics import Metric

_SECONDS_BETWEEN_LINES = 10.0


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes all of the file or nothing."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    os.replace(temporary, path)


class MetricsLog:
    """`metrics.jsonl`: one object a line, with the step, the split and figures.

    Opening it cuts every line past `step` and any half line, so that the log of a resumed run is that of an
    uninterrupted one. Only the first process writes.
    """

    def __init__(self, path: Path, step: int):
        self._path = path
        self._writes = jax.process_index() == 0
        if self._writes:
            kept = [line for line in read_metrics(path) if line["step"] <= step]
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
            os.replace(temporary, path)

    def write(self, step: int, split: str, figures: dict[str, float]) -> None:
        """Adds a line; figures that are not finite become null."""
        if not self._writes:
            return
        finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, "split": split, **finite}) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a `metrics.jsonl`; none where there is no file."""
    if not path.exists():
        return []
    # A process killed while writing leaves a last line without its end.
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def say(text: str) -> None:
    """A line for the user, on stderr and from the first process alone; above the progress bar where there is one."""
    if jax.process_index() == 0:
        tqdm.tqdm.write(text, file=sys.stderr)


class ProgressBar:
    """Step, loss, records a second and time left on stderr: a bar on a terminal, else a line now and then."""

    def __init__(self, first_step: int, num_steps: int, batch_size: int):
        self._batch_size = batch_size
        self._num_steps = num_steps
        self._step = first_step
        self._last_line = time.perf_counter()
        self._is_terminal = sys.stderr.isatty()
        self._bar = tqdm.tqdm(
            total=num_steps,
            initial=first_step,
            disable=jax.process_index() > 0 or not self._is_terminal,
            bar_format="training {percentage:3.0f}%|{bar}| step {n_fmt}/{total_fmt}{postfix}",
        )

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def update(self, step: int, loss: float, steps_per_s: float) -> None:
        """Shows that `step` is done, unless it was before: several runs may share a bar."""
        if step <= self._step:
            return
        left = tqdm.tqdm.format_interval((self._num_steps - step) / steps_per_s) if steps_per_s else "?"
        text = f"loss {loss:.4g}, {steps_per_s * self._batch_size:.0f} records/s, {left} left"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(step - self._step)
        self._step = step
        is_time = time.perf_counter() - self._last_line >= _SECONDS_BETWEEN_LINES
        if not self._is_terminal and (is_time or step == self._num_steps):
            say(f"training: step {step}/{self._num_steps}, {text}")
            self._last_line = time.perf_counter()


def summary(task: str, num_parameters: int, splits: dict[str, Split], workdir: Path) -> str:
    """What is about to run, on one line."""
    sizes = ", ".join(f"{len(split.record_ids)} {name}" for name, split in splits.items())
    dataset = splits["train"].dataset
    return f"{task}: {num_parameters:,} parameters; {dataset}: {sizes} records; {hardware()}; {workdir / 'config.json'}"


def git_version() -> str:
    """The commit that this code comes from, with `-dirty` for uncommitted changes; `unknown` outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def hardware() -> str:
    """Devices and processor, for example `1x cpu (AMD EPYC 7B13, 2 cores)`."""
    kind = jax.devices()[0].device_kind
    return f"{jax.device_count()}x {kind} ({_processor()}, {os.cpu_count()} cores)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def results_table(results: dict[str, Any]) -> str:
    """The figures of `results.json` with their intervals, and those of the baselines, side by side."""
    columns = {"": results["metrics"], **results["baselines"]}
    names = [name for name in results["metrics"] if "/" not in name]
    rows = [[results["task"], *(name or "network" for name in columns)]]
    rows += [[name, *(_cell(figures.get(name), not column) for column, figures in columns.items())] for name in names]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    counts = f"{results['n_records']} records of {results['n_patients']} patients"
    return "\n".join([f"{results['split']} split of {results['dataset']}, {counts}", *lines])


def _cell(metric: dict[str, Any] | None, with_interval: bool) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    interval = metric["ci95"] if with_interval else None
    return f"{metric['value']:.4g}" + (f" ({interval[0]:.4g} to {interval[1]:.4g})" if interval else "")


def to_json(metrics: dict[str, Metric]) -> dict[str, Any]:
    """Figures as `results.json` holds them."""
    return {name: metric.to_json() for name, metric in metrics.items()}
