import os

import numpy as np
import pytest
from fake_task import assert_close_logs, fake_config
from processes import start_all

from ecgjax.errors import InputError
from ecgjax.parallel import Parallel
from ecgjax.train import train_and_evaluate
from ecgjax.workdir import read_arrays


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    """The workdir of a run on one device."""
    import fake_task  # noqa: PLC0415

    workdir = tmp_path_factory.mktemp("one_device")
    with fake_task.installed():
        train_and_evaluate(fake_config(), workdir)
    return workdir


def assert_same_numbers(workdir, reference):
    """Equal up to the order of summation, which 24 steps of Adam blow up a little."""
    assert_close_logs(workdir, reference, rel=1e-3)
    for split in ("validation", "test"):
        predictions, expected = (read_arrays(run / f"predictions_{split}.npz") for run in (workdir, reference))
        np.testing.assert_array_equal(predictions["record_ids"], expected["record_ids"])
        np.testing.assert_array_equal(predictions["number"], expected["number"])
        np.testing.assert_allclose(predictions["scores"], expected["scores"], rtol=1e-3)


def test_shard_map_equals_pmap_on_one_device(fake, one_device, tmp_path):
    config = fake_config()
    config.sharding = "shard_map"
    train_and_evaluate(config, tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == (one_device / "metrics.jsonl").read_text()


@pytest.mark.parametrize("num_devices", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_devices_share_a_batch_without_changing_the_numbers(num_devices, one_device, start_fake, tmp_path):
    process = start_fake(
        *(tmp_path / "pmap", "sharding=pmap", "--", tmp_path / "shard_map", "sharding=shard_map", "data.input=stream"),
        XLA_FLAGS=f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={num_devices}",
    )
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert f"{num_devices}x cpu" in error
    for sharding in ("pmap", "shard_map"):
        assert_same_numbers(tmp_path / sharding, one_device)


def test_two_processes_give_the_same_numbers(one_device, start_fake, tmp_path):
    streamed = tmp_path / "pmap", "sharding=pmap", "data.input=stream"
    processes = start_all(start_fake, 2, *streamed, "--", tmp_path / "shard_map", "sharding=shard_map")
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    for sharding in ("pmap", "shard_map"):
        assert_same_numbers(tmp_path / sharding, one_device)


def test_batches_that_do_not_divide_are_told(monkeypatch):
    parallel = Parallel("pmap")
    monkeypatch.setattr(parallel, "num_devices", 4)
    parallel.check_batch("batch_size", 8)
    with pytest.raises(InputError, match="batch_size is 6, for 4 devices; give a positive multiple of 4"):
        parallel.check_batch("batch_size", 6)
