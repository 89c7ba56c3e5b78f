"""Sweeps: what --vary means, that finished runs are left alone, and that the summary holds what the runs reached."""

import csv
import json
import os
import sys

import fake_task
import numpy as np
import pytest
from test_comparison import lead_predictions

from configs import diagnosis
from ecgjax.analysis import comparison
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.runlog import write_json
from ecgjax.scp import SIX
from ecgjax.sweeps import plan, summary, training
from ecgjax.sweeps.plan import Run, Setting
from ecgjax.sweeps.summary import Variation
from ecgjax.workdir import CONFIG, RESULTS, predictions_file, read_arrays, read_config, write_arrays
from scripts import sweep

SWEEPS = {"rates": ("schedule.learning_rate", (1e-3, 0.1)), "flags": ("dtype", ["bfloat16"], {"ema_decay": 0.5})}


def fields_of(*varied):
    return {setting.label: setting.fields for setting in plan.grid(varied, SWEEPS)}


def listed(text: str) -> list[Setting]:
    return plan.grid([text], {})


def test_variations_are_named_or_listed():
    assert fields_of("rates")["0.001"] == {"schedule.learning_rate": "0.001"}
    assert fields_of("flags") == {"bfloat16": {"ema_decay": "0.5", "dtype": "bfloat16"}}
    assert fields_of("model.name=a, b") == {"a": {"model.name": "a"}, "b": {"model.name": "b"}}
    assert list(fields_of("model.features=(32,),(8,16)")) == ["(32,)", "(8,16)"]
    with pytest.raises(InputError, match=r"unknown sweep 'rate'; use FIELD=VALUE,VALUE,..., rates, flags"):
        fields_of("rate")


def test_several_make_a_grid():
    grid = fields_of("rates", "batch_size=8,16")
    assert list(grid) == [f"learning_rate={rate}, batch_size={size}" for rate in (0.001, 0.1) for size in (8, 16)]
    assert grid["learning_rate=0.1, batch_size=8"] == {"schedule.learning_rate": "0.1", "batch_size": "8"}
    assert list(fields_of("model.name=a", "data.name=b")) == ["model.name=a, data.name=b"]
    with pytest.raises(InputError, match="batch_size varies twice"):
        fields_of("batch_size=8", "batch_size=16")


SPACE = "schedule.learning_rate=log(1e-4,1e-2); ema_decay=uniform(0,0.5);batch_size=uniform(1,4);dtype=choice(a,b)"


def test_draws_follow_the_seed_and_lie_in_their_ranges():
    def drawn(num_runs, seed):
        return plan.random_space(SPACE, num_runs, seed, fake_task.fake_config())

    assert drawn(5, 0) == drawn(300, 0)[:5]
    assert drawn(5, 0) != drawn(5, 1)
    of = {name: [setting.fields[name] for setting in drawn(300, 0)] for name in drawn(1, 0)[0].fields}
    rates, decays = (np.array(of[name], float) for name in ("schedule.learning_rate", "ema_decay"))
    # Even on the scale of each.
    shares = np.log10(rates / 1e-4) / 2, decays / 0.5
    for share in shares:
        np.testing.assert_allclose(np.quantile(share, [0, 0.25, 0.5, 0.75, 1]), [0, 0.25, 0.5, 0.75, 1], atol=0.08)
    counts = [of["batch_size"].count(size) for size in "1234"]
    assert sum(counts) == 300
    assert min(counts) > 50
    assert {*of["dtype"]} == {"a", "b"}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("", "names no field"),
        ("seed=uniform(0,1);seed=uniform(0,1)", "or one twice"),
        ("ema_decay=normal(0,1)", r"give uniform\(LOW,HIGH\), log\(LOW,HIGH\) or choice"),
        ("ema_decay=uniform(a,1)", "give uniform two numbers"),
        ("ema_decay=uniform(1)", "give uniform two numbers"),
        ("ema_decay=log(0,1)", "for log above 0"),
        ("ema_decay=uniform(1,0)", "LOW below HIGH"),
    ],
)
def test_wrong_spaces_are_refused(space, message):
    with pytest.raises(InputError, match=message):
        plan.random_space(space, 2, 0, fake_task.fake_config())


@pytest.mark.parametrize(
    ("varied", "message"),
    [
        ("bach_size=8", "config has no field 'bach_size'"),
        ("batch_size=8,many", "config.batch_size is 'many'; give a value of"),
        ("dtype=float8", "unknown dtype 'float8'"),
        ("batch_size=8,8", "two variations have the same name"),
    ],
)
def test_wrong_variations_are_refused_before_anything_trains(varied, message, fake, tmp_path):
    with pytest.raises(InputError, match=message):
        plan.plan(fake_task.fake_config(), listed(varied), [], tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_every_seed_has_its_folder(fake, tmp_path):
    runs = plan.plan(fake_task.fake_config(), plan.grid(["rates"], SWEEPS), [3, 4], tmp_path)
    assert [(run.setting.label, run.config.seed, run.config.schedule.learning_rate) for run in runs] == [
        ("0.001", 3, 1e-3), ("0.001", 4, 1e-3), ("0.1", 3, 0.1), ("0.1", 4, 0.1)
    ]  # fmt: skip
    assert [run.workdir for run in runs[:2]] == [tmp_path / "0.001" / "seed_3", tmp_path / "0.001" / "seed_4"]


def test_fields_that_follow_another_one_follow_it(fake, tmp_path):
    config = fake_task.fake_config()
    config.follows = config.get_ref("batch_size")
    runs = plan.plan(config, listed("batch_size=8,16"), [], tmp_path)
    assert [run.config.follows for run in runs] == [8, 16]
    assert config.follows == config.batch_size == 8


def test_a_sweep_trains_resumes_and_summarises(fake, tmp_path, capsys):
    config, folder = fake_task.fake_config(), tmp_path / "sweep"
    runs = plan.plan(config, plan.grid(["rates"], SWEEPS), [], folder)
    jobs = training.jobs(runs, in_one_step=False)
    training.train_jobs([(1, jobs[1])], len(jobs))
    assert training.unfinished(jobs) == [0]
    text = sweep.summarise(runs, folder, "test")
    assert "Without a result, 1 of 2 runs: 0.001." in text

    text = sweep.sweep(runs, jobs, folder, "test")
    assert [read_config(run.workdir).schedule.learning_rate for run in runs] == [1e-3, 0.1]
    summary = json.loads((folder / "sweep.json").read_text())
    assert summary["missing"] == []
    of = summary["variations"]
    answers = [comparison.answers(read_arrays(run.workdir / predictions_file("test"))) for run in runs]
    low, high = (answer.of["accuracy"].mean().mean() for answer in answers)
    assert low != high
    assert of["0.001"]["mean"]["accuracy"]["value"] == pytest.approx(low)
    assert of["0.1"]["against_first"]["accuracy"]["difference"]["value"] == pytest.approx(high - low)
    assert "against_first" not in of["0.001"]
    losses = {label: found["runs"][0]["validation_loss"]["value"] for label, found in of.items()}
    assert list(losses) == sorted(losses, key=losses.get)
    assert text in (folder / "sweep.md").read_text()
    assert (folder / "accuracy.png").stat().st_size > 1000
    with (folder / "sweep.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["variation"] for line in lines] == list(losses)
    assert [float(line["validation_loss"]) for line in lines] == pytest.approx(list(losses.values()))
    assert {line["schedule.learning_rate"] for line in lines} == {"0.001", "0.1"}

    capsys.readouterr()
    assert sweep.sweep(runs, jobs, folder, "test") == text
    assert capsys.readouterr().err.count("holds a finished run") == 2


def test_a_run_that_another_process_trains_is_left_to_it(fake, tmp_path, capsys):
    runs = plan.plan(fake_task.fake_config(), listed("batch_size=8"), [], tmp_path)
    with training.claimed(runs[0].workdir) as is_own:
        assert is_own
        training.train_jobs([(0, runs)], 1)
        assert training.unfinished([runs]) == [0]
        assert "left to the process that is training it" in capsys.readouterr().err
        with pytest.raises(InputError, match="no run has a result"):
            sweep.summarise(runs, tmp_path, "test")


def test_jobs_are_what_one_program_trains(fake, tmp_path):
    settings = plan.grid(["schedule.learning_rate=1e-3,1e-2", "batch_size=8,16"], {})
    runs = plan.plan(fake_task.fake_config(), settings, [0, 1], tmp_path)
    together = training.jobs(runs, in_one_step=True)
    assert [{run.config.batch_size for run in job} for job in together] == [{8}, {16}]
    assert [len(job) for job in together] == [4, 4]
    training.train_jobs([(0, together[0][:2])], 2)
    assert all((run.workdir / "results.json").exists() for run in together[0][:2])
    runs = plan.plan(fake_task.fake_config(), listed("kfold=2,3"), [], tmp_path)
    assert training.jobs(runs, in_one_step=True) == [[run] for run in runs] == training.jobs(runs, in_one_step=False)


def test_runs_are_judged_as_their_validation_records_tuned_them(tmp_path):
    config = diagnosis.get_config("labels=six")
    config.num_bootstrap = 0
    write_json(tmp_path / CONFIG, config.to_dict())
    ids, is_class = np.arange(60).astype(str), np.random.default_rng(0).uniform(size=(60, 6)) < 0.3
    found = {"record_ids": ids, "patient_ids": ids, "view": np.zeros(60, int), "targets": is_class.astype(np.int8),
             "loss": np.zeros(60), "class_names": np.array(SIX)}  # fmt: skip
    for split in ("validation", "test"):
        write_arrays(tmp_path / predictions_file(split), {**found, "scores": (0.2 + 0.1 * is_class).astype(np.float32)})
    write_json(tmp_path / RESULTS, {})
    run = Run(Setting("one", "", {}), config, tmp_path)
    ((of_run,),) = (variation.metrics for variation in summary.collect([run], "test"))
    assert of_run["macro_f1"].value == 1


def test_a_run_that_diverges_is_left_out(fake, tmp_path):
    config = fake_task.fake_config()
    config.optimizer.name, config.optimizer.clip_norm, config.num_steps = "sgd", 0.0, 8
    runs = plan.plan(config, listed("schedule.learning_rate=1e38"), [], tmp_path)
    training.train_jobs([(0, runs)], 1)
    assert training.unfinished([runs]) == [0]


def variation(label, seeds, runs, selected):
    found = {"loss": Metric(0.1, None, 20), "recall/V1": Metric(1.0, None, 20)}
    metrics = [Metric(value, (0.0, 1.0), 20) for value in selected]
    return Variation(Setting(label, label, {}), seeds, runs, [found] * len(seeds), metrics)


def test_seeds_are_averaged_and_their_spread_shown():
    runs = [comparison.answers(lead_predictions(20, ("V1", "V2"), seed)) for seed in range(4)]
    collected = [variation("a", [0, 1], runs[:2], [0.1, 0.3]), variation("b", [0, 1], runs[2:], [0.5, 0.4])]
    content, text, shown = summary.summarise(collected, "macro_f1", "max", num_bootstrap=20)
    alone = [run.of["lead_accuracy"].mean().mean() for run in runs]
    assert shown["b"]["lead_accuracy"].value == pytest.approx(np.mean(alone[2:]))
    assert f"{min(alone[:2]):.3f}, {max(alone[:2]):.3f}" in text
    assert list(content) == ["b", "a"]
    assert " 0.450 " in text
    assert "0.400, 0.500" in text
    assert content["a"]["runs"][1]["seed"] == 1
    assert content["a"]["runs"][1]["metrics"] == {"loss": Metric(0.1, None, 20).to_json()}
    assert len(content["b"]["against_first"]["set_accuracy"]["mcnemar"]) == 2


def test_what_is_undefined_comes_last():
    run = comparison.answers(lead_predictions(20, ("V1", "V2"), 0))
    collected = [variation(name, [0], [run], [value]) for name, value in (("a", np.nan), ("b", 0.2), ("c", 0.1))]
    for mode, order in (("min", "cba"), ("max", "bca")):
        assert [found.setting.label for found in summary.ranked(collected, mode)] == list(order)


def test_a_set_without_a_lead_of_the_first_is_shown_but_not_compared():
    one, other = (comparison.answers(lead_predictions(20, names, 0)) for names in (("V1", "V2"), ("I", "II")))
    collected = [variation("chest", [0], [one], [0.1]), variation("limb", [0], [other], [0.2])]
    content, text, _ = summary.summarise(collected, "loss", "min", num_bootstrap=20)
    assert content["limb"]["against_first"] == {}
    assert "Against" not in text
    assert "limb" in text


def test_processes_train_at_once_each_on_its_cores(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import os, pathlib, sys, time\n"
        "name = sys.argv[1].removeprefix('--only=')\n"
        "pathlib.Path(__file__).with_name(name).write_text(str(len(os.sched_getaffinity(0))))\n"
        "until = time.monotonic() + 60\n"
        "while name != '2' and not pathlib.Path(__file__).with_name('1').exists() and time.monotonic() < until:\n"
        "    time.sleep(0.01)\n"
        "sys.exit('broken' if name == '2' else 0)\n"
    )
    command, cores = [sys.executable, str(script)], os.sched_getaffinity(0)
    training.train_in_processes(command, [0, 1, 3], 2, tmp_path / "logs")
    shares = [int((tmp_path / name).read_text()) for name in "013"]
    assert all(share <= -(-len(cores) // 2) for share in shares) or len(cores) == 1
    assert os.sched_getaffinity(0) == cores
    with pytest.raises(InputError, match=r"run 2 ended with status 1: broken; see .*2\.txt"):
        training.train_in_processes(command, [2], 2, tmp_path / "logs")
