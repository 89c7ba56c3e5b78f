import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from raw_archives import write_ptbxl
from test_build import ROOT, command

from data_prep import shards
from data_prep.pool import start_method
from data_prep.prepare import BUILDERS, find_builder
from data_prep.shards import Bad, BadRecordError, Prepared, ReadEach, Shard, Tally, WriteError, write_shard

LISTS = {"patient_id": "bytes_list"}


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    write_ptbxl(path, 13)
    return path


def read(name: str) -> Prepared:
    if name == "bad":
        raise BadRecordError("it is bad")
    if name == "huge":
        raise MemoryError
    if name == "endless":
        time.sleep(60)
    return Prepared({"patient_id": name}, (f"name {name}",))


def tally_of(names: list[str], tmp_path: Path, index: int = 0) -> Tally:
    path = str(tmp_path / f"{index}")
    return write_shard(Shard(index, "train", path, ReadEach(names, str, read), LISTS, skip_bad=True), path)


def test_builders_go_by_their_own_names():
    assert {name: find_builder(name).name for name in BUILDERS} == {name: name for name in BUILDERS}


def test_record_that_takes_for_ever_or_all_memory_is_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "RECORD_LIMIT_S", 0.2)
    handler, (left_s, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    tally = tally_of(["a", "endless", "huge", "b"], tmp_path)
    assert (tally.num_records, tally.num_bad) == (2, 2)
    problems = ["reading it takes more than 0.2 s", "it does not fit in memory"]
    assert tally.bad == [(0, Bad(*pair)) for pair in zip(["endless", "huge"], problems, strict=True)]
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(left_s, abs=1)


def test_tallies_add_up_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_NAMED", 3)
    names = [["a", "bad", "b"], ["bad", "bad", "b", "c"], ["bad"]]
    sums = []
    for order in itertools.permutations(range(3)):
        total = Tally()
        for index in order:
            total.add(tally_of(names[index], tmp_path, index))
        sums.append(total)
    assert all(one == sums[0] for one in sums)
    assert (sums[0].num_records, sums[0].num_bad, sums[0].patients) == (4, 4, {"a", "b", "c"})
    assert [index for index, _ in sums[0].bad] == [0, 1, 1]


def test_processes_fork_only_where_nothing_else_runs(monkeypatch):
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    alone = threading.active_count() == 1 and sys.platform == "linux"
    assert start_method().get_start_method() == ("fork" if alone else "spawn")
    other.start()
    assert start_method().get_start_method() == "spawn"
    done.set()
    other.join()
    monkeypatch.setitem(sys.modules, "jax", None)
    assert start_method().get_start_method() == "spawn"


def test_full_disk(tmp_path):
    names = [f"{number} {os.urandom(50_000).hex()}" for number in range(100)]
    shard = Shard(0, "train", "/dev/full", ReadEach(names, str, read), LISTS, skip_bad=False)
    with pytest.raises(WriteError, match=r"cannot write /dev/full \(.*No space left on device\)"):
        write_shard(shard, shard.path)


def ends_in_one_line(folder: Path, out: Path, before: str) -> str:
    """The line with which a preparation ends that leaves nothing behind."""
    run = [*command(folder, out, before=before), "--num_workers=2"]
    result = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    (line,) = result.stderr.splitlines()
    assert result.returncode == 2
    assert [path for path in out.rglob("*") if path.is_file()] == []
    return line


KILLED = """
import os, signal
import data_prep.ptbxl as module
read = module.read_recording
module.read_recording = lambda path: os.kill(os.getpid(), signal.SIGKILL) if "00022" in path else read(path)
"""


def test_killed_worker_ends_in_one_line(folder, tmp_path):
    line = ends_in_one_line(folder, tmp_path / "out", KILLED)
    assert line.startswith("error: a process that wrote records was killed, most likely for want of memory; give fewer")


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))"


def test_disk_that_runs_full_ends_in_one_line(folder, tmp_path):
    line = ends_in_one_line(folder, tmp_path / "out", FULL)
    assert line.startswith("error: cannot write ")
    assert line.endswith("make room or give another --data_dir; nothing was kept")
