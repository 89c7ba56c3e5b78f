"""`ecgjax check`, `repair` and `plot --check`, with evidence that knows an exchange by simple signs."""

import json

import numpy as np
import page_runs
import pytest
import wfdb

from ecgjax import leads
from ecgjax.api import check as check_module
from ecgjax.command.main import main
from ecgjax.leads import LEADS
from ecgjax.recordings.recording import Recording
from ecgjax.recordings.write_wfdb import write_csv, write_wfdb
from ecgjax.viewer import pages

ARMS = leads.swap(("RA", "LA")).matrix
FS_HZ = 100.0


@pytest.fixture(autouse=True)
def evidence(monkeypatch):
    known = page_runs.evidence()
    monkeypatch.setattr(check_module, "evidence_of", lambda workdir: known)
    monkeypatch.setattr(check_module, "judge", lambda recording: ())


@pytest.fixture
def folder(tmp_path):
    """A right record, one with exchanged arms, the same as a table, and one that is cut off."""
    source = tmp_path / "in"
    right_mv = (
        page_runs.beats(FS_HZ) + 0.01 * np.random.default_rng(0).normal(size=(1000, 8)) @ leads.LEADS_FROM_INDEPENDENT.T
    )
    for name, signal_mv in (("right", right_mv), ("sub/arms", right_mv @ ARMS.T), ("cut", right_mv)):
        path = source / name
        write_wfdb(Recording.from_array(signal_mv, FS_HZ), path.parent, path.name, ["as taken"])
    (source / "cut.dat").write_bytes(bytes(100))
    write_csv(Recording.from_array(right_mv @ ARMS.T, FS_HZ), source / "table.csv")
    return source


def said(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_one_record(capsys, folder):
    assert main(["check", str(folder / "right.hea"), "--workdir=w"]) == 0
    assert capsys.readouterr().out.startswith("right  right        placed correctly (over 99.9 %)\n")
    assert main(["check", str(folder / "sub" / "arms"), "--workdir=w"]) == 1
    assert "wrong        RA and LA exchanged (over 99.9 %)" in capsys.readouterr().out
    assert main(["check", str(folder / "cut.hea"), "--workdir=w"]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_a_folder(capsys, folder, tmp_path):
    rows = tmp_path / "found.jsonl"
    assert main(["check", str(folder), "--workdir=w", f"--output={rows}"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in out[:-1]] == [
        ["cut", "failed"], ["right", "right"], ["sub/arms", "wrong"], ["table", "wrong"],
    ]  # fmt: skip
    assert out[-1] == "4 records: 2 wrong, 1 failed, 1 right"
    assert [json.loads(line).get("verdict") for line in rows.read_text().splitlines()] == [
        None,
        "right",
        "wrong",
        "wrong",
    ]
    assert main(["check", str(folder), "--workdir=w", "--quiet"]) == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["cut", "sub/arms", "table"]


def test_json_says_all(capsys, folder):
    main(["check", str(folder / "sub" / "arms.hea"), "--workdir=w", "--json"])
    (found,) = said(capsys)
    assert (found["verdict"], found["placement"], found["leads"]) == ("wrong", "RA-LA", list(LEADS))
    assert found["probability"] > 0.99
    assert found["findings"][0]["kind"] == "placement"
    assert set(found["changed_leads"]) == {"I", "II", "III", "aVR", "aVL"}


def test_pages(capsys, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "write_check_page", lambda checked, path, **options: path.write_text(checked.verdict))
    output = tmp_path / "pages"
    assert main(["check", str(folder), "--workdir=w", f"--html={output}"]) == 1
    written = {path.relative_to(output).as_posix(): path.read_text() for path in output.rglob("*.html")}
    assert "sub/arms.html" in written.pop("index.html")
    assert written == {"right.html": "right", "sub/arms.html": "wrong", "table.html": "wrong"}
    capsys.readouterr()
    assert main(["check", str(folder), "--workdir=w", "--html=one.html"]) == 2
    assert capsys.readouterr().err == "error: --html is the file one.html for several records; give a folder\n"


def test_repair_writes_what_was_exchanged_and_nothing_else(capsys, folder, tmp_path):
    output = tmp_path / "out"
    assert main(["repair", str(folder), "--workdir=w", f"--output={output}", "--json"]) == 1
    cut, right, arms, table = said(capsys)
    assert "error" in cut
    assert (right["verdict"], right["written"]) == ("correct", [])
    assert arms["written"] == [str(output / "sub" / "arms.dat"), str(output / "sub" / "arms.hea")]
    assert sorted(p.relative_to(output).as_posix() for p in output.rglob("*.*")) == [
        "sub/arms.dat", "sub/arms.hea", "table.dat", "table.hea",
    ]  # fmt: skip
    true = wfdb.rdrecord(str(folder / "right"), physical=False)
    mended = wfdb.rdrecord(str(output / "sub" / "arms"), physical=False)
    # Renamed and turned leads are exact; the source was rounded once more.
    assert np.abs(mended.d_signal - true.d_signal).max() <= 1
    assert mended.comments[-1].startswith("ecgjax repair: RA and LA exchanged")
    assert "as taken" in mended.comments
    from_table = wfdb.rdrecord(str(output / "table"))
    np.testing.assert_allclose(from_table.p_signal, wfdb.rdrecord(str(folder / "right")).p_signal, atol=2e-3)
    assert from_table.comments[0] == "ecgjax: from table table.csv"
    assert table["verdict"] == "repaired"
    assert main(["repair", str(folder / "table.csv"), "--workdir=w", f"--output={output}"]) == 2
    assert "table.dat is already there" in capsys.readouterr().err


def test_repair_of_a_hostile_header_stays_in_the_output(capsys, folder, tmp_path):
    header = (folder / "sub" / "arms.hea").read_text().replace("arms.dat", "../arms.dat")
    (folder / "sub" / "evil.hea").write_text(header)
    (folder / "arms.dat").write_bytes((folder / "sub" / "arms.dat").read_bytes())
    assert main(["repair", str(folder / "sub" / "evil.hea"), "--workdir=w", f"--output={tmp_path / 'o' / 'p'}"]) == 2
    assert "names '../arms.dat', which is no file beside it" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_repair_refuses_its_own_input_and_dry_run_writes_nothing(capsys, folder):
    before = sorted(folder.rglob("*"))
    assert main(["repair", str(folder), "--workdir=w", f"--output={folder / 'out'}"]) == 2
    assert "lies in" in capsys.readouterr().err
    assert main(["repair", str(folder), "--workdir=w", "--dry_run"]) == 1
    assert sorted(folder.rglob("*")) == before


def test_plot(capsys, folder, tmp_path):
    output = tmp_path / "pictures"
    assert main(["plot", str(folder / "sub"), f"--output={output}", "--check", "--workdir=w"]) == 0
    assert (output / "arms.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert main(["plot", str(folder / "right.hea"), f"--output={tmp_path / 'x.gif'}"]) == 2
    assert "x.gif; end it in .png, .pdf, .svg" in capsys.readouterr().err
    assert main(["plot", str(folder), f"--output={tmp_path / 'x.png'}"]) == 2
    assert "for several records; give a folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "pictures"]
