"""The program as such: help, mistakes on the command line, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgjax.command import info as info_command
from ecgjax.command import table
from ecgjax.command.main import COMMANDS, main
from ecgjax.recordings.recording import Recording
from ecgjax.recordings.write_wfdb import write_wfdb

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """Two records, one of them damaged."""
    signal_mv = np.zeros((5000, 2))
    signal_mv[250::500] = 1.0
    recording = Recording.from_array(signal_mv, 500.0, ["II", "V1"])
    for name in ("good", "short"):
        write_wfdb(recording, tmp_path, name, ["Age: 50"])
    (tmp_path / "short.dat").write_bytes(bytes(10))
    return tmp_path


def test_help_lists_all_commands(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])
def test_every_command_explains_itself(capsys, name):
    assert main([name, "--help"]) == 0
    assert f"ecgjax {name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nosuch"], "error: unknown command 'nosuch'; use one of check, "),
        (["info"], "error: the following arguments are required: FILE; see ecgjax info --help"),
        (["info", "x", "--nix"], "error: unrecognized arguments: --nix; see ecgjax info --help"),
        (["info", "x", "--fs_hz=0"], "error: argument --fs_hz: expected a number above 0, got '0'; see"),
        (["check", "x", "--prevalence=2"], "error: argument --prevalence: expected a number between 0 and 1, got '2'"),
        (["info", "nix.hea"], "error: nix.hea is not there; give a file: WFDB"),
        (["info", "nix\x00.edf"], "error: "),
        (["repair", "x"], "error: there is no --output; give a folder for the repaired records, or --dry_run"),
        (
            ["digitize", "nix.png", "--output=o"],
            "error: there is no nix.png; give a picture, a PDF or a folder of them",
        ),
        (["info", "x", "--output=o.txt"], "error: --output is o.txt; give a file that ends in .csv or"),
    ],
)
def test_mistakes_take_one_line_and_status_2(capsys, monkeypatch, tmp_path, argv, message):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_facts_of_a_single_record(capsys, folder):
    assert main(["info", str(folder / "good.dat")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("good  WFDB, 10 s at 500 Hz, leads II V1, 60 beats/min, missing: ")
    assert "\n  heart rate    60 per minute\n" in said
    assert "\n  patient       50 years\n" in said


def test_a_folder_is_done_in_spite_of_a_bad_file(capsys, folder, tmp_path):
    rows = tmp_path / "rows.csv"
    assert main(["info", str(folder), "--json", f"--output={rows}"]) == 1
    said = capsys.readouterr()
    good, short = map(json.loads, said.out.splitlines())
    assert (good["record"], good["fs_hz"], good["heart_rate_per_min"]) == ("good", 500.0, 60.0)
    assert short["record"] == "short"
    assert "its header describes 20000 bytes of short.dat, the file has 10" in short["error"]
    assert said.err == "nothing could be done with 1 of 2 files\n"
    title, *lines = rows.read_text().splitlines()
    assert title.startswith("record,path,name,format,")
    assert [line.split(",")[0] for line in lines] == ["good", "short"]
    assert main(["info", str(folder), f"--output={rows}"]) == 2
    assert "is already there" in capsys.readouterr().err


def test_only_bad_files_are_bad_input(capsys, folder):
    (folder / "good.hea").unlink()
    assert main(["info", str(folder)]) == 2
    assert capsys.readouterr().err == "error: nothing could be done with any of the 1 files; see what is said of each\n"


def test_options_may_be_spelt_with_dashes(capsys, tmp_path):
    np.savetxt(tmp_path / "t.csv", np.random.default_rng(0).normal(size=(700, 1)), delimiter=",")
    assert main(["info", str(tmp_path / "t.csv"), "--fs-hz=350", "--lead-names=lead ii", "--units=mV", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["leads"] == ["II"]


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141), (MemoryError(), 2)]
)
def test_how_it_ends(capsys, monkeypatch, error, status):
    def run(args):
        raise error

    monkeypatch.setattr(info_command, "run", run)
    monkeypatch.setattr(os, "dup2", lambda *descriptors: None)
    assert main(["info", "x"]) == status
    assert capsys.readouterr().err.count("\n") == (status != 141)


def test_faults_of_the_program_take_one_line_and_are_shown_on_request(capsys, monkeypatch):
    monkeypatch.setattr(info_command, "run", lambda args: args.nothing)
    monkeypatch.delenv("ECGJAX_DEBUG", raising=False)
    assert main(["info", "x"]) == 2
    said = "error: ecgjax does not know how to go on (AttributeError: 'Namespace' object has no attribute 'nothing'); "
    assert capsys.readouterr().err == f"{said}report it with the file, ECGJAX_DEBUG=1 shows where\n"
    monkeypatch.setenv("ECGJAX_DEBUG", "1")
    with pytest.raises(AttributeError):
        main(["info", "x"])


def test_a_closed_pipe_is_quiet_and_jax_is_not_needed(folder):
    run = "import sys; from ecgjax.command.main import main; status = main(sys.argv[1:])"
    check = f"{run}; assert 'jax' not in sys.modules; sys.exit(status)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", check, "info", str(folder / "good.hea")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(("columns", "expected"), [
    (60, ["rec  wrong  RA and LA exchanged (over 99.9 %); all leads but", "            aVF put right"]),
    (30, ["rec  wrong", "  RA and LA exchanged (over", "  99.9 %); all leads but aVF", "  put right"]),
])  # fmt: skip
def test_lines_fit_the_terminal(columns, expected):
    shown = table.Table(name_width=3, verdict_width=5, columns=columns, is_coloured=False)
    line = shown.line("rec", "wrong", "RA and LA exchanged (over 99.9 %); all leads but aVF put right", "bad")
    assert line.splitlines() == expected
    assert max(map(len, line.splitlines())) <= columns


def test_colour_is_for_terminals(monkeypatch):
    assert not table.table_for(["a"], ["right"]).is_coloured
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert table.table_for(["a"], ["right"]).is_coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert not table.table_for(["a"], ["right"]).is_coloured
    assert table.table_for(["a" * 500], ["right"]).name_width < 500


def test_json_has_no_numbers_that_are_none():
    line = table.json_line({"a": float("nan"), "b": [np.float32(1.5), float("inf")], "c": {"d": np.int64(2)}})
    assert json.loads(line) == {"a": None, "b": [1.5, None], "c": {"d": 2}}
