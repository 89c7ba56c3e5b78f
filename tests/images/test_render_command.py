"""scripts/render.py: what it draws, says and refuses."""

import json
from types import SimpleNamespace

import commands
import cv2
import numpy as np
import pytest
import wfdb
from PIL import Image

from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from scripts import render as command

TIME_S = np.arange(5000) / 500
SIGNAL_MV = np.stack([0.6 * np.sin(2 * np.pi * (0.5 + 0.1 * k) * TIME_S) for k in range(12)], axis=1) + 3.0


def write(folder, name, names=LEADS, signal_mv=SIGNAL_MV):
    folder.mkdir(parents=True, exist_ok=True)
    digital = np.rint(1000 * signal_mv[:, : len(names)]).astype(int)
    wfdb.wrsamp(
        name, fs=500, units=["uV"] * len(names), sig_name=list(names), d_signal=digital, fmt=["16"] * len(names),
        adc_gain=[1.0] * len(names), baseline=[0] * len(names), write_dir=str(folder),
    )  # fmt: skip
    return folder / f"{name}.hea"


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """Draws as the command does, in this process."""

    def main(**given):
        flags = {
            "record": None, "folder": None, "output": f"{tmp_path}/out", "format": "3x4+1", "type": "png", "lead": None,
            "speed": "25", "gain": "10", "px_per_mm": 4.0, "palette": "red", "paper": "letter", "labels": "above",
            "grid": True, "calibration": True, "separators": True, "header": [], "start_s": 0.0, "centre": True,
            "height_px": 150, "px_per_s": 150.0, "damage": "none", "seed": 0, "truth": False, "overwrite": False,
            "skip_bad": False, "processes": 1,
        }  # fmt: skip
        monkeypatch.setattr(command.flags, "FLAGS", SimpleNamespace(**{**flags, **given}))
        command.main()

    return main


def test_a_page_its_truth_and_the_signal_behind_it(tmp_path, draw):
    header = write(tmp_path / "in", "one", ("i", "lead II", "III"))
    asked = (f"--record={header}", f"--output={tmp_path}/out", "--truth", "--format=3x4+1 cabrera", "--px_per_mm=4")
    ran = commands.run("scripts/render.py", *asked)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{tmp_path}/out: 1 drawn\n", "")
    truth = json.loads((tmp_path / "out" / "one.json").read_text())
    picture = cv2.imread(str(tmp_path / "out" / "one.png"))
    assert picture.shape[:2] == (truth["height_px"], truth["width_px"]) == (864, 1118)
    with Image.open(tmp_path / "out" / "one.png") as stored:
        assert stored.info["dpi"] == pytest.approx((101.6, 101.6), abs=0.1)
    assert [box["lead"] for box in truth["boxes"]] == ["II", "I", "III", "II"]
    whole = truth["boxes"][-1]
    drawn_mv = (whole["y_px"] - np.array(whole["trace_px"])[:, 1]) / truth["px_per_mm"] / truth["gain_mm_mv"]
    np.testing.assert_allclose(drawn_mv, SIGNAL_MV[:, 1] - np.median(SIGNAL_MV[:, 1]), atol=1e-3)
    with pytest.raises(InputError, match=r"one\.png is already there; give another --output, or --overwrite"):
        draw(record=str(header), format="6x2")
    draw(record=str(header), format="6x2", overwrite=True, truth=True)
    assert json.loads((tmp_path / "out" / "one.json").read_text())["layout"] == "6x2"


@pytest.mark.slow
def test_a_folder_in_two_processes_with_damage_is_the_same_whoever_draws_it(tmp_path, draw):
    write(tmp_path / "in", "a")
    write(tmp_path / "in" / "below", "b")
    write(tmp_path / "in", "c")
    (tmp_path / "in" / "c.dat").write_bytes(b"short")
    damaged = {"damage": "medium", "palette": "random", "truth": True, "seed": 4}
    with pytest.raises(InputError, match=r"in/c: the signal file does not fit its header .* with --skip_bad"):
        draw(folder=str(tmp_path / "in"), output=str(tmp_path / "alone"), **damaged)
    ran = commands.run(
        "scripts/render.py", f"--folder={tmp_path}/in", f"--output={tmp_path}/out", "--px_per_mm=4", "--skip_bad",
        "--processes=2", "--damage=medium", "--palette=random", "--truth", "--seed=4",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == f"{tmp_path}/out: 2 drawn, 1 skipped"
    drawn = sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/**/*.*"))
    assert drawn == ["a.json", "a.png", "below/b.json", "below/b.png"]
    draw(record=str(tmp_path / "in" / "a.hea"), output=str(tmp_path / "alone"), **{**damaged, "overwrite": True})
    for name in ("a.png", "a.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_real_records_of_any_kind_are_read(sample_data):
    found = {}
    for folder in ("challenge-2017", "mitdb", "ptb-xl"):
        header = min((sample_data / folder).rglob("*.hea"))
        signal_mv, fs_hz, names = command.read_leads(header.with_suffix(""))
        assert signal_mv.shape[1] == len(names)
        assert 0.05 < np.nanstd(signal_mv) < 2
        found[folder] = (fs_hz, len(names))
    assert found == {"challenge-2017": (300, 1), "mitdb": (360, 2), "ptb-xl": (100, 12)}


@pytest.mark.parametrize("kind", ["jpg", "pdf"])
def test_other_files_and_other_strips(tmp_path, draw, kind):
    header = str(write(tmp_path, "one", ("MLII", "V5")))
    draw(record=header, format="strip", type=kind, lead="V5")
    start = (tmp_path / "out" / f"one.{kind}").read_bytes()[:4]
    assert start == {"jpg": b"\xff\xd8\xff\xe0", "pdf": b"%PDF"}[kind]
    draw(record=header, format="line", px_per_s=75.0, height_px=75)
    assert cv2.imread(str(tmp_path / "out" / "one.png")).shape == (75, 750, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"record": "none.hea"}, "none: no file none.hea; restore the record"),
        ({}, "expected one of --record and --folder; give the one that is meant"),
        ({"folder": "none"}, "no .hea file in none or below; give --folder a folder of WFDB records"),
        ({"record": "in/one.hea", "format": "strip", "lead": "V9"}, "has no lead V9; give one of I, II"),
        ({"record": "in/one.hea", "start_s": 20.0}, "the page begins at 20 s of 10 s; begin within the recording"),
        ({"record": "in/one.hea", "format": "line", "start_s": 20.0}, "a strip is of one lead"),
        ({"record": "in/one.hea", "output": "in/one.dat/x"}, "cannot write to in/one.dat/x"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(tmp_path, monkeypatch, draw, given, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", "one", ("I", "II"))
    with pytest.raises(InputError, match=message):
        draw(**given)
    assert not list(tmp_path.glob("out/**/*.*"))
