"""Which files a command line means."""

from pathlib import Path

import pytest

from ecgjax.command.inputs import find_inputs
from ecgjax.errors import InputError

HEADER = "{name} 1 500 4\n{name}.dat 16 1000/mV 16 0 0 0 0 I\n"


def record(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.dat").write_bytes(bytes(8))
    header = folder / f"{name}.hea"
    header.write_text(HEADER.format(name=name))
    return header


def names(*given: object) -> list[str]:
    return [one.name for one in find_inputs(list(map(str, given))).files]


@pytest.fixture
def tree(tmp_path):
    """A folder with records and all kinds of other files."""
    record(tmp_path / "b", "two")
    record(tmp_path / "a", "one")
    (tmp_path / "a" / "one.atr").write_bytes(b"\x01\x02")
    (tmp_path / "a" / "one.csv").write_text("1,2\n3,4\n")
    (tmp_path / "table.csv").write_text("time,I\n0.0,1.5\n0.1,1.6\n")
    (tmp_path / "labels.csv").write_text("record,label\none,NORM\n")
    (tmp_path / "notes.md").write_text("# nothing\n")
    (tmp_path / "dicom").write_bytes(bytes(128) + b"DICM")
    (tmp_path / ".hidden.edf").write_bytes(b"0")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.edf").write_bytes(b"0")
    return tmp_path


def test_a_folder_gives_its_recordings_and_counts_the_rest(tree):
    found = find_inputs([str(tree)])
    assert [one.name for one in found.files] == ["a/one", "b/two", "dicom", "table"]
    assert found.files[0].path == tree / "a" / "one.hea"
    assert found.left_out == {".csv": 1, ".md": 1}
    assert not found.is_single


@pytest.mark.parametrize("given", ["one.hea", "one.dat", "one"])
def test_a_record_by_any_of_its_names(tree, given):
    found = find_inputs([str(tree / "a" / given)])
    assert [(one.name, one.path) for one in found.files] == [("one", tree / "a" / "one.hea")]
    assert found.is_single


def test_patterns_give_each_record_once(tree):
    assert names(tree / "a" / "one.*") == ["one"]
    assert names(tree / "**" / "*.dat") == ["a/one", "b/two"]
    assert names(tree / "a", tree / "a" / "one.dat", tree / "b" / "*.hea") == ["a/one", "b/two"]


def test_names_are_unique_and_stay_below_the_output(tree, monkeypatch):
    (tree / "a" / "x.edf").write_bytes(b"0")
    (tree / "a" / "x.scp").write_bytes(b"0")
    assert names(tree / "a") == ["one", "x.edf", "x.scp"]
    monkeypatch.chdir(tree / "a")
    found = names("../b/two.hea", "one.hea")
    assert found == ["b/two", "a/one"]


def test_segments_and_what_was_written_beside_a_digitised_record_are_no_inputs(tmp_path):
    record(tmp_path, "part_1")
    (tmp_path / "whole.hea").write_text("whole/2 1 500 8\npart_1 4\n~ 4\n")
    record(tmp_path, "page")
    record(tmp_path, "page_confidence")
    (tmp_path / "page_overlay.png").write_bytes(b"\x89PNG")
    assert names(tmp_path) == ["page", "whole"]


def test_a_header_that_is_none_is_an_input_all_the_same(tmp_path):
    (tmp_path / "x.hea").write_text("a/2 b\n/etc/passwd 4\n../up 3\n" + 300 * "n" + " 4\n")
    assert names(tmp_path) == ["x"]


def test_a_file_whose_name_has_signs_of_a_pattern(tmp_path):
    path = tmp_path / "rec[1].edf"
    path.write_bytes(b"0")
    found = find_inputs([str(path)])
    assert ([one.path for one in found.files], found.is_single) == ([path], True)


def test_nothing_found_is_told(tmp_path):
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(InputError, match="no recording in .* or below; give files"):
        find_inputs([str(tmp_path)])
    with pytest.raises(InputError, match="no recording fits"):
        find_inputs([str(tmp_path / "*.hea")])
