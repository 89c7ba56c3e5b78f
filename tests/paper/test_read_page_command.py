"""scripts/read_page.py: what it says, writes and refuses."""

import json
from types import SimpleNamespace

import commands
import numpy as np
import page_runs
import pytest
import wfdb
from PIL import Image

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.images.page import CLINICAL, FORMATS
from ecgjax.images.render import render
from ecgjax.leads import LEADS
from ecgjax.paper import findings
from scripts import read_page as command

TRUE = page_runs.beats(500.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    page_runs.saved_run(folder / "diagnosis", "diagnosis")
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A page whose arms are exchanged."""
    exchanged = leads.LIMB_SWAPS[0].apply(TRUE)
    path = tmp_path_factory.mktemp("pages") / "a page.png"
    Image.fromarray(render(exchanged, 500.0, LEADS, FORMATS["3x4+1"], CLINICAL).rgb).save(path)
    return path


@pytest.fixture
def run(runs, monkeypatch, tmp_path):
    monkeypatch.setattr(findings, "load_evidence", lambda workdir: page_runs.evidence())

    def main(**given):
        defaults = {"reversal": "run", "diagnosis": str(runs / "diagnosis"), "lead_id": None,
                    "output": str(tmp_path / "out"), "prevalence": 0.02, "threshold": 0.7, "speed": None,
                    "gain": None}  # fmt: skip
        monkeypatch.setattr(command.flags, "FLAGS", SimpleNamespace(**{**defaults, **given}))
        with page_runs.installed("diagnosis"):
            command.main()

    return main


def test_a_page_is_read_said_and_written(run, picture, tmp_path, capsys):
    run(picture=str(picture))
    out = capsys.readouterr().out
    assert out.startswith("a_page: 3x4+1, 25 mm/s")
    assert "75/min" in out
    assert "  cables: RA and LA exchanged (over 99.9 %); I, II, III, aVR and aVL put right\n" in out
    assert "  diagnosis as written: " in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"a_page{suffix}" for suffix in (".dat", ".hea", ".json", ".png")
    ]
    record = wfdb.rdrecord(str(tmp_path / "out" / "a_page"))
    assert record.sig_name == list(LEADS)
    error_mv = record.p_signal - TRUE[: len(record.p_signal)]
    assert np.sqrt(np.mean((error_mv - error_mv.mean(0)) ** 2)) < 0.05
    assert record.comments[0].startswith("ecgjax repair: RA and LA exchanged")
    said = json.loads((tmp_path / "out" / "a_page.json").read_text())
    assert said["verdict"] == "repaired"
    assert said["placement"] == "RA-LA"
    # The rhythm lead II of this page is the true III.
    assert said["drawn_s"]["III"][-1][1] == pytest.approx(10, abs=0.2)
    assert said["drawn_s"]["II"][-1][1] == pytest.approx(2.5, abs=0.2)
    assert set(said["diagnosis"]["as_named"]["probabilities"]) == set(
        said["diagnosis"]["as_should_be"]["probabilities"]
    )
    with Image.open(tmp_path / "out" / "a_page.png") as shown:
        assert shown.width > 4000
    with pytest.raises(InputError, match=r"a_page\.json is already there; give another --output"):
        run(picture=str(picture))


def test_unreadable_pages_of_a_folder_are_named_and_counted(run, picture, tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    picture.rename(folder / "deep" / "page.png")
    (folder / "empty.png").write_bytes(b"")
    Image.new("RGB", (900, 700), "white").save(folder / "white.png")
    run(picture=str(folder))
    lines = capsys.readouterr().out.splitlines()
    (folder / "deep" / "page.png").rename(picture)
    assert lines[0].startswith("deep_page: 3x4+1")
    assert any(line.startswith("empty: not read, cannot read") for line in lines)
    assert any(line.startswith("white: not read, ") for line in lines)
    assert lines[-1] == "3 pages: 2 not read, 1 repaired"


def test_a_page_that_cannot_be_read_is_an_error(run, tmp_path):
    path = tmp_path / "white.png"
    Image.new("RGB", (900, 700), "white").save(path)
    with pytest.raises(InputError):
        run(picture=str(path))
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(InputError, match="there is no"):
        run(picture=str(tmp_path / "absent.png"))
    with pytest.raises(InputError, match="lies in"):
        run(picture=str(tmp_path), output=str(tmp_path / "out"))
    with pytest.raises(InputError, match="give a probability between 0 and 1"):
        run(picture=str(path), threshold=2.0)


def test_wrong_runs_end_on_one_line(tmp_path, picture):
    ended = commands.run("scripts/read_page.py", f"--picture={picture}", f"--reversal={tmp_path}",
                         f"--diagnosis={tmp_path}", f"--output={tmp_path / 'out'}")  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: there is no {tmp_path}")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
