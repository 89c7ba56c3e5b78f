"""`ecgjax reconstruct` and `ecgjax digitize`: what they write, say and refuse."""

import json

import numpy as np
import pytest
import rebuilt_run
import wfdb
from PIL import Image

import ecgjax
from ecgjax import leads
from ecgjax.api import reconstruct as reconstruct_module
from ecgjax.command.main import main
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.recordings.recording import Recording
from ecgjax.recordings.write_wfdb import write_csv, write_wfdb
from ecgjax.simulate.generator import generate

TRUE_MV = rebuilt_run.signals(1, seed=7)[0]
WHOLE = Recording.from_array(TRUE_MV, 100.0)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rebuild") / "run"
    rebuilt_run.saved_run(folder, given="random")
    with rebuilt_run.installed():
        reconstruct_module.rebuilder_of(folder)
    return folder


def some(*names: str) -> Recording:
    return Recording.from_array(TRUE_MV[:, [LEADS.index(name) for name in names]], 100.0, names, name="few")


def test_twelve_leads_from_three(workdir):
    found = ecgjax.reconstruct(some("V2", "II", "I"), workdir=workdir)
    assert found.lead_names == LEADS
    given = [LEADS.index(name) for name in ("I", "II", "V2")]
    np.testing.assert_allclose(found.signal_mv[:, given], TRUE_MV[:, given], atol=1e-6)
    for identity in leads.IDENTITIES:
        total = sum(weight * found.signal_mv[:, LEADS.index(name)] for name, weight in identity.items())
        assert np.abs(total).max() < 1e-4
    same = ecgjax.reconstruct(WHOLE, workdir=workdir, given=["v2", "lead ii", "I"])
    np.testing.assert_allclose(same.signal_mv, found.signal_mv, atol=1e-6)
    assert found.assumptions[-8:-6] == ("given: I, II, V2", "by algebra from the given leads: III, aVR, aVL, aVF")


def test_the_network_that_comes_along_rebuilds_hearts_it_never_saw():
    records_mv = generate(3, num_records=4, fs_hz=100.0, seconds=10.0)["ecg_mv"]
    rebuilt = [LEADS.index(name) for name in ("V1", "V3", "V4", "V5", "V6")]
    r = []
    for signal_mv in records_mv:
        found = ecgjax.reconstruct(Recording.from_array(signal_mv, 100.0), given=["I", "II", "V2"])
        r += [np.corrcoef(found.signal_mv[:, lead], signal_mv[:, lead])[0, 1] for lead in rebuilt]
        assert any("rebuilt by a network" in note for note in found.assumptions)
    assert np.mean(r) > 0.8


def test_what_follows_by_algebra_needs_no_network():
    found = ecgjax.reconstruct(some("I", "II", *leads.PRECORDIAL_LEADS), workdir="nowhere")
    np.testing.assert_allclose(found.signal_mv, TRUE_MV, atol=1e-5)


def test_leads_that_are_not_there():
    with pytest.raises(InputError, match="few has no lead V5; it has I, V1"):
        ecgjax.reconstruct(some("I", "V1"), workdir="nowhere", given=["I", "V5"])
    with pytest.raises(InputError, match="array has all twelve leads; name those to use"):
        ecgjax.reconstruct(WHOLE, workdir="nowhere")


def test_the_command_writes_records_and_tables(workdir, tmp_path, capsys):
    source, output = tmp_path / "in", tmp_path / "out"
    write_wfdb(some("aVF", "V1"), source / "a", "few", [])
    write_csv(some("I", "V2"), source / "table.csv")
    write_wfdb(WHOLE, source, "whole", [])
    argv = ["reconstruct", str(source), f"--workdir={workdir}", f"--output={output}", "--csv", "--json"]
    assert main(argv) == 1
    few, table, whole = map(json.loads, capsys.readouterr().out.splitlines())
    assert few["written"] == [str(output / "a" / f"few.{ending}") for ending in ("dat", "hea", "csv")]
    assert table["notes"][0] == "given: I, V2"
    assert "has all twelve leads" in whole["error"]
    record = wfdb.rdrecord(str(output / "a" / "few"))
    assert tuple(record.sig_name) == LEADS
    np.testing.assert_allclose(record.p_signal[:, 5], TRUE_MV[:, 5], atol=2e-3)
    assert "ecgjax: given: aVF, V1" in record.comments
    np.testing.assert_allclose(ecgjax.load(output / "a" / "few.csv").signal_mv, record.p_signal, atol=1e-3)
    assert main([*argv[:1], str(source / "table.csv"), *argv[2:]]) == 2
    assert "is already there" in capsys.readouterr().err


def test_pictures_of_nothing(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in ("blank.png", "blank.gif"):
        Image.fromarray(np.full((80, 120, 3), 255, np.uint8)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    output = f"--output={tmp_path / 'out'}"
    assert main(["digitize", str(tmp_path / "in" / "blank.png"), output]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["digitize", str(tmp_path / "in" / "broken.png"), output]) == 2
    assert "cannot read" in capsys.readouterr().err
    (tmp_path / "in" / "blank.jpg").write_bytes(b"")
    assert main(["digitize", str(tmp_path / "in"), output]) == 2
    assert "two files would become record blank" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(InputError, match="has 1 page, and page 2 was asked for"):
        ecgjax.digitize(tmp_path / "in" / "blank.png", page=2)
