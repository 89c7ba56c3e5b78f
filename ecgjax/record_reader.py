"""Trained runs of diagnosis and of lead identification, loaded once, that read any record of twelve leads."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from ecgjax import experiment
from ecgjax.data.records import GAIN, INT16, Split
from ecgjax.errors import InputError
from ecgjax.evaluate import Predictions
from ecgjax.leads import LEADS
from ecgjax.preprocess import Preprocess
from ecgjax.state import Variables
from ecgjax.tasks.diagnosis import Diagnosis
from ecgjax.tasks.diagnosis_figures import is_named
from ecgjax.tasks.lead_id import LeadId
from ecgjax.workdir import read_config


@dataclasses.dataclass(frozen=True)
class RecordReader:
    """A trained run.

    Attributes:
      task: as it was tuned on validation records.
      preprocess: what is done to a record first, as in training.
      seconds: the middle of the record that is looked at; shorter ones are padded with zeros at the end.
      built: network and devices.
      members: variables of all networks of the run.
    """

    task: Diagnosis | LeadId
    preprocess: Preprocess
    seconds: float
    built: experiment.Experiment
    members: list[Variables]

    @property
    def needed(self) -> tuple[str, ...]:
        """The leads that it looks at."""
        return self.task.shown.given_leads if isinstance(self.task, Diagnosis) else self.task.class_names()

    def lacking(self, signal_mv: np.ndarray) -> tuple[str, ...]:
        """Leads of `[time, 12]` that it needs and that lack samples (NaN)."""
        lacks = np.isnan(signal_mv).any(axis=0)
        return tuple(name for name in self.needed if lacks[LEADS.index(name)])

    def read(self, signals_mv: np.ndarray, fs_hz: float) -> Predictions:
        """What it makes of `[record, time, 12]`; leads that are not needed may be NaN."""
        return self.built.predict(self.members, _as_split(signals_mv, fs_hz, self.preprocess, self.seconds))[0]


def _as_split(signals_mv: np.ndarray, fs_hz: float, preprocess: Preprocess, seconds: float) -> Split:
    """Records without labels, preprocessed."""
    seen = preprocess.apply(np.nan_to_num(signals_mv), fs_hz)
    length = round(seconds * preprocess.fs_hz)
    start = max(0, (seen.shape[1] - length) // 2)
    kept = seen[:, start : start + length]
    ecg = np.zeros((len(seen), length, len(LEADS)), np.int16)
    ecg[:, : kept.shape[1]] = np.rint(kept * GAIN).clip(INT16.min, INT16.max)
    ids = np.array([f"record {k}" for k in range(len(seen))])
    codes = np.empty(len(seen), object)
    codes[:] = [np.array([], str)] * len(seen)
    labels = {"scp_codes": codes, "num_samples": np.full(len(seen), kept.shape[1])}
    return Split("records", "test", ecg, GAIN, preprocess.fs_hz, LEADS, ids, ids, labels)


def load_reader(workdir: Path, task: str) -> RecordReader:
    """The run in `workdir`, of the task `diagnosis` or `lead_id`.

    Raises:
      InputError: the folder holds no such run.
    """
    config = read_config(workdir)
    if config.task != task:
        raise InputError(f"{workdir} holds a run of {config.task}", f"give the folder of a run of {task}")
    # Records come one or two at a time: a batch of the run's own size would be nearly all filling.
    config.evaluation.batch_size = jax.device_count()
    preprocess = Preprocess.from_config(config)
    blank = np.zeros((1, round(config.data.seconds * preprocess.fs_hz), len(LEADS)))
    built = experiment.build(config, _as_split(blank, preprocess.fs_hz, preprocess, config.data.seconds))
    tuned = experiment.tuned_task(built.task, workdir)
    assert isinstance(tuned, Diagnosis | LeadId)
    return RecordReader(tuned, preprocess, config.data.seconds, built, built.members(workdir))


@dataclasses.dataclass(frozen=True)
class Diagnoses:
    """Probability of each class, and the classes that are named."""

    probabilities: dict[str, float]
    named: tuple[str, ...]


def diagnose(reader: RecordReader, signals_mv: np.ndarray, fs_hz: float) -> list[Diagnoses]:
    """For each of `[record, time, 12]`; a class is named from the probability that had the highest F1 on validation."""
    task = reader.task
    assert isinstance(task, Diagnosis)
    assert task.thresholds is not None
    scores = reader.read(signals_mv, fs_hz)["scores"]
    named = is_named(scores, task.thresholds.f1, names_one=False)
    names = task.class_names()
    return [
        Diagnoses(
            dict(zip(names, map(float, probabilities), strict=True)),
            tuple(name for name, is_in in zip(names, of_record, strict=True) if is_in),
        )
        for probabilities, of_record in zip(scores, named, strict=True)
    ]


@dataclasses.dataclass(frozen=True)
class LeadName:
    """What a lead looks like, and how probable that is."""

    name: str
    probability: float


def name_leads(reader: RecordReader, signal_mv: np.ndarray, fs_hz: float) -> dict[str, LeadName]:
    """For each lead of `[time, 12]` by its name there: the name that its shape suggests, no name twice.

    Limb leads, whose laws hold however their cables are exchanged, are told apart as far as the run can.
    """
    task = reader.task
    assert isinstance(task, LeadId)
    found = reader.read(signal_mv[None], fs_hz)
    names = task.class_names()
    return {
        name: LeadName(names[k], float(scores[k]))
        for name, k, scores in zip(names, found["assigned"][0], found["scores"][0], strict=True)
    }
