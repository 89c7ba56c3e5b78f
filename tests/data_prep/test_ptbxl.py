import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb
from raw_archives import signal, write_ptbxl, write_record, write_table

from ecgjax.data.records import load_split
from ecgjax.data.split import Split
from ecgjax.leads import LEADS

SAMPLE = Path(os.environ.get("ECGJAX_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ptb-xl"


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    return path


def everything(out: str, variant: str = "100hz", seconds: float = 1.0) -> Split:
    return load_split("ptbxl", variant, "all", out, None, seconds)


def test_rows_go_by_id_and_file_name(folder, prepare_into):
    write_ptbxl(folder)
    out = prepare_into("ptbxl", folder)
    split = everything(out)
    assert sorted(split.labels["ecg_id"]) == [3 * i + 1 for i in range(10)]
    for ecg_id, ecg in zip(split.labels["ecg_id"], split.ecg, strict=True):
        np.testing.assert_array_equal(ecg, signal(ecg_id))
    assert {i: f for i, f in zip(split.record_ids, split.labels["filename"], strict=True)}["4"].endswith("00004_lr")


def test_folds_make_the_splits(folder, prepare_into):
    table = write_ptbxl(folder)
    out = prepare_into("ptbxl", folder)
    for name, folds in {"train": range(1, 9), "validation": [9], "test": [10]}.items():
        expected = table["ecg_id"][table["strat_fold"].astype(int).isin(folds)]
        assert list(load_split("ptbxl", "100hz", name, out, None, 1.0).record_ids) == list(expected)


def test_ages_above_89_are_unknown_but_flagged(folder, prepare_into):
    table = write_ptbxl(folder)
    table.loc[0, "age"], table.loc[1, "age"], table.loc[2, "age"] = "300.0", "", "89.0"
    write_table(folder, table)
    split = everything(prepare_into("ptbxl", folder))
    at = [list(split.record_ids).index(i) for i in table["ecg_id"][:3]]
    np.testing.assert_array_equal(split.labels["age_years"][at], [np.nan, np.nan, 89])
    np.testing.assert_array_equal(split.labels["age_over_89"][at], [True, False, False])


def test_only_id_fold_and_file_name_are_indispensable(folder, prepare_into):
    table = write_ptbxl(folder)
    write_table(folder, table[["ecg_id", "strat_fold", "filename_lr"]])
    split = everything(prepare_into("ptbxl", folder))
    assert set(split.patient_ids) == {f"record {i}" for i in split.record_ids}
    assert set(split.labels["sex"]) == {""}
    assert np.isnan(split.labels["weight_kg"]).all()
    assert all(len(codes) == 0 for codes in split.labels["scp_codes"])


def test_codes_keep_their_likelihoods(folder, prepare_into):
    table = write_ptbxl(folder)
    table.loc[0, "scp_codes"] = "{'IMI': 35.0, 'ABQRS': 0.0, 'SR': 0.0}"
    write_table(folder, table)
    split = everything(prepare_into("ptbxl", folder))
    at = list(split.record_ids).index(table["ecg_id"][0])
    assert list(split.labels["scp_codes"][at]) == ["IMI", "ABQRS", "SR"]
    np.testing.assert_array_equal(split.labels["scp_likelihoods"][at], [35, 0, 0])


@pytest.mark.parametrize(
    ("gain", "baseline", "units"), [(200.0, 0, "mV"), (4880.0, -37, "mV"), (1.0, 5, "uV"), (1e6, 0, "V")]
)
def test_other_gains_offsets_and_units(folder, prepare_into, gain, baseline, units):
    write_ptbxl(folder)
    digital = signal(1)
    write_record(folder / "records100/00000/00001_lr", digital, gain=gain, baseline=baseline, units=units)
    split = everything(prepare_into("ptbxl", folder))
    per_mv = {"mV": 1, "uV": 1e-3, "V": 1e3}[units]
    expected_mv = (digital - baseline) / gain * per_mv
    found_mv = split.ecg[list(split.record_ids).index("1")] / split.gain
    assert np.abs(found_mv - expected_mv).max() <= 0.5 / split.gain + 1e-12


def test_leads_in_other_spelling_and_order(folder, prepare_into):
    write_ptbxl(folder)
    digital = signal(1)
    names = tuple(f"lead {name.lower()}" for name in LEADS[::-1])
    write_record(folder / "records100/00000/00001_lr", digital[:, ::-1], leads=names)
    split = everything(prepare_into("ptbxl", folder))
    assert split.lead_names == LEADS
    np.testing.assert_array_equal(split.ecg[list(split.record_ids).index("1")], digital)


def test_clipped_samples_are_counted(folder, prepare_into, capsys):
    write_ptbxl(folder)
    digital = signal(1)
    digital[:3, 0] = 10_000
    write_record(folder / "records100/00000/00001_lr", digital, gain=200.0)
    split = everything(prepare_into("ptbxl", folder))
    np.testing.assert_array_equal(split.ecg[list(split.record_ids).index("1"), :3, 0], 32767)
    assert "3 samples lie beyond +-32.767 mV" in capsys.readouterr().out


def test_counts_by_split_and_class_are_printed(folder, prepare_into, capsys):
    write_ptbxl(folder, 20)
    (folder / "scp_statements.csv").write_text(
        ",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
        "NORM,normal ECG,1.0,,,NORM,NORM\nSR,sinus rhythm,,,1.0,,\n"
    )
    prepare_into("ptbxl", folder)
    rows = {line[2:26].strip(): line[26:].split() for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows[""] == ["train", "validation", "test"]
    for name in ("records", "patients", "superclass NORM", "code SR"):
        assert rows[name] == ["16", "2", "2"]


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"no PTB-XL sample in {SAMPLE}")
@pytest.mark.parametrize("variant", ["100hz", "500hz"])
def test_sample_equals_wfdbs_own_reading_to_the_quantum(folder, prepare_into, variant):
    column = {"100hz": "filename_lr", "500hz": "filename_hr"}[variant]
    table = pd.read_csv(SAMPLE / "ptbxl_database.csv", dtype=str, keep_default_na=False)
    table = table[[(SAMPLE / f"{name}.hea").exists() for name in table[column]]].iloc[::-1]
    table = table.iloc[: 60 if variant == "100hz" else 10]
    for records in ("records100", "records500"):
        (folder / records).symlink_to(SAMPLE / records)
    write_table(folder, table)
    split = everything(prepare_into(f"ptbxl/{variant}", folder), variant, 10.0)
    assert sorted(split.record_ids) == sorted(table["ecg_id"])
    for ecg, filename in zip(split.ecg, split.labels["filename"], strict=True):
        record = wfdb.rdrecord(str(SAMPLE / filename))
        assert [name.upper() for name in split.lead_names] == record.sig_name
        np.testing.assert_array_equal(ecg, np.rint(record.p_signal * split.gain))
        assert split.fs_hz == record.fs
