import csv
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "scripts/benchmark_digitizer.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True)


def test_pages_of_a_folder(sample_data, tmp_path):
    folder = sample_data / "ecg-images"
    with (folder / "index.csv").open() as file:
        row = next(row for row in csv.reader(file) if row[0].startswith("00001_lr-0__box"))
    for name in ("signals", row[0]):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "index.csv").write_text(",".join(row) + "\n")
    done = run(f"--folder={tmp_path}", f"--output={tmp_path / 'judged.json'}")
    assert done.returncode == 0, done.stderr
    judged = json.loads((tmp_path / "judged.json").read_text())
    assert judged["summary"]["box_plots"]["pages"] == 1
    assert judged["summary"]["box_plots"]["wrong"] == 0
    assert judged["pages"][0]["snr_db"] > 5
    assert "box_plots" in done.stdout


def test_one_source_is_asked_for():
    done = run()
    assert done.returncode == 2
    assert "--dataset" in done.stderr
