"""The published folders of simulated hearts: names, splits, what is stored and what is refused."""

from pathlib import Path

import heart_archive
import numpy as np
import pytest

from data_prep.intracardiac import Simulation, find_simulations, parse_name, read_points, split_simulations
from ecgjax.data.intracardiac import FS_HZ, SITES, VM_GAIN
from ecgjax.data.records import load_split
from ecgjax.errors import InputError

SPLITS = ("train", "validation", "test")


@pytest.fixture
def raw_dir(tmp_path) -> Path:
    folder = tmp_path / "raw"
    heart_archive.write_archive(folder, num_hearts=3, num_patterns=3)
    return folder


def file_of(raw_dir, prefix, heart=1, pattern=2):
    (path,) = raw_dir.rglob(f"{prefix}_{heart_archive.name(heart, pattern)}.npy")
    return path


def test_records_hold_what_the_files_do(raw_dir, prepare_into):
    data_dir = prepare_into("intracardiac", raw_dir)
    found = load_split("intracardiac", "hearts", "all", data_dir, None, 0.5)
    wanted = heart_archive.split(range(3), 3)
    rows = [[Path(name).name for name in found.record_ids].index(name) for name in wanted.record_ids]
    assert (found.fs_hz, found.gain, len(found)) == (FS_HZ, 1000.0, 9)
    np.testing.assert_array_equal(found.ecg[rows], wanted.ecg)
    np.testing.assert_array_equal(found.patient_ids[rows], wanted.patient_ids)
    for name, values in wanted.labels.items():
        np.testing.assert_array_equal(found.labels[name][rows], values)
    assert set(found.labels["bcl_ms"]) == {600}
    np.testing.assert_allclose(np.unique(found.labels["gkr"]), [1.0, 1.1, 1.2])
    assert np.abs(found.labels["vm"] / VM_GAIN).max() < 90


@pytest.mark.parametrize(("variant", "label"), [("hearts", "heart"), ("patterns", "pattern")])
def test_groups_are_kept_apart(raw_dir, prepare_into, variant, label):
    data_dir = prepare_into(f"intracardiac/{variant}", raw_dir)
    groups = [set(load_split("intracardiac", variant, s, data_dir, None, 0.5).labels[label]) for s in SPLITS]
    assert [len(group) for group in groups] == [1, 1, 1]
    assert len(set.union(*groups)) == 3


def test_a_tenth_each_is_for_validation_and_test():
    simulations = [
        Simulation(f"{heart} {i}", "", "", f"v{heart}", str(i), None, None) for heart in range(40) for i in range(3)
    ]
    by_heart = split_simulations(simulations, "hearts")
    assert {split: len(part) for split, part in by_heart.items()} == {"train": 96, "validation": 12, "test": 12}
    assert by_heart == split_simulations(simulations, "hearts")
    by_file = split_simulations(simulations, "random")
    assert {split: len(part) for split, part in by_file.items()} == {"train": 96, "validation": 12, "test": 12}
    assert len({s.heart for s in by_file["test"]} & {s.heart for s in by_file["train"]}) > 5


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("hearts_dd_0p2_volunteer.v10_pattern.0", ("v10", "0", None, None)),
        ("hearts_dd_0p2_volunteer.v10_pattern.12_bcl.600_gkr.1.3", ("v10", "12", "600", "1.3")),
        ("hearts_dd_0p2_bcl.600_gkr.0p5_pattern.12_volunteer.v4", ("v4", "12", "600", "0p5")),
        ("v7_pattern_3", ("v7", "3", None, None)),
        ("hearts_volunteer.7_Pattern-3", ("v7", "3", None, None)),
        ("hearts_dd_0p2", (None, None, None, None)),
    ],
)
def test_names_are_read_in_any_order(text, values):
    assert parse_name(text) == dict(zip(("heart", "pattern", "bcl_ms", "gkr"), values, strict=True))


def missing_partner(raw_dir):
    file_of(raw_dir, "VmData").unlink()
    return "it has no VmData file"


def wrong_shape(raw_dir):
    np.save(file_of(raw_dir, "pECGData"), np.zeros((400, 10)))
    return r"its pECGData file has shape \(400, 10\), expected \(500, 10\)"


def not_a_number(raw_dir):
    path = file_of(raw_dir, "VmData")
    vm_mv = np.load(path)
    vm_mv[3, 4:7] = np.nan
    np.save(path, vm_mv)
    return "3 values of its VmData file are no numbers"


def truncated(raw_dir):
    path = file_of(raw_dir, "VmData")
    path.write_bytes(path.read_bytes()[:5000])
    return "its VmData file is no array"


def flat_lead(raw_dir):
    path = file_of(raw_dir, "pECGData")
    electrodes_mv = np.load(path)
    electrodes_mv[:, 1] = electrodes_mv[:, 0]
    np.save(path, electrodes_mv)
    return "lead I is flat"


def volts_times_thousand(raw_dir):
    path = file_of(raw_dir, "VmData")
    np.save(path, 1000 * np.load(path))
    return "potentials reach 85500 mV"


def nameless(raw_dir):
    for prefix in ("pECGData", "VmData"):
        path = file_of(raw_dir, prefix)
        path.rename(path.with_name(f"{prefix}_pattern.1.npy"))
    return "its name tells no group for hearts, expected one like pECGData_"


@pytest.mark.parametrize(
    "damage", [missing_partner, wrong_shape, not_a_number, truncated, flat_lead, volts_times_thousand, nameless]
)
def test_bad_pairs_are_named_and_skipped_only_when_asked(damage, raw_dir, prepare_into, capsys):
    problem = damage(raw_dir)
    with pytest.raises(InputError, match=problem):
        prepare_into("intracardiac", raw_dir)
    data_dir = prepare_into("intracardiac", raw_dir, skip_bad=True)
    assert "skipped 1 records" in capsys.readouterr().out
    assert len(load_split("intracardiac", "hearts", "all", data_dir, None, 0.5)) == 8


def test_sites_that_never_fire_are_counted(raw_dir, prepare_into, capsys):
    path = file_of(raw_dir, "VmData")
    vm_mv = np.load(path)
    vm_mv[:, [3, 60]] = -85.0
    np.save(path, vm_mv)
    data_dir = prepare_into("intracardiac", raw_dir)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "never fire" in line]
    assert sum(map(int, line.split()[-3:])) == 2
    split = load_split("intracardiac", "hearts", "all", data_dir, None, 0.5)
    assert np.isnan(split.labels["activation_ms"]).sum(axis=0)[[3, 60]].tolist() == [1, 1]


def test_folders_without_simulations_or_with_too_few_hearts_are_refused(tmp_path, prepare_into):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file pECGData"):
        prepare_into("intracardiac", tmp_path / "empty")
    heart_archive.write_archive(tmp_path / "two", num_hearts=2, num_patterns=2)
    with pytest.raises(InputError, match="the names tell of 2 hearts, and three splits need three"):
        prepare_into("intracardiac", tmp_path / "two")
    assert len(find_simulations(tmp_path / "two")) == 4


def test_places_of_sites_are_taken_by_name(tmp_path, sample_data):
    published = read_points(sample_data / "llnl-geometry" / "points.csv")
    assert published[SITES.index("AHA17")] == pytest.approx([69.66474, 32.63017, 6.308933])
    assert np.isnan(read_points(tmp_path / "points.csv")).all()
    lines = (sample_data / "llnl-geometry" / "points.csv").read_text().splitlines()
    (tmp_path / "points.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
    np.testing.assert_array_equal(read_points(tmp_path / "points.csv"), published)
    (tmp_path / "points.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match="SEPTM_AHA14_RV13"):
        read_points(tmp_path / "points.csv")
