"""scripts/repair.py: what it says, writes and refuses."""

import json
from types import SimpleNamespace

import commands
import jax.numpy as jnp
import numpy as np
import pytest
import wfdb

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.placements import hypotheses
from ecgjax.placements.evidence import Evidence
from ecgjax.preprocess import Preprocess
from scripts import repair as command

RNG = np.random.default_rng(0)
TRUE = np.rint((36 * RNG.integers(-30, 31, (60, 9))) @ leads.LEADS_FROM_ELECTRODES.T)
"""[time, lead] in microvolts; every record of these tests is this one, rewired."""


def write(folder, name, placement, digital=None):
    folder.mkdir(parents=True, exist_ok=True)
    digital = np.rint(placement.apply(TRUE)).astype(np.int64) if digital is None else digital
    wfdb.wrsamp(
        name,
        fs=100,
        units=["uV"] * 12,
        sig_name=[lead.upper() for lead in LEADS],
        d_signal=digital,
        fmt=["16"] * 12,
        adc_gain=[1.0] * 12,
        baseline=[0] * 12,
        write_dir=str(folder),
    )
    return folder / f"{name}.hea"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the command with evidence that knows the true record up to 0.2 mV of noise."""

    def log_likelihood(signal_mv):
        expected = jnp.einsum("tl,hml->htm", jnp.asarray(TRUE / 1000, jnp.float32), hypotheses.matrices())
        return -jnp.sum((signal_mv[:, None] - expected) ** 2, axis=(2, 3)) / (2 * 0.2**2)

    plain = Preprocess(fs_hz=100.0, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")
    evidence = Evidence(plain, 0.6, log_likelihood)
    monkeypatch.setattr(command, "load_evidence", lambda workdir: evidence)

    def main(**given):
        defaults = {"workdir": "run", "record": None, "folder": None, "output": str(tmp_path / "out"),
                    "prevalence": 0.02, "threshold": 0.9, "dry_run": False, "skip_bad": False}  # fmt: skip
        flags = SimpleNamespace(**{**defaults, **given})
        monkeypatch.setattr(command.flags, "FLAGS", flags)
        command.main()

    return main


def log_of(folder):
    return [json.loads(line) for line in (folder / "repairs.jsonl").read_text().splitlines()]


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_record_is_repaired_named_and_logged(run, tmp_path, capsys):
    header = write(tmp_path / "in", "a", leads.swap(("RA", "LA")))
    before = {path: path.read_bytes() for path in (tmp_path / "in").iterdir()}
    run(record=str(header))
    sentence = "RA and LA exchanged (over 99.9 %); I, II, III, aVR and aVL put right"
    assert capsys.readouterr().out == f"a: {sentence}\n"
    out = wfdb.rdrecord(str(tmp_path / "out" / "a"))
    np.testing.assert_array_equal(out.p_signal, TRUE)
    assert out.comments == [f"ecgjax repair: {sentence}"]
    (line,) = log_of(tmp_path / "out")
    assert line["verdict"] == "repaired"
    assert line["placement"] == "RA-LA"
    assert line["probability"] > 0.999
    assert len(line["alternatives"]) == 4
    assert line["changed_leads"] == ["I", "II", "III", "aVR", "aVL"]
    assert line["written"] == ["a.dat", "a.hea"]
    assert {path: path.read_bytes() for path in (tmp_path / "in").iterdir()} == before
    with pytest.raises(InputError, match=r"a\.dat is already there; give another --output"):
        run(record=str(header))
    assert len(log_of(tmp_path / "out")) == 1


def test_a_folder_is_gone_through_and_only_repaired_records_are_written(run, tmp_path, capsys):
    write(tmp_path / "in", "right", leads.CORRECT)
    write(tmp_path / "in" / "deep", "cycle", leads.LIMB_CYCLES[0])
    write(tmp_path / "in" / "deep", "neutral", leads.NEUTRAL_SWAPS[1])
    dead = np.rint(TRUE).astype(np.int64)
    dead[:, 8] = 3
    write(tmp_path / "in", "dead", leads.CORRECT, dead)
    run(folder=str(tmp_path / "in"))
    *lines, summary = capsys.readouterr().out.splitlines()
    assert summary == "4 records: 1 cannot tell, 1 repaired, 1 repaired in part, 1 correct"
    assert lines[0] == "dead: cannot tell: lead V3 is flat; record again"
    assert lines[3] == "right: placed correctly (over 99.9 %)"
    assert names_in(tmp_path / "out") == ["deep/cycle.dat", "deep/cycle.hea", "deep/neutral.dat", "deep/neutral.hea",
                                          "repairs.jsonl"]  # fmt: skip
    np.testing.assert_array_equal(wfdb.rdrecord(str(tmp_path / "out" / "deep" / "cycle")).p_signal, TRUE)
    by_record = {line["record"]: line for line in log_of(tmp_path / "out")}
    assert by_record["deep/neutral"]["lost_leads"] == ["I", "III", "aVR", "aVL", "aVF"]
    assert by_record["dead"]["placement"] is None


def test_a_dry_run_writes_nothing(run, tmp_path, capsys):
    header = write(tmp_path / "in", "a", leads.swap(("V1", "V3")))
    run(record=str(header), dry_run=True, output=None)
    assert "V1 and V3 exchanged" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert names_in(tmp_path / "in") == ["a.dat", "a.hea"]


def test_the_threshold_is_the_users(run, tmp_path, capsys):
    noisy = np.rint(leads.swap(("V1", "V2")).apply(TRUE) / 2 + TRUE / 2).astype(np.int64)
    header = write(tmp_path / "in", "a", leads.CORRECT, noisy)
    run(record=str(header), threshold=1.0)
    assert log_of(tmp_path / "out")[0]["verdict"] == "cannot tell"
    assert names_in(tmp_path / "out") == ["repairs.jsonl"]


def test_broken_records_of_a_folder_are_skipped_when_asked(run, tmp_path, capsys):
    write(tmp_path / "in", "good", leads.CORRECT)
    write(tmp_path / "in", "bad", leads.CORRECT).with_suffix(".dat").unlink()
    with pytest.raises(InputError, match=r"bad: no file .*bad\.dat; restore the record, or leave it out \(--skip_bad"):
        run(folder=str(tmp_path / "in"))
    run(folder=str(tmp_path / "in"), skip_bad=True)
    assert capsys.readouterr().out.splitlines()[-1] == "2 records: 1 correct, 1 skipped"


def with_missing_sample():
    digital = np.rint(TRUE).astype(np.int64)
    digital[5, 2] = -32768
    return digital


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected one of --record and --folder"),
        ({"record": "in/a", "folder": "in"}, "expected one of --record and --folder"),
        ({"record": "in/none.hea"}, r"no file in/none\.hea; restore the record"),
        ({"record": "in/missing"}, "cannot tell: 1 of 60 samples of lead III are missing; record again"),
        ({"record": "in/a", "output": "in"}, r"in/a\.dat is already there"),
        ({"record": "in/a", "output": None}, "there is no --output; give a folder"),
        ({"record": "in/a", "output": "in/a.dat/x"}, "cannot write to in/a.dat/x"),
        ({"record": "in/a", "threshold": 1.5}, "--threshold is 1.5; give a probability"),
        ({"record": "in/a", "prevalence": 0.0}, "prevalence of mistakes is 0.0; give a share"),
        ({"folder": "in", "output": "in/repaired"}, "lies in in; give an --output outside of it"),
        ({"folder": "empty"}, r"no \.hea file in empty or below"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(run, tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", "a", leads.swap(("RA", "LA")))
    write(tmp_path / "in", "missing", leads.CORRECT, with_missing_sample())
    before = names_in(tmp_path)
    with pytest.raises(InputError, match=message):
        run(**given)
    assert names_in(tmp_path) == before


def test_the_command_ends_on_one_line_with_status_2(tmp_path):
    result = commands.run("scripts/repair.py", f"--workdir={tmp_path}", f"--record={tmp_path}/x.hea", "--dry_run")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {tmp_path}/x: no file {tmp_path}/x.hea; restore the record\n"
