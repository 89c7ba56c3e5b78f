"""A tiny task, network and dataset for tests of the loop.

A record is positive where its first lead is above its second; a network without convolutions learns it in a few steps.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import common
from data_prep.serialize import serialize
from ecgjax import experiment, train
from ecgjax.data.split import Split
from ecgjax.data.stored import StoredSignals
from ecgjax.metrics import Metric
from ecgjax.preprocess import Preprocess
from ecgjax.runlog import read_metrics

FS_HZ = 20.0
SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class FakeTask:
    """Two views: the record, and the record upside down."""

    name: str = "fake"
    num_outputs: int = 1
    num_views: int = 2

    def excluded(self, split: Split) -> dict[str, np.ndarray]:
        return {}

    def targets(self, split: Split) -> dict[str, np.ndarray]:
        return {"is_positive": split.labels["is_positive"], "number": split.labels["number"]}

    def sampling_weights(self, split: Split) -> np.ndarray | None:
        return None

    def training_view(self, key: jax.Array, record: dict) -> dict:
        gain = 1.0 + 0.1 * jax.random.normal(key)
        return {**record, "signal_mv": record["signal_mv"] * gain}

    def evaluation_view(self, record: dict, view: jax.Array) -> dict:
        sign = 1.0 - 2.0 * view
        return {
            **record,
            "signal_mv": record["signal_mv"] * sign,
            "is_positive": record["is_positive"] ^ (view == 1),
        }

    def loss(self, outputs: jax.Array, batch: dict) -> jax.Array:
        logits = outputs[:, 0]
        return jnp.logaddexp(0.0, jnp.where(batch["is_positive"], -logits, logits))

    def predict(self, outputs: jax.Array, batch: dict) -> dict[str, jax.Array]:
        return {
            "scores": jax.nn.sigmoid(outputs),
            "targets": batch["is_positive"].astype(jnp.int32),
            "number": batch["number"],
        }

    def decode(self, predictions):
        return {}

    def class_names(self) -> tuple[str, ...]:
        return ("positive",)

    def tuned(self, predictions: dict[str, np.ndarray]) -> "FakeTask":
        return self

    def metrics(self, predictions: dict[str, np.ndarray], num_bootstrap: int) -> dict[str, Metric]:
        right = (predictions["scores"][:, 0] > 0.5) == predictions["targets"]
        return {"accuracy": Metric(float(right.mean()), (0.0, 1.0) if num_bootstrap else None, len(right))}

    def examples(self, split: Split, predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"signal_mv": split.ecg[:2] / split.gain, "record_ids": predictions["record_ids"][:4:2]}

    def rivals(self, train: Split, test: Split) -> dict[str, float]:
        return {"chance": 0.5}

    def baselines(
        self, rivals: dict[str, float], test: Split, predictions: dict[str, np.ndarray], num_bootstrap: int
    ) -> dict[str, dict[str, Metric]]:
        return {name: {"accuracy": Metric(share, None, len(test.record_ids))} for name, share in rivals.items()}


class FakeNetwork(nn.Module):
    """Means over time, one hidden layer, BatchNorm."""

    num_outputs: int
    dtype: jnp.dtype
    axis_name: str

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        # No bias before BatchNorm: its gradient would be rounding errors, which Adam blows up to whole steps.
        x = nn.Dense(8, use_bias=False, dtype=self.dtype)(jnp.mean(signal_mv, axis=1))
        x = nn.BatchNorm(not is_training, momentum=0.8, axis_name=self.axis_name, dtype=self.dtype)(x)
        return nn.Dense(self.num_outputs, dtype=self.dtype)(nn.relu(x)).astype(jnp.float32)


def fake_split(split: str, num_records: int) -> Split:
    """Two records a patient, noise with a level of its own in each of three leads."""
    rng = np.random.default_rng({"train": 1, "validation": 2, "test": 3}[split])
    level = rng.normal(size=(num_records, 1, 3))
    ecg_mv = level + 0.2 * rng.normal(size=(num_records, int(FS_HZ * SECONDS), 3))
    ids = np.array([f"{split}{i}" for i in range(num_records)])
    return Split(
        dataset="fake",
        split=split,
        ecg=np.round(ecg_mv * 1000).astype(np.int16),
        gain=1000.0,
        fs_hz=FS_HZ,
        lead_names=("I", "II", "III"),
        record_ids=ids,
        patient_ids=np.array([f"{split}-patient{i // 2}" for i in range(num_records)]),
        labels={"is_positive": level[:, 0, 0] > level[:, 0, 1], "number": np.arange(num_records)},
    )


def fake_config():
    """A run of a second."""
    config = common.base()
    config.task = "fake"
    config.model = {}
    config.batch_size = 8
    config.num_steps = 24
    config.data.seconds = SECONDS
    config.data.crop_s = 1.5
    config.preprocess.fs_hz = FS_HZ
    config.preprocess.high_hz = 9.0
    config.schedule.learning_rate = 0.01
    config.log_every = 4
    config.eval_every = 8
    config.checkpoint_every = 6
    config.evaluation.batch_size = 8
    config.num_bootstrap = 10
    return config


class MadeFiles:
    """Stands in for the record files of a split."""

    def __init__(self, split: Split):
        self.metadata = {"gain": split.gain, "lead_names": split.lead_names}
        self._ecg = split.ecg

    def at_rows(self, rows: np.ndarray) -> Iterator[bytes]:
        for ecg in self._ecg[rows]:
            yield serialize({"ecg": ecg, "fs_hz": FS_HZ}, {"ecg": "bytes_list", "fs_hz": "float_list"})


def fake_load(config, split: str) -> Split:
    """Stands in for `experiment.load`; sizes that no batch divides."""
    made = fake_split(split, {"train": 37, "validation": 13, "test": 11}[split])
    if config.data.input == "resident":
        return made
    stored = StoredSignals(MadeFiles(made), Preprocess.from_config(config), SECONDS, np.arange(len(made)))
    return dataclasses.replace(made, ecg=stored)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Within it the loop finds the fake task, network and dataset, and writes no report."""

    def build_model(config, num_outputs, dtype, axis_name):
        return FakeNetwork(num_outputs, dtype, axis_name)

    with (
        mock.patch.multiple(train, load=fake_load, write_report=mock.DEFAULT),
        mock.patch.object(experiment.tasks, "build", return_value=FakeTask()),
        mock.patch.object(experiment.models, "build", build_model),
    ):
        yield


def assert_close_logs(one: Path, other: Path, rel: float) -> None:
    """The same lines, with figures up to a relative difference."""
    for line, expected in zip(*(read_metrics(run / "metrics.jsonl") for run in (one, other)), strict=True):
        assert line.pop("split") == expected.pop("split")
        assert line == pytest.approx(expected, rel=rel)
