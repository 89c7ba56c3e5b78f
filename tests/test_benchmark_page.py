"""scripts/benchmark_page.py: its figures."""

from types import SimpleNamespace

import numpy as np
import pytest

from configs import diagnosis
from ecgjax import leads, tasks
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.placements import repair
from ecgjax.placements.hypotheses import CORRECT, index_of
from ecgjax.record_reader import Diagnoses
from scripts import benchmark_page

WRONG = leads.swap(("RA", "LA"))
LABELS = (("NORM",), ("IMI",), ("NORM",), ("IMI",), ("CRBBB",))
READERS = SimpleNamespace(diagnosis=SimpleNamespace(task=tasks.build(diagnosis.get_config("labels=superclass"))))


def records():
    codes = np.empty(len(LABELS), object)
    codes[:] = [np.array(each) for each in LABELS]
    ids = np.array([f"record {k}" for k in range(len(LABELS))])
    ecg = np.zeros((len(LABELS), 10, 12), np.int16)
    return Split("made/default", "test", ecg, 1000.0, 100.0, LEADS, ids, ids, {"scp_codes": codes})


def reading(k, verdict, hypothesis, is_right=True, snr_db=20.0):
    """Of record k, with a diagnosis that is right or its opposite."""
    truth = READERS.diagnosis.task.targets(records())["classes"][k] == is_right
    names = READERS.diagnosis.task.class_names()
    diagnoses = Diagnoses(dict(zip(names, truth * 0.8 + 0.1, strict=True)), ())
    found = SimpleNamespace(verdict=verdict, hypothesis=hypothesis)
    return benchmark_page.Reading(found, diagnoses, diagnoses, snr_db)


def test_shares_count_all_records_and_areas_those_that_were_read():
    arms, count = index_of(WRONG), len(LABELS)
    found = {
        "correct, samples": [reading(k, repair.RIGHT, CORRECT) for k in range(count)],
        "correct, page": [reading(k, repair.REPAIRED if k == 2 else repair.RIGHT, 5, False) for k in range(count)],
        "exchanged, samples": [reading(k, repair.REPAIRED, arms) for k in range(count)],
        "exchanged, page": [reading(k, repair.REPAIRED, arms + (k == 1), snr_db=20.0 + k) for k in range(count)],
    }
    found["exchanged, page"][4] = None
    result = benchmark_page.figures(records(), found, WRONG, READERS, 20)
    assert result["diagnosed"] == 4
    assert result["correct, samples"]["changed"] == 0
    assert result["correct, page"]["changed"] == 0.2
    assert result["exchanged, samples"]["exchange_found_and_undone"] == 1
    assert result["exchanged, page"]["read"] == 0.8
    assert result["exchanged, page"]["exchange_found_and_undone"] == 0.6
    assert result["exchanged, page"]["median_snr_db"] == 21.5
    assert result["correct, samples"]["macro_auroc_as_named"]["value"] == 1
    assert result["correct, page"]["macro_auroc_as_should_be"]["value"] == 0
    assert result["correct, page"]["macro_auroc_as_should_be"]["n"] == 4


def test_without_a_page_there_is_nothing_to_compare():
    with pytest.raises(InputError, match="no record was read and diagnosed"):
        benchmark_page.figures(records(), {"correct, page": [None] * len(LABELS)}, WRONG, READERS, 20)
