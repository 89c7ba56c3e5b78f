"""Made beats of hearts, and runs that look behind them with a linear network."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import flax.linen as nn
import jax
import numpy as np

from configs import activation_map, transmembrane
from ecgjax import experiment, leads
from ecgjax.checkpoints import Checkpoints
from ecgjax.data.intracardiac import NUM_SAMPLES, NUM_SITES, REST_MV, VM_GAIN
from ecgjax.data.split import Split
from ecgjax.heart.template import mean_heart
from ecgjax.runlog import write_json
from ecgjax.workdir import CHECKPOINTS, CONFIG

CONFIGS = {"activation_map": activation_map, "transmembrane": transmembrane}
VELOCITY_MM_MS = 0.7


def made_hearts(split: str, num_records: int) -> Split:
    """Two records a heart, each a plane wave through a scaled mean heart; every third has five silent sites."""
    rng = np.random.default_rng(["train", "validation", "test"].index(split))
    heart = np.arange(num_records) // 2
    size = rng.uniform(0.9, 1.1, num_records)[heart]
    site_mm = (mean_heart().site_mm * size[:, None, None]).astype(np.float32)
    direction = rng.normal(size=(num_records, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    place = np.einsum("nsi,ni->ns", site_mm, direction)
    times_ms = 20 + (place - place.min(axis=1, keepdims=True)) / VELOCITY_MM_MS
    since = np.arange(NUM_SAMPLES)[:, None] - times_ms[:, None]
    vm_mv = REST_MV + 110 / (1 + np.exp(-np.clip(since, -40, 40)))
    times_ms[::3, -5:] = np.nan
    vm_mv[::3, :, -5:] = REST_MV
    wave = np.exp(-0.5 * ((np.arange(NUM_SAMPLES) - 70) / 15) ** 2)
    independent = np.einsum("t,nj,jl->ntl", wave, direction, rng.normal(size=(3, 8)))
    independent = independent + 0.002 * rng.normal(size=independent.shape)
    ecg = independent @ leads.LEADS_FROM_INDEPENDENT.T
    return Split(
        dataset="made_hearts/default",
        split=split,
        ecg=np.rint(1000 * ecg).astype(np.int16),
        gain=1000.0,
        fs_hz=1000.0,
        lead_names=leads.LEADS,
        record_ids=np.array([f"{split} {i}" for i in range(num_records)]),
        patient_ids=np.array([f"{split}-{i}" for i in heart]),
        labels={
            "activation_ms": times_ms.astype(np.float32),
            "vm": np.rint(VM_GAIN * vm_mv).astype(np.int16),
            "site_mm": site_mm,
            "num_samples": np.full(num_records, NUM_SAMPLES),
        },
    )


class Linear(nn.Module):
    """Weighted sums of the leads: at every instant, or averaged over the beat."""

    num_outputs: int
    over_time: bool

    @nn.compact
    def __call__(self, signal_mv, is_training):
        outputs = nn.Dense(self.num_outputs)(signal_mv)
        return outputs if self.over_time else outputs.mean(axis=1)


@contextlib.contextmanager
def installed(task: str) -> Iterator[None]:
    """Within it runs find the made hearts and the linear network."""

    def build_model(config, num_outputs, dtype, axis_name):
        assert num_outputs == NUM_SITES
        return Linear(num_outputs, over_time=task == "transmembrane")

    with (
        mock.patch.object(experiment, "_load", lambda config, split: made_hearts(split, 6)),
        mock.patch.object(experiment.models, "build", build_model),
    ):
        yield


def saved_run(workdir: Path, task: str) -> np.ndarray:
    """Writes a run with random weights into `workdir`, and returns them `[12, 75]`."""
    config = CONFIGS[task].get_config("smoke")
    config.model = {"name": "linear"}
    config[task].scaling = "none"
    config.evaluation.batch_size = 4
    config.num_bootstrap = 50
    with installed(task):
        built = experiment.build(config, made_hearts("test", 2))
    state = jax.jit(built.create_state)()
    workdir.mkdir()
    write_json(workdir / CONFIG, config.to_dict())
    with Checkpoints(workdir / CHECKPOINTS, config.to_dict(), writes=True) as checkpoints:
        checkpoints.save(1, state, {"best_step": 1}, rank=0.0)
    weights = {leaf.ndim: np.asarray(leaf, float) for leaf in jax.tree.leaves(state.evaluated())}
    return weights[2]
