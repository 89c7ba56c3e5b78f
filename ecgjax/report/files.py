"""What a report is made from: the files of a workdir."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ecgjax.errors import InputError
from ecgjax.runlog import read_metrics

_RESULT_KEYS = ("task", "dataset", "split", "n_records", "n_patients", "seed", "git", "hardware", "wall_s", "metrics")


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The files of a workdir; what is not there is empty."""

    results: dict[str, Any]
    config: str
    log: list[dict[str, Any]]
    predictions: dict[str, np.ndarray]
    examples: dict[str, np.ndarray]
    figures_dir: Path


def read_run(workdir: Path) -> RunFiles:
    """The files of a run that has been evaluated.

    Raises:
      InputError: there are no results, or a file cannot be read.
    """
    path = workdir / "results.json"
    if not path.exists():
        raise InputError(f"expected a results.json in {workdir}, found none", "evaluate the run first")
    try:
        results = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}", "evaluate the run again") from error
    missing = [key for key in _RESULT_KEYS if key not in results]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}", "evaluate the run again")
    config = workdir / "config.json"
    split = results["split"]
    return RunFiles(
        results,
        config.read_text() if config.exists() else "",
        _read_log(workdir / "metrics.jsonl"),
        _read_arrays(workdir / f"predictions_{split}.npz"),
        _read_arrays(workdir / f"examples_{split}.npz"),
        workdir / "figures",
    )


def _read_log(path: Path) -> list[dict[str, Any]]:
    try:
        return read_metrics(path)
    except ValueError as error:
        raise InputError(f"{path} is not JSON lines: {error}", "remove the broken line") from error


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {error}", "evaluate the run again") from error
