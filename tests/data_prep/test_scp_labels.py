"""Labels belong to records by ecg_id: rows in any order, ids missing, splits by fold."""

import numpy as np
import pytest
from raw_archives import signal, write_ptbxl, write_table

from ecgjax import scp
from ecgjax.data.records import load_split

CODES = ("NORM SR", "AFIB", "IMI 1AVB SR", "CLBBB STACH", "LVOLT SR", "LVH SBRAD")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_labels_go_by_ecg_id(tmp_path, prepare_into, split):
    folder = tmp_path / "raw"
    folder.mkdir()
    table = write_ptbxl(folder, 30)
    code_of = {row: CODES[int(row) // 3 % len(CODES)].split() for row in table["ecg_id"]}
    table["scp_codes"] = [str({code: 0.0 for code in code_of[row]}) for row in table["ecg_id"]]
    fold_of = dict(zip(table["ecg_id"], table["strat_fold"].astype(int), strict=True))
    # Shuffled, and with every fourth row gone: position says nothing of the id.
    table = table.sample(frac=1, random_state=0).iloc[np.arange(len(table)) % 4 > 0]
    write_table(folder, table)
    records = load_split("ptbxl", "100hz", split, prepare_into("ptbxl", folder), None, 1.0)
    folds = {"train": range(1, 9), "validation": [9], "test": [10]}[split]
    assert sorted(records.record_ids) == sorted(row for row in table["ecg_id"] if fold_of[row] in folds)
    names = np.array(scp.class_names("all"))
    for row, is_class, ecg in zip(records.record_ids, scp.labels(records, "all"), records.ecg, strict=True):
        assert names[is_class].tolist() == sorted(code_of[row])
        np.testing.assert_array_equal(ecg, signal(int(row)))
