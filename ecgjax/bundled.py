"""Trained networks in small folders: those that come with ecgjax, and how a run becomes one.

Such a folder stands wherever a run is read. It holds `config.json`, `results.json`, the predictions that a task is
tuned on, and, in place of checkpoints, the weights of the best one in half precision: `variables.npz`, name -> array.
`SHA256SUMS` names all of them, for `sha256sum --check` too. A run of several networks has a folder for each.
"""

import hashlib
import shutil
import zipfile
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np
from ml_collections import ConfigDict

from ecgjax.errors import InputError
from ecgjax.runlog import write_json
from ecgjax.workdir import (
    CHECKPOINTS,
    CONFIG,
    RESULTS,
    member_runs,
    predictions_file,
    read_arrays,
    read_config,
    write_arrays,
)

BUNDLED = "bundled"
"""Given in place of a folder: the network that comes with ecgjax."""

VARIABLES = "variables.npz"
SUMS = "SHA256SUMS"
WEIGHTS = Path(__file__).parent / "weights"


def workdir_of(name_or_path: str | Path, task: str) -> Path:
    """The folder of a run of `task`: that which comes with ecgjax for "bundled", and for all else the path itself.

    Raises:
      InputError: none comes with ecgjax for this task, or its files are not as they were made.
    """
    if str(name_or_path) != BUNDLED:
        return Path(name_or_path)
    folder = WEIGHTS / task
    if not (folder / SUMS).exists():
        known = ", ".join(sorted(path.parent.name for path in WEIGHTS.glob(f"*/{SUMS}"))) or "none"
        raise InputError(f"no network for {task} comes with ecgjax (there are: {known})", "give the folder of a run")
    check_sums(folder)
    return folder


def check_sums(folder: Path) -> None:
    """Raises InputError where a file is not as `SHA256SUMS` in the folder has it."""
    for line in (folder / SUMS).read_text().splitlines():
        expected, name = line.split(maxsplit=1)
        path = folder / name
        if not path.is_file() or _sha256(path) != expected:
            raise InputError(f"{path} is not the file that {SUMS} names", "install ecgjax anew")


def networks(config: ConfigDict, workdir: Path) -> list[Path]:
    """The folders with the weights of each network in `workdir`: itself, one of `kfold` too, or those in it."""
    has_own = any((workdir / name).exists() for name in (VARIABLES, CHECKPOINTS))
    return [workdir] if has_own else [folder for _, folder in member_runs(config, workdir)]


def learnt_variables(workdir: Path) -> dict[str, Any]:
    """What evaluation uses of the best network in `workdir`: host arrays, from `variables.npz` or checkpoints.

    Raises:
      InputError: there is neither, or the file is damaged.
    """
    if (workdir / VARIABLES).exists():
        return read_variables(workdir)
    from ecgjax.checkpoints import Checkpoints  # noqa: PLC0415 - Orbax, which takes seconds to import

    if not (workdir / CHECKPOINTS).is_dir():
        raise InputError(f"{workdir} holds neither {CHECKPOINTS} nor {VARIABLES}", "give the folder of a run")
    with Checkpoints(workdir / CHECKPOINTS, {}, writes=False) as checkpoints:
        return jax.tree.map(np.asarray, checkpoints.restore_best_variables())


def read_variables(folder: Path) -> dict[str, Any]:
    """The arrays of `variables.npz`; those in half precision become float32.

    Raises:
      InputError: the file cannot be read.
    """
    try:
        with (folder / VARIABLES).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {folder / VARIABLES} ({error})", "restore it") from None
    wide = {name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in arrays.items()}
    return flax.traverse_util.unflatten_dict(wide, sep="/")


def write_variables(variables: dict[str, Any], folder: Path) -> None:
    """Makes `variables.npz`, of floats in half precision.

    Raises:
      InputError: a weight is beyond it.
    """
    arrays = flax.traverse_util.flatten_dict(variables, sep="/")
    largest = float(np.finfo(np.float16).max)
    for name, array in arrays.items():
        if not np.all(np.abs(array) <= largest):
            raise InputError(f"the weight {name} is not within +-{largest:g}", "train with weight decay")
    halved = {name: array.astype(np.float16) if array.dtype == np.float32 else array for name, array in arrays.items()}
    write_arrays(folder / VARIABLES, halved)


def write_bundle(workdir: Path, folder: Path) -> None:
    """Makes `folder` of the finished run in `workdir`; nothing is written unless all of it can be.

    Raises:
      InputError: the run is not finished, a weight is beyond half precision, or the folder is there already.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already", "name another, or remove it")
    if not (workdir / RESULTS).exists():
        raise InputError(f"there is no {workdir / RESULTS}", "finish the run first")
    config = read_config(workdir)
    members = networks(config, workdir)
    making = folder.with_name(f".{folder.name}")
    shutil.rmtree(making, ignore_errors=True)
    for source in dict.fromkeys((workdir, *members)):
        part = making / source.relative_to(workdir)
        part.mkdir(parents=True)
        own = read_config(source)
        own.data.dir = own.init = ""  # of the machine it was trained on
        write_json(part / CONFIG, own.to_dict())
        if source in members:
            write_variables(learnt_variables(source), part)
    shutil.copy(workdir / RESULTS, making)
    if tuned_on := _tuned_on(workdir):
        write_arrays(making / predictions_file("validation"), tuned_on)
    files = sorted(path for path in making.rglob("*") if path.is_file())
    sums = [f"{_sha256(path)}  {path.relative_to(making).as_posix()}\n" for path in files]
    (making / SUMS).write_text("".join(sums))
    making.replace(folder)


class _Noting(dict[str, np.ndarray]):
    """Arrays that know which of them were asked for."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        super().__init__(arrays)
        self.asked: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        self.asked[name] = super().__getitem__(name)
        return self.asked[name]


def _tuned_on(workdir: Path) -> dict[str, np.ndarray]:
    """What of the validation predictions the task of the run chooses thresholds or factors by."""
    from ecgjax import tasks  # noqa: PLC0415 - only a bundle in the making needs them

    path = workdir / predictions_file("validation")
    predictions = _Noting(read_arrays(path) if path.exists() else {})
    tasks.build(read_config(workdir)).tuned(predictions)
    return predictions.asked


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
