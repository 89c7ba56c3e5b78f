"""The files of a run, and the guard that keeps two configs from sharing them."""

import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ecgjax.errors import InputError
from ecgjax.runlog import write_json

CHECKPOINTS = "checkpoints"
CONFIG = "config.json"
METRICS = "metrics.jsonl"
REPORT = "report.html"
RESULTS = "results.json"


def predictions_file(split: str) -> str:
    """Name of the file that holds the predictions for `split`."""
    return f"predictions_{split}.npz"


def check_workdir(workdir: Path, config: ConfigDict) -> None:
    """Raises InputError where `workdir` is that of another config, showing the difference."""
    if not (workdir / CONFIG).exists():
        return
    before, now = _flat(read_config(workdir).to_dict()), _flat(config.to_dict())
    differing = [
        f"{name} was {before.get(name, 'absent')!r} and is {now.get(name, 'absent')!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name, "absent") != now.get(name, "absent")
    ]
    if differing:
        raise InputError(
            f"{workdir} holds a run of another config: {', '.join(differing)}",
            "give another --workdir, or the config of that run to resume it",
        )


def open_workdir(workdir: Path, config: ConfigDict) -> None:
    """Makes `workdir` that of `config`; raises InputError where it is that of another one."""
    check_workdir(workdir, config)
    if jax.process_index() > 0 or (workdir / CONFIG).exists():
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        write_json(workdir / CONFIG, config.to_dict())
    except OSError as error:
        raise InputError(f"cannot write to {workdir}: {error.strerror}", "give another --workdir") from error


def read_config(workdir: Path) -> ConfigDict:
    """The config of the run in `workdir`."""
    path = workdir / CONFIG
    try:
        return ConfigDict(_with_tuples(json.loads(path.read_text())))
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}", "give the --workdir of a run") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error}", "restore it, or start anew in another workdir") from error


def read_results(workdir: Path) -> dict[str, Any]:
    """The content of its `results.json`."""
    return json.loads((workdir / RESULTS).read_text())


def member_runs(config: ConfigDict, workdir: Path) -> list[tuple[ConfigDict, Path]]:
    """Config and folder of each network that a run trains: one, or `config.kfold` of them, each with its own seed."""
    if not config.kfold:
        return [(config, workdir)]
    runs = []
    for fold in range(config.kfold):
        member = config.copy_and_resolve_references()
        member.seed = config.seed + fold
        runs.append((member, workdir / f"fold_{fold}"))
    return runs


def is_scored(workdir: Path) -> bool:
    """Whether the run is trained and its test results are written."""
    names = (RESULTS, predictions_file("validation"), predictions_file("test"))
    return all((workdir / name).exists() for name in names)


def examples_file(split: str) -> str:
    """Name of the file that holds the records of `split` that the report draws."""
    return f"examples_{split}.npz"


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes all of an npz file or nothing."""
    temporary = path.with_name(f".{path.name}")
    np.savez_compressed(temporary, **arrays)
    temporary.replace(path)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote."""
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {path}: {error}", "delete it and run the same command again") from error


def _with_tuples(value: Any) -> Any:
    """`value` with the tuples that JSON made lists."""
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` -> `{"a.b": 1}`"""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
