"""Files of an exported run, each run again and compared with ecgjax's own prediction before it is moved into place."""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

import data_prep
from ecgjax.data.heartbeats import RR_FIGURES
from ecgjax.data.records import load_split
from ecgjax.data.signals import INT16, Signals
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.export.forward import REBUILT, Array, Forward, Given, forward, in_single_precision
from ecgjax.leads import lead_subset
from ecgjax.preprocess import resample
from ecgjax.rebuilder import Rebuilder, load_rebuilder
from ecgjax.record_reader import RecordReader
from ecgjax.runlog import git_version, write_json
from ecgjax.tasks.lead_id import LeadId
from ecgjax.tasks.task import Task
from ecgjax.trained import Trained, load_trained, tuned_task

FORMATS = ("stablehlo", "onnx")
FILES = {"stablehlo": "model.stablehlo", "onnx": "model.onnx"}
RECORD = "export.json"
PLATFORMS = ("cpu", "cuda")

TOLERANCE = 1e-4
"""Largest difference from ecgjax's own prediction; of outputs above 1 as a share of a record's largest.

More is allowed where that itself moves further when a tenth of the samples change by their least step, 1 uV: there
single precision does not reach.
"""

Run = Callable[..., Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Real records on which exports are checked.

    Attributes:
      inputs: arrays `[record, ...]`.
      predictions: what ecgjax predicts of them, output -> `[record, ...]`.
      moved: the same for the records with a tenth of their samples changed by their least step.
      dataset: where they are from.
    """

    inputs: tuple[np.ndarray, ...]
    predictions: Mapping[str, np.ndarray]
    moved: Mapping[str, np.ndarray]
    dataset: str


def export(
    workdir: Path,
    output: Path,
    *,
    formats: Sequence[str],
    fs_hz: float | None,
    seconds: float | None,
    given: str,
    dataset: str | None,
    data_dir: str | None,
    num_records: int,
) -> dict[str, Any]:
    """Writes the run in `workdir` to the folder `output`, which must not be there; the content of its `export.json`.

    Args:
      workdir: of a finished run.
      output: gets a file for each of `formats` and `export.json`, all of them or nothing.
      formats: some of FORMATS.
      fs_hz, seconds: rate and length of the signals that are to be given; those of training for None.
      given: leads that a reconstruction reads, joined by +; empty for other tasks.
      dataset, data_dir: NAME[/VARIANT] and place of the test records for the check; those of the run for None.
      num_records: of them.

    Raises:
      InputError: an option does not fit the run, the folder is there, a library is missing, or an export does not
        give what ecgjax predicts.
    """
    if output.exists():
        raise InputError(f"{output} is already there", "give another --output; nothing is overwritten")
    check_libraries(formats)
    trained = in_single_precision(load_trained(workdir))
    config = trained.config
    if dataset is not None:
        config.data.name, _, config.data.variant = dataset.partition("/")
    if data_dir is not None:
        config.data.dir = data_dir
    if (given != "") != (config.task == "reconstruction"):
        raise InputError(
            f"{workdir} holds a run of {config.task}", "give --given=LEAD+LEAD... for reconstruction alone"
        )
    fs_hz = trained.preprocess.fs_hz if fs_hz is None else fs_hz
    seconds = config.data.seconds if seconds is None else seconds
    if fs_hz <= 0 or seconds <= 0:
        raise InputError(f"{seconds:g} s at {fs_hz:g} Hz are no signal", "give --seconds and --fs_hz above 0")
    task = tuned_task(trained.task, workdir)
    signals_mv, split = _records(trained, fs_hz, seconds, num_records)
    rebuilder = load_rebuilder(workdir) if given else None
    leads = lead_subset(given) if given else ()
    if rebuilder is not None:
        rebuilder.check(leads)
    of_leads = None if rebuilder is None else Given(leads, rebuilder.gains(leads))
    function = forward(trained, task, split, fs_hz=fs_hz, seconds=seconds, given=of_leads)
    examples = _examples(trained, task, function, signals_mv, split, rebuilder, leads, fs_hz)
    described = _described(trained, task, function, fs_hz, seconds, leads)

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incomplete.", dir=output.parent) as temporary:
        made = Path(temporary) / output.name
        made.mkdir()
        described["files"] = {}
        for name in formats:
            path = made / FILES[name]
            path.write_bytes(_WRITERS[name](function, described))
            differences = compare(_READERS[name](path, function), examples, name)
            described["files"][path.name] = {
                "format": name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
                "largest_difference": differences,
            }
        described["checked_on"] = {"dataset": examples.dataset, "records": len(signals_mv), "tolerance": TOLERANCE}
        write_json(made / RECORD, described)
        made.rename(output)
    return described


def check_libraries(formats: Sequence[str]) -> None:
    """Raises InputError for an unknown format, or where the libraries of a format are not installed."""
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}", f"use some of {', '.join(FORMATS)}")
    if "onnx" not in formats:
        return
    for library in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(library) is None:
            raise InputError(f"{library} is not installed", "pip install 'ecgjax[onnx]', or use --formats=stablehlo")


def _records(trained: Trained, fs_hz: float, seconds: float, num_records: int) -> tuple[np.ndarray, Split]:
    """Test records `[record, time, lead]` in mV of so many seconds at `fs_hz`, and the same as training has them."""
    config = trained.config
    data_prep.ensure_prepared(config.data.name, config.data.variant, config.data.dir)
    stored = load_split(config.data.name, config.data.variant, "test", config.data.dir, None, seconds)
    stored = stored.without(trained.task.excluded(stored))
    is_long = stored.labels["num_samples"] >= round(seconds * stored.fs_hz)
    if not is_long.any():
        longest = stored.labels["num_samples"].max(initial=0) / stored.fs_hz
        raise InputError(f"no test record lasts {seconds:g} s", f"give --seconds of {longest:g} at the most")
    stored = stored.select(np.flatnonzero(is_long)[:num_records])
    signals_mv = resample(stored.ecg / np.float32(stored.gain), stored.fs_hz, fs_hz)[:, : round(seconds * fs_hz)]
    units = np.rint(signals_mv * stored.gain).astype(np.int16)
    metadata = {"gain": stored.gain, "lead_names": stored.lead_names}
    seen = Signals(len(units), metadata, trained.preprocess, config.data.seconds)
    for record in units:
        seen.append(record.tobytes(), fs_hz)
    seen.finish()
    labels = {**stored.labels, "num_samples": seen.num_samples}
    split = dataclasses.replace(stored, ecg=seen.ecg, fs_hz=seen.fs_hz, labels=labels)
    return units / np.float32(stored.gain), split


def _examples(
    trained: Trained,
    task: Task,
    function: Forward,
    signals_mv: np.ndarray,
    split: Split,
    rebuilder: Rebuilder | None,
    leads: tuple[str, ...],
    fs_hz: float,
) -> Examples:
    """The records, and what ecgjax's own path from a file to a prediction makes of them."""
    if rebuilder is not None:
        seen = trained.preprocess.apply(signals_mv, fs_hz)
        rebuilt = {REBUILT: rebuilder.rebuilt(seen, leads)}
        return Examples((signals_mv,), rebuilt, rebuilt, split.dataset)
    reader, rng = RecordReader(task, trained, len(split)), np.random.default_rng(0)
    steps = rng.choice([-1, 1], split.ecg.shape) * (rng.random(split.ecg.shape) < 0.1)
    stepped = dataclasses.replace(
        split, ecg=(split.ecg.astype(int) + steps).clip(INT16.min, INT16.max).astype(np.int16)
    )
    found, moved = (
        {name: values for name, values in reader.read_split(records).items() if name in function.meanings}
        for records in (split, stepped)
    )
    if isinstance(task, LeadId):
        signals_mv = signals_mv[..., [split.lead_names.index(name) for name in task.class_names()]]
    second = tuple(_second_input(array, task, split) for array in function.inputs[1:])
    return Examples((signals_mv, *second), found, moved, split.dataset)


def _second_input(array: Array, task: Task, split: Split) -> np.ndarray:
    if array.name == "measures":
        return task.targets(split)["measures"]
    if array.name == "cut_samples":
        return split.labels["cut_samples"][:, None].astype(np.float32)
    return np.stack([split.labels[name] for name in RR_FIGURES], axis=1).astype(np.float32)


def compare(run: Run, examples: Examples, name: str) -> dict[str, float]:
    """Largest difference of each output from ecgjax's prediction, for all records at once and for the first alone.

    Raises:
      InputError: one is above what TOLERANCE allows.
    """
    differences: dict[str, float] = {}
    for rows in (slice(None), slice(0, 1)):
        found = run(*(array[rows] for array in examples.inputs))
        for output, predicted in examples.predictions.items():
            expected = predicted[rows]
            # Predictions that are kept in half precision are only known as far as that goes.
            rounding = np.spacing(np.abs(expected)) if expected.dtype == np.float16 else 0.0
            away = _away(found[output], expected, rounding)
            allowed = np.maximum(TOLERANCE, _away(examples.moved[output][rows], expected, rounding))
            worst = int(np.argmax(away / allowed))
            if not away[worst] <= allowed[worst]:
                raise InputError(
                    f"{output} of the {name} export differs by {away[worst]:.2g} from ecgjax's own prediction",
                    "leave that format out, and report it",
                )
            differences[output] = max(differences.get(output, 0.0), float(away.max()))
    return differences


def _away(found: np.ndarray, expected: np.ndarray, rounding: np.ndarray | float) -> np.ndarray:
    """`[record]`: the largest difference, as a share of the record's largest value where that is above 1."""
    each = np.abs(found.astype(float) - expected.astype(float)) - rounding
    largest = np.abs(expected.reshape(len(expected), -1)).max(axis=1)
    return each.reshape(len(each), -1).max(axis=1) / np.maximum(1, largest)


def _described(
    trained: Trained, task: Task, function: Forward, fs_hz: float, seconds: float, leads: Sequence[str]
) -> dict[str, Any]:
    """What a user of the files has to know."""
    shown = jax.eval_shape(function.apply, *(jax.ShapeDtypeStruct((1, *a.shape), np.float32) for a in function.inputs))
    tuned = {
        field.name: value
        for field in dataclasses.fields(task)  # type: ignore[arg-type]
        if (value := getattr(task, field.name)) != getattr(trained.task, field.name)
    }
    return {
        "task": task.name,
        "network": trained.config.model.name,
        "members": len(trained.members),
        "inputs": [
            {"name": a.name, "shape": ["batch", *a.shape], "type": "float32", "meaning": a.meaning}
            for a in function.inputs
        ],
        "outputs": [
            {
                "name": name,
                "shape": ["batch", *shown[name].shape[1:]],
                "type": "float32",
                "meaning": function.meanings[name],
            }
            for name in sorted(shown)
        ],
        "classes": list(task.class_names()),
        "fs_hz": fs_hz,
        "seconds": seconds,
        **({"given_leads": list(leads)} if leads else {}),
        "tuned": json.loads(json.dumps(tuned, default=dataclasses.asdict)),
        "preprocess": trained.config.preprocess.to_dict(),
        "versions": {name: importlib.metadata.version(name) for name in ("ecgjax", "jax", "flax")},
        "git": git_version(),
    }


def _write_stablehlo(function: Forward, described: Mapping[str, Any]) -> bytes:
    del described
    (batch,) = jax.export.symbolic_shape("batch")
    shapes = [jax.ShapeDtypeStruct((batch, *a.shape), np.float32) for a in function.inputs]
    return bytes(jax.export.export(jax.jit(function.apply), platforms=PLATFORMS)(*shapes).serialize())


def _read_stablehlo(path: Path, function: Forward) -> Run:
    read = jax.jit(jax.export.deserialize(bytearray(path.read_bytes())).call)
    return lambda *arrays: jax.device_get(read(*arrays))


def _write_onnx(function: Forward, described: Mapping[str, Any]) -> bytes:
    from ecgjax.export.onnx_graph import to_onnx  # noqa: PLC0415 - of an extra

    shapes = {array.name: array.shape for array in function.inputs}
    return to_onnx(function.apply, shapes, {"ecgjax": json.dumps(described)}).SerializeToString()


def _read_onnx(path: Path, function: Forward) -> Run:
    import onnxruntime  # noqa: PLC0415 - of an extra

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(*arrays: np.ndarray) -> dict[str, np.ndarray]:
        given = {
            array.name: np.asarray(values, np.float32) for array, values in zip(function.inputs, arrays, strict=True)
        }
        return dict(zip(names, session.run(names, given), strict=True))

    return run


_WRITERS: dict[str, Callable[[Forward, Mapping[str, Any]], bytes]] = {
    "stablehlo": _write_stablehlo,
    "onnx": _write_onnx,
}
_READERS: dict[str, Callable[[Path, Forward], Run]] = {"stablehlo": _read_stablehlo, "onnx": _read_onnx}
