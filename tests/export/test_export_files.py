"""Untrained networks on real records: what they say means nothing, but has to be the same everywhere."""

import json
import sys
from pathlib import Path

import commands
import flax.traverse_util
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from configs import age, lead_id, reversal
from ecgjax import models, tasks
from ecgjax.errors import InputError
from ecgjax.export import write
from ecgjax.export.write import export
from ecgjax.runlog import write_json

CONFIGS = {"reversal": reversal, "lead_id": lead_id, "age": age}
SHOWN = {"reversal": (96, 12), "lead_id": (96, 12), "age": (500, 12)}
OPTIONS = {"fs_hz": None, "seconds": None, "given": "", "dataset": None, "data_dir": None, "num_records": 3}


@pytest.fixture(scope="module")
def prepared(sample_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    found = commands.run(
        "-m", "data_prep", "--dataset=ptbxl", f"--raw_dir={sample_data / 'ptb-xl'}", f"--data_dir={folder}"
    )
    assert found.returncode == 0, found.stderr
    return folder


def untrained(folder, task, data_dir):
    """A folder as that of a finished run."""
    config = CONFIGS[task].get_config("ptbxl")
    config.data.dir = str(data_dir)
    config.compilation_cache_dir = ""
    folder.mkdir()
    write_json(folder / "config.json", config.to_dict())
    module = models.build(config.model, tasks.build(config).num_outputs, jnp.dtype("float32"), axis_name=None)
    variables = module.init({"params": jax.random.key(3)}, jnp.zeros((1, *SHOWN[task])), is_training=False)
    np.savez(folder / "variables.npz", **flax.traverse_util.flatten_dict(variables, sep="/"))
    return folder


@pytest.mark.parametrize(
    ("task", "fs_hz", "formats"),
    [
        ("reversal", None, write.FORMATS),
        pytest.param("age", 500.0, ("onnx",), marks=pytest.mark.slow),
        pytest.param("lead_id", None, write.FORMATS, marks=pytest.mark.slow),
    ],
)
def test_files_say_what_ecgjax_says(task, fs_hz, formats, prepared, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    options = {**OPTIONS, "formats": formats, "fs_hz": fs_hz}
    export(untrained(tmp_path / "run", task, prepared), tmp_path / "exported", **options)
    monkeypatch.chdir(tmp_path / "exported")
    told = json.loads(Path("export.json").read_text())
    assert {path.name for path in Path().iterdir()} == {"export.json", *(write.FILES[name] for name in formats)}
    assert all(max(file["largest_difference"].values()) <= 1e-4 for file in told["files"].values())
    assert told["checked_on"] == {"dataset": "ptbxl/100hz", "records": 3, "tolerance": 1e-4}
    assert told["classes"] == list(tasks.build(CONFIGS[task].get_config("ptbxl")).class_names())
    assert told["fs_hz"] == (fs_hz or 100.0)
    (signal,) = told["inputs"]
    shape = [round(10 * told["fs_hz"]), 12]
    assert (signal["name"], signal["shape"]) == ("signal_mv", ["batch", *shape])
    if "stablehlo" in formats:
        exported = jax.export.deserialize(bytearray(Path("model.stablehlo").read_bytes()))
        assert exported.platforms == ("cpu", "cuda")
        assert list(exported.in_avals[0].shape[1:]) == shape

    # As a program without ecgjax reads them.
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(
        [output["name"] for output in told["outputs"]], {"signal_mv": np.zeros((2, *shape), np.float32)}
    )
    assert [["batch", *values.shape[1:]] for values in found] == [output["shape"] for output in told["outputs"]]


def test_a_file_that_says_something_else_is_not_written(prepared, tmp_path, monkeypatch):
    run = untrained(tmp_path / "run", "reversal", prepared)
    read = write._read_stablehlo

    def another(path, function):
        original = read(path, function)
        return lambda *arrays: {name: values + 3e-4 for name, values in original(*arrays).items()}

    monkeypatch.setitem(write._READERS, "stablehlo", another)
    with pytest.raises(InputError, match="of the stablehlo export differs by 0.0003 from ecgjax's own prediction"):
        export(run, tmp_path / "out", **OPTIONS, formats=["stablehlo"])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["torch"]}, "unknown format 'torch'; use some of stablehlo, onnx"),
        ({"given": "I+II"}, "holds a run of reversal; give --given=LEAD+LEAD... for reconstruction alone"),
        ({"seconds": 60.0}, "no test record lasts 60 s; give --seconds of 10 at the most"),
        ({"fs_hz": 0.0}, "10 s at 0 Hz are no signal; give --seconds and --fs_hz above 0"),
    ],
)
def test_options_that_do_not_fit_are_told(options, message, prepared, tmp_path):
    run = untrained(tmp_path / "run", "reversal", prepared)
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        export(run, tmp_path / "out", **{**OPTIONS, "formats": ["stablehlo"], **options})
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_and_a_missing_library_is_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="is already there; give another --output"):
        export(tmp_path, tmp_path, **OPTIONS, formats=["stablehlo"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"onnx is not installed; pip install 'ecgjax\[onnx\]'"):
        write.check_libraries(["onnx"])
