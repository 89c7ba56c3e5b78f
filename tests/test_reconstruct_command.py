"""scripts/reconstruct.py: what it writes, says and refuses."""

import dataclasses
from types import SimpleNamespace

import commands
import numpy as np
import pytest
import rebuilt_run
import wfdb

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.preprocess import resample
from ecgjax.rebuilder import load_rebuilder
from scripts import reconstruct as command

TRUE_MV = resample(rebuilt_run.signals(1, seed=7)[0], 100.0, 500.0)
"""[time, 12] at 500 Hz."""


def write(folder, names, fs_hz=500, num_samples=None):
    folder.mkdir(parents=True, exist_ok=True)
    signal_mv = TRUE_MV[:num_samples]
    digital = np.rint(1000 * signal_mv[:, [LEADS.index(leads.canonical_lead(name)) for name in names]]).astype(int)
    wfdb.wrsamp(
        "few", fs=fs_hz, units=["uV"] * len(names), sig_name=list(names), d_signal=digital, fmt=["16"] * len(names),
        adc_gain=[1.0] * len(names), baseline=[0] * len(names), write_dir=str(folder),
    )  # fmt: skip
    return folder / "few.hea"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return folder, rebuilt_run.saved_run(folder, given="random")


@pytest.fixture
def run(monkeypatch, tmp_path, workdir):
    def main(**given):
        flags = SimpleNamespace(**{"workdir": str(workdir[0]), "output": str(tmp_path / "out"), **given})
        monkeypatch.setattr(command.flags, "FLAGS", flags)
        with rebuilt_run.installed():
            command.main()

    return main


def test_a_record_of_three_leads_becomes_one_of_twelve(run, workdir, tmp_path, capsys):
    header = write(tmp_path / "in", ("V2", "lead II", "I"))
    run(record=str(header))
    assert capsys.readouterr().out == f"{tmp_path}/out/few.hea: III, aVR, aVL, aVF, V1, V3, V4, V5, V6 added\n"
    record = wfdb.rdrecord(str(tmp_path / "out" / "few"))
    assert record.fs == 500
    assert [leads.canonical_lead(name) for name in record.sig_name[:3]] == ["V2", "II", "I"]
    given = wfdb.rdrecord(str(header.with_suffix("")), physical=False).d_signal
    np.testing.assert_array_equal(wfdb.rdrecord(str(tmp_path / "out" / "few"), physical=False).d_signal[:, :3], given)
    by_name = dict(zip(map(leads.canonical_lead, record.sig_name), record.p_signal.T, strict=True))
    one, two = by_name["I"] / 1000, by_name["II"] / 1000
    np.testing.assert_allclose(by_name["III"], two - one, atol=6e-4)
    np.testing.assert_allclose(by_name["aVR"], -(one + two) / 2, atol=6e-4)
    rounded = np.zeros_like(TRUE_MV)
    for name in ("I", "II", "V2"):
        rounded[:, LEADS.index(name)] = by_name[name] / 1000
    shown = resample(rounded, 500.0, 100.0) @ leads.completion(("I", "II", "V2")).T
    np.testing.assert_allclose(by_name["V5"], resample(shown @ workdir[1], 100.0, 500.0)[:, 6], atol=2e-3)
    assert record.comments == [
        "ecgjax given: I, II, V2",
        "ecgjax by algebra from the given leads: III, aVR, aVL, aVF",
        *(f"ecgjax rebuilt by a network, an estimate and no recording: V{k}" for k in (1, 3, 4, 5, 6)),
        "ecgjax: rebuilt leads are of 100 Hz, resampled to 500 Hz",
    ]
    with pytest.raises(InputError, match=r"few\.dat is already there"):
        run(record=str(header))


def test_all_limb_leads_follow_from_one_and_a_rebuilt_one(run, tmp_path):
    run(record=str(write(tmp_path / "in", ("aVF", "V1"), num_samples=1203)))
    record = wfdb.rdrecord(str(tmp_path / "out" / "few"))
    assert record.sig_len == 1203
    by_name = dict(zip(record.sig_name, record.p_signal.T, strict=True))
    by_name["aVF"], by_name["V1"] = by_name["aVF"] / 1000, by_name["V1"] / 1000
    for identity in leads.IDENTITIES:
        assert np.abs(sum(weight * by_name[name] for name, weight in identity.items())).max() < 3e-3


def test_expected_errors_are_told(run, monkeypatch, tmp_path):
    figures = {lead: {"pearson_r": 0.91, "rmse_mv": 0.12} for lead in leads.PRECORDIAL_LEADS}
    monkeypatch.setattr(command.Rebuilder, "expected", lambda self, given: figures)
    results = {"dataset": "ptbxl/100hz", "split": "test"}
    monkeypatch.setattr(
        command, "load_rebuilder", lambda path: dataclasses.replace(load_rebuilder(path), results=results)
    )
    run(record=str(write(tmp_path / "in", ("I", "II", "V2"))))
    comments = wfdb.rdheader(str(tmp_path / "out" / "few")).comments
    assert (
        "ecgjax rebuilt by a network, an estimate and no recording: V4 (expected r 0.910, error 0.120 mV)" in comments
    )
    assert "ecgjax: expected figures are those of the run's records, ptbxl/100hz test" in comments


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"record": "in/none.hea"}, r"in/none: no file in/none\.hea; restore the record"),
        ({"record": "all/few.hea"}, "has all twelve leads; give a record with fewer"),
        ({"record": "in/few.hea", "output": "in"}, r"in/few\.dat is already there"),
        ({"record": "in/few.hea", "output": "in/few.dat/x"}, "cannot write to in/few.dat/x"),
        ({"record": "in/few.hea", "workdir": "nowhere"}, "there is no nowhere/config.json"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(run, tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", ("I", "V2"))
    write(tmp_path / "all", LEADS)
    with pytest.raises(InputError, match=message):
        run(**given)
    assert not (tmp_path / "out").exists()


def test_the_command_ends_on_one_line_with_status_2(tmp_path):
    options = (f"--workdir={tmp_path}", f"--record={tmp_path}/x.hea", f"--output={tmp_path}")
    result = commands.run("scripts/reconstruct.py", *options)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {tmp_path}/x: no file {tmp_path}/x.hea; restore the record\n"
