"""`ecgjax.predict`: what a trained network makes of recordings."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ecgjax.api.beat_windows import split_of_beats
from ecgjax.api.records import bridged, recording_of, twelve_leads_of
from ecgjax.bundled import BUNDLED, VARIABLES, workdir_of
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.record_reader import RecordReader, diagnoses, names_by_shape, open_reader
from ecgjax.recordings.recording import Recording
from ecgjax.workdir import CHECKPOINTS, CONFIG, RESULTS, read_config

BUNDLED_TASK = "diagnosis"
"""Of the bundled networks, where no other task is asked for."""

AT_ONCE = 32
"""Records that the compiled program takes where there are many."""

BEATS_AT_ONCE = 128
"""The same for single beats; recordings are then read one by one."""

LEAST_KNOWN = 0.5
"""Share of a lead's samples below which the lead counts as missing; shorter gaps are bridged."""

RHYTHM_LEADS = ("I", "II", "MLII", "V5")
"""Which lead a network for one lead is shown, the first that is there; else the first of the recording."""

BEAT_LEADS = ("II", "MLII", "I", "V5")

ELSEWHERE = {
    "reconstruction": "use ecgjax reconstruct",
    "activation_map": "use python scripts/reconstruct.py, which draws the heart",
    "transmembrane": "use python scripts/reconstruct.py, which draws the heart",
}
"""Tasks whose answers are no few numbers."""

RHYTHMS = {"N": "sinus rhythm", "A": "atrial fibrillation", "O": "another rhythm", "~": "too noisy to tell"}
BEATS = {"N": "normal", "S": "supraventricular", "V": "ventricular", "F": "fusion", "Q": "paced or unclassified"}


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a network makes of one recording.

    Attributes:
      task: of the network.
      values: by name: probabilities of classes; `age_years`; for lead_id the probability that each lead is what it is
        called; for heartbeats the share of each class.
      named: the classes that are decided for; for lead_id the lead that each seems to be, in standard order; for
        heartbeats the class of every beat.
      sentence: the same for a person.
      beats_s: when the beats of `named` come; empty for all other tasks.
    """

    task: str
    values: dict[str, float]
    named: tuple[str, ...]
    sentence: str
    beats_s: tuple[float, ...] = ()


Given = Recording | str | Path


@overload
def predict(  # type: ignore[overload-overlap]
    record: Given, workdir: str | Path = BUNDLED, task: str | None = None
) -> Prediction: ...
@overload
def predict(record: Iterable[Given], workdir: str | Path = BUNDLED, task: str | None = None) -> list[Prediction]: ...
def predict(
    record: Given | Iterable[Given], workdir: str | Path = BUNDLED, task: str | None = None
) -> Prediction | list[Prediction]:
    """What the network of a run makes of a recording, a file, or several of either.

    Args:
      record: a recording, the path of one, or any number of them.
      workdir: folder of a trained run of any task but those of `ELSEWHERE`, or "bundled".
      task: that the run has to be of; with "bundled", which network is meant.

    >>> import ecgjax
    >>> ecgjax.predict("rec.hea", workdir="runs/age").values  # doctest: +SKIP
    {'age_years': 61.3}

    Raises:
      InputError: a recording cannot be read or lacks leads, or the folder holds no such run.
    """
    if isinstance(record, Recording | str | Path):
        reader = reader_of(workdir, task, at_once=1)
        return _predictions(reader, [prepared(reader, recording_of(record))])[0]
    return list(predict_all(map(recording_of, record), reader_of(workdir, task, AT_ONCE)))


def reader_of(workdir: str | Path, task: str | None, at_once: int) -> RecordReader:
    """The trained run, loaded and compiled once; see `predict`.

    Raises:
      InputError: the folder holds no such run.
    """
    path = workdir_of(workdir, task or BUNDLED_TASK)
    found = read_config(path).task
    if task is not None and found != task:
        raise InputError(f"{path} holds a run of {found}", f"give the folder of a run of {task}")
    if found in ELSEWHERE:
        raise InputError(f"{path} holds a run of {found}", ELSEWHERE[found])
    changed = tuple((path / name).stat().st_mtime_ns for name in _CHANGING if (path / name).exists())
    return _opened(path.resolve(), BEATS_AT_ONCE if found == "heartbeat" else at_once, changed)


_CHANGING = (CONFIG, RESULTS, CHECKPOINTS, VARIABLES)
"""Files and folders of a run whose age tells that it was trained anew."""


@functools.lru_cache(maxsize=4)
def _opened(path: Path, at_once: int, changed: tuple[int, ...]) -> RecordReader:
    del changed
    return open_reader(path, at_once)


def predict_all(records: Iterable[Recording], reader: RecordReader) -> Iterator[Prediction]:
    """Of each in turn, in batches of `reader.at_once`.

    Raises:
      InputError: one lacks leads; those before it are given first.
    """
    batch: list[Prepared] = []
    for record in records:
        try:
            batch.append(prepared(reader, record))
        except InputError:
            yield from _predictions(reader, batch)
            raise
        if len(batch) == (1 if reader.task.name == "heartbeat" else reader.at_once):
            yield from _predictions(reader, batch)
            batch = []
    yield from _predictions(reader, batch)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A recording as a network takes it: `[time, lead]` without gaps, and its rate."""

    signal_mv: np.ndarray
    fs_hz: float


def prepared(reader: RecordReader, record: Recording) -> Prepared:
    """The leads that the network looks at.

    Raises:
      InputError: one that it needs is missing.
    """
    if reader.takes_one_lead:
        asked = BEAT_LEADS if reader.task.name == "heartbeat" else RHYTHM_LEADS
        lead = next((name for name in asked if name in record.lead_names), record.lead_names[0])
        signal_mv = record.signal_mv[:, [record.lead_names.index(lead)]]
        return Prepared(_whole(signal_mv, record.name, (lead,), (lead,), takes_fewer=False), record.fs_hz)
    whole_mv = twelve_leads_of(record)
    return Prepared(_whole(whole_mv, record.name, LEADS, reader.needed, reader.takes_fewer), record.fs_hz)


def _whole(
    signal_mv: np.ndarray, name: str, leads: Sequence[str], needed: Sequence[str], takes_fewer: bool
) -> np.ndarray:
    """Gaps become straight lines, and leads that may be missing zero."""
    known = np.isfinite(signal_mv)
    is_there = known.mean(axis=0) >= LEAST_KNOWN
    lacking = [lead for lead, there in zip(leads, is_there, strict=True) if lead in needed and not there]
    if lacking and (not takes_fewer or len(lacking) == len(needed)):
        which = "any of the leads" if len(lacking) == len(needed) else f"the leads {', '.join(lacking)}"
        remedy = "complete it with ecgjax reconstruct, or use a network trained on random leads"
        raise InputError(f"{name} lacks {which} that the network needs", remedy)
    whole = np.where(is_there, signal_mv, 0).astype(np.float32)
    for column in np.flatnonzero(is_there):
        whole[:, column] = bridged(signal_mv[:, column])
    return whole


def _predictions(reader: RecordReader, batch: Sequence[Prepared]) -> list[Prediction]:
    if not batch:
        return []
    if reader.task.name == "heartbeat":
        return [_of_beats(reader, one) for one in batch]
    found = reader.read_each([(one.signal_mv, one.fs_hz) for one in batch])
    of_task = _OF_TASK.get(reader.task.name, _of_classes)
    rows = [{name: values[k] for name, values in found.items()} for k in range(len(batch))]
    return [of_task(reader.task, row) for row in rows]


Row = dict[str, np.ndarray]
"""What the network makes of one record."""


def _of_diagnosis(task: Any, row: Row) -> Prediction:
    (found,) = diagnoses(task, row["scores"][None])
    said = [f"{name} ({_percent(found.probabilities[name])})" for name in found.named]
    return Prediction(task.name, found.probabilities, found.named, ", ".join(said) or "none of its labels")


def _of_age(task: Any, row: Row) -> Prediction:
    values = {"age_years": float(row["scores"])}
    sentence = f"looks {values['age_years']:.0f} years old"
    if "spread_years" in row:
        values["spread_years"] = float(row["spread_years"]) * (task.spread_scale or 1.0)
        sentence += f", give or take {values['spread_years']:.0f}"
    return Prediction(task.name, values, (), sentence)


def _of_rhythm(task: Any, row: Row) -> Prediction:
    names = task.class_names()
    decided = names[int(task.decided(row["scores"][None])[0])]
    values = dict(zip(names, map(float, row["scores"]), strict=True))
    return Prediction(task.name, values, (decided,), f"{RHYTHMS[decided]} ({decided}, {_percent(values[decided])})")


def _of_lead_id(task: Any, row: Row) -> Prediction:
    names = task.class_names()
    found = names_by_shape(names, row["assigned"], row["scores"])
    values = {lead: float(row["scores"][k, k]) for k, lead in enumerate(names)}
    other = [
        f"{lead} looks like {one.name} ({_percent(one.probability)})" for lead, one in found.items() if one.name != lead
    ]
    sentence = ", ".join(other) or "every lead looks like what it is called"
    return Prediction(task.name, values, tuple(one.name for one in found.values()), sentence)


def _of_reversal(task: Any, row: Row) -> Prediction:
    values = dict(zip(task.class_names(), map(float, row["scores"]), strict=True))
    best = max(values, key=values.__getitem__)
    values["any_reversal"] = float(row["any_reversal"])
    named = "placed correctly" if best == "none" else f"exchanged: {best}"
    sentence = f"{named} ({_percent(values[best])} at even odds; ecgjax check weighs how rare exchanges are)"
    return Prediction(task.name, values, (best,), sentence)


def _of_labelled(task: Any, row: Row) -> Prediction:
    """One class of several, several labels, or numbers."""
    if task.kind == "classes":
        return _of_classes(task, row)
    values = dict(zip(task.class_names(), map(float, row["scores"]), strict=True))
    if task.kind == "numbers":
        return Prediction(task.name, values, (), ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    named = tuple(
        name for (name, value), least in zip(values.items(), task.thresholds.f1, strict=True) if value > least
    )
    said = ", ".join(f"{name} ({_percent(values[name])})" for name in named)
    return Prediction(task.name, values, named, said or "none of its labels")


def _of_classes(task: Any, row: Row) -> Prediction:
    """Of a task of its own kind: one number, or the class with the highest probability."""
    names, scores = task.class_names(), np.atleast_1d(row["scores"])
    values = dict(zip(names, map(float, scores), strict=True))
    if len(values) == 1:
        ((name, value),) = values.items()
        return Prediction(task.name, values, (), f"{name} {value:.4g}")
    best = max(values, key=values.__getitem__)
    return Prediction(task.name, values, (best,), f"{best} ({_percent(values[best])})")


_OF_TASK: dict[str, Callable[[Any, Row], Prediction]] = {
    "diagnosis": _of_diagnosis,
    "age": _of_age,
    "rhythm": _of_rhythm,
    "lead_id": _of_lead_id,
    "reversal": _of_reversal,
    "labelled": _of_labelled,
}


def _of_beats(reader: RecordReader, one: Prepared) -> Prediction:
    task: Any = reader.task
    names = task.class_names()
    scores, beats_s = [], []
    preprocess = reader.trained.preprocess
    for split, of_split_s in split_of_beats(one.signal_mv[:, 0], one.fs_hz, preprocess, reader.at_once):
        scores.append(reader.read_split(split)["scores"][: len(of_split_s)])
        beats_s.extend(of_split_s)
    if not beats_s:
        return Prediction(task.name, dict.fromkeys(names, 0.0), (), "no beats seen")
    decided = task.decided(np.concatenate(scores))
    count = np.bincount(decided, minlength=len(names))
    values = {name: float(number / len(decided)) for name, number in zip(names, count, strict=True)}
    said = [f"{number} {BEATS.get(name, name)}" for name, number in zip(names, count, strict=True) if number]
    sentence = f"{len(decided)} beat{'s' * (len(decided) != 1)}: {', '.join(said)}"
    return Prediction(task.name, values, tuple(names[k] for k in decided), sentence, tuple(beats_s))


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %" if probability < 0.995 else "over 99 %"
