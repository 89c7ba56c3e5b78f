"""Made records whose leads follow from a dipole, and a run that rebuilds them with a linear network."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import flax.linen as nn
import jax
import numpy as np

from configs import reconstruction as config_file
from ecgjax import augment, experiment, leads
from ecgjax.checkpoints import Checkpoints
from ecgjax.data.split import Split
from ecgjax.runlog import write_json
from ecgjax.workdir import CHECKPOINTS, CONFIG

FS_HZ = 100.0
SECONDS = 5.0
SIZES = {"train": 48, "validation": 12, "test": 14}
SETS = ("I+II+V2", "I", "aVF+V5")
WAVES_S = ((-0.16, 0.02, 0.1), (-0.02, 0.01, -0.2), (0.0, 0.012, 1.0), (0.03, 0.012, -0.3), (0.25, 0.05, 0.3))
"""When each wave comes, how long it lasts and how large it is."""


def signals(num_records: int, seed: int, noise_mv: float = 0.01) -> np.ndarray:
    """`[record, time, 12]` in mV: dipoles that turn from wave to wave, seen through lead vectors, and noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(SECONDS * FS_HZ)) / FS_HZ
    records = []
    for _ in range(num_records):
        beats_s = rng.uniform(0.2, 0.5) + np.arange(0, SECONDS, rng.uniform(0.7, 1.0))
        dipole = np.zeros((len(time_s), 3))
        for centre_s, width_s, size in WAVES_S:
            wave = np.exp(-0.5 * ((time_s[:, None] - beats_s - centre_s) / width_s) ** 2).sum(1)
            dipole += size * wave[:, None] * (np.array([1.0, 1.0, -0.4]) + 0.4 * rng.normal(size=3))
        independent = dipole @ augment.DOWER.T + noise_mv * rng.normal(size=(len(time_s), 8))
        records.append(independent @ leads.LEADS_FROM_INDEPENDENT.T)
    return np.stack(records)


def made_split(split: str, num_records: int) -> Split:
    """Two records a patient, with ages that show in the amplitude and a diagnosis that shows in its sign."""
    seed = list(SIZES).index(split)
    rng = np.random.default_rng(100 + seed)
    age_years = rng.uniform(20, 80, num_records).astype(np.float32)
    is_infarct = np.arange(num_records) % 2 == 1
    signal_mv = signals(num_records, seed) * (age_years / 50)[:, None, None]
    signal_mv[is_infarct] = signal_mv[is_infarct] @ leads.swap(("RA", "LA")).matrix.T
    codes = np.empty(num_records, object)
    codes[:] = [np.array(["IMI"] if infarct else ["NORM"]) for infarct in is_infarct]
    ids = np.array([f"{split}{i}" for i in range(num_records)])
    return Split(
        dataset="made/default",
        split=split,
        ecg=np.rint(1000 * signal_mv).astype(np.int16),
        gain=1000.0,
        fs_hz=FS_HZ,
        lead_names=leads.LEADS,
        record_ids=ids,
        patient_ids=np.array([f"{split}-{i // 2}" for i in range(num_records)]),
        labels={"age_years": age_years, "scp_codes": codes, "num_samples": np.full(num_records, signal_mv.shape[1])},
    )


class Linear(nn.Module):
    """Each output a weighted sum of the leads shown."""

    num_outputs: int

    @nn.compact
    def __call__(self, signal_mv, is_training):
        return nn.Dense(self.num_outputs, use_bias=False)(signal_mv)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Within it runs find the made records and the linear network."""

    def build_model(config, num_outputs, dtype, axis_name):
        return Linear(num_outputs)

    with (
        mock.patch.object(experiment, "_load", lambda config, split: made_split(split, SIZES[split])),
        mock.patch.object(experiment.models, "build", build_model),
    ):
        yield


def reconstruction_config(**options):
    """The shipped config of reconstruction for made records and the linear network."""
    config = config_file.get_config()
    config.model = {"name": "linear"}
    config.data.seconds = SECONDS
    config.data.crop_s = 2.5
    config.preprocess.fs_hz = FS_HZ
    config.preprocess.filter = "none"
    config.reconstruction.evaluated = SETS
    config.reconstruction.restore_variance = 0.0
    config.reconstruction.update(options)
    return config


def saved_run(workdir: Path, **options) -> np.ndarray:
    """Writes a run with random weights into `workdir`, and returns them: outputs are shown leads times `[12, 8]`."""
    config = reconstruction_config(**options)
    with installed():
        built = experiment.build(config, made_split("test", 2))
    state = jax.jit(built.create_state)()
    workdir.mkdir()
    write_json(workdir / CONFIG, config.to_dict())
    with Checkpoints(workdir / CHECKPOINTS, config.to_dict(), writes=True) as checkpoints:
        checkpoints.save(1, state, {"best_step": 1}, rank=0.0)
    (kernel,) = jax.tree.leaves(state.evaluated())
    return np.asarray(kernel, float)
