import jax
import numpy as np
import pytest
from fake_task import fake_split

from ecgjax.data.resident import BatchOrder, random_crop, resident, whole_record


@pytest.mark.parametrize(("num_records", "batch_size"), [(37, 8), (8, 8), (5, 12)])
def test_every_epoch_is_a_permutation_and_nothing_is_dropped(num_records, batch_size):
    steps = BatchOrder(num_records, batch_size, seed=3, weights=None).indices(0, 6 * num_records)
    assert steps.shape == (6 * num_records, batch_size)
    epochs = steps.reshape(-1, num_records)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(num_records), (len(epochs), 1)))
    assert len(np.unique(epochs, axis=0)) > 1


def test_order_depends_on_seed_and_step_alone():
    order = BatchOrder(37, 8, seed=3, weights=None)
    together = order.indices(0, 50)
    fresh = BatchOrder(37, 8, seed=3, weights=None)
    np.testing.assert_array_equal(fresh.indices(43, 3), together[43:46])
    np.testing.assert_array_equal(fresh.indices(2, 1), together[2:3])
    assert not np.array_equal(BatchOrder(37, 8, seed=4, weights=None).indices(0, 50), together)


def test_weights_say_how_often_a_record_is_drawn():
    weights = np.array([0.0, 1.0, 3.0, 4.0])
    steps = BatchOrder(4, 10, seed=3, weights=weights).indices(0, 2000)
    np.testing.assert_allclose(np.bincount(steps.ravel()) / steps.size, weights / 8, atol=0.01)
    fresh = BatchOrder(4, 10, seed=3, weights=weights * 7)
    np.testing.assert_array_equal(fresh.indices(1234, 2), steps[1234:1236])


def test_crops_are_parts_of_the_record_from_start_to_end():
    split = fake_split("train", 5)
    data = resident(split, {"number": split.labels["number"]})
    time = split.ecg.shape[1]
    crop = jax.jit(random_crop, static_argnums=3)
    windows = {split.ecg[2, start : start + time - 3].tobytes(): start for start in range(4)}
    starts = set()
    for seed in range(40):
        record = crop(data, np.int32(2), jax.random.key(seed), time - 3)
        assert record["number"] == 2
        starts.add(windows[np.round(np.asarray(record["signal_mv"]) * split.gain).astype(np.int16).tobytes()])
    assert starts == {0, 1, 2, 3}


def test_whole_record_is_in_millivolt():
    split = fake_split("train", 5)
    record = whole_record(resident(split, {}), np.int32(4))
    assert record["signal_mv"].dtype == np.float32
    np.testing.assert_allclose(record["signal_mv"], split.ecg[4] / 1000.0, rtol=1e-6)


def test_targets_get_the_types_of_the_device():
    split = fake_split("train", 5)
    targets = {
        "double": np.ones(5),
        "long": np.ones(5, np.int64),
        "flag": np.ones(5, bool),
        "units": np.ones((5, 3), np.int16),
    }
    kept = resident(split, targets)["targets"]
    assert {name: values.dtype for name, values in kept.items()} == {
        "double": np.float32,
        "long": np.int32,
        "flag": bool,
        "units": np.int16,
    }
