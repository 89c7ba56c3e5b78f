"""The list of what is measured, and the records that are made for it."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from ecgjax import experiment, models, tasks
from ecgjax.benchmark.cases import AXES, NETWORKS, RANDOM_CHANGES, Case, networks_of, varied
from ecgjax.benchmark.made_records import made_split
from ecgjax.errors import InputError

ROOT = Path(__file__).parent.parent.parent
EVERY = [(task, model) for task, names in NETWORKS.items() for model in names]


def test_every_task_and_network_is_in_the_list():
    files = (ROOT / "configs").glob("*.py")
    found = [re.search(r'config\.task = "(\w+)"', path.read_text()) for path in files]
    # Fine-tuning has the networks of diagnosis, and only records of somebody's own.
    assert {match[1] for match in found if match and match[1]} == {*NETWORKS, "labelled"}
    measured = {Case.shipped(task, model).config("").model.name for task, model in EVERY}
    assert measured == set(models._BUILDERS)
    for task, names in NETWORKS.items():
        groups = {
            name for name, value in Case.shipped(task, names[0]).config("").model.items() if hasattr(value, "items")
        }
        # A network that was published in several sizes has as many names.
        assert groups == {Case.shipped(task, name).config("").model.name for name in names}


@pytest.mark.parametrize("task", NETWORKS)
def test_a_task_takes_the_records_that_are_made_for_it(task):
    config = Case.shipped(task, NETWORKS[task][0]).config("")
    split = made_split(config.data.name, 40, config.data.seconds, config.preprocess.fs_hz)
    assert len(split) == 40
    assert split.ecg.shape[1] == round(config.data.seconds * config.preprocess.fs_hz)
    built = tasks.build(config)
    assert not any(is_excluded.any() for is_excluded in built.excluded(split).values())
    assert built.sampling_weights(split) is None
    assert experiment.build(config, split).signal_shape[0] > 0
    for values in built.targets(split).values():
        assert len(values) == len(split)
        assert np.isfinite(values).all()


def test_records_of_other_datasets_cannot_be_made():
    with pytest.raises(InputError, match="no records can be made like those of ptbxl; use one of simulated, "):
        made_split("ptbxl", 4, 10.0, 100.0)


@pytest.mark.parametrize("task", NETWORKS)
def test_without_random_changes_a_view_follows_from_the_crop(task):
    case = dataclasses.replace(Case.shipped(task, NETWORKS[task][0]), augmented=False)
    config, shipped = case.config(""), Case.shipped(task, case.model).config("")
    for name in RANDOM_CHANGES:
        assert not config[task].get(name, 0.0)
    assert any(shipped[task].get(name, 0.0) for name in RANDOM_CHANGES)
    experiment.check(config)


def test_one_field_varies_at_a_time():
    group = varied("reversal", "placement_net", "batch_sizes", (32, 64))
    assert [case.config("").batch_size for case in group.cases] == [32, 64]
    assert [case.config("").evaluation.batch_size for case in group.cases] == [32, 64]
    assert group.infers
    assert not varied("reversal", "placement_net", "augmentations", (True, False)).infers
    streamed = varied("reversal", "placement_net", "inputs", ("resident", "stream"))
    assert [case.config("x").data.input for case in streamed.cases] == ["resident", "stream"]
    assert all(case.is_prepared for case in streamed.cases)
    names = {varied("reversal", "placement_net", axis, (1, 2)).name for axis in AXES}
    assert len(names) == len(AXES)
    assert [case.model for case in networks_of("heartbeat", ("gaf_net",)).cases] == ["gaf_net"]
