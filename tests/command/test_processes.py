"""Folders shared out among processes."""

import json
import os
import signal

import numpy as np
import page_runs
import pytest

from ecgjax import leads
from ecgjax.command import processes
from ecgjax.command.inputs import Input
from ecgjax.command.main import main
from ecgjax.errors import InputError
from ecgjax.recordings.recording import Recording
from ecgjax.recordings.write_wfdb import write_wfdb

BAD = InputError("it is bad", "mend it")


def cores_and_names(files):
    for one in files:
        yield one.name, BAD if one.name == "bad" else os.sched_getaffinity(0)


def die(files):
    os.kill(os.getpid(), signal.SIGKILL)
    yield from files


@pytest.fixture
def files(tmp_path):
    made = []
    for name, num_bytes in (("a", 10), ("b", 700), ("bad", 10), ("c", 400), ("d", 1)):
        path = tmp_path / f"{name}.edf"
        path.write_bytes(bytes(num_bytes))
        made.append(Input(name, path))
    return made


def test_results_come_in_order_from_processes_with_a_core_each(files, monkeypatch):
    monkeypatch.setattr(processes, "MOST_FILES", 2)
    found = list(processes.shared_out(files, cores_and_names, 2))
    assert [name for name, _ in found] == ["a", "b", "bad", "c", "d"]
    assert str(found[2][1]) == str(BAD) == "it is bad; mend it"
    assert all(len(cores) == 1 for name, cores in found if name != "bad")


def test_parts_hold_few_files_and_few_bytes(files, monkeypatch):
    monkeypatch.setattr(processes, "MOST_FILES", 3)
    monkeypatch.setattr(processes, "MOST_BYTES", 600)
    parts = [[one.name for one in part] for part in processes._parts(files)]
    assert parts == [["a"], ["b"], ["bad", "c", "d"]]


def test_signals_beside_a_header_count(tmp_path):
    for ending, num_bytes in ((".hea", 5), (".dat", 90)):
        (tmp_path / f"rec{ending}").write_bytes(bytes(num_bytes))
    assert processes._num_bytes(Input("rec", tmp_path / "rec.hea")) == 95


def test_one_that_is_killed_is_told(files):
    with pytest.raises(InputError, match="a process that checked records was killed"):
        list(processes.shared_out(files, die, 2))


@pytest.mark.slow  # two processes load the network
def test_a_folder_is_judged_as_by_one_process(tmp_path, capsys, monkeypatch):
    right_mv = page_runs.beats(100.0) + 0.01 * np.random.default_rng(0).normal(size=(1000, 12))
    for k in range(5):
        write_wfdb(Recording.from_array(right_mv @ leads.PLACEMENTS[k].matrix.T, 100.0), tmp_path, f"r{k}", [""])
    (tmp_path / "r3.dat").write_bytes(bytes(10))
    alone = main(["check", str(tmp_path), "--json"]), capsys.readouterr().out
    monkeypatch.setattr(processes, "FEWEST_FILES", 2)
    monkeypatch.setattr(processes, "MOST_FILES", 2)
    together = main(["check", str(tmp_path), "--json"]), capsys.readouterr().out
    assert together[0] == alone[0] == 1
    for one, other in zip(*(map(json.loads, out.splitlines()) for _, out in (alone, together)), strict=True):
        assert one.keys() == other.keys()
        assert one.get("sentence") == other.get("sentence")
        assert one.get("error") == other.get("error")
