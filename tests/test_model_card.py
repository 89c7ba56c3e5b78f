"""The card of the bundled networks says what the files beside it say."""

import json
import shutil

import pytest

from ecgjax import model_card
from ecgjax.bundled import SUMS, VARIABLES, WEIGHTS, check_sums
from ecgjax.errors import InputError
from ecgjax.workdir import CONFIG, RESULTS

FOLDERS = sorted(path.parent for path in WEIGHTS.glob(f"*/{SUMS}"))


def test_the_card_is_that_of_the_files():
    assert (WEIGHTS / model_card.CARD).read_text(encoding="utf-8") == model_card.text(WEIGHTS)


def test_every_network_is_described():
    assert {folder.name for folder in FOLDERS} <= set(model_card.USES)
    assert set(model_card.USES) == set(model_card.SCORES)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_is_whole_and_knows_no_machine(folder):
    check_sums(folder)
    for path in folder.rglob(CONFIG):
        config = json.loads(path.read_text())
        assert config["task"] == folder.name
        assert config["data"]["dir"] == config["init"] == ""
    results = json.loads((folder / RESULTS).read_text())
    assert (results["split"], results["dataset"]) == ("test", "ptbxl/100hz")
    assert "validation" in results or "out_of_fold" in results
    assert {f"configs/{folder.name}.py"} == {stage.partition(":")[0] for stage in results["trained"]}


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) < 8_000_000


def test_no_card_of_a_folder_without_networks_or_with_other_weights(tmp_path):
    with pytest.raises(InputError, match="holds no network"):
        model_card.text(tmp_path)
    shutil.copytree(WEIGHTS / "reversal", tmp_path / "reversal")
    weights = sorted((tmp_path / "reversal").rglob(VARIABLES))[0]
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=VARIABLES):
        model_card.text(tmp_path)
