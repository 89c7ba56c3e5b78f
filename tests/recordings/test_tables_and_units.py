"""Tables and arrays of people who wrote them in their own way, and what is assumed where nothing is stated."""

import ecg_files
import numpy as np
import pytest
from ecg_files import LEADS

from ecgjax.errors import InputError
from ecgjax.recordings.load import load


@pytest.fixture(scope="module")
def microvolts():
    return ecg_files.beats_uv(1000)


def table(path, head, rows, delimiter=",", decimal="."):
    lines = [delimiter.join(f"{value:.6g}".replace(".", decimal) for value in row) for row in rows]
    path.write_text("\n".join([*head, *lines]) + "\n")
    return path


def timed(columns, step=2.0):
    return np.column_stack([np.arange(len(columns)) * step, columns])


def test_semicolons_and_decimal_commas(tmp_path, microvolts):
    head = [";".join(["Zeit (ms)", *(f"{name} [mV]" for name in LEADS)])]
    found = load(table(tmp_path / "a.csv", head, timed(microvolts / 1000), ";", ","))
    assert (found.fs_hz, found.lead_names, found.assumptions) == (500.0, LEADS, ())
    np.testing.assert_allclose(found.signal_mv, microvolts / 1000, atol=1e-6)


def test_tabs_without_units(tmp_path, microvolts):
    found = load(table(tmp_path / "a.tsv", ["\t".join(LEADS)], microvolts, "\t"))
    assert found.fs_hz == 100
    np.testing.assert_allclose(found.signal_mv, microvolts / 1000, atol=1e-6)
    assert len(found.assumptions) == 2
    assert found.assumptions[0].startswith("units not stated, taken for uV since the median peak is ")
    assert found.assumptions[1] == "rate not stated, taken for 100 Hz since 1000 samples are then the usual 10 s"


def test_no_header_at_all(tmp_path, microvolts):
    path = table(tmp_path / "a.txt", [], timed(microvolts[:700] / 1000, 0.002), " ")
    found = load(path)
    assert (found.fs_hz, found.lead_names) == (500.0, LEADS)
    assert len(found.assumptions) == 3
    with pytest.raises(InputError, match="12 lead names for 2 channels|2 lead names for 12 channels"):
        load(path, lead_names=("I", "II"))


def test_a_header_of_units_and_clock_times(tmp_path, microvolts):
    path = tmp_path / "a.csv"
    rows = [f"'0:{k / 360:06.3f}',{a / 1000:.3f},{b / 1000:.3f}" for k, (a, b) in enumerate(microvolts[:720, [1, 10]])]
    path.write_text("\n".join(["'Elapsed time','MLII','V5'", "'mm:ss.mmm','mV','mV'", *rows]))
    found = load(path)
    assert (found.fs_hz, found.lead_names) == (360.0, ("V5", "MLII"))
    np.testing.assert_allclose(found.signal_mv, microvolts[:720, [10, 1]] / 1000, atol=1e-6)


def test_a_watch(tmp_path, microvolts):
    head = ["Name,Somebody", "Date of Birth,1 Jan 1959", "Classification,Sinus Rhythm", "Sample Rate,512 hertz"]
    path = table(tmp_path / "a.csv", [*head, "", "Lead,Lead I", "Unit,µV", ""], microvolts[:, :1])
    found = load(path)
    assert (found.fs_hz, found.lead_names, found.assumptions) == (512.0, ("I",), ())
    np.testing.assert_allclose(found.signal_mv[:, 0], microvolts[:, 0] / 1000, atol=1e-6)


def test_gaps_in_a_table(tmp_path, microvolts):
    path = tmp_path / "a.csv"
    rows = [f"{k},{value}" if k % 10 else f"{k}," for k, value in enumerate(microvolts[:, 0])]
    path.write_text("\n".join(["sample,I (uV)", *rows]))
    assert load(path, fs_hz=500).problems[-1] == "I lacks 10 % of its samples"


def test_delimiters_at_the_end_of_rows(tmp_path, microvolts):
    path = table(tmp_path / "a.csv", [",".join(LEADS)], microvolts)
    path.write_text(path.read_text().replace("\n", ",\n"))
    found = load(path, fs_hz=500, units="uV")
    assert found.lead_names == LEADS
    np.testing.assert_allclose(found.signal_mv, microvolts / 1000, atol=1e-6)


def test_uneven_time_is_refused(tmp_path, microvolts):
    rows = timed(microvolts)
    rows[500:, 0] += 700
    with pytest.raises(InputError, match="its column of time 'time' does not rise evenly"):
        load(table(tmp_path / "a.csv", [",".join(["time", *LEADS])], rows))


def test_rows_of_text_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("I,II\n1,2\n3,x\n")
    with pytest.raises(InputError, match=r"a.csv: expected a table, row 3 has 'x' among its numbers; restore the file"):
        load(tmp_path / "a.csv")


@pytest.mark.parametrize(("unit", "factor"), [("V", 1e-6), ("mV", 1e-3), ("uV", 1.0), ("nV", 1e3)])
def test_units_by_the_size_of_the_waves(unit, factor, tmp_path, microvolts):
    np.save(tmp_path / "a.npy", microvolts * factor)
    found = load(tmp_path / "a.npy", fs_hz=500)
    assert found.assumptions[1].startswith(f"units not stated, taken for {unit} since the median peak is ")
    np.testing.assert_allclose(found.signal_mv, microvolts / 1000, atol=1e-6)


def test_what_is_stated_holds(tmp_path, microvolts):
    path = ecg_files.write_wfdb(tmp_path / "rec.hea", microvolts, 500)
    found = load(path, fs_hz=1000, units="uV", lead_names=LEADS[::-1])
    assert found.assumptions[:2] == ("the file says mV, uV was stated", "the file says 500 Hz, 1000 Hz was stated")
    np.testing.assert_allclose(found.signal_mv[:, ::-1], microvolts / 1e6, atol=1e-9)
    with pytest.raises(InputError, match="unknown units 'furlong'; state V, mV, uV or nV"):
        load(path, units="furlong")


def test_what_has_to_be_stated_is_asked_for(tmp_path, microvolts):
    np.save(tmp_path / "a.npy", microvolts[:777] / 1000)
    with pytest.raises(InputError, match="at which rate its 777 samples were taken: state fs_hz"):
        load(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((1000, 12)))
    with pytest.raises(InputError, match="all channels are flat: state the units"):
        load(tmp_path / "a.npy", fs_hz=100)
    np.savez(tmp_path / "a.npz", one=microvolts, two=microvolts)
    with pytest.raises(InputError, match="it holds several recordings: state member, one of one, two"):
        load(tmp_path / "a.npz", fs_hz=500)
    assert load(tmp_path / "a.npz", fs_hz=500, member="two").signal_mv.shape == (1000, 12)
    with pytest.raises(InputError, match="no member 'three', only one, two"):
        load(tmp_path / "a.npz", member="three")


def test_arrays_lie_either_way(tmp_path, microvolts):
    np.save(tmp_path / "a.npy", microvolts.T)
    found = load(tmp_path / "a.npy", fs_hz=500, units="uV")
    assert found.assumptions[0] == "shape 12 x 1000: taken for leads x time"
    np.testing.assert_allclose(found.signal_mv, microvolts / 1000, atol=1e-6)
    np.save(tmp_path / "a.npy", microvolts[:, [0, 1, 6, 7, 8, 9, 10, 11]])
    found = load(tmp_path / "a.npy", fs_hz=500, units="uV")
    assert found.lead_names == ("I", "II", *LEADS[6:])
    np.testing.assert_allclose(found.twelve()[0], microvolts / 1000, atol=1e-5)


def test_duration(tmp_path, microvolts):
    np.save(tmp_path / "a.npy", microvolts)
    assert load(tmp_path / "a.npy", fs_hz=500, units="uV").duration_s == 2.0
