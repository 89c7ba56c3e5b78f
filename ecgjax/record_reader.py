"""Trained runs, loaded once, that read any record as evaluation does: of twelve leads, of one lead, or single beats."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.data.resident import Resident, resident, whole_record
from ecgjax.data.rhythms import CLASSES as RHYTHMS
from ecgjax.data.signals import INT16
from ecgjax.data.split import GAIN, Split
from ecgjax.errors import InputError
from ecgjax.evaluate import Predictions, apply_in_windows, averaged, joined, windows_of
from ecgjax.leads import LEADS
from ecgjax.tasks.rhythm_view import RhythmView
from ecgjax.tasks.task import Task
from ecgjax.tasks.twelve_lead_view import TwelveLeadView
from ecgjax.trained import Trained, load_trained, tuned_task
from ecgjax.workdir import read_config

Record = tuple[np.ndarray, float]
"""Samples `[time, lead]` in mV, NaN where there are none, and their rate in Hz."""


@dataclasses.dataclass(frozen=True)
class RecordReader:
    """A trained run.

    Attributes:
      task: as it was tuned on validation records.
      trained: networks, config and what is done to a record first, as in training. Of a record the middle
        `data.seconds` are looked at; shorter ones are padded with zeros at the end.
      at_once: how many records the compiled program takes.
    """

    task: Task
    trained: Trained
    at_once: int

    @property
    def needed(self) -> tuple[str, ...]:
        """The leads that it looks at; those of one-lead networks may have any name."""
        shown: Any = getattr(self.task, "shown", None)
        if isinstance(shown, TwelveLeadView):
            return shown.given_leads
        if self.takes_one_lead:
            return ()
        return self.task.class_names() if self.task.name == "lead_id" else LEADS

    @property
    def takes_one_lead(self) -> bool:
        """Whether it reads a single lead, whichever that is."""
        return self.task.name == "heartbeat" or isinstance(getattr(self.task, "shown", None), RhythmView)

    @property
    def takes_fewer(self) -> bool:
        """Whether it was trained to do with any of the leads that it needs."""
        shown: Any = getattr(self.task, "shown", None)
        return isinstance(shown, TwelveLeadView) and shown.random_leads > 0

    def lacking(self, signal_mv: np.ndarray) -> tuple[str, ...]:
        """Leads of `[time, 12]` that it needs and that lack samples (NaN)."""
        lacks = np.isnan(signal_mv).any(axis=0)
        return tuple(name for name in self.needed if lacks[LEADS.index(name)])

    def read(self, signals_mv: np.ndarray, fs_hz: float) -> Predictions:
        """What it makes of `[record, time, lead]`; leads that are not needed may be NaN."""
        return self.read_each([(signal_mv, fs_hz) for signal_mv in signals_mv])

    def read_each(self, records: Sequence[Record]) -> Predictions:
        """What it makes of records of any length and rate; leads that are not needed may be NaN."""
        parts = []
        for start in range(0, len(records), self.at_once):
            some = records[start : start + self.at_once]
            filled = [*some, *[some[0]] * (self.at_once - len(some))]
            found = self.read_split(_as_split(filled, self.trained))
            parts.append({name: values[: len(some)] for name, values in found.items()})
        return joined(parts)

    def read_split(self, split: Split) -> Predictions:
        """What it makes of `at_once` records, preprocessed; reversals are looked for in them as they are."""
        data = resident(split, self.task.targets(split))
        found = averaged(jax.device_get([self._predict(variables, data) for variables in self.trained.members]))
        return {**found, **self.task.decode(found)}

    @functools.cached_property
    def _predict(self) -> Callable[[Any, Resident], dict[str, jax.Array]]:
        task, windows = self.task, windows_of(self.trained.config)

        def predict(variables: Any, data: Resident) -> dict[str, jax.Array]:
            index = jnp.arange(self.at_once)
            records = jax.vmap(lambda one: task.evaluation_view(whole_record(data, one), jnp.int32(0)))(index)
            signal_mv, recorded = records["signal_mv"], data["num_samples"]
            return task.predict(apply_in_windows(self.trained.module, variables, signal_mv, recorded, windows), records)

        return jax.jit(predict)


def _as_split(records: Sequence[Record], trained: Trained) -> Split:
    """Records without labels, preprocessed."""
    preprocess = trained.preprocess
    length = round(trained.config.data.seconds * preprocess.fs_hz)
    ecg = np.zeros((len(records), length, records[0][0].shape[1]), np.int16)
    recorded = np.zeros(len(records), int)
    for k, (signal_mv, fs_hz) in enumerate(records):
        seen = preprocess.apply(np.nan_to_num(signal_mv), fs_hz)
        start = max(0, (len(seen) - length) // 2)
        kept = seen[start : start + length]
        ecg[k, : len(kept)] = np.rint(kept * GAIN).clip(INT16.min, INT16.max)
        recorded[k] = len(kept)
    return blank_split(ecg, preprocess.fs_hz, LEADS[: ecg.shape[2]], {"num_samples": recorded})


def blank_split(ecg: np.ndarray, fs_hz: float, lead_names: tuple[str, ...], labels: dict[str, np.ndarray]) -> Split:
    """Records int16 `[record, time, lead]` with `labels`, and with labels that say nothing for what tasks ask for."""
    count = len(ecg)
    codes = np.empty(count, object)
    codes[:] = [np.array([], str)] * count
    nothing = {
        "scp_codes": codes,
        "age_years": np.full(count, np.nan, np.float32),
        "rhythm": np.full(count, RHYTHMS[0]),
        "beat_class": np.full(count, "N"),
        "is_abnormal": np.zeros(count, bool),
    }
    ids = np.array([f"record {k}" for k in range(count)])
    return Split("records", "test", ecg, GAIN, fs_hz, lead_names, ids, ids, {**nothing, **labels})


def open_reader(workdir: Path, at_once: int) -> RecordReader:
    """The run in `workdir`, for so many records at once.

    Raises:
      InputError: the folder holds none, or it is not finished.
    """
    trained = load_trained(workdir)
    return RecordReader(tuned_task(trained.task, workdir), trained, at_once)


def load_reader(workdir: Path, task: str) -> RecordReader:
    """The run in `workdir`, of the task `diagnosis` or `lead_id`, for one record at a time.

    Raises:
      InputError: the folder holds no such run.
    """
    found = read_config(workdir).task
    if found != task:
        raise InputError(f"{workdir} holds a run of {found}", f"give the folder of a run of {task}")
    return open_reader(workdir, at_once=1)


@dataclasses.dataclass(frozen=True)
class Diagnoses:
    """Probability of each class, and the classes that are named."""

    probabilities: dict[str, float]
    named: tuple[str, ...]


def diagnose(reader: RecordReader, signals_mv: np.ndarray, fs_hz: float) -> list[Diagnoses]:
    """For each of `[record, time, 12]`; a class is named from the probability that had the highest F1 on validation."""
    return diagnoses(reader.task, reader.read(signals_mv, fs_hz)["scores"])


def diagnoses(task: Task, scores: np.ndarray) -> list[Diagnoses]:
    """Of probabilities `[record, class]`; see `diagnose`."""
    from ecgjax.tasks.diagnosis import Diagnosis  # noqa: PLC0415 - runs of other tasks do not need it
    from ecgjax.tasks.diagnosis_figures import is_named  # noqa: PLC0415

    assert isinstance(task, Diagnosis)
    assert task.thresholds is not None
    named, names = is_named(scores, task.thresholds.f1, names_one=False), task.class_names()
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
    found = reader.read(signal_mv[None], fs_hz)
    return names_by_shape(reader.task.class_names(), found["assigned"][0], found["scores"][0])


def names_by_shape(names: tuple[str, ...], assigned: np.ndarray, scores: np.ndarray) -> dict[str, LeadName]:
    """Of one record, from names `[lead]` as indices and probabilities `[lead, name]`; see `name_leads`."""
    return {
        name: LeadName(names[k], float(of_lead[k])) for name, k, of_lead in zip(names, assigned, scores, strict=True)
    }
