"""Tiny runs that read pages: their answers are known in closed form."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from configs import diagnosis, lead_id
from ecgjax import experiment, leads
from ecgjax.checkpoints import Checkpoints
from ecgjax.data.split import Split
from ecgjax.leads import LEADS
from ecgjax.placements import hypotheses
from ecgjax.placements.evidence import Evidence
from ecgjax.preprocess import Preprocess
from ecgjax.runlog import write_json
from ecgjax.workdir import CHECKPOINTS, CONFIG, predictions_file, write_arrays

FS_HZ = 100.0
CONFIGS = {"diagnosis": (diagnosis, ""), "lead_id": (lead_id, "leads=precordial")}
THRESHOLD = 0.4


class OfTheHighest(nn.Module):
    """From the highest sample of each lead: weighted sums, or for lead_id how near it is to 0.2, 0.3... mV."""

    num_outputs: int
    task: str

    @nn.compact
    def __call__(self, signal_mv, is_training):
        highest = signal_mv.max(axis=1)
        outputs = nn.Dense(self.num_outputs, use_bias=False)(highest)
        if self.task == "diagnosis":
            return outputs
        names_mv = 0.1 * (2 + jnp.arange(self.num_outputs))
        return -1000 * (highest[..., None] - names_mv) ** 2


@contextlib.contextmanager
def installed(task: str) -> Iterator[None]:
    """Within it runs find that network."""

    def build_model(config, num_outputs, dtype, axis_name):
        return OfTheHighest(num_outputs, task)

    with mock.patch.object(experiment.models, "build", build_model):
        yield


def saved_run(workdir: Path, task: str) -> np.ndarray:
    """Writes a run with random weights `[12, class]` into `workdir`, and returns them."""
    file, arguments = CONFIGS[task]
    config = file.get_config(arguments)
    config.model = {"name": "of_the_highest"}
    config.preprocess.filter = "none"
    config[task].view = "signal"
    ecg = np.zeros((1, round(config.data.seconds * FS_HZ), len(LEADS)), np.int16)
    codes = np.empty(1, object)
    codes[0] = np.array([], str)
    ids = np.array(["blank"])
    blank = Split("blank", "test", ecg, 1000.0, FS_HZ, LEADS, ids, ids, {"scp_codes": codes})
    with installed(task):
        built = experiment.build(config, blank)
    state = jax.jit(built.create_state)()
    workdir.mkdir()
    write_json(workdir / CONFIG, config.to_dict())
    with Checkpoints(workdir / CHECKPOINTS, config.to_dict(), writes=True) as checkpoints:
        checkpoints.save(1, state, {"best_step": 1}, rank=0.0)
    if task == "diagnosis":
        targets = np.tile([[False], [True]], built.task.num_outputs)
        scores = np.where(targets, 2 * THRESHOLD - 0.1, 0.1).astype(np.float32)
        write_arrays(workdir / predictions_file("validation"), {"targets": targets, "scores": scores})
    (kernel,) = jax.tree.leaves(state.evaluated())
    return np.asarray(kernel, float)


def evidence() -> Evidence:
    """Knows an exchange of RA and LA by a lead I that points down, and one of V1 and V2 by V1 higher than V2."""
    plain = Preprocess(fs_hz=FS_HZ, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")
    arms, chest = (hypotheses.index_of(leads.swap(pair)) for pair in (("RA", "LA"), ("V1", "V2")))

    def log_likelihood(signal_mv):
        highest, lowest = signal_mv.max(axis=1), -signal_mv.min(axis=1)
        is_down = lowest[:, 0] > highest[:, 0]
        is_turned = highest[:, 6] > highest[:, 7]
        found = jnp.where(is_down, arms, jnp.where(is_turned, chest, hypotheses.CORRECT))
        return 50.0 * jax.nn.one_hot(found, hypotheses.NUM_HYPOTHESES)

    return Evidence(plain, 10.0, log_likelihood)


def beats(fs_hz: float, seconds: float = 10.0) -> np.ndarray:
    """`[time, 12]` in mV: beats of 75 a minute whose highest sample in V1..V6 is 0.2, 0.3... 0.7 mV, in I 0.5."""
    time_s = np.arange(round(seconds * fs_hz)) / fs_hz
    phase_s = (time_s - 0.4) % 0.8 - 0.4
    waves = ((-0.18, 0.025, 0.12), (0.0, 0.012, 1.0), (0.035, 0.012, -0.3), (0.2, 0.04, 0.25))
    beat = sum(size * np.exp(-0.5 * ((phase_s - centre_s) / width_s) ** 2) for centre_s, width_s, size in waves)
    size = np.array([0.5, 0.9, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    return beat[:, None] / beat.max() * (size @ leads.LEADS_FROM_INDEPENDENT.T)
