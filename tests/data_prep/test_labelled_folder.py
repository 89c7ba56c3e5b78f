"""A user's folder with a table of labels: what is found out of it, and what is refused."""

import dataclasses
import re

import numpy as np
import pytest

from data_prep.labelled_folder import FOUND_OUT, LabelledOptions, Stated, variant_of
from data_prep.labelled_table import read_table
from data_prep.prepare import prepare
from ecgjax.data.record_files import RecordFiles, dataset_dir
from ecgjax.data.records import load_split
from ecgjax.errors import InputError
from ecgjax.leads import LEADS

FS_HZ = 100


def touch(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def reading(**changes):
    return dataclasses.replace(FOUND_OUT, **changes)


def write_rows(folder, rows, name="labels.csv", delimiter=","):
    (folder / name).write_text("".join(delimiter.join(map(str, row)) + "\n" for row in rows))


def written(folder, header, make, count=20, name="labels.csv", ending=".edf"):
    """`count` recordings, and a table with a row `make(k)` for each."""
    touch(folder, [f"r{k:02}{ending}" for k in range(count)])
    write_rows(folder, [header, *(make(k) for k in range(count))], name)


@pytest.mark.parametrize(
    "spelt",
    ["r{:02}", "r{:02}.edf", "./r{:02}.edf", "R{:02}.EDF", "D:\\ecg\\r{:02}.edf", "/data/ecg/r{:02}.dat"],
)
def test_recordings_are_found_by_any_spelling(tmp_path, spelt):
    written(tmp_path, ("sex", "where"), lambda k: ("mf"[k % 2], spelt.format(k)))
    table = read_table(tmp_path, FOUND_OUT)
    assert [record.path for record in table.records] == [f"r{k:02}.edf" for k in range(20)]
    assert (table.kind, table.columns, table.classes) == ("classes", ("sex",), ("f", "m"))
    assert [record.labels[0] for record in table.records] == [1.0, 0.0] * 10


def test_numbers_name_recordings_whatever_their_zeros(tmp_path):
    touch(tmp_path, [f"{k:04}.hea" for k in range(1, 21)] + [f"{k:04}.dat" for k in range(1, 21)])
    write_rows(tmp_path, [("nr", "class"), *((k, 1 + k % 4) for k in range(1, 21))])
    table = read_table(tmp_path, FOUND_OUT)
    assert len(table.records) == 20
    assert table.classes == ("1", "2", "3", "4")


@pytest.mark.parametrize(
    ("header", "make", "kind", "columns"),
    [
        (("file", "label"), lambda k: (f"r{k:02}", k % 3), "classes", ("label",)),
        (("file", "age"), lambda k: (f"r{k:02}", 30 + k), "numbers", ("age",)),
        (("file", "ef"), lambda k: (f"r{k:02}", 0.5 + (k % 4) / 8), "numbers", ("ef",)),
        (("file", "af", "lvh"), lambda k: (f"r{k:02}", k % 2, int(k % 3 == 0)), "several", ("af", "lvh")),
        (("file", "x", "label", "y2"), lambda k: (f"r{k:02}", k, "ab"[k % 2], k), "classes", ("label",)),
        (("file", "sex"), lambda k: (f"r{k:02}", ("1.0", "0.0")[k % 2]), "classes", ("sex",)),
    ],
)
def test_what_labels_are_is_found_out(tmp_path, header, make, kind, columns):
    written(tmp_path, header, make)
    table = read_table(tmp_path, FOUND_OUT)
    assert (table.kind, table.columns) == (kind, columns)
    assert any(repr(columns[0]) in line for line in table.said)


def test_chosen_columns_come_before_what_would_be_found(tmp_path):
    written(
        tmp_path,
        ("file", "age", "grade", "clinic"),
        lambda k: (f"r{k:02}", 30 + k, 1 + k % 3, f"c{k // 4}"),
    )
    assert read_table(tmp_path, reading(label="grade")).kind == "classes"
    assert read_table(tmp_path, reading(label="grade", kind="numbers")).kind == "numbers"
    assert read_table(tmp_path, reading(label="age, grade")).columns == ("age", "grade")
    of_clinic = read_table(tmp_path, reading(label="grade", patient="clinic")).records
    for clinic in {record.patient_id for record in of_clinic}:
        assert len({record.split for record in of_clinic if record.patient_id == clinic}) == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_splits_have_their_share_of_patients_and_of_every_class(tmp_path, seed):
    written(
        tmp_path, ("file", "patient id", "label"), lambda k: (f"r{k:02}", f"p{k // 2}", "AAAB"[k // 2 % 4]), count=80
    )
    table = read_table(tmp_path, reading(split_seed=seed))
    splits = {name: [r for r in table.records if r.split == name] for name in ("train", "validation", "test")}
    patients = {name: {record.patient_id for record in records} for name, records in splits.items()}
    assert len(set.union(*patients.values())) == sum(map(len, patients.values())) == 40
    assert [len(records) for records in splits.values()] == [56, 12, 12]
    for records in splits.values():
        rare = sum(record.labels[0] == 1 for record in records)
        assert rare == pytest.approx(len(records) / 4, abs=2)
        assert rare
    other = read_table(tmp_path, reading(split_seed=seed + 1))
    assert [r.split for r in other.records] != [r.split for r in table.records]


def test_a_column_of_splits_is_followed(tmp_path):
    written(tmp_path, ("file", "label", "split"), lambda k: (f"r{k:02}", k // 2 % 2, ("Train", "test")[k % 2]))
    table = read_table(tmp_path, FOUND_OUT)
    assert all((r.split == "test") == (int(r.record_id[1:]) % 2 == 1) for r in table.records)
    assert sum(r.split == "validation" for r in table.records) == 2
    assert any("validation are dealt out of train" in line for line in table.said)


def test_everything_left_out_is_counted(tmp_path):
    written(tmp_path, ("file", "label"), lambda k: (f"r{k:02}", "" if k < 3 else "ab"[k % 2]))
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("gone,a\nr05,b\n")
    touch(tmp_path, ["more.edf"])
    table = read_table(tmp_path, FOUND_OUT)
    assert len(table.records) == 17
    assert "left out, rows without a label: 3 (r00, r01, r02)" in table.said
    assert "left out, rows whose recording is not there: 1 (gone)" in table.said
    assert "left out, rows that repeat another: 1 (r05)" in table.said
    assert "left out, recordings without a row: 1 (more.edf)" in table.said


def test_tables_of_other_programs_are_read(tmp_path):
    touch(tmp_path, [f"r{k:02}.edf" for k in range(20)])
    text = "\ufeffDatei;Höhe\n" + "".join(f"r{k:02};1,{k:02}\n" for k in range(20))
    (tmp_path / "labels.csv").write_bytes(text.encode())
    table = read_table(tmp_path, FOUND_OUT)
    assert (table.kind, table.records[7].labels) == ("numbers", (1.07,))
    (tmp_path / "labels.csv").write_text("".join(f"r{k:02}.edf,{'NA2'[k % 2]}\n" for k in range(20)))
    assert read_table(tmp_path, FOUND_OUT).columns == ("column 2",)


def test_signals_are_not_taken_for_labels(tmp_path):
    signal = "time,I,II\n0,0.1,0.2\n0.01,0.3,0.1\n"
    for k in range(20):
        (tmp_path / f"{k}.csv").write_text(signal)
    write_rows(tmp_path, [("record", "label"), *((k, "ab"[k % 2]) for k in range(20))], "who.csv")
    table = read_table(tmp_path, FOUND_OUT)
    assert (table.name, len(table.records)) == ("who.csv", 20)


@pytest.mark.parametrize(
    ("header", "make", "changes", "message"),
    [
        (("file", "label"), lambda k: (f"x{k}", "ab"[k % 2]), {}, "no column of .* names recordings .* such as r00"),
        (("file", "label"), lambda k: (f"r{k:02}", "ab"[k == 3]), {}, "class 'b' of column 'label' has one record"),
        (("file", "label"), lambda k: (f"r{k:02}", "a"), {}, "all 20 labels in column 'label' are a"),
        (
            ("file", "age"),
            lambda k: (f"r{k:02}", "old" if k == 4 else k),
            {},
            "holds 'old' for r04.edf, expected a num",
        ),
        (("file", "a", "b"), lambda k: (f"r{k:02}", "xy"[k % 2], "uv"[k % 2]), {}, "several columns .* labels: a, b"),
        (("file", "a"), lambda k: (f"r{k:02}", "xy"[k % 2]), {"label": "c"}, "no column 'c', which labelled.label"),
        (("file", "a"), lambda k: (f"r{k:02}", ""), {}, "column 'a' .* are empty"),
        (("file", "file"), lambda k: (f"r{k:02}", "a"), {}, "has the column 'file' twice"),
        (("file",), lambda k: (f"r{k:02}",), {}, "has no column of labels"),
        (("file", "a"), lambda k: (f"r{k // 2:02}", "xy"[k % 2]), {}, "two rows with different labels for r00.edf"),
        (("file", "a", "split"), lambda k: (f"r{k:02}", "xy"[k % 2], "train"), {}, "no record is for test"),
        (("file", "a", "set"), lambda k: (f"r{k:02}", "xy"[k % 2], "u"), {"split": "set"}, "column 'set' .* holds 'u'"),
        (("file", "a"), lambda k: (f"r{k:02}", "xy"[k % 2])[: 1 + (k != 5)], {}, "row 7 of .* has 1 cells"),
        (("file", "a"), lambda k: (f"r{k:02}", "xy"[k % 2]), {"csv": "gone.csv"}, "there is no table .*gone.csv"),
    ],
)
def test_what_cannot_be_learnt_is_told(tmp_path, header, make, changes, message):
    written(tmp_path, header, make)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path, reading(**changes))


def test_there_has_to_be_one_table(tmp_path):
    touch(tmp_path, ["a.edf"])
    with pytest.raises(InputError, match=r"no CSV file of labels in .*; put one there"):
        read_table(tmp_path, FOUND_OUT)
    for name in ("one.csv", "two.csv"):
        written(tmp_path, ("file", "label"), lambda k: (f"r{k:02}", "ab"[k % 2]), name=name)
    with pytest.raises(InputError, match=r"several CSV files in .* name recordings: one\.csv, two\.csv"):
        read_table(tmp_path, FOUND_OUT)
    assert read_table(tmp_path, reading(csv="two.csv")).name == "two.csv"
    write_rows(tmp_path, [("file", "label"), ("r00", "a"), ("r01", "b")], "two.csv")
    with pytest.raises(InputError, match="labels 2 recordings"):
        read_table(tmp_path, reading(csv="two.csv"))


def test_ambiguous_names_and_wrong_options_are_refused(tmp_path):
    touch(tmp_path, [f"{folder}/r{k:02}.edf" for folder in "ab" for k in range(20)])
    write_rows(tmp_path, [("file", "label"), *((f"r{k:02}", "ab"[k % 2]) for k in range(20))])
    with pytest.raises(InputError, match=r"'r00' .* may be a/r00.edf or b/r00.edf"):
        read_table(tmp_path, FOUND_OUT)
    with pytest.raises(InputError, match=r"unknown labelled.kind 'class'"):
        reading(kind="class")
    with pytest.raises(InputError, match="give shares above 0"):
        reading(test_share=0.9)


@pytest.fixture
def folder(tmp_path):
    """Twelve recordings as tables of numbers in uV, one without V6; classes by the sign of I."""
    place = tmp_path / "raw"
    place.mkdir()
    rng = np.random.default_rng(0)
    for k in range(12):
        names = LEADS[:-1] if k == 5 else LEADS
        microvolts = np.rint(100 * rng.normal(size=(300, len(names))) + (1 - 2 * (k % 2)) * 200)
        header = "time (s)," + ",".join(f"{name} (uV)" for name in names)
        np.savetxt(
            place / f"r{k}.csv", np.c_[np.arange(300) / FS_HZ, microvolts], "%.6g", ",", header=header, comments=""
        )
    write_rows(place, [("file", "label"), *((f"r{k}.csv", "ud"[k % 2]) for k in range(12))])
    return place


def prepared(folder, out, **options):
    given = LabelledOptions(raw_dir=folder, skip_bad=False, num_workers=1, beam=None, **options)
    variant = variant_of(folder, given)
    prepare("labelled_folder", variant, str(out), given)
    return variant


def test_recordings_become_records(folder, tmp_path, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    variant = prepared(folder, tmp_path / "out")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    printed = capsys.readouterr().out
    assert re.search(r"label d +4 +1 +1", printed)
    assert re.search(r"lacking: V6 +", printed)
    everything = load_split("labelled_folder", variant, "all", str(tmp_path / "out"), None, 3.0)
    assert everything.ecg.shape == (12, 300, 12)
    row = everything.record_ids.tolist().index("r5")
    assert not everything.ecg[row, :, 11].any()
    source = np.loadtxt(folder / "r5.csv", delimiter=",", skiprows=1)[:, 1:]
    np.testing.assert_array_equal(everything.ecg[row, :, :11], source)
    is_up = everything.ecg[:, :, 0].mean(axis=1) > 0
    np.testing.assert_array_equal(everything.labels["label"][:, 0] == 1, is_up)
    metadata = RecordFiles(dataset_dir("labelled_folder", variant, str(tmp_path / "out"))).metadata
    assert (metadata["kind"], metadata["classes"]) == ("classes", ["d", "u"])


def test_one_lead_is_kept_where_that_is_asked_for(folder, tmp_path):
    variant = prepared(folder, tmp_path / "out", stated=Stated(one_lead=True, lead="V2"))
    one = load_split("labelled_folder", variant, "all", str(tmp_path / "out"), None, 3.0)
    twelve = load_split("labelled_folder", prepared(folder, tmp_path / "out"), "all", str(tmp_path / "out"), None, 3.0)
    np.testing.assert_array_equal(one.ecg[:, :, 0], twelve.ecg[:, :, LEADS.index("V2")])


def test_a_changed_file_makes_another_variant(folder):
    given = LabelledOptions(raw_dir=folder, skip_bad=False, num_workers=1, beam=None)
    first = variant_of(folder, given)
    assert variant_of(folder, dataclasses.replace(given, num_workers=2)) == first
    assert variant_of(folder, dataclasses.replace(given, reading=reading(split_seed=1))) != first
    text = (folder / "r3.csv").read_text()
    (folder / "r3.csv").write_text(text + text.splitlines()[-1].replace("2.99", "3") + "\n")
    assert variant_of(folder, given) != first


def test_a_recording_that_cannot_be_read_is_named(folder, tmp_path, capsys):
    (folder / "r4.csv").write_text("time (s),I (mV)\n0,broken\n")
    given = LabelledOptions(raw_dir=folder, skip_bad=False, num_workers=1, beam=None)
    with pytest.raises(InputError, match=r"r4: .*none of its first .* row of numbers.*--skip_bad"):
        prepare("labelled_folder", "bad", str(tmp_path / "out"), given)
    assert not list((tmp_path / "out" / "labelled_folder" / "bad").iterdir())
    prepare("labelled_folder", "bad", str(tmp_path / "out"), dataclasses.replace(given, skip_bad=True))
    assert "skipped 1 records" in capsys.readouterr().out
    flat = "time (s),I (mV)\n" + "".join(f"{k / 100},1\n" for k in range(300))
    (folder / "r4.csv").write_text(flat)
    with pytest.raises(InputError, match="expected some of the twelve leads, I hold no such signal"):
        prepare("labelled_folder", "flat", str(tmp_path / "out"), given)
