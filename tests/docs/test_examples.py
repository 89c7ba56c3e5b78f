"""The pages of docs/howto, followed to the letter in a copy of the repository."""

import csv
import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import documented
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import wfdb
from documented import ROOT

from data_prep.shards import BadRecordError
from ecgjax import leads

PAGES = [ROOT / "docs" / "howto" / f"add_{what}.md" for what in ("task", "model", "dataset")]
FILE = re.compile(r"<!-- file: (\S+) as (\S+) -->")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A copy of the repository with all files and changes of the pages in place."""
    copy = tmp_path_factory.mktemp("followed")
    for name in ("ecgjax", "configs", "data_prep", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for page in PAGES:
        text = page.read_text()
        for name, title in FILE.findall(text):
            assert not (copy / title).exists(), title
            shutil.copy(ROOT / name, copy / title)
        for title, body in re.findall(r'```diff title="([^"]+)"\n(.*?)```', text, re.DOTALL):
            apply(copy / title, body)
    return copy


def apply(path: Path, change: str) -> None:
    """Adds the lines of `change` that begin with + before and after the one line that is there already."""
    (known,) = (line[1:] for line in change.splitlines() if line.startswith(" "))
    new = "\n".join(line[1:] for line in change.splitlines())
    text = path.read_text()
    assert text.count(f"{known}\n") == 1, f"{path.name} holds {known!r} {text.count(known)} times"
    path.write_text(text.replace(f"{known}\n", f"{new}\n"))


def run(copy: Path, *words: object) -> str:
    """What the command prints, run in the copy."""
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run([sys.executable, *map(str, words)], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """WFDB records of 24 patients, with impulses at a known rate."""
    folder = tmp_path_factory.mktemp("clinic")
    rng = np.random.default_rng(0)
    rows = []
    for patient in range(24):
        rate_bpm = rng.uniform(50, 120)
        signal_mv = np.zeros((1000, len(leads.LEADS)))
        signal_mv[(np.arange(0.2, 9.9, 60 / rate_bpm) * 100).astype(int)] = 1.0
        signal_mv = np.round(signal_mv @ np.diag(rng.uniform(0.5, 1.5, 12)) + 0.01 * rng.normal(size=(1000, 12)), 3)
        wfdb.wrsamp(
            f"r{patient}", fs=100, units=["mV"] * 12, sig_name=list(leads.LEADS), p_signal=signal_mv,
            fmt=["16"] * 12, adc_gain=[1000.0] * 12, baseline=[0] * 12, write_dir=str(folder),
        )  # fmt: skip
        rows.append({"file": f"r{patient}.hea", "patient_id": f"p{patient}", "heart_rate_bpm": f"{rate_bpm:.2f}"})
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_changes_fit(followed):
    """What the pages add stands where they say; the rest is for the slow test, which runs it."""
    titles = [title for page in PAGES for _, title in FILE.findall(page.read_text())]
    assert {compile((followed / title).read_text(), title, "exec").co_filename for title in titles} == {*titles}


def example(name: str) -> ModuleType:
    """A file of docs/examples as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "docs" / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_task_and_model_agree():
    config = example("heart_rate_config").get_config("smoke")
    task = example("heart_rate").HeartRate.from_config(config)
    network = example("strided_cnn").StridedCNN(
        num_outputs=task.num_outputs, dtype=jnp.float32, **config.model.strided_cnn.to_dict()
    )
    batch = {"signal_mv": np.zeros((2, 250, 12), np.float32), "heart_rate_bpm": np.array([75.0, 95.0])}

    def outputs(key):
        shown = jax.vmap(task.training_view)(jax.random.split(key, 2), batch)
        return network.init_with_output(key, shown["signal_mv"], is_training=True)[0]

    assert jax.eval_shape(outputs, jax.random.key(0)).shape == (2, 1)
    np.testing.assert_allclose(task.loss(np.zeros((2, 1)), batch), [0, 1], atol=1e-6)
    found = task.predict(np.ones((2, 1)), batch)
    figures = task.metrics({**found, "patient_ids": np.array(["a", "b"])}, num_bootstrap=0)
    assert figures["mae_bpm"].value == pytest.approx(10)


def test_records_of_the_dataset(clinic):
    module = example("clinic")
    entry = module.Entry(str(clinic / "r0.hea"), "r0.hea", "p0", 60.0)
    prepared = module.read_entry(entry)
    assert prepared.example["ecg"].shape == (1000, 12)
    assert {module.split_of(f"p{number}") for number in range(24)} == {"train", "validation", "test"}
    with pytest.raises(BadRecordError, match="is not there"):
        module.read_entry(dataclasses.replace(entry, path=str(clinic / "gone.hea")))


@pytest.mark.slow
def test_task_model_and_dataset_together(followed, clinic, tmp_path):
    data = f"--data_dir={tmp_path / 'data'}"
    printed = run(followed, "-m", "data_prep", "--dataset=clinic", f"--raw_dir={clinic}", "--num_workers=1", data)
    assert re.search(r"format WFDB +\d+ +\d+ +\d+", printed)
    workdir = tmp_path / "run"
    run(
        followed, "-m", "ecgjax.main", "--config=configs/heart_rate.py:clinic,smoke,model=strided_cnn",
        f"--config.data.dir={tmp_path / 'data'}", f"--workdir={workdir}", "--config.num_steps=10",
    )  # fmt: skip
    results = json.loads((workdir / "results.json").read_text())
    assert results["dataset"] == "clinic/default"
    assert results["metrics"]["mae_bpm"]["value"] > 0
    assert results["baselines"]["constant"]["mae_bpm"]["value"] > 0
    assert json.loads((workdir / "config.json").read_text())["model"]["name"] == "strided_cnn"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_the_page(page, followed, clinic, tmp_path):
    data = tmp_path / "data"
    typed = [one for one in documented.commands(page) if one.is_whole]
    assert typed
    for number, command in enumerate(typed):
        words = [word.replace("FOLDER", str(clinic)) for word in command.words[1:]]
        if words[1] == "data_prep":
            words = ["--dataset=clinic" if "wfdb" in word else word for word in words] + [f"--data_dir={data}"]
        else:
            words = [re.sub(r"^(--config=.*?\.py):?(.*)", r"\1:smoke,\2", word) for word in words]
            words += [f"--config.data.dir={data}", f"--workdir={tmp_path / str(number)}"]
        run(followed, *words)


def test_examples_are_shown():
    """Every file of docs/examples is on a page."""
    shown = {ROOT / name for one in PAGES for name, _ in FILE.findall(one.read_text())}
    assert shown == set((ROOT / "docs" / "examples").glob("*.py"))
