"""What is measured: every task and network as its config has it, and one option varied at a time."""

import copy
import dataclasses
import importlib
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

NETWORKS = {
    "reversal": ("placement_net", "original", "original_wide", "original_deep"),
    "lead_id": ("arrangement_net", "original"),
    "diagnosis": (
        *("beat_net", "xresnet1d", "inception_time", "state_space", "ribeiro_net", "ribeiro_full_rate_net"),
        "ml_resnet",
    ),
    "age": (
        *("beat_net", "xresnet1d", "inception_time", "state_space", "ribeiro_net", "ribeiro_full_rate_net"),
        "ml_resnet",
    ),
    "heartbeat": ("beat_reader", "beat_cnn", "kachuee_net", "gaf_net"),
    "rhythm": ("rhythm_reader", "residual34"),
    "reconstruction": ("lead_filler", "uresnet"),
    "activation_map": ("activation_reader", "squeeze_net", "activation_cnn"),
    "transmembrane": ("potential_reader", "squeeze_net", "cnn_bilstm"),
}
"""Task -> values of `model=` in its config, the default one first."""

RANDOM_CHANGES = (
    *("rotation_rad", "elongation", "displacement", "gain", "noise_mv", "lead_noise_mv", "stretch", "random_leads"),
    *("neutral_noise_mv", "turned", "shift_s", "rr_jitter", "wander_mv", "noise", "wander", "flip", "mask_s"),
    "max_shift_ms",
)
"""Options of tasks that change training records at random, all off at 0. Crops, exchanged electrodes and the order of
leads stay: they are what is learnt."""

AXES = {
    "batch_sizes": "batch_size",
    "dtypes": "dtype",
    "num_devices": "num_devices",
    "steps_per_dispatch": "steps_per_dispatch",
    "shardings": "sharding",
    "inputs": "input",
    "augmentations": "augmented",
}
"""What can vary -> the field of a case."""

TRAINING_ONLY = ("steps_per_dispatch", "inputs", "augmentations")
"""What is asked of training alone."""

INPUTS = ("resident", "stream")

EVERY_NETWORK = "networks"


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to train and to infer.

    Attributes:
      task, model: a name of `NETWORKS`, and one of its networks.
      batch_size: records in a step, of training and of inference; 0 takes those of the config.
      dtype, sharding, steps_per_dispatch: fields of the config.
      num_devices: that share a batch.
      input: resident or stream, the field data.input of the config.
      is_prepared: whether records are those of the dataset on disk, which is prepared first where it is absent; what is
        streamed has to lie there. Otherwise they are made in memory.
      augmented: whether training records are changed at random.
    """

    task: str
    model: str
    batch_size: int
    dtype: str
    num_devices: int
    steps_per_dispatch: int
    sharding: str
    input: str
    is_prepared: bool
    augmented: bool

    @classmethod
    def shipped(cls, task: str, model: str) -> "Case":
        """As the config has it, on one device."""
        config = _config(task, model)
        return cls(
            task=task,
            model=model,
            batch_size=0,
            dtype=config.dtype,
            num_devices=1,
            steps_per_dispatch=config.steps_per_dispatch,
            sharding=config.sharding,
            input=config.data.input,
            is_prepared=False,
            augmented=True,
        )

    def config(self, data_dir: str) -> ConfigDict:
        """The config of its task, changed as the case says; prepared datasets lie in `data_dir`."""
        config = _config(self.task, self.model)
        for name in ("dtype", "sharding", "steps_per_dispatch"):
            config[name] = getattr(self, name)
        config.data.input = self.input
        config.data.dir = data_dir
        # How long compilation takes is measured.
        config.compilation_cache_dir = ""
        if self.batch_size:
            config.batch_size = config.evaluation.batch_size = self.batch_size
        return config if self.augmented else without_random_changes(config)


def without_random_changes(config: ConfigDict) -> ConfigDict:
    """A copy with all options at 0 that change training records at random."""
    config = copy.deepcopy(config)
    options = config[config.task]
    for name in set(RANDOM_CHANGES) & set(options):
        options[name] = 0.0
    return config


def _config(task: str, model: str) -> ConfigDict:
    is_default = model == NETWORKS[task][0]
    return importlib.import_module(f"configs.{task}").get_config("" if is_default else f"model={model}")


@dataclasses.dataclass(frozen=True)
class Group:
    """Cases that are compared, and so measured in turn.

    Attributes:
      table: `EVERY_NETWORK`, or one of `AXES`.
      cases: the one that others are compared with first.
      infers: whether inference is measured, too.
    """

    table: str
    cases: tuple[Case, ...]
    infers: bool

    @property
    def name(self) -> str:
        """What tells it from all others."""
        first = self.cases[0]
        if self.table == EVERY_NETWORK:
            return f"{self.table} of {first.task}: {', '.join(case.model for case in self.cases)}"
        values = ", ".join(str(getattr(case, AXES[self.table])) for case in self.cases)
        return f"{self.table} of {first.task} {first.model}: {values}"


def networks_of(task: str, models: Sequence[str]) -> Group:
    """Networks of a task side by side."""
    return Group(EVERY_NETWORK, tuple(Case.shipped(task, model) for model in models), infers=True)


def varied(task: str, model: str, axis: str, values: Sequence[Any]) -> Group:
    """The shipped case with one of its fields at each of these values."""
    base = Case.shipped(task, model)
    if axis == "inputs":
        base = dataclasses.replace(base, is_prepared=True)
    cases = tuple(dataclasses.replace(base, **{AXES[axis]: value}) for value in values)
    return Group(axis, cases, infers=axis not in TRAINING_ONLY)
