import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from raw_archives import HEADER_LEADS, signal, write_ptbxl, write_record, write_table

from data_prep.build import Options
from data_prep.prepare import prepare
from ecgjax.data.records import load_split
from ecgjax.errors import InputError

BAD = "records100/00000/00004_lr"
ROOT = Path(__file__).parents[2]


def cut_short(folder: Path) -> None:
    os.truncate(folder / f"{BAD}.dat", 1000)


def cut_within_a_frame(folder: Path) -> None:
    os.truncate(folder / f"{BAD}.dat", 1001)


def flip_a_bit(folder: Path) -> None:
    path = folder / f"{BAD}.dat"
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)


def rewrite(**header):
    def damage(folder: Path) -> None:
        write_record(folder / BAD, signal(4), **header)

    return damage


def drop_sample(folder: Path) -> None:
    digital = signal(4)
    digital[7, 3] = -(2**15)
    write_record(folder / BAD, digital)


def flatten(lead: slice):
    def damage(folder: Path) -> None:
        digital = signal(4)
        digital[:, lead] = 17
        write_record(folder / BAD, digital)

    return damage


def lose_a_lead(folder: Path) -> None:
    write_record(folder / BAD, signal(4)[:, :11], leads=HEADER_LEADS[:11])


def edit_header(old: str, new: str):
    def damage(folder: Path) -> None:
        path = folder / f"{BAD}.hea"
        path.write_text(path.read_text().replace(old, new))

    return damage


def edit_table(column: str, value: str):
    def damage(folder: Path) -> None:
        table = write_ptbxl(folder)
        table.loc[table["filename_lr"] == BAD, column] = value
        write_table(folder, table)

    return damage


DAMAGE = {
    "no header file": (lambda folder: (folder / f"{BAD}.hea").unlink(), "no file"),
    "no signal file": (lambda folder: (folder / f"{BAD}.dat").unlink(), "no file"),
    "empty header": (lambda folder: (folder / f"{BAD}.hea").write_text(""), "header"),
    "signal cut short": (cut_short, "does not fit its header"),
    "signal cut within a frame": (cut_within_a_frame, "does not fit its header"),
    "signal of another length": (edit_header("12 100 100", "12 100 90"), "checksum"),
    "changed bit": (flip_a_bit, "checksum of lead"),
    "missing sample": (drop_sample, "1 of 100 samples of lead aVR are missing (NaN)"),
    "flat lead": (flatten(slice(3, 4)), "flat: lead aVR"),
    "flat record": (flatten(slice(None)), "all leads are flat"),
    "eleven leads": (lose_a_lead, "expected 12 leads, the header has 11"),
    "unknown lead": (rewrite(leads=(*HEADER_LEADS[:11], "V7")), "unknown lead name 'V7'"),
    "repeated lead": (edit_header(" V6", " V1"), "missing V6"),
    "pressure": (rewrite(units="mmHg"), "expected leads in mV, uV or V, the header has 'mmHg'"),
    "unreadable age": (edit_table("age", "old"), "expected a number in column age"),
    "unreadable codes": (edit_table("scp_codes", "{'NORM'"), "expected scp_codes like"),
    "unknown fold": (edit_table("strat_fold", "11"), "expected a strat_fold of 1-10"),
    "unknown sex": (edit_table("sex", "7"), "expected sex 0 (male) or 1 (female)"),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    write_ptbxl(path)
    return path


def files_in(folder: str | Path) -> list[Path]:
    return [path for path in Path(folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", DAMAGE)
def test_bad_record_is_named_and_nothing_is_left(folder, tmp_path, prepare_into, kind):
    damage, message = DAMAGE[kind]
    damage(folder)
    with pytest.raises(InputError) as caught:
        prepare_into("ptbxl", folder)
    assert BAD in str(caught.value)
    assert message in str(caught.value)
    assert str(caught.value).endswith("mend the record or leave it out with --skip_bad")
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path / "out") == []


@pytest.mark.parametrize("kind", DAMAGE)
def test_bad_record_is_skipped_listed_and_counted(folder, prepare_into, capsys, kind):
    damage, message = DAMAGE[kind]
    damage(folder)
    out = prepare_into("ptbxl", folder, skip_bad=True)
    split = load_split("ptbxl", "100hz", "all", out, None, 1.0)
    assert sorted(split.labels["ecg_id"]) == [1, *range(7, 30, 3)]
    for ecg_id, ecg in zip(split.labels["ecg_id"], split.ecg, strict=True):
        np.testing.assert_array_equal(ecg, signal(ecg_id))
    printed = capsys.readouterr().out
    assert "skipped 1 records:" in printed
    assert any(BAD in line and message in line for line in printed.splitlines())


def test_checksums_of_zero_say_nothing(folder, prepare_into):
    path = folder / f"{BAD}.hea"
    first, *lines = path.read_text().splitlines()
    fields = [line.split() for line in lines]
    path.write_text("\n".join([first, *(" ".join([*f[:6], "0", *f[7:]]) for f in fields)]) + "\n")
    out = prepare_into("ptbxl", folder)
    assert len(load_split("ptbxl", "100hz", "all", out, None, 1.0)) == 10


def test_a_split_without_a_good_record_is_left_out(folder, prepare_into):
    table = write_ptbxl(folder)
    name = table["filename_lr"][table["strat_fold"] == "9"].item()
    (folder / f"{name}.dat").unlink()
    out = prepare_into("ptbxl", folder, skip_bad=True)
    with pytest.raises(InputError, match="has no split 'validation'; use one of train, test, all"):
        load_split("ptbxl", "100hz", "validation", out, None, 1.0)


def test_nothing_good_at_all(folder, tmp_path, prepare_into):
    for path in folder.rglob("*.dat"):
        path.unlink()
    with pytest.raises(InputError, match=r"there is no good record \(records100/.*: no file .*\); check --raw_dir"):
        prepare_into("ptbxl", folder, skip_bad=True)
    assert files_in(tmp_path / "out") == []


def test_patient_in_two_splits(folder, tmp_path, prepare_into):
    table = write_ptbxl(folder)
    table["patient_id"] = "7.0"
    write_table(folder, table)
    with pytest.raises(InputError, match="patient 7 has records in both train and validation"):
        prepare_into("ptbxl", folder)
    assert files_in(tmp_path / "out") == []


@pytest.mark.parametrize("column", ["ecg_id", "filename_lr"])
def test_row_that_occurs_twice(folder, prepare_into, column):
    table = write_ptbxl(folder)
    table.loc[1, column] = table.loc[0, column]
    write_table(folder, table)
    with pytest.raises(InputError, match=f"{column} .* occurs twice"):
        prepare_into("ptbxl", folder)


@pytest.mark.parametrize("column", ["ecg_id", "strat_fold", "filename_lr"])
def test_missing_column(folder, prepare_into, column):
    write_table(folder, write_ptbxl(folder).drop(columns=column))
    with pytest.raises(InputError, match=f"has no column {column}"):
        prepare_into("ptbxl", folder)


@pytest.mark.parametrize("content", [b"", b'a,b\n"\n', b"\xff\xfe\x00"])
def test_table_that_is_no_table(folder, prepare_into, content):
    (folder / "ptbxl_database.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"ptbxl_database\.csv is no CSV file"):
        prepare_into("ptbxl", folder)


def test_missing_table(folder, prepare_into):
    (folder / "ptbxl_database.csv").unlink()
    with pytest.raises(InputError, match=r"no file .*ptbxl_database.csv; give --raw_dir the folder that holds it"):
        prepare_into("ptbxl", folder)


@pytest.mark.parametrize(
    ("dataset", "raw_dir", "message"),
    [
        ("ptbx", "raw", "unknown dataset 'ptbx'; use one of simulated, ptbxl, wfdb"),
        ("ptbxl/250hz", "raw", "unknown variant '250hz' of ptbxl; use one of 100hz, 500hz"),
        ("wfdb/../x", "raw", "no plain name"),
        ("ptbxl", "rwa", "no folder .*rwa; set --raw_dir"),
        ("ptbxl", None, "--raw_dir is not given"),
    ],
)
def test_bad_options(folder, tmp_path, dataset, raw_dir, message):
    name, _, variant = dataset.partition("/")
    options = Options(raw_dir and tmp_path / raw_dir, skip_bad=False, num_workers=1, beam=None)
    with pytest.raises(InputError, match=message):
        prepare(name, variant, str(tmp_path / "out"), options)


def test_place_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*; give another --data_dir"):
        prepare("ptbxl", "", str(tmp_path / "file"), Options(folder, skip_bad=False, num_workers=1, beam=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num_workers=2"], f"error: {BAD}: the signal file does not fit its header"),
        (["--raw=x"], "error: Unknown command line flag 'raw'"),
        (["--dataset="], "error: --dataset is not given; use one of simulated, ptbxl, wfdb"),
    ],
    ids=["record", "flag", "dataset"],
)
def test_command_prints_one_line_and_exits_with_2(folder, tmp_path, options, message):
    cut_short(folder)
    # wfdb itself uses what pandas deprecates.
    command = [sys.executable, "-W", "error", "-W", "ignore:The inplace keyword:DeprecationWarning", "-m", "data_prep"]
    command += ["--dataset=ptbxl", f"--raw_dir={folder}", f"--data_dir={tmp_path / 'out'}", *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(message)
    assert files_in(tmp_path / "out") == []
