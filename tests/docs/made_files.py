"""What the commands of the pages are run on: small runs, records, pages, raw folders, made when first asked for."""

import csv
import functools
import itertools
import os
import subprocess
import sys
from pathlib import Path

import commands
import numpy as np
import page_runs
from documented import ROOT

from ecgjax import leads
from ecgjax.recordings.load import load
from ecgjax.recordings.recording import Recording
from ecgjax.recordings.write_wfdb import write_wfdb

sys.path[:0] = [str(ROOT / "tests" / "data_prep")]

FEW_STEPS = [f"--config.{name}=6" for name in ("num_steps", "log_every", "eval_every", "checkpoint_every")]
FINETUNING = ["--config=configs/finetune.py:smoke,init=", *FEW_STEPS]
SIMULATED = {"ptbxl": "simulated", "mitbih": "simulated_beats", "cinc2017": "simulated_rhythms"}
"""What takes the place of recordings where none are at hand."""

RUNS = {
    "reversal": "reversal.py:ptbxl,smoke",
    "reversal_again": "reversal.py:ptbxl,smoke,seed=1",
    "lead_id": "lead_id.py:ptbxl,smoke",
    "diagnosis": "diagnosis.py:ptbxl,labels=superclass,smoke",
    "age": "age.py:ptbxl,smoke",
    "reconstruction": "reconstruction.py:ptbxl,smoke",
    "activation_map": "activation_map.py:smoke",
    "rhythm": "rhythm.py:smoke",
    "heartbeat": "heartbeat.py:smoke",
    "labelled": "",
}
"""Name -> config of the runs that commands read; that of the labels of a folder is in FINETUNING."""


class Made:
    """Everything lies in `folder`; `sample_data` are real recordings, or None."""

    def __init__(self, folder: Path, sample_data: Path | None):
        self.folder = folder
        self.data_dir = folder / "data"
        self._sample_data = sample_data
        self._number = itertools.count()

    def new(self, suffix: str = "") -> Path:
        """A path at which nothing is yet."""
        return self.folder / f"new_{next(self._number)}{suffix}"

    @functools.cache  # noqa: B019 - one object for all tests
    def run(self, name: str) -> Path:
        """Folder of a run of a few steps."""
        config = self.at_hand(RUNS[name])
        self.dataset(config)
        workdir = self.folder / "runs" / name
        if name == "labelled":
            self.call_apart(
                "-m", "ecgjax.main", *FINETUNING, f"--config.data.dir={self.labelled()}", f"--workdir={workdir}"
            )
            return workdir
        self.call("-m", "ecgjax.main", f"--config=configs/{config}", *FEW_STEPS, *self.lies(), f"--workdir={workdir}")
        return workdir

    def lies(self) -> list[str]:
        """The option that says where prepared data lie."""
        return [f"--config.data.dir={self.data_dir}"]

    def at_hand(self, text: str) -> str:
        """A config or dataset with simulated data where the real ones are not at hand."""
        if self._sample_data is None:
            for name, made in SIMULATED.items():
                text = text.replace(name, made)
        return text

    def dataset(self, text: str) -> None:
        """Prepares the real dataset that a command names."""
        for name in SIMULATED:
            if name in text and self._sample_data is not None:
                self._prepared(f"{name}/by_beat" if "split=by_beat" in text else name)

    @functools.cache  # noqa: B019
    def _prepared(self, dataset: str) -> None:
        raw_dir = self.raw(dataset.partition("/")[0])
        self.call("-m", "data_prep", f"--dataset={dataset}", f"--raw_dir={raw_dir}", f"--data_dir={self.data_dir}")

    def call(self, *words: object, statuses: tuple[int, ...] = (0,)) -> int:
        """The status of a command, which has to end with one of these."""
        done = commands.run(*words)
        assert done.returncode in statuses, f"{' '.join(map(str, words))}\n{done.stdout[-500:]}\n{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr
        return done.returncode

    def call_apart(self, *words: object) -> int:
        """The status of a command in a process for which `TFDS_DATA_DIR` says where prepared data lie; has to be 0."""
        environment = {**os.environ, "TFDS_DATA_DIR": str(self.data_dir)}
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.returncode

    @functools.cache  # noqa: B019
    def labelled(self) -> Path:
        """A folder of recordings and a table of labels."""
        folder = self.folder / "labelled"
        folder.mkdir()
        rows = ["file,label"]
        for number in range(24):
            for path in self.records().glob(f"rec{number % 3}.*"):
                (folder / f"r{number}{path.suffix}").write_bytes(
                    path.read_bytes().replace(f"rec{number % 3}".encode(), f"r{number}".encode())
                )
            rows.append(f"r{number},{'sinus' if number % 2 else 'AF'}")
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")
        return folder

    @functools.cache  # noqa: B019
    def raw(self, dataset: str) -> Path:
        """A folder as the publisher of a dataset distributes it, of some records."""
        folder = self.folder / "raw" / dataset
        folder.mkdir(parents=True)
        if dataset == "heartbeat":
            import test_heartbeat_csv  # noqa: PLC0415

            return test_heartbeat_csv.raw_dir.__wrapped__(folder)
        if dataset == "intracardiac":
            import heart_archive  # noqa: PLC0415

            heart_archive.write_archive(folder, num_hearts=10, num_patterns=2)
        elif dataset == "ptbxl":
            self._few_of_ptbxl(folder)
        elif dataset == "mitbih":
            return self.real() / "mitdb"
        elif dataset == "labelled_folder":
            return self.labelled()
        elif dataset == "cinc2017":
            return self.real() / "challenge-2017"
        else:
            return self.records()
        return folder

    def real(self) -> Path:
        """The folder of real recordings."""
        import pytest  # noqa: PLC0415

        if self._sample_data is None:
            pytest.skip("no sample data; set ECGJAX_TEST_DATA")
        return self._sample_data

    def _few_of_ptbxl(self, folder: Path) -> None:
        source = self.real() / "ptb-xl"
        for name in ("records100", "scp_statements.csv"):
            (folder / name).symlink_to(source / name)
        header, *rows = (source / "ptbxl_database.csv").read_text().splitlines()
        (folder / "ptbxl_database.csv").write_text("\n".join([header, *rows[:160]]) + "\n")

    @functools.cache  # noqa: B019
    def records(self) -> Path:
        """WFDB records of ten seconds, with beats that agree in all leads."""
        folder = self.folder / "records"
        folder.mkdir()
        noise = np.random.default_rng(0)
        for index in range(3):
            signal_mv = page_runs.beats(500.0) * (1 + 0.1 * index)
            signal_mv += 0.005 * noise.normal(size=(len(signal_mv), 8)) @ leads.LEADS_FROM_INDEPENDENT.T
            write_wfdb(Recording.from_array(signal_mv, 500.0, leads.LEADS), folder, f"rec{index}", ())
        return folder

    def record(self) -> Path:
        """One of them."""
        return self.records() / "rec0.hea"

    @functools.cache  # noqa: B019
    def few_leads(self) -> Path:
        """A record of three leads."""
        whole = load(self.record())
        folder = self.folder / "few"
        folder.mkdir()
        names = ["I", "II", "V2"]
        signal_mv = whole.signal_mv[:, [whole.lead_names.index(name) for name in names]]
        write_wfdb(Recording.from_array(signal_mv, whole.fs_hz, names), folder, "few", ())
        return folder / "few.hea"

    @functools.cache  # noqa: B019
    def table(self) -> Path:
        """A CSV file of twelve columns in microvolts, without names."""
        path = self.folder / "table.csv"
        np.savetxt(path, load(self.record()).twelve()[0] * 1000, "%.0f", delimiter=",")
        return path

    @functools.cache  # noqa: B019
    def pages(self) -> Path:
        """Pictures of the records on paper."""
        folder = self.folder / "pages"
        self.call("scripts/render.py", f"--record={self.record()}", f"--output={folder}", "--truth")
        return folder

    def page(self) -> Path:
        """One of them."""
        return next(self.pages().glob("*.png"))

    @functools.cache  # noqa: B019
    def scanned(self) -> Path:
        """A folder with one page that was drawn by others, and its `index.csv`."""
        source, folder = self.real() / "ecg-images", self.folder / "scanned"
        folder.mkdir()
        with (source / "index.csv").open() as file:
            row = next(row for row in csv.reader(file) if "lr-0__box" in row[0])
        for name in ("signals", row[0]):
            (folder / name).symlink_to(source / name)
        (folder / "index.csv").write_text(",".join(row) + "\n")
        return folder
