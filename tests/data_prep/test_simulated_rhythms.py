from collections import Counter

import numpy as np
import pytest

from data_prep.prepare import ensure_prepared
from data_prep.simulated_rhythms import FIRST_RECORD, NUM_RECORDS, SEED
from ecgjax.crossval import NUM_PARTS, part_split
from ecgjax.data.records import load_split
from ecgjax.data.rhythms import CLASSES, FS_HZ
from ecgjax.simulate.one_lead_rhythms import draw_class, generate


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("simulated_rhythms"))
    ensure_prepared("simulated_rhythms", "smoke", path)
    return path


def load(data_dir: str, split: str):
    return load_split("simulated_rhythms", "smoke", split, data_dir, None, 61.0)


def test_records_are_the_simulators(data_dir):
    split = load(data_dir, "all")
    assert len(split) == NUM_RECORDS["smoke"]
    assert split.fs_hz == FS_HZ
    numbers = np.array([int(name.split()[1]) for name in split.record_ids])
    assert sorted(numbers) == list(range(FIRST_RECORD["smoke"], FIRST_RECORD["smoke"] + NUM_RECORDS["smoke"]))
    for row, recording in enumerate(generate(SEED, numbers[:5])):
        count = split.labels["num_samples"][row]
        assert count == len(recording.signal_mv)
        np.testing.assert_allclose(split.ecg[row, :count, 0] / split.gain, recording.signal_mv, atol=0.6 / split.gain)
        assert split.labels["rhythm"][row] == recording.rhythm
        assert split.labels["kind"][row] == recording.kind


def test_every_split_holds_every_class_and_its_parts(data_dir):
    for name in ("train", "validation", "test"):
        split = load(data_dir, name)
        assert set(split.labels["rhythm"]) == set(CLASSES)
        assert {part_split(part, 0) for part in split.labels["part"]} == {name}
    everything = load(data_dir, "all")
    counts = Counter(zip(everything.labels["part"].tolist(), everything.labels["rhythm"].tolist(), strict=True))
    for rhythm in CLASSES:
        assert np.ptp([counts[part, rhythm] for part in range(NUM_PARTS)]) <= 1


def test_no_recording_is_in_both_variants():
    assert FIRST_RECORD["full"] + NUM_RECORDS["full"] <= FIRST_RECORD["smoke"]
    assert draw_class(SEED, 0) in CLASSES
