"""The quick reader against wfdb, which stays the reference: the same values, and the same errors."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from raw_archives import signal, write_record
from test_bad_input import BAD, DAMAGE

from data_prep import wfdb_records
from data_prep.plain_wfdb import PlainRecord, read_plain
from data_prep.shards import BadRecordError
from data_prep.wfdb_records import read_recording, read_with_wfdb

TABLE_DAMAGE = ("age", "codes", "fold", "sex")


def outcome(path: Path) -> tuple | str:
    """What `read_recording` gives, as values that can be compared."""
    try:
        recording = read_recording(str(path))
    except BadRecordError as error:
        return str(error)
    return recording.ecg.tolist(), recording.ecg.dtype, recording.fs_hz, recording.num_clipped


def check_as_wfdb(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple | str:
    """The outcome, which is that of wfdb."""
    found = outcome(path)
    with monkeypatch.context() as patch:
        patch.setattr(wfdb_records, "read_plain", lambda path: None)
        assert outcome(path) == found
    return found


def check_fields(path: Path) -> wfdb.Record:
    """What wfdb reads, which is what the quick reader does."""
    plain, record = read_plain(str(path)), read_with_wfdb(str(path))
    assert plain is not None
    for name in ("fs", "sig_name", "units", "adc_gain", "baseline", "checksum", "sig_len"):
        assert repr(getattr(plain, name)) == repr(getattr(record, name)), name
    np.testing.assert_array_equal(plain.d_signal, record.d_signal)
    np.testing.assert_array_equal(plain.dac(), record.dac())
    assert plain.calc_checksum(expanded=False) == record.calc_checksum(expanded=False)
    return record


def check_real(folder: Path, pattern: str, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some records of a folder give the same fields, and the same recordings."""
    headers = sorted(folder.rglob(pattern))
    assert headers
    for header in headers[::every]:
        path = header.with_suffix("")
        record, found = check_fields(path), outcome(path)
        with monkeypatch.context() as patch:
            patch.setattr(wfdb_records, "read_digital", lambda path, record=record: record)
            assert outcome(path) == found
        assert isinstance(found, tuple)


@pytest.mark.parametrize(("pattern", "every"), [("*_lr.hea", 200), ("*_hr.hea", 9)])
def test_real_records_are_those_of_wfdb(sample_data, monkeypatch, pattern, every):
    check_real(sample_data / "ptb-xl", pattern, every, monkeypatch)


def test_real_records_of_one_lead_are_those_of_wfdb(sample_data):
    for header in sorted((sample_data / "challenge-2017").rglob("*.hea"))[::200]:
        check_fields(header.with_suffix(""))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pattern", ["*_lr.hea", "*_hr.hea"])
def test_all_real_records_are_those_of_wfdb(sample_data, monkeypatch, pattern):
    check_real(sample_data / "ptb-xl", pattern, 1, monkeypatch)


def test_what_is_not_plain_is_left_to_wfdb(sample_data):
    for header in sorted(sample_data.rglob("mit*/*.hea"))[:3]:
        assert read_plain(str(header.with_suffix(""))) is None


@pytest.mark.parametrize("kind", [kind for kind in DAMAGE if not kind.endswith(TABLE_DAMAGE)])
def test_damage_is_told_as_by_wfdb(tmp_path, monkeypatch, kind):
    write_record(tmp_path / BAD, signal(4))
    DAMAGE[kind][0](tmp_path)
    assert DAMAGE[kind][1] in check_as_wfdb(tmp_path / BAD, monkeypatch)


@pytest.mark.parametrize(
    ("gain", "baseline", "units"),
    [
        *((1000.0, 0, "mV"), (200.0, -7, "mV"), (4880.0, 0, "mV"), (204.8, 3, "mV"), (1.0, 5, "uV"), (1e6, 0, "V")),
        *((0.001, 0, "uV"), (1.0, 30000, "mV"), (3.0, -(2**30), "mV"), (0.5, 0, "mV"), (1e-6, 0, "mV")),
    ],
)
def test_gains_offsets_and_units(tmp_path, monkeypatch, gain, baseline, units):
    digital = signal(1)
    digital[::3] *= 7
    write_record(tmp_path / "one", digital, gain=gain, baseline=baseline, units=units)
    check_as_wfdb(tmp_path / "one", monkeypatch)


def edited(old: str, new: str):
    return lambda text: text.replace(old, new)


HEADERS = {
    "date and time": (edited(" 100 100\n", " 100 100 17:46:00 27/06/2015\n"), True),
    "time alone": (edited(" 100 100\n", " 100 100 17:46:00\n"), True),
    "no such date": (edited(" 100 100\n", " 100 100 17:46:00 31/02/2015\n"), False),
    "time of one digit": (edited(" 100 100\n", " 100 100 7:46:00 1/02/2000\n"), True),
    "counter": (edited(" 100 100\n", " 100/360(5) 100\n"), False),
    "rate with decimals": (edited(" 100 100\n", " 99.9 100\n"), True),
    "no rate": (edited(" 100 100\n", " 0 100\n"), False),
    "no length": (edited(" 100 100\n", " 100\n"), False),
    "shorter than its file": (edited(" 100 100\n", " 100 7\n"), True),
    "far too long": (edited(" 100 100\n", " 100 9999999999\n"), False),
    "baseline from the zero of the converter": (lambda text: text.replace("(0)/mV 16 0", "/mV 16 12"), True),
    "no gain": (edited("1000.0(0)/mV", "0(0)/mV"), False),
    "gain alone": (edited("1000.0(0)/mV", "1000"), False),
    "two samples a frame": (edited(".dat 16 ", ".dat 16x2 "), False),
    "skew": (edited(".dat 16 ", ".dat 16:3 "), False),
    "another format": (edited(".dat 16 ", ".dat 80 "), False),
    "offset within the file": (edited(".dat 16 ", ".dat 16+24 "), False),
    "comments and blank lines": (lambda text: "# first\n\n" + text + "\n#Age: 74\n# <sex> F\n", True),
    "other line ends": (edited("\n", "\r\n"), True),
    "blanks around": (lambda text: text.replace("\n", "  \n  "), True),
    "tabs": (edited(" ", "\t"), False),
    "name with blanks": (edited(" V6", " lead V6"), True),
    "no name": (edited(" V6", ""), False),
    "no checksum": (lambda text: "\n".join(" ".join(line.split()[:6]) for line in text.split("\n")), False),
    "too few channels": (lambda text: "\n".join(text.split("\n")[:-2]), False),
    "letters beyond ASCII": (edited("/mV", "/µV"), False),
    "two files": (edited("one.dat 16 1000.0(0)/mV 16 0 ", "one.dat  16 1000.0(0)/mV 16 0 "), False),
    "segments": (edited("one 12", "one/2 12"), False),
    "nothing": (lambda text: "", False),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_mean_what_wfdb_takes_them_for(tmp_path, monkeypatch, kind):
    edit, is_plain = HEADERS[kind]
    write_record(tmp_path / "one", signal(1))
    header = tmp_path / "one.hea"
    header.write_text(edit(header.read_text()))
    assert isinstance(read_plain(str(tmp_path / "one")), PlainRecord) == is_plain
    check_as_wfdb(tmp_path / "one", monkeypatch)


def test_samples_behind_another_header(tmp_path, monkeypatch):
    """As in the .mat files of PhysioNet's challenges."""
    write_record(tmp_path / "one", signal(1))
    wanted = check_as_wfdb(tmp_path / "one", monkeypatch)
    data = (tmp_path / "one.dat").read_bytes()
    (tmp_path / "one.mat").write_bytes(bytes(24) + data)
    (tmp_path / "one.dat").unlink()
    header = tmp_path / "one.hea"
    header.write_text(header.read_text().replace("one.dat 16 ", "one.mat 16+24 "))
    check_fields(tmp_path / "one")
    assert check_as_wfdb(tmp_path / "one", monkeypatch) == wanted


def test_records_that_would_fill_the_memory_are_refused(tmp_path):
    write_record(tmp_path / "one", signal(1))
    header = tmp_path / "one.hea"
    text = header.read_text()
    header.write_text(text.replace(" 100 100\n", " 100 99999999\n"))
    with pytest.raises(
        BadRecordError, match="tells of 99999999 samples of 12 leads, expected 134217728 samples in all"
    ):
        read_recording(str(tmp_path / "one"))
    header.write_text("# comment\n" * 110_000 + text)
    with pytest.raises(BadRecordError, match="more than 1048576 bytes"):
        read_recording(str(tmp_path / "one"))
