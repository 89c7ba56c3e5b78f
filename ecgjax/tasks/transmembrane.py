"""Transmembrane potentials: twelve leads of one beat to the potential of 75 sites of the heart at every sample."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ecgjax.data import intracardiac
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.fast_random import split
from ecgjax.metrics import Metric
from ecgjax.tasks.activation_map import heart_label
from ecgjax.tasks.heart_view import HeartView, delayed
from ecgjax.tasks.potential_figures import Compared, paired_gains, potential_figures
from ecgjax.tasks.task import Record, Task

LOSSES = ("mse", "l1")

VM_SCALINGS = ("none", "unit", "site_standard")
"""mV as they are; 0 at rest and 1 at PEAK_MV; by `site_mean_mv` and `site_sd_mv`."""


@dataclasses.dataclass(frozen=True)
class Transmembrane:
    """The task; its options are described in configs/transmembrane.py."""

    loss_name: str
    vm_scaling: str
    site_mean_mv: tuple[float, ...]
    site_sd_mv: tuple[float, ...]
    upstroke_weight: float
    upstroke_ms: float
    shown: HeartView
    name: str = "transmembrane"

    def __post_init__(self):
        if self.loss_name not in LOSSES:
            raise InputError(f"unknown transmembrane.loss {self.loss_name!r}", f"use one of {', '.join(LOSSES)}")
        if self.vm_scaling not in VM_SCALINGS:
            raise InputError(
                f"unknown transmembrane.vm_scaling {self.vm_scaling!r}", f"use one of {', '.join(VM_SCALINGS)}"
            )
        for name, values in (("site_mean_mv", self.site_mean_mv), ("site_sd_mv", self.site_sd_mv)):
            if len(values) not in (1, intracardiac.NUM_SITES):
                raise InputError(
                    f"transmembrane.{name} has {len(values)} values", f"give 1 or {intracardiac.NUM_SITES}"
                )
        if min(self.site_sd_mv) <= 0:
            raise InputError("a value of transmembrane.site_sd_mv is not above 0", "give mV above 0")
        if self.upstroke_weight < 0:
            raise InputError(f"transmembrane.upstroke_weight is {self.upstroke_weight}", "give 0 or more")

    @classmethod
    def from_config(cls, config: ConfigDict) -> "Transmembrane":
        """The task that `config` describes."""
        if config.preprocess.fs_hz != intracardiac.FS_HZ:
            raise InputError(
                f"preprocess.fs_hz is {config.preprocess.fs_hz}", f"leave the {intracardiac.FS_HZ:g} Hz of vm"
            )
        options = config.transmembrane
        return cls(
            loss_name=options.loss,
            vm_scaling=options.vm_scaling,
            site_mean_mv=options.site_mean_mv,
            site_sd_mv=options.site_sd_mv,
            upstroke_weight=options.upstroke_weight,
            upstroke_ms=options.upstroke_ms,
            shown=HeartView.from_options(config, options),
        )

    @property
    def num_outputs(self) -> int:
        return intracardiac.NUM_SITES

    @property
    def num_views(self) -> int:
        return 1

    def class_names(self) -> tuple[str, ...]:
        return intracardiac.SITES

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        heart_label(split, "vm")  # refuses datasets of another kind
        return {}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        return {name: heart_label(split, name) for name in ("vm", "activation_ms")}

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: Record) -> Record:
        shift_key, signal_key = split(key, 2)
        shift = self.shown.draw_shift(shift_key)
        vm = record["vm"]
        return {
            "signal_mv": self.shown.training_signal(signal_key, record["signal_mv"], shift),
            "vm": delayed(vm, shift, vm[0]) if self.shown.max_shift_ms else vm,
            "activation_ms": record["activation_ms"] + self.shown.shift_ms(shift),
        }

    def evaluation_view(self, record: Record, view: jax.Array) -> Record:
        return {**record, "signal_mv": self.shown.evaluation_signal(record["signal_mv"])}

    def loss(self, outputs: jax.Array, batch: Record) -> jax.Array:
        centre_mv, spread_mv = self._scale_mv()
        error = outputs - (_millivolts(batch["vm"]) - centre_mv) / spread_mv
        each = jnp.square(error) if self.loss_name == "mse" else jnp.abs(error)
        if not self.upstroke_weight:
            return jnp.mean(each, axis=(1, 2))
        since_ms = jnp.arange(each.shape[1])[:, None] * (1000 / self.shown.fs_hz) - batch["activation_ms"][:, None]
        # Sites that never fire have no upstroke: nothing is within any distance of NaN.
        weight = 1 + self.upstroke_weight * (jnp.abs(since_ms) <= self.upstroke_ms)
        return jnp.sum(each * weight, axis=(1, 2)) / jnp.sum(weight, axis=(1, 2))

    def predict(self, outputs: jax.Array, batch: Record) -> dict[str, jax.Array]:
        # Rounding of float16 is below 0.04 mV, and there are 37,500 values a record.
        true_mv, predicted_mv = _millivolts(batch["vm"]), self.potentials_mv(outputs)
        return {"targets": true_mv.astype(jnp.float16), "scores": predicted_mv.astype(jnp.float16)}

    def potentials_mv(self, outputs: jax.Array) -> jax.Array:
        """`[..., site]` that the model's outputs stand for."""
        centre_mv, spread_mv = self._scale_mv()
        return centre_mv + spread_mv * outputs.astype(jnp.float32)

    def _scale_mv(self) -> tuple[np.ndarray, np.ndarray]:
        """Potential where an output is 0, and by how much it rises for an output of 1; `[site]` or `[1]`."""
        if self.vm_scaling == "site_standard":
            return np.array(self.site_mean_mv, np.float32), np.array(self.site_sd_mv, np.float32)
        if self.vm_scaling == "unit":
            rest_mv, peak_mv = intracardiac.REST_MV, intracardiac.PEAK_MV
            return np.array([rest_mv], np.float32), np.array([peak_mv - rest_mv], np.float32)
        return np.zeros(1, np.float32), np.ones(1, np.float32)

    def decode(self, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def tuned(self, predictions: dict[str, np.ndarray]) -> Task:
        return self

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        compared = Compared.from_potentials(predictions["targets"], predictions["scores"])
        return potential_figures(compared, predictions["patient_ids"], num_bootstrap)

    def rivals(self, train: Split, test: Split) -> dict[str, np.ndarray]:
        from ecgjax.tasks import heart_baselines  # noqa: PLC0415 - scikit-learn, which only training needs

        return heart_baselines.potentials(train, test, self.shown)

    def baselines(
        self, rivals: dict[str, np.ndarray], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        truth, patients = predictions["targets"], predictions["patient_ids"]
        own = Compared.from_potentials(truth, predictions["scores"])
        found = {}
        for name, guess in rivals.items():
            compared = Compared.from_potentials(truth, guess)
            found[name] = potential_figures(compared, patients, num_bootstrap)
            found[name] |= paired_gains(own, compared, patients, num_bootstrap)
        return found

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}


def _millivolts(vm: jax.Array) -> jax.Array:
    return vm.astype(jnp.float32) / intracardiac.VM_GAIN
