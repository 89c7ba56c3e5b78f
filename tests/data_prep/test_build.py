import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from raw_archives import write_ptbxl

from data_prep import build
from data_prep.prepare import ensure_prepared
from data_prep.ptbxl import label_features
from data_prep.serialize import serialize
from ecgjax.data.record_files import dataset_dir, list_of
from ecgjax.data.records import load_split
from ecgjax.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    write_ptbxl(path, 40)
    return path


def command(folder: Path, out: Path, *, before: str = "") -> list[str]:
    """`python -m data_prep` on a folder, after some Python of the test's own."""
    program = f"import runpy, sys, time\n{before}\nrunpy.run_module('data_prep', run_name='__main__', alter_sys=True)"
    return [sys.executable, "-c", program, "--dataset=ptbxl", f"--raw_dir={folder}", f"--data_dir={out}"]


def test_examples_are_those_of_tfds_own_serialiser():
    features = tfds.features.FeaturesDict({**build.base_features(), **label_features()})
    example = {
        name: features[name].np_dtype(1) for name in features if isinstance(features[name], tfds.features.Scalar)
    }
    example |= {name: f"ä {name}" for name in features if isinstance(features[name], tfds.features.Text)}
    ecg = np.arange(-60, 60, dtype=np.int16).reshape(10, 12)
    example |= {"ecg": ecg, "scp_codes": ["NORM", "SR"], "scp_likelihoods": [100.0, 0.0], "weight_kg": np.nan}
    data = serialize(example, {name: list_of(feature) for name, feature in features.items()})
    theirs = features.deserialize_example_np(features.serialize_example(example))
    ours = features.deserialize_example_np(data)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_tfds_reads_the_files_as_load_split_does(folder, prepare_into):
    out = prepare_into("ptbxl", folder)
    split = load_split("ptbxl", "100hz", "train", out, None, 1.0)
    source = tfds.builder_from_directory(dataset_dir("ptbxl", "100hz", out)).as_data_source("train")
    assert len(source) == len(split)
    for index, example in enumerate(source):
        np.testing.assert_array_equal(example["ecg"], split.ecg[index])
        assert example["record_id"].decode() == split.record_ids[index]
        assert [code.decode() for code in example["scp_codes"]] == list(split.labels["scp_codes"][index])
        np.testing.assert_array_equal(example["height_cm"], split.labels["height_cm"][index])


def test_worker_processes_write_the_same_files(folder, tmp_path, prepare_into, monkeypatch):
    monkeypatch.setattr("data_prep.ptbxl.RECORDS_PER_SHARD", 16)
    files = {}
    for num_workers in (1, 2):
        out = dataset_dir("ptbxl", "100hz", prepare_into("ptbxl", folder, num_workers=num_workers))
        files[num_workers] = {path.name: path.read_bytes() for path in out.iterdir()}
        (tmp_path / "out").rename(tmp_path / f"out{num_workers}")
    assert len(files[1]) == 8
    assert files[1] == files[2]


REFUSE = """
import atexit, os, socket
atexit.register(lambda: "tensorflow" in sys.modules and os._exit(9))
socket.getaddrinfo = socket.socket.connect = None
"""


def test_no_tensorflow_no_network_and_a_second_run_does_nothing(folder, tmp_path):
    run = [*command(folder, tmp_path / "out", before=REFUSE), "--num_workers=1"]
    first = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert first.stdout.startswith("ptbxl/100hz 1.0.0 in ")
    assert first.stderr == ""
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    second = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert second.stdout == f"ptbxl/100hz is already prepared in {dataset_dir('ptbxl', '', str(tmp_path / 'out'))}\n"
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}


def test_prepared_from_another_folder(folder, tmp_path, prepare_into):
    prepare_into("ptbxl", folder)
    other = tmp_path / "other"
    other.mkdir()
    write_ptbxl(other)
    with pytest.raises(InputError, match=r"prepared from .*raw; give another --data_dir for .*other"):
        prepare_into("ptbxl", other)


def test_absent_dataset_names_the_command_that_prepares_it(tmp_path):
    with pytest.raises(InputError, match=r"run python -m data_prep --dataset=ptbxl/500hz --raw_dir=DIR --data_dir="):
        ensure_prepared("ptbxl", "500hz", str(tmp_path))


SLOW_READER = """
import data_prep.ptbxl as module
read = module.read_recording
def slow(path):
    time.sleep(0.1)
    return read(path)
module.read_recording = slow
"""


def test_killed_preparation_leaves_nothing_that_looks_finished(folder, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen([*command(folder, out, before=SLOW_READER), "--num_workers=1"], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not list(out.rglob("shard-*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(out.rglob("shard-*.tmp"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(InputError, match="there is nothing of it"):
        dataset_dir("ptbxl", "100hz", str(out))
    with pytest.raises(InputError, match="is not prepared"):
        ensure_prepared("ptbxl", "100hz", str(out))
    # The next run clears the remains away and finishes.
    subprocess.run([*command(folder, out), "--num_workers=1"], cwd=ROOT, check=True, capture_output=True)
    assert len(load_split("ptbxl", "100hz", "all", str(out), None, 1.0)) == 40
    assert [path.name for path in (out / "ptbxl" / "100hz").iterdir()] == ["1.0.0"]


def test_two_processes_at_once(folder, tmp_path):
    out = tmp_path / "out"
    run = [*command(folder, out, before=SLOW_READER.replace("0.1", "0.02")), "--num_workers=1"]
    pair = [subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = sorted(process.communicate()[0].splitlines()[0].split(" in ")[0] for process in pair)
    assert [process.returncode for process in pair] == [0, 0]
    assert printed == ["ptbxl/100hz 1.0.0", "ptbxl/100hz is already prepared"]
    assert len(load_split("ptbxl", "100hz", "all", str(out), None, 1.0)) == 40


def test_workers_end_with_a_killed_parent(tmp_path):
    """A worker that outlived its parent would keep writing, and wait for work for ever."""
    program = (
        "import concurrent.futures, multiprocessing, os, time\n"
        "from data_prep.pool import _start_worker\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    pool = concurrent.futures.ProcessPoolExecutor(1, context, initializer=_start_worker)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        worker = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(worker)


def is_running(process_id: int) -> bool:
    """Whether the process exists and is no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
