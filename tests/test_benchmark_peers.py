"""The benchmark beside PyTorch: what it measures and writes, and what it refuses on one line."""

import json
import re
from unittest import mock

import commands
import numpy as np
import pytest
from absl.testing import flagsaver

from ecgjax.errors import InputError

pytest.importorskip("torch")

SCRIPT = "scripts/benchmark_peers.py"


@pytest.fixture(scope="module")
def script():
    import scripts.benchmark_peers as script  # noqa: PLC0415 - defines flags, where PyTorch is there

    return script


def test_table_and_figures(script, tmp_path, capsys):
    taken = {"ecgjax": 1e-3, "torch eager": 2e-3, "torch loader": 8e-3}
    times = {name: script.Times(32, np.full(3, wall_s), np.full(3, 1.5 * wall_s)) for name, wall_s in taken.items()}
    loaded = ({}, range(96))
    with (
        flagsaver.flagsaver(task=["lead_id"], ways=["eager", "loader"], output=str(tmp_path / "out")),
        mock.patch.object(script, "loaded", return_value=loaded),
        mock.patch.object(script, "peer_of") as peer_of,
        mock.patch.object(script, "timed", return_value=times) as timed,
    ):
        script.main()
    peer_of.return_value.check.assert_called_once_with(*loaded)
    timed.assert_called_once_with("lead_id", list(taken))
    text = (tmp_path / "out" / "peers.md").read_text()
    assert capsys.readouterr().out == text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:5]]
    assert rows[0] == ["lead_id", "ecgjax", "1000 [1000-1000]", "32.0", "667 [667-667]", "", ""]
    assert rows[2][-2:] == ["8.00 [8.00-8.00]", "8.00 [8.00-8.00]"]
    written = json.loads((tmp_path / "out" / "peers.json").read_text())["tasks"]["lead_id"]
    assert written["num_records"] == 96
    assert written["contestants"]["torch eager"]["ratio"] == [2.0, 2.0, 2.0]


def test_spread_is_that_of_the_blocks(script):
    assert script.spread(np.linspace(1, 3, 21), 1) == "2.0 [1.1-2.9]"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ways": ["eager", "jit"]}, "unknown --ways ['jit']; use eager, compile, loader"),
        ({"task": []}, "unknown --task []; use reversal, lead_id, diagnosis, heartbeat, rhythm"),
        ({"published": True}, "unknown --task ['reversal']; use lead_id, heartbeat"),
        ({"steps": 3, "steps_per_dispatch": 2}, "--steps is 3; give a multiple of --steps_per_dispatch, 2"),
    ],
)
def test_what_cannot_be_run_is_named(script, given, message):
    with flagsaver.flagsaver(**given), pytest.raises(InputError, match=re.escape(message)):
        script.check_flags()


def test_bad_input_is_refused_on_one_line():
    said = commands.run(SCRIPT, "--task=age")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "error: unknown --task ['age']; use reversal, lead_id, diagnosis, heartbeat, rhythm\n"


@pytest.mark.slow
def test_processes_of_their_own(tmp_path):
    given = ("--dataset=simulated,smoke", f"--data_dir={tmp_path}", "--steps=1", "--blocks=3", "--ways=eager,loader")
    said = commands.run(SCRIPT, "--task=reversal", *given)
    assert said.returncode == 0, said.stderr
    names = [line.split("|")[2].strip() for line in said.stdout.splitlines() if line.startswith("| reversal |")]
    assert names == ["ecgjax", "torch eager", "torch loader"]
