"""Tasks as a run has tuned them."""

import importlib

import numpy as np
import pytest

from ecgjax import tasks
from ecgjax.errors import InputError
from ecgjax.trained import tuned_task
from ecgjax.workdir import predictions_file, write_arrays


def task_of(name, **options):
    config = importlib.import_module(f"configs.{name}").get_config()
    config[name].update(options)
    return tasks.build(config)


UNTUNED = [("reversal", {}), ("lead_id", {}), ("age", {"loss": "l1"}), ("reconstruction", {"restore_variance": 0.0})]
TUNED = [("diagnosis", {}), ("age", {"loss": "gaussian"}), ("reconstruction", {"restore_variance": 1.0})]


@pytest.mark.parametrize(("name", "options"), UNTUNED)
def test_tasks_without_anything_to_tune_need_no_predictions(name, options, tmp_path):
    task = task_of(name, **options)
    assert tuned_task(task, tmp_path) is task


@pytest.mark.parametrize(("name", "options"), TUNED)
def test_tasks_that_are_tuned_say_what_is_missing(name, options, tmp_path):
    with pytest.raises(
        InputError, match=rf"there is no .*predictions_validation.npz, on which {name} is tuned; finish"
    ):
        tuned_task(task_of(name, **options), tmp_path)


def test_predictions_of_the_run_tune_the_task(tmp_path):
    is_class = np.random.default_rng(0).uniform(size=(60, 6)) < 0.3
    given = {"targets": is_class.astype(np.int8), "scores": (0.2 + 0.1 * is_class).astype(np.float32)}
    write_arrays(tmp_path / predictions_file("validation"), given)
    task = task_of("diagnosis", labels="six")
    assert tuned_task(task, tmp_path) == task.tuned(given) != task
