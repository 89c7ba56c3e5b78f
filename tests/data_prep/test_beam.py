"""Preparation by a pipeline of Apache Beam, against the processes of this machine."""

import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_archives import ptbxl_table, write_ptbxl, write_table
from test_build import ROOT

from data_prep.build import Beam, Options
from data_prep.prepare import prepare
from data_prep.shards import Bad, Shard, Tally, WriteError
from ecgjax.errors import InputError

DIRECT = Beam("DirectRunner", ())
BAD = "records100/00000/00004_lr"

needs_beam = pytest.mark.skipif(importlib.util.find_spec("apache_beam") is None, reason="Apache Beam is not installed")
# Beam and what it needs use what Python and others deprecate.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    write_ptbxl(path, 13)
    monkeypatch.setattr("data_prep.ptbxl.RECORDS_PER_SHARD", 4)
    return path


@pytest.fixture
def prepare_by(folder, tmp_path, capsys):
    """Prepares the folder; returns the files and what is printed below the first line, which names the place."""

    def run(beam: Beam | None, skip_bad: bool = False) -> tuple[dict[str, bytes], list[str]]:
        out = tmp_path / f"by {beam and beam.runner}"
        capsys.readouterr()
        prepare("ptbxl", "", str(out), Options(folder, skip_bad, 1, beam))
        return files_of(out), capsys.readouterr().out.splitlines()[1:]

    return run


def files_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_beam_that_is_not_there_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "data_prep.beam", raising=False)
    with pytest.raises(InputError, match=r"--beam_runner needs apache_beam; pip install 'ecgjax\[beam\]'"):
        prepare("ptbxl", "", str(tmp_path / "out"), Options(folder, False, 1, DIRECT))
    assert files_of(tmp_path / "out") == {}


def test_only_folders_are_written_to(folder):
    with pytest.raises(InputError, match=r"gs://bucket is no folder"):
        prepare("ptbxl", "", "gs://bucket", Options(folder, False, 1, DIRECT))


@needs_beam
def test_pipeline_writes_the_same_files(prepare_by):
    files, printed = prepare_by(None)
    assert sum("array_record" in name for name in files) == 5
    assert prepare_by(DIRECT) == (files, printed)


@needs_beam
def test_bad_records_are_named_and_counted_alike(folder, prepare_by, tmp_path):
    for name in (BAD, "records100/00000/00019_lr", "records100/00000/00037_lr"):
        os.truncate(folder / f"{name}.dat", 1000)
    with pytest.raises(InputError, match="does not fit its header .*; mend the record or leave it out with --skip_bad"):
        prepare_by(DIRECT)
    assert files_of(tmp_path / "by DirectRunner") == {}
    assert prepare_by(DIRECT, skip_bad=True) == prepare_by(None, skip_bad=True)


@needs_beam
def test_shard_that_stops_the_run_tells_why_whenever_it_is_tried(tmp_path):
    from data_prep.beam import WriteShard  # noqa: PLC0415 - Beam, which may not be there

    for index in range(2):
        shard = Shard(index, "train", str(tmp_path / f"{index}.tmp"), one_bad, {}, skip_bad=False)
        (tmp_path / f"{index}.shard").write_bytes(pickle.dumps(shard))
    write = WriteShard(str(tmp_path))
    for _ in range(2):
        assert [tally.num_bad for index in (1, 0) for _, _, tally in write.process(index)] == [1, 0]


def one_bad() -> Iterator[Bad]:
    yield Bad("one", "it is bad")


@needs_beam
def test_patient_in_two_splits_is_found(folder, prepare_by, tmp_path):
    table = ptbxl_table(13)
    table.loc[table["strat_fold"].isin(["1", "9", "10"]), "patient_id"] = "7.0"
    write_table(folder, table)
    for beam in (None, DIRECT):
        with pytest.raises(InputError, match="patient 7 has records in both train and validation"):
            prepare_by(beam)
    assert files_of(tmp_path / "by DirectRunner") == {}


@needs_beam
def test_full_disk_and_unknown_runner(tmp_path, folder, prepare_by, monkeypatch):
    with pytest.raises(InputError, match="the pipeline failed on NoRunner .*NoRunner"):
        prepare_by(Beam("NoRunner", ()))

    def fail(shard: Shard, path: str) -> Tally:
        raise WriteError(f"cannot write {path} (No space left on device)")

    monkeypatch.setattr("data_prep.beam.write_shard", fail)
    message = r"the pipeline failed on DirectRunner \(cannot write .* \(No space left on device\)\); see the log"
    with pytest.raises(InputError, match=message):
        prepare_by(DIRECT)
    assert files_of(tmp_path / "by DirectRunner") == {}


@needs_beam
@pytest.mark.slow
def test_command_with_worker_processes(folder, tmp_path, prepare_by, monkeypatch):
    monkeypatch.setattr("data_prep.ptbxl.RECORDS_PER_SHARD", 1024)
    files, printed = prepare_by(None)
    command = [
        sys.executable,
        "-m",
        "data_prep",
        "--dataset=ptbxl",
        f"--raw_dir={folder}",
        "--beam_runner=DirectRunner",
    ]
    command += [f"--data_dir={tmp_path / 'out'}"]
    command += ["--beam_options=--direct_num_workers=2 --direct_running_mode=multi_processing"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[1:] == printed
    assert files_of(tmp_path / "out") == files
