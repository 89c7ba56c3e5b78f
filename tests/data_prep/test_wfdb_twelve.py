"""Records with leads added: what was recorded stays to the last byte, and the rest reads back."""

import numpy as np
import pytest
import wfdb

from data_prep.shards import BadRecordError
from data_prep.wfdb_twelve import read_partial, write_twelve
from ecgjax.errors import InputError
from ecgjax.leads import LEADS

RNG = np.random.default_rng(0)
NAMES = ("V2", "RESP", "lead ii", "AVR")
SLOTS = {"II": 2, "aVR": 3, "V2": 0}


def write(folder, fmt="16", units="mV", comments=("Age: 60",), samples_per_frame=(2, 1, 2, 2), names=NAMES):
    folder.mkdir(parents=True, exist_ok=True)
    limit = {"212": 2000, "16": 30000}[fmt]
    signals = [RNG.integers(-limit, limit, 20 * count) for count in samples_per_frame]
    wfdb.wrsamp(
        "rec",
        fs=125,
        units=[units] * len(names),
        sig_name=list(names),
        e_d_signal=signals,
        fmt=[fmt] * len(names),
        adc_gain=[200.0, 10.0, 500.0, 1000.0][: len(names)],
        baseline=[3, 0, -5, 0][: len(names)],
        comments=list(comments),
        write_dir=str(folder),
        samps_per_frame=list(samples_per_frame),
    )
    wfdb.wrann("rec", "atr", np.array([3, 12]), ["N", "V"], write_dir=str(folder))
    return folder / "rec"


@pytest.mark.parametrize("fmt", ["16", "212"])
def test_leads_are_added_and_nothing_else_changes(tmp_path, fmt):
    path = write(tmp_path / "in", fmt)
    partial = read_partial(path)
    assert (partial.given, partial.fs_hz) == (("II", "aVR", "V2"), 250.0)
    twelve_mv = np.round(RNG.normal(size=(40, 12)), 3)
    written = write_twelve(partial, twelve_mv, ["given: II, aVR, V2", "rebuilt: V1"], tmp_path / "out")
    assert [file.name for file in written] == ["rec.atr", "rec.dat", "rec_rebuilt.dat", "rec.hea"]
    for name in ("rec.atr", "rec.dat"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
    before, after = (folder.joinpath("rec.hea").read_text().splitlines() for folder in (path.parent, tmp_path / "out"))
    assert after[0] == before[0].replace("rec 4 ", "rec 13 ")
    assert after[1:5] == before[1:5]
    assert after[-3:] == [before[-1], "# given: II, aVR, V2", "# rebuilt: V1"]
    record = wfdb.rdrecord(str(tmp_path / "out" / "rec"), smooth_frames=False)
    for name in LEADS:
        if name in SLOTS:
            expected = partial.signal_mv[:, LEADS.index(name)]
            np.testing.assert_allclose(record.e_p_signal[SLOTS[name]], expected, rtol=1e-12)
        else:
            np.testing.assert_allclose(
                record.e_p_signal[record.sig_name.index(name)], twelve_mv[:, LEADS.index(name)], atol=1e-9
            )


def test_units_become_millivolts(tmp_path):
    in_mv, in_uv = (read_partial(write(tmp_path / unit, units=unit)) for unit in ("mV", "uV"))
    assert in_mv.signal_mv.shape == in_uv.signal_mv.shape == (40, 12)
    physical = in_uv.record.dac(expanded=True)
    np.testing.assert_allclose(in_uv.signal_mv[:, LEADS.index("V2")], physical[0] / 1000)


def test_no_file_is_overwritten_and_nothing_half_written(tmp_path):
    partial = read_partial(write(tmp_path / "in"))
    with pytest.raises(InputError, match=r"in/rec\.atr is already there; give another --output"):
        write_twelve(partial, np.zeros((40, 12)), [], tmp_path / "in")
    with pytest.raises(BadRecordError, match=r"a rebuilt sample is beyond 32\.767 mV"):
        write_twelve(partial, np.full((40, 12), 40.0), [], tmp_path / "out")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_record_is_not_completed_twice(tmp_path):
    partial = read_partial(write(tmp_path / "in"))
    write_twelve(partial, RNG.normal(size=(40, 12)), [], tmp_path / "out")
    again = read_partial(tmp_path / "out" / "rec")
    with pytest.raises(InputError, match="has rebuilt leads already"):
        write_twelve(again, np.zeros((40, 12)), [], tmp_path / "again")


def changed(path, old, new):
    header = path.with_suffix(".hea")
    assert old in header.read_text()
    header.write_text(header.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.with_suffix(".hea").unlink(), r"no file .*rec\.hea"),
        (lambda path: path.with_suffix(".dat").unlink(), r"no file .*rec\.dat"),
        (lambda path: path.with_suffix(".dat").write_bytes(b"12"), "does not fit its header"),
        (lambda path: changed(path, "AVR", "V2"), "lead V2 is there twice"),
        (lambda path: changed(path, "/mV", "/mmHg"), "expected leads in mV, uV or V, the header has 'mmHg'"),
        (lambda path: changed(path, "16x2 200", "16x2:3 200"), "does not fit|skewed"),
    ],
)
def test_broken_records_are_refused_with_the_reason(tmp_path, damage, message):
    path = write(tmp_path / "in")
    damage(path)
    with pytest.raises(BadRecordError, match=message):
        read_partial(path)


def test_a_record_without_leads_is_refused(tmp_path):
    path = write(tmp_path / "in", names=("RESP", "ABP"), samples_per_frame=(1, 1))
    with pytest.raises(BadRecordError, match=r"none of its channels \(RESP, ABP\) is one of the twelve leads"):
        read_partial(path)


def test_a_flat_lead_and_missing_samples_are_refused(tmp_path):
    for value, message in ((9, "lead V2 is flat"), (-32768, "40 of 40 samples of lead V2 are missing")):
        digital = RNG.integers(-500, 500, (40, 2))
        digital[:, 1] = value
        wfdb.wrsamp(
            "rec", fs=250, units=["mV"] * 2, sig_name=["I", "V2"], d_signal=digital, fmt=["16"] * 2,
            adc_gain=[200.0] * 2, baseline=[0] * 2, write_dir=str(tmp_path),
        )  # fmt: skip
        with pytest.raises(BadRecordError, match=message):
            read_partial(tmp_path / "rec")


def test_leads_of_different_rates_are_refused(tmp_path):
    with pytest.raises(BadRecordError, match="the leads differ in rate"):
        read_partial(write(tmp_path / "in", samples_per_frame=(2, 1, 1, 2)))
