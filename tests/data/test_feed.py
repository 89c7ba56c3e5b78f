import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
from fake_task import fake_config, fake_split

from configs import common
from data_prep.build import Options, RecordBuilder, base_features, base_metadata
from data_prep.shards import Prepared
from ecgjax import experiment, train
from ecgjax.data.feed import ResidentFeed, StreamedFeed
from ecgjax.data.records import load_split, open_split
from ecgjax.data.stored import joined_signals
from ecgjax.errors import InputError
from ecgjax.parallel import Parallel
from ecgjax.preprocess import Preprocess
from ecgjax.train import train_and_evaluate

BANDPASS = Preprocess(fs_hz=20.0, filter="bandpass", low_hz=0.5, high_hz=9.0, normalise="none")
SIZES = {"train": 37, "validation": 13, "test": 11}


class Fake(RecordBuilder):
    """The fake task's records in files, at twice the rate and of several lengths."""

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("default",)
    MAKEABLE = True

    def _info(self):
        features = {
            **base_features(num_leads=3),
            "is_positive": tfds.features.Scalar(np.bool_),
            "number": tfds.features.Scalar(np.int64),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(("I", "II", "III"))),
        )

    def sources(self):
        return {split: [lambda split=split: records(split)] for split in SIZES}


def records(split):
    made = fake_split(split, SIZES[split])
    for number in range(len(made)):
        yield Prepared(
            {
                "ecg": np.repeat(made.ecg[number], 2, axis=0)[: 60 + number],
                "fs_hz": 40.0,
                "record_id": made.record_ids[number],
                "patient_id": made.patient_ids[number],
                "is_positive": made.labels["is_positive"][number],
                "number": number,
            },
            (),
        )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("data"))
    Fake("default", folder, Options(None, skip_bad=False, num_workers=1, beam=None)).download_and_prepare()
    return folder


def read(how, split, data_dir):
    return how("fake", "default", split, data_dir, BANDPASS, 2.0)


@pytest.mark.parametrize("split", ["train", "all"])
def test_stored_signals_are_those_of_memory(split, data_dir):
    stored, loaded = read(open_split, split, data_dir), read(load_split, split, data_dir)
    assert stored.ecg.shape == loaded.ecg.shape
    assert len(stored) == len(loaded)
    np.testing.assert_array_equal(np.asarray(stored.ecg), loaded.ecg)
    np.testing.assert_array_equal(stored.ecg / 1000.0, loaded.ecg / 1000.0)
    np.testing.assert_array_equal([*stored.ecg], loaded.ecg)
    assert stored.labels.keys() == loaded.labels.keys()
    for name, values in loaded.labels.items():
        np.testing.assert_array_equal(stored.labels[name], values)
    chosen = np.array([5, 1, 1])
    picked = stored.select(chosen).select(np.array([True, False, True]))
    np.testing.assert_array_equal(np.asarray(picked.ecg), loaded.ecg[[5, 1]])


def test_splits_are_joined_without_being_read(data_dir):
    parts = [read(open_split, split, data_dir) for split in ("validation", "train")]
    together = joined_signals([part.ecg for part in parts])
    expected = [read(load_split, split, data_dir).ecg for split in ("validation", "train")]
    np.testing.assert_array_equal(np.asarray(together[10:20]), np.concatenate(expected)[10:20])


def test_processes_read_a_share_each_and_have_all(data_dir, monkeypatch):
    config = common.base()
    config.data.update({"name": "fake", "variant": "default", "dir": data_dir, "seconds": 2.0})
    config.preprocess.update(dataclasses.asdict(BANDPASS))
    shares = {}

    def allgather(own):
        shares[jax.process_index()] = own
        return np.stack([shares.get(index, np.zeros_like(own)) for index in range(3)])

    monkeypatch.setattr(experiment.multihost_utils, "process_allgather", allgather)
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    for index in range(3):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        together = experiment._read(config, "train")
    assert [len(share) for share in shares.values()] == [13, 13, 13]
    np.testing.assert_array_equal(together.ecg, read(load_split, "train", data_dir).ecg)


@pytest.mark.parametrize("sharding", ["pmap", "shard_map"])
def test_what_is_streamed_is_what_lies_on_the_device(sharding, data_dir):
    parallel = Parallel(sharding)
    split = read(open_split, "train", data_dir)
    targets = {"number": split.labels["number"]}
    feeds = [ResidentFeed(parallel, split, targets), StreamedFeed(parallel, split, targets, 2, 3)]
    blocks = np.random.default_rng(0).integers(0, len(split), (5, 2, 8))  # with records that come twice

    def gathered(state, data, batch):
        index = batch["index"]
        return {name: data[name][index] for name in ("ecg", "num_samples")} | {
            "number": data["targets"]["number"][index] + state,
            "gain": data["gain"],
        }

    found = []
    for feed in feeds:
        step = parallel.compile(gathered, donate=False, cut_data=feed.cuts_data)
        handed = feed(len(blocks), lambda number: {"index": blocks[number].astype(np.int32)})
        found.append([jax.device_get(step(parallel.replicate(np.int32(1)), *arguments)) for arguments in handed])
    for resident, streamed, index in zip(*found, blocks, strict=True):
        jax.tree.map(np.testing.assert_array_equal, resident, streamed)
        np.testing.assert_array_equal(streamed["number"], split.labels["number"][index] + 1)


def streamed_run(workdir, data_dir, **changes):
    config = fake_config()
    config.preprocess.filter = "bandpass"
    for path, value in changes.items():
        config.update_from_flattened_dict({path.replace("__", "."): value})

    def load(config, split):
        return read({"resident": load_split, "stream": open_split}[config.data.input], split, data_dir)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(train, "load", load)
        train_and_evaluate(config, workdir)


@pytest.mark.parametrize(
    "changes", [{"steps_per_dispatch": 3}, pytest.param({"kfold": 2}, marks=pytest.mark.slow)], ids=str
)
def test_a_streamed_run_logs_what_a_resident_one_does(changes, fake, data_dir, tmp_path):
    for kind in ("resident", "stream"):
        streamed_run(tmp_path / kind, data_dir, data__input=kind, **changes)
    logs = [sorted((tmp_path / kind).rglob("metrics.jsonl")) for kind in ("resident", "stream")]
    assert len(logs[0]) == len(logs[1]) > 0
    for resident, streamed in zip(*logs, strict=True):
        assert resident.read_text() == streamed.read_text()


def test_a_damaged_file_ends_in_one_line(data_dir):
    split = read(open_split, "train", data_dir)
    (path,) = Path(data_dir).rglob("*train*array_record*")
    whole = path.read_bytes()
    feed = StreamedFeed(Parallel("pmap"), split, {}, 2, 2)
    path.write_bytes(whole[:1000] + bytes(64000) + whole[65000:])
    try:
        with pytest.raises(InputError, match=r"record file .*array_record.* is damaged"):
            for _ in feed(30, lambda number: {"index": np.arange(8, dtype=np.int32) + number}):
                pass
    finally:
        path.write_bytes(whole)


EPOCH = """
import resource
import sys
import numpy as np
sys.path[:0] = ["tests", "tests/data"]
from test_feed import long_preprocess
from ecgjax.data.feed import StreamedFeed
from ecgjax.data.records import open_split
from ecgjax.parallel import Parallel

split = open_split("long", "default", "train", sys.argv[1], long_preprocess(), 10.0)
feed = StreamedFeed(Parallel("pmap"), split, {}, 2, 4)
peak_kib, total = [], 0
for data, _ in feed(len(split) // 16, lambda number: {"index": np.arange(16, dtype=np.int32) + 16 * number}):
    total += data["ecg"].nbytes
    peak_kib.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(total, 1024 * (peak_kib[-1] - peak_kib[len(peak_kib) // 10]))
"""
LIMIT_BYTES = 20 << 20


def long_preprocess():
    return Preprocess(fs_hz=500.0, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")


class Long(Fake):
    """Ten times as much as the process may grow by."""

    name = "long"

    def sources(self):
        return {"train": [noise]}


def noise():
    noise = np.random.default_rng(0).integers(-999, 999, (5000, 3), np.int16)
    for number in range(10 * LIMIT_BYTES // noise.nbytes + 16):
        yield Prepared(
            {
                "ecg": np.roll(noise, number),
                "fs_hz": 500.0,
                "record_id": f"{number}",
                "patient_id": f"{number}",
                "is_positive": False,
                "number": number,
            },
            (),
        )


@pytest.mark.slow
def test_an_epoch_takes_no_more_memory_than_its_beginning(tmp_path):
    Long("default", str(tmp_path), Options(None, skip_bad=False, num_workers=1, beam=None)).download_and_prepare()
    done = subprocess.run(
        [sys.executable, "-c", EPOCH, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=Path(__file__).parents[2],
    )
    streamed, growth = map(int, done.stdout.split())
    assert streamed >= 10 * LIMIT_BYTES
    assert growth <= LIMIT_BYTES
