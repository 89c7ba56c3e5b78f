"""`ecgjax` as a package: its attributes, recordings from arrays, facts and pictures."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ecgjax
from ecgjax.api.info import heart_rate_per_min
from ecgjax.errors import InputError
from ecgjax.recordings.recording import Recording

ROOT = Path(__file__).parents[2]


def test_all_that_is_promised_is_there():
    names = [name for name in dir(ecgjax) if not name.startswith("_")]
    assert {"load", "check", "repair", "predict", "reconstruct", "digitize", "plot", "info", "Recording"} <= {*names}
    for name in names:
        assert getattr(ecgjax, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ecgjax.nothing


def test_the_package_alone_brings_nothing_along():
    code = "import sys, ecgjax; print({'numpy', 'jax'} & {*sys.modules}); ecgjax.info; print('jax' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True).stdout
    assert printed.split("\n") == ["set()", "False", ""]


@pytest.mark.parametrize("module", ["ecgjax.recordings.recording", "ecgjax.api.info", "ecgjax.api.plot"])
def test_examples(module):
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert (tried > 0, failed) == (True, 0)


def test_arrays_become_recordings():
    signal_mv = np.arange(12.0).reshape(4, 3)
    signal_mv[1, 1] = np.nan
    made = Recording.from_array(signal_mv, 250, ["V1", "-aVR", "lead_1"], name="mine")
    assert (made.lead_names, made.fs_hz, made.name) == (("I", "aVR", "V1"), 250, "mine")
    np.testing.assert_array_equal(made.signal_mv, np.stack([signal_mv[:, 2], -signal_mv[:, 1], signal_mv[:, 0]], 1))


@pytest.mark.parametrize(
    ("signal_mv", "fs_hz", "names", "message"),
    [
        (np.zeros(5), 100, ["I"], r"expected numbers \[time, lead\], got float64 \(5,\)"),
        (np.array([["a"]]), 100, ["I"], "expected numbers"),
        (np.zeros((5, 2)), 100, ["I"], "1 lead names for 2 columns"),
        (np.zeros((5, 1)), 1, ["I"], "its rate is 1 Hz"),
        (np.zeros((0, 1)), 100, ["I"], "0 samples"),
        (np.full((5, 1), np.nan), 100, ["I"], "only gaps"),
    ],
)
def test_arrays_that_are_none(signal_mv, fs_hz, names, message):
    with pytest.raises(InputError, match=message):
        Recording.from_array(signal_mv, fs_hz, names)


def test_a_rate_is_told_only_where_beats_are_seen():
    spikes = np.zeros((3000, 1))
    spikes[100::240] = 1.0
    assert heart_rate_per_min(Recording.from_array(spikes, 240.0, ["V2"])) == 60.0
    spikes[1000:1300] = np.nan
    assert heart_rate_per_min(Recording.from_array(spikes, 240.0, ["V2"])) == 60.0
    assert heart_rate_per_min(Recording.from_array(0 * np.nan_to_num(spikes), 240.0, ["V2"])) is None
    assert heart_rate_per_min(Recording.from_array(spikes[:300], 240.0, ["V2"])) is None


def test_pictures(tmp_path):
    signal_mv = 0.2 * np.random.default_rng(0).normal(size=(1000, 2))
    signal_mv[:100] = np.nan
    record = Recording.from_array(signal_mv, 100.0, ["II", "V1"])
    ecgjax.plot(record, tmp_path / "x.PDF")
    assert (tmp_path / "x.PDF").read_bytes().startswith(b"%PDF")
    with pytest.raises(InputError, match="is already there"):
        ecgjax.plot(record, tmp_path / "x.PDF")
    with pytest.raises(InputError, match="has none of the twelve leads, but MLII"):
        ecgjax.plot(Recording.from_array(signal_mv[:, :1], 100.0, ["MLII"]))
    assert [path.name for path in tmp_path.iterdir()] == ["x.PDF"]
