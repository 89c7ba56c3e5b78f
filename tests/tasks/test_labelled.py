"""Labels of a user's own: each kind of them as a task, and what a config leaves to run and folder."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import age, reversal, rhythm
from configs import finetune as shipped
from ecgjax import tasks
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.tasks import labelled_setup

CLASSES = ("a", "b", "c")


def config_of(kind, columns=("label",), classes=(), centre=(), spread=(), **changes):
    config = shipped.get_config()
    with config.ignore_type():
        config.labelled.update(
            {"kind": kind, "columns": columns, "classes": classes, "centre": centre, "spread": spread, **changes}
        )
    return config


def task_of(*args, **kwargs):
    return tasks.build(config_of(*args, **kwargs))


def made_split(label, seed=0, num_leads=12):
    """Records whose first lead grows with the first label, at 100 Hz."""
    rng = np.random.default_rng(seed)
    label = np.asarray(label, np.float32).reshape(len(label), -1)
    time_s = np.arange(1000) / 100
    beat = np.exp(-0.5 * ((time_s % 0.8 - 0.4) / 0.02) ** 2)
    ecg_mv = beat[:, None] * (1 + label[:, :1, None]) + 0.02 * rng.normal(size=(len(label), 1000, num_leads))
    ids = np.array([f"r{k}" for k in range(len(label))])
    return Split(
        dataset="labelled_folder/made",
        split="test",
        ecg=np.rint(1000 * ecg_mv).astype(np.int16),
        gain=1000.0,
        fs_hz=100.0,
        lead_names=tuple(f"lead {k}" for k in range(num_leads)),
        record_ids=ids,
        patient_ids=ids,
        labels={"label": label, "num_samples": np.full(len(label), 1000)},
    )


def predictions_of(task, split, outputs):
    targets = task.targets(split)
    found = task.predict(jnp.asarray(outputs, jnp.float32), {name: jnp.asarray(v) for name, v in targets.items()})
    ids = {"record_ids": split.record_ids, "patient_ids": split.patient_ids, "view": np.zeros(len(split), int)}
    return {name: np.asarray(values) for name, values in found.items()} | ids


def test_one_class_of_several():
    task = task_of("classes", classes=CLASSES)
    split = made_split(np.arange(30) % 3)
    right = 8.0 * (np.arange(30)[:, None] % 3 == np.arange(3))
    found = predictions_of(task, split, right)
    np.testing.assert_allclose(found["scores"].sum(axis=1), 1, rtol=1e-6)
    metrics = task.metrics(found, 20)
    assert metrics["accuracy"].value == metrics["macro_auroc"].value == 1
    assert metrics["recall/b"].ci95 == (1.0, 1.0)
    batch = {name: jnp.asarray(v) for name, v in task.targets(split).items()}
    np.testing.assert_allclose(task.loss(jnp.zeros((30, 3)), batch), np.log(3), rtol=1e-6)
    assert task.tuned({}) is task


def test_several_labels_of_a_record():
    task = task_of("several", columns=("x", "y"), classes=("x", "y"))
    label = np.stack([np.arange(30) % 2, np.arange(30) % 3 == 0], axis=1).astype(float)
    split = made_split(label)
    found = predictions_of(task, split, 4 * (2 * label - 1))
    assert task.metrics(found, 0)["macro_auroc"].value == 1
    tuned = task.tuned(found)
    assert tuned.metrics(found, 0)["f1/y"].value == 1
    batch = {name: jnp.asarray(v) for name, v in task.targets(split).items()}
    np.testing.assert_allclose(task.loss(jnp.zeros((30, 2)), batch), np.log(2), rtol=1e-6)


@pytest.mark.parametrize("columns", [("age",), ("age", "weight")])
def test_numbers_come_back_in_their_own_units(columns):
    rng = np.random.default_rng(0)
    truth = 60 + 10 * rng.normal(size=(40, len(columns)))
    centre, spread = (60.0,) * len(columns), (10.0,) * len(columns)
    task = task_of("numbers", columns=columns, centre=centre, spread=spread)
    split = made_split(truth)
    off = np.where(np.arange(40) % 2, 3.0, -1.0)[:, None]
    found = predictions_of(task, split, (truth + off - 60) / 10)
    np.testing.assert_allclose(found["scores"], truth + off, rtol=1e-5)
    metrics = task.metrics(found, 20)
    last = "" if len(columns) == 1 else "/weight"
    assert metrics[f"mae{last}"].value == pytest.approx(2, rel=1e-4)
    assert metrics[f"bias{last}"].value == pytest.approx(1, rel=1e-4)
    expected = 1 - np.mean(off**2) / truth.var(axis=0).mean()
    assert metrics["r2"].value == pytest.approx(expected, abs=0.02)
    low, high = metrics[f"mae{last}"].ci95
    assert low < 2 < high


def test_rare_classes_weigh_as_much_as_frequent_ones_where_asked():
    label = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2])
    weight = task_of("classes", classes=CLASSES, weighting="balanced").targets(made_split(label))["loss_weight"][:, 0]
    np.testing.assert_allclose([weight[label == k].sum() for k in range(3)], 3, rtol=1e-6)
    assert (task_of("classes", classes=CLASSES).targets(made_split(label))["loss_weight"] == 1).all()
    with pytest.raises(InputError, match="unknown labelled.weighting 'some'"):
        task_of("classes", weighting="some")


@pytest.mark.parametrize(
    ("options", "names", "figure"),
    [
        ({"kind": "classes", "classes": ("low", "high")}, {"no_skill", "logistic_regression"}, "macro_auroc"),
        ({"kind": "several", "classes": ("low",)}, {"no_skill", "logistic_regression"}, "macro_auroc"),
        ({"kind": "numbers", "centre": (0.5,), "spread": (0.5,)}, {"constant_median", "ridge_regression"}, "r2"),
    ],
)
@pytest.mark.parametrize("num_leads", [12, 1])
def test_linear_models_are_the_rivals(options, names, figure, num_leads):
    config = config_of(**options)
    if num_leads == 1:
        config.model.name = "rhythm_reader"
    task = tasks.build(config)
    train, test = (made_split(np.arange(24) % 2, seed, num_leads) for seed in (1, 2))
    rivals = task.rivals(train, test)
    assert set(rivals) == names
    found = predictions_of(task, test, np.zeros((24, task.num_outputs)))
    figures = task.baselines(rivals, test, found, 10)
    linear = figures[next(name for name in names if "regression" in name)]
    assert linear[figure].value > 0.9
    gain = linear.get("gain/macro_auroc") or linear["gain/mae"]
    assert (gain.value < 0) == (figure == "macro_auroc")


def test_leads_that_were_not_recorded_stay_empty_in_training():
    task = task_of("classes", classes=CLASSES)
    split = made_split(np.arange(3))
    signal_mv = jnp.asarray(split.ecg[0] / 1000).at[:, 11].set(0)
    record = {"signal_mv": signal_mv, "label": jnp.zeros(1), "loss_weight": jnp.ones(1)}
    view = jax.jit(jax.vmap(lambda key: task.training_view(key, record)["signal_mv"]))
    seen = view(jax.random.split(jax.random.key(0), 4))
    assert not seen[:, :, 11].any()
    assert seen.any(axis=(1, 2)).all()


def test_examples_are_the_worst_and_some_good_ones():
    task = task_of("classes", classes=CLASSES)
    split = made_split(np.arange(12) % 3)
    outputs = 5.0 * (np.arange(12)[:, None] % 3 == np.arange(3))
    outputs[4] = (9, 0, 0)
    drawn = task.examples(split, predictions_of(task, split, outputs))
    assert drawn["record_ids"][0] == "r4"
    assert (drawn["truth"][0], drawn["prediction"][0]) == ("b", "a")
    assert drawn["signal_mv"].shape == (5, 1000, 12)
    assert (drawn["truth"][1:] == drawn["prediction"][1:]).all()


def test_records_without_these_labels_are_refused():
    task = task_of("numbers", columns=("a", "b"), centre=(0, 0), spread=(1, 1))
    with pytest.raises(InputError, match="does not hold the labels of a, b"):
        task.excluded(made_split(np.arange(3)))
    one = task_of("numbers", centre=(0,), spread=(1,))
    assert one.excluded(made_split(np.arange(3))) == {}
    with pytest.raises(InputError, match="have 1 leads, the network reads 12"):
        one.excluded(made_split(np.arange(3), num_leads=1))


@pytest.fixture
def source(monkeypatch):
    """Sets the config of the run that is begun with."""

    def become(config):
        plain = ConfigDict(config.to_dict())
        monkeypatch.setattr(labelled_setup, "read_config", lambda workdir: plain)

    return become


def taken(config, given=()):
    config = config.copy_and_resolve_references()
    with config.unlocked(), config.ignore_type():
        labelled_setup._take_over(config, given)
    return config


def test_a_network_is_taken_over_with_what_it_needs(source, capsys):
    run = age.get_config()
    run.model.beat_net.hidden = 96
    run.preprocess.fs_hz = 125.0
    run.age.leads = "I+II+V2"
    source(run)
    config = shipped.get_config()
    config.init = "RUN"
    found = taken(config)
    assert (found.model.name, found.model.beat_net.hidden) == ("beat_net", 96)
    assert (found.preprocess.fs_hz, found.model.beat_net.fs_hz, found.data.crop_s) == (125.0, 125.0, 10.0)
    assert found.twelve_leads.leads == "I+II+V2"
    assert found.twelve_leads.gain == config.twelve_leads.gain
    assert capsys.readouterr().err == ""
    config.data.crop_s = 4.0
    assert taken(config, {"data.crop_s"}).data.crop_s == 4.0
    assert "data.crop_s is 4.0 as asked, RUN was trained with 10.0" in capsys.readouterr().err
    config.model.name = "xresnet1d"
    with pytest.raises(InputError, match="model.name is xresnet1d and that of RUN beat_net"):
        taken(config, {"model.name"})


def test_a_rhythm_network_reads_one_lead(source):
    source(rhythm.get_config())
    config = shipped.get_config()
    config.init = "RUN"
    found = taken(config)
    assert (found.model.name, found.data.seconds, found.one_lead.measures) == ("rhythm_reader", 61.0, True)
    with found.ignore_type():
        found.labelled.update({"kind": "classes", "columns": ("x",), "classes": ("no", "yes")})
    head = labelled_setup._all_but_output(found)
    assert "head" in head
    assert tasks.build(found).shown.measures


def test_networks_that_answer_one_question_only_are_refused(source):
    source(reversal.get_config())
    config = shipped.get_config()
    config.init = "RUN"
    with pytest.raises(
        InputError, match="reversal run RUN has the network placement_net, .*; begin with a run of diag"
    ):
        taken(config)


def test_the_output_is_told_from_the_trunk():
    pattern = labelled_setup._all_but_output(config_of("classes", classes=CLASSES))
    assert re.search(pattern, "encoder/Dense_0/kernel")
    assert not re.search(pattern, "Dense_0/kernel")
    assert not re.search(pattern, "Dense_0/bias")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "there is no folder to learn from; give --config.data.dir=FOLDER"),
        ({"dir": "/nowhere/at/all"}, "there is no folder /nowhere/at/all"),
        ({"dir": "/tmp", "variant": "mine"}, "data.dir is a folder and data.variant 'mine'"),
    ],
)
def test_a_folder_has_to_be_given(changes, message):
    config = shipped.get_config()
    config.init = ""
    config.data.update(changes)
    with pytest.raises(InputError, match=message):
        labelled_setup.completed(config, ())
