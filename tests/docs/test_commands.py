"""Every command in the README and in docs/ is one that the programs take."""

import argparse
import functools
import importlib
import importlib.util
import itertools
import re
import tomllib
from pathlib import Path
from types import ModuleType

import documented
import pytest
from documented import FOLLOWED, PAGES, ROOT, Command
from ml_collections import ConfigDict
from program_options import MODULES, needed, options_of, programs

from ecgjax import experiment
from ecgjax.cli import set_field
from ecgjax.command import main
from ecgjax.errors import InputError
from ecgjax.main import explain
from ecgjax.sweeps import plan

CONFIGS = [path for path in sorted((ROOT / "configs").glob("*.py")) if "def get_config" in path.read_text()]
OPEN = re.compile(r"\.\.\.|\b[A-Z][A-Z0-9_]+\b")
"""What the reader is to fill in."""


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in FOLLOWED], ids=lambda page: str(page.relative_to(ROOT))
)
def test_commands_of_a_page_are_understood(page):
    wrong = []
    for command in documented.commands(page):
        try:
            check(command)
        except (InputError, AssertionError) as error:
            wrong.append(f"{command.page}:{command.line}: {command}\n    {error}")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("python -m ecgjax.main --config=configs/reversal.py:ptbxxl", "unknown argument 'ptbxxl'"),
        ("python -m ecgjax.main --config=configs/reversal.py --config.bach=8", "no field 'bach'"),
        ("python -m ecgjax.main --config=configs/reversal.py:model=resnet", "unknown model.name 'resnet'"),
        ("python -m ecgjax.main --config=configs/reversal.py --work=x", "no option --work"),
        ("python scripts/evaluate.py --workdir=RUN --splt=test", "no option --splt"),
        ("python scripts/evaluate.py --workdir=RUN --split=tests", "--split takes train, validation, test, all"),
        ("python scripts/benchmark.py --batch_size=3", "no option --batch_size"),
        ("python scripts/evaluate.py --split=test", "needs --workdir"),
        ("python scripts/profile_step.py", "needs --config"),
        ("python scripts/gone.py", "no file scripts/gone.py"),
        ("python scripts/sweep.py --config=configs/lead_id.py --vary=lead_setz", "unknown sweep 'lead_setz'"),
        ("python scripts/sweep.py --config=configs/age.py --vary=model.name=beat_net,x", "unknown model.name 'x'"),
        ("python -m data_prep --dataset=ptbxxl", "unknown dataset 'ptbxxl'"),
        ("python -m data_prep --dataset=ptbxl/250hz", "unknown variant '250hz'"),
        ("ecgjax chekc REC.hea", "no command chekc"),
        ("ecgjax check REC.hea --jsn", "no option --jsn"),
        ("pip install -e .[tests]", "no extra tests"),
        ("pytest tests/test_gone.py", "no file tests/test_gone.py"),
        ("rm -rf runs", "no way to check"),
        ("--config.data.nam=x", "has a field --config.data.nam"),
        ("--splitt=test", "no program takes"),
    ],
)
def test_wrong_commands_are_found(words, problem):
    with pytest.raises((InputError, AssertionError), match=re.escape(problem)):
        check(Command("page", 1, tuple(words.split()), is_whole=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_arguments_after_the_colon_are_known(page):
    """Those of tables headed "after the colon" suit a config that the section names, or, if it names none, the page."""
    for line, text in documented.sections(page):
        if "| after the colon |" not in text:
            continue
        of_section, of_page = (
            [path for path in CONFIGS if f"configs/{path.name}" in part] for part in (text, page.read_text())
        )
        named = of_section or of_page
        assert named, f"{page.name}:{line} names no config"
        for row in text.partition("| after the colon |")[2].splitlines()[2:]:
            key = ""
            for argument in re.findall(r"`([^`]+)`", row.split("|")[1] if row.startswith("|") else ""):
                key = argument.partition("=")[0] if "=" in argument else key
                spellings = [argument, f"{key}={argument}"]
                assert any(_is_known(path, one) for path in named for one in spellings), f"{page.name}: {argument}"


def check(command: Command) -> None:
    """Raises AssertionError or InputError where a program would not take `command`."""
    first, *rest = command.words
    if first.startswith("--"):
        for option in command.words:
            _check_mention(option)
    elif first == "python":
        _check_python(rest, command.is_whole)
    elif first == "ecgjax":
        _check_ecgjax(rest)
    elif first == "mpirun":
        check(Command(command.page, command.line, command.words[command.words.index("python") :], command.is_whole))
    elif first == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for extra in re.findall(r"\[(\w+)\]", " ".join(rest)):
            assert extra in extras, f"no extra {extra}; there are {', '.join(extras)}"
    elif first in documented.PROGRAMS:
        for file in (word for word in rest if re.match(r"[\w/]+\.\w+$", word)):
            assert (ROOT / file).is_file(), f"no file {file}"
    else:
        raise AssertionError(f"no way to check {first}")


def _check_python(words: list[str], is_whole: bool) -> None:
    if words[0] == "-m" and words[1] not in MODULES:
        assert importlib.util.find_spec(words[1]), f"no module {words[1]}"
        return
    if words[0] == "-m":
        program, given = MODULES[words[1]], words[2:]
    else:
        program, given = words[0], words[1:]
    if OPEN.search(program):
        return
    assert (ROOT / program).is_file(), f"no file {program}"
    known = options_of(program)
    config = [word for word in given if word.startswith(("--config=", "--config."))]
    for option in set(given) - set(config) - {"...", "--help"}:
        name, equals, value = option.partition("=")
        assert name.startswith("--"), f"{option} is no option"
        assert name[2:] in known, f"{program} has no option {name}; it has {', '.join(sorted(known))}"
        choices = known[name[2:]]
        assert not (equals and choices and value not in choices), f"{name} takes {', '.join(choices)}, not {value}"
    if is_whole and not {"...", "--help"} & set(given):
        named = {option.partition("=")[0][2:] for option in given}
        missing = set(needed(program)) - named
        assert not missing, f"{program} needs --{', --'.join(sorted(missing))}"
        assert "config" not in known or named & {"config", "workdir"}, f"{program} needs --config"
    if config:
        assert "config" in known, f"{program} takes no --config"
        _check_config(config)
    if program.startswith("data_prep") and (dataset := _value("--dataset", given)):
        from data_prep.prepare import check_variant, find_builder  # noqa: PLC0415 - TFDS takes a second

        name, _, variant = dataset.partition("/")
        if OPEN.search(name):
            return
        check_variant(find_builder(name), variant)
    if "vary" in known and is_whole:
        _check_sweep(given)


def _check_config(options: list[str]) -> None:
    """The config takes the arguments and fields, and the run could begin."""
    if OPEN.search(options[0].removeprefix("--config=").partition(":")[0]):
        return
    explain(["main.py", *options])
    config = _loaded(options[0].removeprefix("--config="))
    for option in options[1:]:
        name, _, value = option.removeprefix("--config.").partition("=")
        set_field(config, name, value)
    experiment.check(config)


def _check_sweep(given: list[str]) -> None:
    """Its settings can be made, and every run could begin."""
    path = _value("--config", given)
    config = _loaded(path)
    if space := _value("--random", given):
        settings = plan.random_space(space, 2, 0, config)
    else:
        vary = [word.partition("=")[2] for word in given if word.startswith("--vary=")]
        settings = plan.grid(vary, getattr(_config_file(path), "SWEEPS", {}))
    for run in plan.plan(config, settings, [], Path("nowhere")):
        experiment.check(run.config)


def _check_ecgjax(words: list[str]) -> None:
    if not words or words == ["--version"] or OPEN.search(words[0]):
        return
    assert words[0] in main.COMMANDS, f"ecgjax has no command {words[0]}; it has {', '.join(main.COMMANDS)}"
    try:
        _, unknown = _parser(words[0]).parse_known_args(words[1:])
    except (argparse.ArgumentError, SystemExit) as error:
        raise AssertionError(f"ecgjax {words[0]} does not take this: {error}") from error
    assert not unknown, f"ecgjax {words[0]} has no option {unknown[0]}"


@functools.cache
def _parser(command: str) -> argparse.ArgumentParser:
    parser = main.Parser(prog=f"ecgjax {command}", exit_on_error=False, allow_abbrev=False)
    importlib.import_module(main.COMMANDS[command][1]).add_arguments(parser)
    return parser


def _options_of_command(command: str) -> set[str]:
    return {option for action in _parser(command)._actions for option in action.option_strings}


def _check_mention(option: str) -> None:
    """An option that the text speaks of is that of a config or of a program."""
    name, _, value = option.partition("=")
    if OPEN.search(name):
        return
    if name.startswith("--config."):
        fits = []
        for path in CONFIGS:
            try:
                set_field(_loaded(f"configs/{path.name}"), name.removeprefix("--config."), value or "0")
                fits.append(path)
            except InputError as error:
                if "has no field" not in str(error) and not value:
                    fits.append(path)
        assert fits, f"no config has a field {name} for this"
        return
    takers = [program for program in programs() if name[2:] in options_of(program)]
    assert takers or any(name in _options_of_command(one) for one in main.COMMANDS), f"no program takes {name}"


def _is_known(path: Path, argument: str) -> bool:
    """Whether a config takes `argument` after the colon; one that ends with = or ... leaves the value open."""
    try:
        experiment.check(_loaded(f"configs/{path.name}:{argument}"))
    except InputError as error:
        is_open = argument.endswith("=") or argument == "..."
        return is_open and ("unknown argument" not in str(error) or argument == "...")
    return True


def _loaded(config: str) -> ConfigDict:
    return _config_file(config).get_config(config.partition(":")[2])


def _config_file(config: str) -> ModuleType:
    return importlib.import_module(f"configs.{Path(config.partition(':')[0]).stem}")


def _value(name: str, given: list[str]) -> str:
    return next((word.partition("=")[2] for word in given if word.startswith(f"{name}=")), "")


def test_every_shipped_script_is_documented():
    told = set(itertools.chain.from_iterable(command.words for page in PAGES for command in documented.commands(page)))
    unknown = [program for program in programs() if program.startswith("scripts/") and program not in told]
    assert not unknown
