"""Every format: what independent writers wrote comes back as the same signal in mV."""

import struct
import sys
import warnings

import ecg_files
import numpy as np
import pytest
from ecg_files import LEADS, WRITERS

import ecgjax
from ecgjax.errors import InputError
from ecgjax.recordings.contents import FormatError
from ecgjax.recordings.load import load
from ecgjax.recordings.scp_huffman import decode, read_tables

STATED = {"npy": {"fs_hz": 500, "units": "uV"}}


def written(kind, folder, microvolts, fs_hz=500.0):
    library, ending, write = WRITERS[kind]
    if library:
        pytest.importorskip(library)
    return write(folder / f"rec.{ending}", microvolts, fs_hz)


@pytest.mark.parametrize("kind", WRITERS)
def test_reads_back(kind, tmp_path):
    microvolts = ecg_files.beats_uv()
    path = written(kind, tmp_path, microvolts)
    found = load(path, **STATED.get(kind, {}))
    assert found.fs_hz == 500
    assert found.name == "rec"
    if kind == "muse":
        assert found.lead_names == tuple(name for name in LEADS if name not in ("III", "aVR", "aVL", "aVF"))
    else:
        assert found.lead_names == LEADS
    assert found.problems == ()
    twelve, missing = found.twelve()
    assert missing == ()
    assert twelve.dtype == found.signal_mv.dtype == np.float32
    np.testing.assert_allclose(twelve, microvolts / 1000, atol=2e-6)
    if kind in ("wfdb", "dicom", "scp", "aecg", "muse", "philips"):
        assert found.patient == {"age_years": 61.0, "sex": "female"}
    if kind in ("dicom", "scp", "aecg", "muse", "philips"):
        assert found.started == "2020-03-14T15:09:26"


@pytest.mark.parametrize("kind", WRITERS)
def test_real_records_through_every_format(kind, tmp_path, sample_data):
    header = sorted((sample_data / "ptb-xl" / "records500").rglob("*.hea"))[3]
    original = load(header)
    # The writers' units are of 10 uV, and their limb leads whole.
    units = 20 * np.rint(original.signal_mv * 50).astype(int)
    if kind == "muse":
        units[:, 2:6] = ecg_files.beats_uv(1)[:, 2:6]
    found = load(written(kind, tmp_path, units, original.fs_hz), **STATED.get(kind, {}))
    for name in found.lead_names:
        mine, its = found.signal_mv[:, found.lead_names.index(name)], units[:, LEADS.index(name)]
        np.testing.assert_allclose(mine, its / 1000, atol=2e-6)
    assert np.abs(found.signal_mv - original.signal_mv[:, [LEADS.index(n) for n in found.lead_names]]).max() < 0.0101


def test_wfdb_agrees_with_wfdb(sample_data):
    import wfdb  # noqa: PLC0415

    for path in ("ptb-xl/records100/00000/00317_lr", "mitdb/101", "challenge-2017/training2017/A00001"):
        found, record = load(sample_data / path), wfdb.rdrecord(str(sample_data / path))
        assert found.fs_hz == record.fs
        columns = [found.lead_names.index(name.replace("AV", "aV")) for name in record.sig_name]
        np.testing.assert_array_equal(found.signal_mv[:, columns], record.p_signal.astype(np.float32))


@pytest.mark.parametrize("fmt", ["80", "16", "24", "32", "516"])
def test_storage_formats_of_wfdb(fmt, tmp_path):
    import wfdb  # noqa: PLC0415

    microvolts = ecg_files.beats_uv(1000)
    if fmt == "80":
        microvolts //= 20
        microvolts *= 10
    path = ecg_files.write_wfdb(tmp_path / "rec.hea", microvolts, 500, fmt=fmt)
    expected = wfdb.rdrecord(str(tmp_path / "rec")).p_signal
    np.testing.assert_allclose(load(path).signal_mv, expected, atol=1e-6)
    np.testing.assert_allclose(expected, microvolts / 1000, atol=1e-6)


def test_gaps_of_wfdb_are_nan(tmp_path):
    path = ecg_files.write_wfdb(
        tmp_path / "rec.hea", np.where(np.arange(500)[:, None] < 9, -327680, ecg_files.beats_uv(500)), 500
    )
    found = load(path)
    assert np.isnan(found.signal_mv[:9]).all()
    assert np.isfinite(found.signal_mv[9:]).all()
    assert found.problems[0] == "I lacks 1.8 % of its samples"


def test_segments_of_wfdb(tmp_path):
    microvolts = ecg_files.beats_uv(600)
    for k, part in enumerate((microvolts[:400], microvolts[400:])):
        ecg_files.write_wfdb(tmp_path / f"part{k}.hea", part, 500)
    (tmp_path / "rec.hea").write_text("rec/2 12 500 600\npart0 400\npart1 200\n")
    np.testing.assert_allclose(load(tmp_path / "rec").signal_mv, microvolts / 1000, atol=1e-6)


def test_several_rates_of_wfdb(tmp_path):
    fast = np.round(np.sin(np.arange(1000) / 30) * 1000).astype("<i2")
    slow = fast[::2]
    frames = np.concatenate([fast.reshape(-1, 2), slow[:, None]], axis=1)
    (tmp_path / "rec.dat").write_bytes(frames.astype("<i2").tobytes())
    lines = ["rec.dat 16x2 1000/mV 16 0 0 0 0 I", "rec.dat 16 1000/mV 16 0 0 0 0 II"]
    (tmp_path / "rec.hea").write_text("\n".join(["rec 2 250 500", *lines]) + "\n")
    found = load(tmp_path / "rec.hea")
    assert found.fs_hz == 500
    assert found.assumptions == ("II recorded at 250 Hz: resampled to 500 Hz",)
    np.testing.assert_allclose(found.signal_mv[:, 0], fast / 1000, atol=1e-6)
    np.testing.assert_allclose(found.signal_mv[100:900, 1], fast[100:900] / 1000, atol=0.01)


def test_edf_agrees_with_pyedflib(tmp_path):
    pyedflib = pytest.importorskip("pyedflib")
    path = written("edf", tmp_path, ecg_files.beats_uv(1500))
    with pyedflib.EdfReader(str(path)) as reader:
        expected = np.stack([reader.readSignal(k) for k in range(12)], axis=1) / 1000
    np.testing.assert_array_equal(load(path).signal_mv, expected.astype(np.float32))


def test_edf_with_pauses(tmp_path):
    microvolts = ecg_files.beats_uv(1000)
    data = bytearray(written("edf", tmp_path, microvolts).read_bytes())
    data[192:197] = b"EDF+D"
    second = data.rindex(b"+1\x14\x14")
    data[second : second + 4] = b"+3\x14\x14"
    (tmp_path / "rec.edf").write_bytes(bytes(data))
    found = load(tmp_path / "rec.edf").signal_mv
    assert found.shape == (2000, 12)
    np.testing.assert_allclose(found[:500], microvolts[:500] / 1000, atol=1e-6)
    assert np.isnan(found[500:1500]).all()
    np.testing.assert_allclose(found[1500:], microvolts[500:] / 1000, atol=1e-6)


def test_other_signals_of_edf_are_left_out(tmp_path):
    pytest.importorskip("pyedflib")
    names = ("EEG Fpz-Cz", "ECG II", "Resp nasal")
    path = ecg_files.write_edf(tmp_path / "rec.edf", ecg_files.beats_uv()[:, :3], 500.0, names)
    data = path.read_bytes()
    path.write_bytes(
        b"".join(data[:0] for _ in ()) + data.replace(b"ECG EEG Fpz", b"EEG Fpz    ").replace(b"ECG Resp", b"Resp    ")
    )
    found = load(path)
    assert found.lead_names == ("II",)
    assert found.assumptions == ("2 signals of other kinds left out",)


def test_dicom_agrees_with_pydicom(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    path = written("dicom", tmp_path, ecg_files.beats_uv())
    expected = pydicom.dcmread(path).waveform_array(0) / 1000
    np.testing.assert_allclose(load(path).signal_mv, expected, atol=1e-7)


@pytest.mark.parametrize("meaning", ["{}, augmented or not", "an unknown meaning"])
def test_leads_of_dicom_by_meaning_or_code(meaning, tmp_path):
    pytest.importorskip("pydicom")
    microvolts = ecg_files.beats_uv(500)
    path = ecg_files.write_dicom(tmp_path / "rec.dcm", microvolts, 500, meaning=meaning)
    assert load(path).lead_names == LEADS


@pytest.mark.parametrize("coding", ["default", "own", "plain"])
@pytest.mark.parametrize("differences", [0, 1, 2])
def test_scp_codings(coding, differences, tmp_path):
    microvolts = ecg_files.beats_uv(400)
    path = ecg_files.write_scp(tmp_path / "rec.scp", microvolts, 500, coding=coding, differences=differences)
    np.testing.assert_allclose(load(path).signal_mv, microvolts / 1000, atol=1e-6)


def test_scp_codes_switch_tables():
    """Two tables: the first leads to the second after a one, the second has numbers of four bits after `0`."""
    entry = struct.Struct("<BBBhI")
    first = entry.pack(1, 1, 1, 7, 0) + entry.pack(1, 1, 0, 2, 1)
    second = entry.pack(1, 5, 1, 0, 0) + entry.pack(2, 2, 0, 1, 1) + entry.pack(2, 2, 1, 3, 3)
    tables = read_tables(struct.pack("<HH", 2, 2) + first + struct.pack("<H", 3) + second)
    # 7, to the second, -3 as four bits, 3, to the first, 7.
    bits = "0" + "1" + "01101" + "11" + "10" + "0"
    data = int(bits.ljust(16, "0"), 2).to_bytes(2, "big")
    np.testing.assert_array_equal(decode(data, tables, 4), [7, -3, 3, 7])
    with pytest.raises(FormatError, match="no Huffman code"):
        decode(b"", tables, 1)


def test_scp_reference_beat(tmp_path):
    microvolts = ecg_files.beats_uv(1000)
    beats = (microvolts[100:300], 50, [150, 550, 850])
    path = ecg_files.write_scp(tmp_path / "rec.scp", microvolts, 500, beats=beats)
    np.testing.assert_allclose(load(path).signal_mv, microvolts / 1000, atol=1e-6)


def test_scp_bimodal_is_said_to_be_unsupported(tmp_path):
    path = ecg_files.write_scp(tmp_path / "rec.scp", ecg_files.beats_uv(100), 500, is_bimodal=True)
    with pytest.raises(
        InputError, match=r"rec.scp: expected SCP-ECG, its rhythm is in bimodal compression, which is not"
    ):
        load(path)


def test_plain_philips(tmp_path):
    microvolts = ecg_files.beats_uv()
    path = ecg_files.write_philips(tmp_path / "rec.xml", microvolts, 500, is_xli=False)
    np.testing.assert_allclose(load(path).signal_mv, microvolts / 1000, atol=1e-6)


def test_matlab_73(tmp_path):
    h5py = pytest.importorskip("h5py")
    microvolts = ecg_files.beats_uv()
    with h5py.File(tmp_path / "rec.mat", "w", userblock_size=512) as file:
        # MATLAB's rows are the last dimension of HDF5.
        file["val"] = microvolts.T.astype(float)
        file["fs"] = np.array([[500.0]])
    data = bytearray((tmp_path / "rec.mat").read_bytes())
    data[:128] = b"MATLAB 7.3 MAT-file".ljust(128)
    (tmp_path / "rec.mat").write_bytes(bytes(data))
    found = load(tmp_path / "rec.mat")
    assert (found.format, found.fs_hz, found.lead_names) == ("MAT", 500.0, LEADS)
    assert [note.split(",")[0] for note in found.assumptions] == ["lead names not stated", "units not stated"]
    np.testing.assert_allclose(found.signal_mv, microvolts / 1000, atol=1e-6)


@pytest.mark.parametrize("ending", ["npy", "h5"])
def test_one_record_of_many(ending, tmp_path):
    tracings = np.stack([ecg_files.beats_uv(1000, seed=k) for k in range(3)]).astype(np.float32) / 1000
    path = tmp_path / f"rec.{ending}"
    if ending == "npy":
        np.save(path, tracings)
        name = ""
    else:
        pytest.importorskip("h5py").File(path, "w").create_dataset("tracings", data=tracings)
        name = "tracings"
    with pytest.raises(InputError, match="it holds 3 recordings: state which by member"):
        load(path, fs_hz=500)
    np.testing.assert_array_equal(load(path, fs_hz=500, member=f"{name}[2]").signal_mv, tracings[2])
    with pytest.raises(InputError, match="there is no number 3"):
        load(path, fs_hz=500, member=f"{name}[3]")


def test_pictures_go_through_the_digitiser(sample_data, tmp_path):
    picture = sorted((sample_data / "ecg-images").glob("*PTB_XL_op*.png"))[0]
    found = load(picture)
    assert (found.format, found.fs_hz, found.lead_names) == ("picture", 500.0, LEADS)
    assert found.assumptions[0] == "digitised from a picture of the layout 3x4+1"
    with pytest.raises(InputError, match="no trace on the page"):
        load(ecg_files.write_picture(tmp_path / "blank.png", np.zeros(0), 500))


def test_formats_are_found_by_content(tmp_path):
    for kind in ("scp", "muse", "npz"):
        path = written(kind, tmp_path, ecg_files.beats_uv(500))
        disguised = path.rename(tmp_path / "disguised.csv")
        assert load(disguised).format != "table"


def test_nothing_leaks_and_import_is_light(tmp_path):
    path = written("wfdb", tmp_path, ecg_files.beats_uv(500))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ecgjax.load(path).format == "WFDB"
    assert ecgjax.Recording is sys.modules["ecgjax.recordings.recording"].Recording
    with pytest.raises(AttributeError):
        ecgjax.nothing  # noqa: B018
