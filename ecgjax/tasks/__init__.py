"""Tasks by name."""

import importlib

from ml_collections import ConfigDict

from ecgjax.errors import InputError
from ecgjax.options import fitting_options
from ecgjax.tasks.task import Task

_CLASSES = {
    "diagnosis": "Diagnosis",
    "heartbeat": "Heartbeat",
    "rhythm": "Rhythm",
    "age": "Age",
    "reversal": "Reversal",
    "lead_id": "LeadId",
    "reconstruction": "Reconstruction",
    "activation_map": "ActivationMap",
    "transmembrane": "Transmembrane",
    "labelled": "Labelled",
}
"""Task -> its class in the module of the task's name, imported once it is asked for."""


def build(config: ConfigDict) -> Task:
    """The task that `config` describes."""
    if config.task not in _CLASSES:
        raise InputError(f"unknown task {config.task!r}", f"use one of {', '.join(_CLASSES)}")
    task_class = getattr(importlib.import_module(f"ecgjax.tasks.{config.task}"), _CLASSES[config.task])
    with fitting_options():
        task: Task = task_class.from_config(config)
    return task
