import pytest
from raw_archives import signal, write_record

from ecgjax.data.records import load_split
from ecgjax.errors import InputError
from ecgjax.preprocess import Preprocess

RESAMPLE = Preprocess(fs_hz=100.0, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "raw"
    write_record(path / "a" / "one", signal(1, 100), fs_hz=100)
    write_record(path / "b" / "one", signal(2, 500), fs_hz=250)
    write_record(path / "two", signal(3, 50), fs_hz=100)
    return path


def test_any_rate_and_length_and_all_of_it_is_test_data(folder, prepare_into):
    out = prepare_into("wfdb", folder)
    split = load_split("wfdb", "default", "all", out, RESAMPLE, 1.0)
    assert list(split.record_ids) == ["a/one", "b/one", "two"]
    assert list(split.patient_ids) == ["a/one", "b/one", "two"]
    assert list(split.labels["num_samples"]) == [100, 100, 50]
    assert load_split("wfdb", "default", "all", out, RESAMPLE, 1.0).ecg.shape[0] == 3


def test_patients_table(folder, prepare_into):
    (folder / "patients.csv").write_text("record_id,patient_id\na/one,P1\nb/one,P1\n")
    out = prepare_into("wfdb/clinic", folder)
    split = load_split("wfdb", "clinic", "test", out, RESAMPLE, 1.0)
    assert list(split.patient_ids) == ["P1", "P1", "two"]


def test_patients_table_of_other_records(folder, prepare_into):
    (folder / "patients.csv").write_text("record_id,patient_id\nthree,P1\n")
    with pytest.raises(InputError, match=r"patients\.csv names record 'three', which is not there"):
        prepare_into("wfdb", folder)


def test_folder_without_records(tmp_path, prepare_into):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.hea file in .*empty or below; give --raw_dir a folder of WFDB records"):
        prepare_into("wfdb", tmp_path / "empty")
