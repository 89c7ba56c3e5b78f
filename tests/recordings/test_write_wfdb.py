"""Recordings written as WFDB, read back by wfdb and by `ecgjax.load`."""

import dataclasses

import numpy as np
import pytest
import wfdb

import ecgjax
from ecgjax.errors import InputError
from ecgjax.recordings.recording import Recording
from ecgjax.recordings.write_wfdb import write_csv, write_wfdb


def recording(scale_mv: float = 1.0) -> Recording:
    signal_mv = scale_mv * np.random.default_rng(1).normal(size=(700, 3))
    signal_mv[10:20, 1] = np.nan
    made = Recording.from_array(signal_mv, 257.5, ["V2", "I", "II"])
    return dataclasses.replace(made, started="2020-02-03T04:05:06", patient={"age_years": 61.0, "sex": "female"})


@pytest.mark.parametrize("scale_mv", [1e-3, 1.0, 100.0, 1e7])
def test_samples_come_back(tmp_path, scale_mv):
    given = recording(scale_mv)
    header = write_wfdb(given, tmp_path / "new", "a b/c", ["first", "second\nline"])[-1]
    assert header == tmp_path / "new" / "a_b_c.hea"
    step_mv = max(1e-3, scale_mv * 5 / 2**15)
    read = wfdb.rdrecord(str(header.with_suffix("")))
    np.testing.assert_allclose(read.p_signal, given.signal_mv, atol=step_mv)
    assert (read.fs, read.sig_name, read.comments[-2:]) == (257.5, ["I", "II", "V2"], ["first", "second line"])
    own = ecgjax.load(header)
    np.testing.assert_allclose(own.signal_mv, given.signal_mv, atol=step_mv)
    assert (own.started, own.patient, own.fs_hz) == (given.started, given.patient, given.fs_hz)


def test_nothing_is_overwritten_or_left_half(tmp_path):
    write_wfdb(recording(), tmp_path, "x", [])
    (tmp_path / "x.dat").unlink()
    with pytest.raises(InputError, match=r"x\.hea is already there"):
        write_wfdb(recording(), tmp_path, "x", [])
    assert [path.name for path in tmp_path.iterdir()] == ["x.hea"]


def test_a_table_comes_back(tmp_path):
    given = recording()
    read = ecgjax.load(write_csv(given, tmp_path / "t.csv"))
    np.testing.assert_allclose(read.signal_mv, given.signal_mv, atol=1e-4)
    assert (read.lead_names, round(read.fs_hz, 2)) == (given.lead_names, given.fs_hz)
    with pytest.raises(InputError, match="already there"):
        write_csv(given, tmp_path / "t.csv")
