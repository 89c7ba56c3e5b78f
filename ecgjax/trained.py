"""A trained run as far as reading records needs it: no data, no optimiser, no checkpoints, all slow to import."""

import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn
from ml_collections import ConfigDict

from ecgjax import models, tasks
from ecgjax.bundled import learnt_variables, networks
from ecgjax.compilation_cache import keep_compiled
from ecgjax.errors import InputError
from ecgjax.memory import leave_scraps_of_compilers
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.task import Task
from ecgjax.workdir import predictions_file, read_arrays, read_config


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained run.

    Attributes:
      config: what it was trained by.
      task: as the config describes it, not tuned.
      module: the network.
      preprocess: what is done to a record first, as in training.
      members: host variables of all networks of the run, several where it has `kfold`.
    """

    config: ConfigDict
    task: Task
    module: nn.Module
    preprocess: Preprocess
    members: list[dict[str, Any]]


def load_trained(workdir: Path) -> Trained:
    """The run in `workdir`.

    Raises:
      InputError: the folder holds none, or it is not finished.
    """
    config = read_config(workdir)
    keep_compiled(config.compilation_cache_dir)
    leave_scraps_of_compilers()
    task = tasks.build(config)
    module = models.build(config.model, task.num_outputs, models.DTYPES[config.dtype], axis_name=None)
    members = [learnt_variables(folder) for folder in networks(config, workdir)]
    return Trained(config, task, module, Preprocess.from_config(config), members)


def tuned_task(task: Task, workdir: Path) -> Task:
    """`task` as it is tuned on the validation predictions of the run in `workdir`, which one without need not have.

    Raises:
      InputError: the task is to be tuned, and the run has not got that far.
    """
    path = workdir / predictions_file("validation")
    if path.exists():
        return task.tuned(read_arrays(path))
    try:
        # A task that looks for predictions has something to tune.
        return task.tuned({})
    except KeyError as error:
        raise InputError(f"there is no {path}, on which {task.name} is tuned", "finish the run first") from error
