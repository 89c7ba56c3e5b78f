"""WFDB records with leads put elsewhere: exact in every format, and nothing else touched."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from data_prep.shards import BadRecordError
from data_prep.wfdb_rewrite import BITS, NewLead, read_stored, write_rewritten
from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.leads import LEADS, canonical_lead
from ecgjax.placements import hypotheses
from ecgjax.placements.repair import undoing
from scripts.repair import new_leads

RNG = np.random.default_rng(0)
NAMES = ("AVR", "aVL", "avf", "V6", "V5", "RESP", "V4", "V3", "V2", "V1", "Lead I", "ii", "III")
"""Another order and spelling than the standard one, and a channel of another kind."""

_SLOT = {canonical_lead(name): slot for slot, name in enumerate(NAMES) if name != "RESP"}
SLOTS = {name: _SLOT[name] for name in LEADS}


def write(folder, digital, fmt="16", gains=None, baselines=None, units="mV", fs_hz=250, names=NAMES, comments=()):
    """A WFDB record `rec` of the digital values [time, channel], with annotations."""
    count = len(names)
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        "rec",
        fs=fs_hz,
        units=[units] * count,
        sig_name=list(names),
        d_signal=np.asarray(digital, np.int64),
        fmt=[fmt] * count,
        adc_gain=gains or [1000.0] * count,
        baseline=baselines or [0] * count,
        comments=list(comments),
        write_dir=str(folder),
    )
    wfdb.wrann("rec", "atr", np.array([3, 30]), ["N", "V"], write_dir=str(folder))
    return folder / "rec"


def digital(limit, num_samples=50):
    """Any samples [time, channel], the extremes of the format among them."""
    values = RNG.integers(-limit + 1, limit, (num_samples, len(NAMES)))
    values[0], values[1] = limit - 1, 1 - limit
    return values


def repaired(path, wrong, folder):
    """The record at `path` with `wrong` undone."""
    stored = read_stored(path)
    write_rewritten(stored, new_leads(stored, undoing(wrong)), f"undid {wrong.name}", folder)
    return folder / path.name


def physical(path):
    record = wfdb.rdrecord(str(path))
    return record.p_signal[:, list(SLOTS.values())], record


GAINS, BASELINES = [100.0 * (1 + k) for k in range(13)], [7 * k - 40 for k in range(13)]


@pytest.mark.parametrize("fmt", ["16", "212", "80", "24", "32", "16 with gains"])
def test_limb_and_chest_permutations_are_exact_on_the_samples(tmp_path, fmt):
    gains, baselines = (GAINS, BASELINES) if "gains" in fmt else (None, None)
    fmt = fmt.split()[0]
    path = write(tmp_path / "in", digital(2 ** (BITS[fmt] - 1)), fmt, gains, baselines, comments=["Age: 60"])
    before, record = physical(path)
    wrongs = [*leads.LIMB_SWAPS, hypotheses.placement(77), hypotheses.placement(720 * 4 + 5), leads.PRECORDIAL_REVERSED]
    for number, wrong in enumerate(wrongs):
        undo = undoing(wrong)
        out = repaired(path, wrong, tmp_path / f"out{number}")
        after, new = physical(out)
        np.testing.assert_allclose(after, before[:, undo.source] * undo.sign, rtol=1e-12)
        stored, rewritten = read_stored(path), read_stored(out)
        for lead, name in enumerate(LEADS):
            source, slot = SLOTS[LEADS[undo.source[lead]]], SLOTS[name]
            assert (
                rewritten.record.e_d_signal[slot].tolist()
                == (undo.sign[lead] * stored.record.e_d_signal[source]).tolist()
            )
            assert (new.adc_gain[slot], new.fmt[slot]) == (record.adc_gain[source], fmt)
            assert new.baseline[slot] == undo.sign[lead] * record.baseline[source]
        np.testing.assert_array_equal(rewritten.record.e_d_signal[5], stored.record.e_d_signal[5])
        assert new.comments == ["Age: 60", f"undid {wrong.name}"]


def test_all_single_swaps_come_out_right(tmp_path):
    """The record as a miswired recorder would have stored it, rounded to its unit, and then repaired."""
    potentials = 36 * RNG.integers(-40, 41, (30, 9))
    true = potentials @ leads.LEADS_FROM_ELECTRODES.T
    for number, wrong in enumerate(hypotheses.SINGLE_SWAPS):
        written = np.zeros((30, len(NAMES)))
        written[:, list(SLOTS.values())] = np.rint(wrong.apply(true))
        written[:, 5] = np.arange(30)
        path = write(tmp_path / f"in{number}", written, gains=[500.0] * 13, units="uV")
        after, _ = physical(repaired(path, wrong, tmp_path / f"out{number}"))
        np.testing.assert_array_equal(np.rint(after * 500.0), np.rint(true), err_msg=wrong.name)


def test_undone_and_done_again_gives_the_same_files(tmp_path):
    path = write(tmp_path / "in", digital(30000), gains=GAINS, baselines=BASELINES)
    for number in RNG.choice(6 * 720, 10, replace=False):
        wrong = hypotheses.placement(int(number))
        there = repaired(path, wrong, tmp_path / f"there{number}")
        back = repaired(there, wrong.inverse, tmp_path / f"back{number}")
        assert back.with_suffix(".dat").read_bytes() == path.with_suffix(".dat").read_bytes()
        lines = back.with_suffix(".hea").read_text().splitlines()
        assert lines[:-2] == path.with_suffix(".hea").read_text().splitlines()


def test_what_is_not_touched_keeps_its_bytes(tmp_path):
    path = write(tmp_path / "in", digital(30000), comments=["Age: 60"])
    header = path.with_suffix(".hea")
    header.write_bytes(header.read_bytes().replace(b"\n", b"\r\n").replace(b"Age: 60", b"Gr\xf6\xdfe: 170"))
    out = repaired(path, leads.swap(("V1", "V2")), tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"rec.hea", "rec.dat", "rec.atr"}
    assert out.with_suffix(".atr").read_bytes() == path.with_suffix(".atr").read_bytes()
    old, new = header.read_bytes().split(b"\n"), out.with_suffix(".hea").read_bytes().split(b"\n")
    changed = {1 + SLOTS["V1"], 1 + SLOTS["V2"]}
    for number, line in enumerate(old[:-2]):
        assert (new[number] == line) == (number not in changed)
    assert b"Gr\xf6\xdfe" in b"".join(new)
    samples = np.frombuffer(out.with_suffix(".dat").read_bytes(), np.int16).reshape(-1, 13)
    before = np.frombuffer(path.with_suffix(".dat").read_bytes(), np.int16).reshape(-1, 13)
    kept = [slot for name, slot in SLOTS.items() if name not in ("V1", "V2")] + [5]
    np.testing.assert_array_equal(samples[:, kept], before[:, kept])


def test_bytes_before_the_samples_are_kept(tmp_path):
    """Archives keep WFDB samples behind the 24 bytes of a MATLAB header."""
    path = write(tmp_path / "in", digital(30000))
    leading = bytes(range(24))
    (tmp_path / "in" / "rec.mat").write_bytes(leading + path.with_suffix(".dat").read_bytes())
    path.with_suffix(".dat").unlink()
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("rec.dat 16 ", "rec.mat 16x1+24 "))
    out = repaired(path, leads.swap(("RA", "LA")), tmp_path / "out")
    assert out.with_suffix(".mat").read_bytes()[:24] == leading
    before, _ = physical(path)
    after, _ = physical(out)
    np.testing.assert_array_equal(after[:, 0], -before[:, 0])
    np.testing.assert_array_equal(after[:, [1, 2]], before[:, [2, 1]])


def test_signal_files_without_a_changed_lead_are_copied(tmp_path):
    values = digital(30000)
    path = write(tmp_path / "in", values)
    header = path.with_suffix(".hea")
    (tmp_path / "in" / "limb.dat").write_bytes(values[:, 10:].astype(np.int16).tobytes())
    path.with_suffix(".dat").write_bytes(values[:, :10].astype(np.int16).tobytes() + b"\x01\x02\x03")
    lines = header.read_text().splitlines()
    lines[11:] = [line.replace("rec.dat", "limb.dat") for line in lines[11:]]
    header.write_text("\n".join(lines) + "\n")
    stored = read_stored(path)
    write_rewritten(stored, {"I": NewLead("I", -1)}, "turned", tmp_path / "out")
    assert (tmp_path / "out" / "rec.dat").read_bytes() == path.with_suffix(".dat").read_bytes()
    new = np.frombuffer((tmp_path / "out" / "limb.dat").read_bytes(), np.int16).reshape(-1, 3)
    np.testing.assert_array_equal(new, values[:, 10:] * [-1, 1, 1])


def test_leads_at_a_multiple_of_the_frame_rate(tmp_path):
    """Twelve leads at twice the rate of another channel."""
    values = digital(3000, 40)
    expanded = [values[:, k] if name != "RESP" else values[:20, k] for k, name in enumerate(NAMES)]
    (tmp_path / "in").mkdir()
    wfdb.wrsamp(
        "rec", fs=125, units=["mV"] * 13, sig_name=list(NAMES), e_d_signal=expanded, fmt=["16"] * 13,
        adc_gain=[1000.0] * 13, baseline=[0] * 13, write_dir=str(tmp_path / "in"),
        samps_per_frame=[1 if name == "RESP" else 2 for name in NAMES],
    )  # fmt: skip
    stored = read_stored(tmp_path / "in" / "rec")
    assert (stored.fs_hz, stored.signal_mv.shape) == (250.0, (40, 12))
    new = read_stored(repaired(tmp_path / "in" / "rec", leads.swap(("V1", "V6")), tmp_path / "out"))
    np.testing.assert_array_equal(new.signal_mv, stored.signal_mv[:, [*range(6), 11, 7, 8, 9, 10, 6]])
    np.testing.assert_array_equal(new.record.e_d_signal[5], expanded[5])


def test_lost_leads_are_stored_as_missing(tmp_path):
    path = write(tmp_path / "in", digital(2000), "212")
    after, _ = physical(repaired(path, leads.NEUTRAL_SWAPS[0], tmp_path / "out"))
    before, _ = physical(path)
    assert np.isnan(after[:, [0, 1, 3, 4, 5]]).all()
    np.testing.assert_array_equal(after[:, [2, *range(6, 12)]], before[:, [2, *range(6, 12)]])


def folder_of(path):
    return {file.name: file.read_bytes() for file in path.iterdir()} if path.exists() else {}


@pytest.mark.parametrize("name", ["rec.hea", "rec.dat", "rec.atr"])
def test_no_file_is_overwritten(tmp_path, name):
    path = write(tmp_path / "in", digital(30000))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    with pytest.raises(InputError, match=f"{name} is already there; give another --output"):
        repaired(path, leads.swap(("V1", "V2")), tmp_path / "out")
    assert folder_of(tmp_path / "out") == {name: b"precious"}
    before = folder_of(tmp_path / "in")
    with pytest.raises(InputError, match="is already there"):
        repaired(path, leads.swap(("V1", "V2")), tmp_path / "in")
    assert folder_of(tmp_path / "in") == before


def test_a_computed_sample_that_does_not_fit_leaves_nothing_behind(tmp_path):
    path = write(tmp_path / "in", digital(2048), "212")
    with pytest.raises(BadRecordError, match=r"a sample of .* does not fit format 212"):
        repaired(path, leads.swap(("RA", "V1")), tmp_path / "out")
    assert folder_of(tmp_path / "out") == {}


def change_header(path: Path, old, new):
    header = path.with_suffix(".hea")
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.with_suffix(".hea").unlink(), r"no file .*rec\.hea"),
        (lambda path: path.with_suffix(".dat").unlink(), r"no file .*rec\.dat"),
        (lambda path: path.with_suffix(".hea").write_text("# nothing\n"), "the header is empty"),
        (lambda path: path.with_suffix(".dat").write_bytes(b"12"), "does not fit its header"),
        (lambda path: change_header(path, "Lead I", "V9"), "expected the twelve leads, missing I"),
        (lambda path: change_header(path, "RESP", "avR"), "lead aVR is there twice"),
        (lambda path: change_header(path, "/mV", "/mmHg"), "expected leads in mV, uV or V, the header has 'mmHg'"),
        (lambda path: change_header(path, "rec 13", "rec/2 13"), "several segments"),
        (lambda path: change_header(path, "rec.dat 16 ", "rec.dat 160 "), "format 160 cannot be written"),
    ],
)
def test_broken_records_are_refused_with_the_reason(tmp_path, damage, message):
    path = write(tmp_path / "in", digital(30000))
    damage(path)
    with pytest.raises(BadRecordError, match=message):
        read_stored(path)


def test_a_changed_sample_shows_in_the_checksum(tmp_path):
    path = write(tmp_path / "in", digital(30000))
    samples = bytearray(path.with_suffix(".dat").read_bytes())
    samples[0] ^= 1
    path.with_suffix(".dat").write_bytes(samples)
    with pytest.raises(BadRecordError, match="checksum of lead AVR is"):
        read_stored(path)


def test_archives_that_state_no_checksums_keep_their_zeros(tmp_path):
    path = write(tmp_path / "in", digital(30000))
    record = wfdb.rdheader(str(path))
    for checksum in set(record.checksum):
        change_header(path, f" {checksum} 0 ", " 0 0 ")
    assert not any(wfdb.rdheader(str(path)).checksum)
    out = repaired(path, leads.swap(("V1", "V2")), tmp_path / "out")
    assert not any(wfdb.rdheader(str(out)).checksum)
    read_stored(out)
