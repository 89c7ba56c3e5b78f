import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import wfdb

ROOT = Path(__file__).parents[2]
SAMPLE = "00001_lr-0__PTB_XL_op__b4d3cd7756"


def run(*arguments):
    command = [sys.executable, "scripts/digitize.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(sample_data, tmp_path_factory):
    """A folder with a page and a picture of nothing, digitised."""
    source, output = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("records") / "out"
    picture = cv2.imread(str(sample_data / "ecg-images" / f"{SAMPLE}.png"))
    cv2.imwrite(str(source / "page one.png"), picture)
    cv2.imwrite(str(source / "blank.png"), np.full((300, 400, 3), 255, np.uint8))
    return source, output, run(f"--input={source}", f"--output={output}", "--overlay", "--processes=1")


def test_records_of_a_folder(folder, sample_data):
    _, output, done = folder
    assert done.returncode == 0, done.stderr
    assert "1 of 2 files read" in done.stdout
    assert "blank.png: not read" in done.stdout
    record = wfdb.rdrecord(str(output / "page_one"))
    assert (record.fs, record.sig_name[3], record.units[0]) == (500, "aVR", "mV")
    drawn = wfdb.rdrecord(str(sample_data / "ecg-images" / "signals" / "00001_lr"))
    rhythm = np.interp(np.arange(5000) / 500, np.arange(1000) / 100, drawn.p_signal[:, 1])
    known = np.isfinite(record.p_signal[:, 1])
    assert known.mean() > 0.98
    assert np.corrcoef(rhythm[known], record.p_signal[known, 1])[0, 1] > 0.97
    assert np.isnan(record.p_signal[2000:, 0]).all()
    confidence = wfdb.rdrecord(str(output / "page_one_confidence"))
    assert confidence.p_signal[100:1000, 0].mean() > 0.8
    told = json.loads((output / "page_one.json").read_text())
    assert told["layout"] == "3x4+1"
    assert told["gain_from"] == "printed"
    assert cv2.imread(str(output / "page_one_overlay.png")) is not None
    assert sorted(path.suffix for path in output.iterdir()) == [".dat", ".dat", ".hea", ".hea", ".json", ".png"]


def test_nothing_is_overwritten(folder):
    source, output, _ = folder
    done = run(f"--input={source / 'page one.png'}", f"--output={output}")
    assert done.returncode == 2
    assert "already there" in done.stderr


def test_a_single_picture_that_cannot_be_read(folder, tmp_path):
    source, _, _ = folder
    done = run(f"--input={source / 'blank.png'}", f"--output={tmp_path}")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
