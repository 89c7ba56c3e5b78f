"""Runs of a second on twelve leads: each of six labels, and the age, can be read from a lead of its own.

The potentials of the electrodes are constant but for noise, so that limb leads obey Einthoven's law.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import fake_task
import numpy as np
from ml_collections import ConfigDict

from configs import twelve_leads
from ecgjax import experiment, leads, train
from ecgjax.data.split import Split
from ecgjax.elimination import sweep
from ecgjax.elimination.sweep import Network
from ecgjax.scp import SIX
from ecgjax.tasks.age import Age
from ecgjax.tasks.diagnosis import Diagnosis

LEAD_OF_LABEL = dict(zip(SIX, ("I", "V1", "V2", "V3", "V4", "aVF"), strict=True))
"""V5 and V6 tell nothing."""

NUM_RECORDS = {"train": 160, "validation": 41, "test": 37}


def split_of(name: str) -> Split:
    """Two records a patient."""
    num_records = NUM_RECORDS[name]
    rng = np.random.default_rng({"train": 11, "validation": 12, "test": 13}[name])
    level = rng.normal(size=(num_records, 1, len(leads.ELECTRODES)))
    num_samples = int(fake_task.FS_HZ * fake_task.SECONDS)
    potentials_mv = level + 0.2 * rng.normal(size=(num_records, num_samples, len(leads.ELECTRODES)))
    signal_mv = potentials_mv @ leads.LEADS_FROM_ELECTRODES.T
    mean_mv = signal_mv.mean(1)
    codes = np.empty(num_records, object)
    for row in range(num_records):
        codes[row] = np.array([c for c, lead in LEAD_OF_LABEL.items() if mean_mv[row, leads.LEADS.index(lead)] > 0.4])
    return Split(
        dataset="fake",
        split=name,
        ecg=np.round(signal_mv * 1000).astype(np.int16),
        gain=1000.0,
        fs_hz=fake_task.FS_HZ,
        lead_names=leads.LEADS,
        record_ids=np.array([f"{name}{i}" for i in range(num_records)]),
        patient_ids=np.array([f"{name}-patient{i // 2}" for i in range(num_records)]),
        labels={"scp_codes": codes, "age_years": 60 + 15 * mean_mv[:, leads.LEADS.index("V2")]},
    )


def load(config: ConfigDict, split: str) -> Split:
    """Stands in for `experiment.load`."""
    return split_of(split)


def config_of(task: str, **options: object) -> ConfigDict:
    """A run of `task` in a second; `options` are fields of its group."""
    config = fake_task.fake_config()
    config.task = task
    config.batch_size = 32
    config.num_steps = 120
    config.eval_every = config.checkpoint_every = config.log_every = config.num_steps
    config.schedule.learning_rate = 0.03
    config.evaluation.window_stride_s = 0.5
    own = {"diagnosis": {"labels": "six", "weighting": "none"},
           "age": {"loss": "l1", "centre_years": 60.0, "spread_years": 17.0}}  # fmt: skip
    config[task] = ConfigDict(own[task])
    twelve_leads.add_view(config, config[task])
    config[task].update(options)
    return config


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Within it training and commands find the records and a network without convolutions."""

    def build_model(config, num_outputs, dtype, axis_name):
        return fake_task.FakeNetwork(num_outputs, dtype, axis_name)

    with (
        mock.patch.multiple(train, load=load, write_report=mock.DEFAULT),
        mock.patch.object(experiment, "load", load),
        mock.patch.object(Diagnosis, "baselines", return_value={}),
        mock.patch.object(Age, "baselines", return_value={}),
        mock.patch.object(experiment.models, "build", build_model),
    ):
        yield


def untrained(config: ConfigDict) -> Network:
    """The network of `config` with its initial weights."""
    own = sweep.masked_experiment(config, split_of("validation"))
    variables = own.parallel.replicate(own.initial_state().evaluated())
    options = config[config.task]
    return Network(Path("untrained"), own, variables, leads.lead_subset(options.leads), options.random_leads)


def with_noise(split: Split, names: tuple[str, ...]) -> Split:
    """The same records with something else in the leads `names`."""
    ecg = split.ecg.copy()
    places = [leads.LEADS.index(name) for name in names]
    ecg[..., places] = np.random.default_rng(0).integers(-3000, 3000, ecg[..., places].shape)
    return dataclasses.replace(split, ecg=ecg)
