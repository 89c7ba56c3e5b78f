import importlib
import os
import signal
from pathlib import Path

import commands
import pytest
from fake_task import fake_config, fake_load

from configs import common
from ecgjax import cli, main, train
from ecgjax.cli import set_field
from ecgjax.errors import InputError

ROOT = Path(__file__).parent.parent

CONFIG_FILE = '''
"""A config for tests."""
from configs import common


def get_config(args=""):
    config = common.base()
    config.task = "fake"
    config.widths = (8, 8)
    common.parse_args(config, args, {"lr": "schedule.learning_rate"})
    return config
'''


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "fake.py"
    path.write_text(CONFIG_FILE)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no --config is given; use --config=FILE with "),
        (["--config=nowhere.py"], "there is no config file 'nowhere.py'; use "),
        (["--config={}:ptb"], "unknown argument 'ptb' after the config file; use simulated, ptbxl.*smoke, lr=..."),
        (["--config={}:ptbxl/250hz"], "unknown variant '250hz' of ptbxl; use one of 100hz, 500hz"),
        (["--config={}:lr=fast"], "config.schedule.learning_rate is 'fast'; give a value of type float"),
        (["--config={}", "--config.bach_size=8"], "config has no field 'bach_size'; its fields are batch_size, .*"),
        (
            ["--config={}", "--config.data.nam=x"],
            "config.data has no field 'nam'; its fields are batches_ahead, crop_s, dir, fold, ",
        ),
        (["--config={}", "--config.seed.x=1"], "config.seed has no field 'x'; its fields are none"),
        (["--config={}", "--config.batch_size=many"], "config.batch_size is 'many'; give a value of type int"),
        (["--config={}", "--config.data=x"], "config.data is a group of fields; set one of them"),
    ],
)
def test_wrong_command_lines_are_explained(arguments, message, config_file):
    with pytest.raises(InputError, match=message):
        main.explain(["main.py", *(argument.format(config_file) for argument in arguments)])


def test_right_command_lines_need_no_explanation(config_file):
    arguments = [f"--config={config_file}:smoke", "--config.batch_size=8", "--config.ema_decay=1"]
    assert main.explain(["main.py", *arguments]) is None


def test_command_ends_with_one_line_and_status_2(config_file, tmp_path):
    for wrong, message in (
        ("--config.bach_size=8", "error: config has no field 'bach_size'; its fields are "),
        ("--config.task=unknown", "error: unknown task 'unknown'; use one of "),
    ):
        done = commands.run("-m", "ecgjax.main", f"--config={config_file}", f"--workdir={tmp_path / 'run'}", wrong)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith(message)
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_diverging_run_ends_with_status_3(monkeypatch, capsys, tmp_path):
    def diverge(config, workdir):
        raise train.DivergedError("loss not finite at step 7")

    monkeypatch.setattr(train, "train_and_evaluate", diverge)
    with pytest.raises(SystemExit) as ended:
        main.run(fake_config(), tmp_path)
    assert ended.value.code == 3
    assert capsys.readouterr().err == "error: loss not finite at step 7\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_outside_of_training_end_the_run(number, monkeypatch, capsys, tmp_path):
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    monkeypatch.setattr(train, "train_and_evaluate", lambda config, workdir: os.kill(os.getpid(), number))
    main.run(fake_config(), tmp_path)
    assert capsys.readouterr().err == f"stopped by {number.name}; the same command resumes\n"
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_arguments_after_the_config_file():
    config = common.base()
    assert not common.parse_args(config, "ptbxl/500hz,lr=0.5,seed=3", {"lr": "schedule.learning_rate", "seed": "seed"})
    assert (config.data.name, config.data.variant) == ("ptbxl", "500hz")
    assert (config.schedule.learning_rate, config.seed) == (0.5, 3)
    common.parse_args(config, "ptbxl", {})
    assert config.data.variant == "100hz"
    config = common.base()
    assert common.parse_args(config, "smoke,simulated", {})
    assert (config.data.name, config.data.variant) == ("simulated", "smoke")
    assert config.num_steps <= 20


def test_fields_are_read_as_the_type_that_they_have():
    config = common.base()
    config.is_on, config.widths = False, (8, 8)
    for path, text in (("is_on", "true"), ("widths", "(1, 2, 3)"), ("ema_decay", "1"), ("data.name", "12")):
        set_field(config, path, text)
    assert config.is_on is True
    assert config.widths == (1, 2, 3)
    assert isinstance(config.ema_decay, float)
    assert config.data.name == "12"
    with pytest.raises(InputError, match=r"config.seed is '1.5'; give a value of type int"):
        set_field(config, "seed", "1.5")


def test_every_common_option_has_a_comment():
    source = (ROOT / "configs" / "common.py").read_text().split("def base()")[1].split("return config")[0]
    options = [line for line in source.splitlines() if line.startswith("    config.") and "= ConfigDict()" not in line]
    assert len(options) > 30
    assert [line for line in options if "#" not in line] == []


def test_script_scores_a_run_again(fake, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = importlib.import_module("evaluate")
    config = fake_config()
    config.kfold, config.num_steps = 2, 4
    results = train.train_and_evaluate(config, tmp_path)
    monkeypatch.setattr(script, "load", fake_load)
    again = script.score(tmp_path, "test", None, None)
    assert again["metrics"] == results["metrics"]
    (tmp_path / "predictions_validation.npz").unlink()
    assert script.score(tmp_path, "test", None, None)["metrics"] == results["metrics"]
    assert script.score(tmp_path, "validation", "other/variant", "elsewhere")["n_records"] == 13
    with pytest.raises(InputError, match=r"there is no .*config.json; give the --workdir of a run"):
        script.score(tmp_path / "nowhere", "test", None, None)


def test_script_ends_with_one_line_and_status_2(tmp_path):
    done = commands.run("scripts/evaluate.py", f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert done.stderr == f"error: there is no {tmp_path}/config.json; give the --workdir of a run\n"


def test_an_option_that_a_config_lacks_is_told_on_one_line(monkeypatch, capsys):
    monkeypatch.setattr(cli.app, "run", lambda main, flags_parser: main([]))
    with pytest.raises(SystemExit) as ended:
        cli.run(lambda: fake_config().evaluation.overlap)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: the config lacks the option 'overlap'; add it as configs/ describes it")
    assert said.count("\n") == 1
    with pytest.raises(AttributeError, match="overlap"):
        cli.run(lambda: cli.overlap)
