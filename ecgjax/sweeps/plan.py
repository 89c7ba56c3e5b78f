"""The runs of a sweep: a grid of values, or draws from a random space, each with several seeds."""

import copy
import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from ecgjax import cli, experiment
from ecgjax.errors import InputError
from ecgjax.workdir import check_workdir

DISTRIBUTIONS = "uniform(LOW,HIGH), log(LOW,HIGH) or choice(VALUE,VALUE,...)"

# Commas within brackets belong to a value.
_COMMA = re.compile(r",(?![^(\[]*[)\]])")


@dataclasses.dataclass(frozen=True)
class Setting:
    """Fields of the config and their values as text; `folder` is where their runs lie."""

    label: str
    folder: str
    fields: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Run:
    """One setting with one seed."""

    setting: Setting
    config: ConfigDict
    workdir: Path


def grid(varied: Sequence[str], sweeps: Mapping[str, tuple]) -> list[Setting]:
    """Every combination of the values of each flag --vary, the last one varying fastest.

    A flag is `FIELD=VALUE,VALUE,...` or a name in the SWEEPS of the config file, which has for each a field, its
    values, and where all runs need more than the config has, a mapping of that.

    Raises:
      InputError: there is no such name, or a field varies twice.
    """
    fixed: dict[str, str] = {}
    axes: dict[str, list[str]] = {}
    for vary in varied:
        field, values, more = _axis(vary, sweeps)
        if field in axes:
            raise InputError(f"{field} varies twice", "give all its values in one --vary")
        axes[field] = values
        fixed |= more
    settings = []
    for chosen in itertools.product(*axes.values()):
        fields = dict(zip(axes, chosen, strict=True))
        # One field needs no name: the sweep is about it.
        label = chosen[0] if len(fields) == 1 else describe(fields)
        settings.append(Setting(label, _folder_name(label), {**fixed, **fields}))
    return settings


def _axis(vary: str, sweeps: Mapping[str, tuple]) -> tuple[str, list[str], dict[str, str]]:
    """Field, values, and what else all runs need."""
    field, equals, listed = vary.partition("=")
    if equals:
        return field.strip(), [value.strip() for value in _COMMA.split(listed)], {}
    if vary not in sweeps:
        raise InputError(f"unknown sweep {vary!r}", f"use {', '.join(['FIELD=VALUE,VALUE,...', *sweeps])}")
    field, chosen, *more = sweeps[vary]
    return field, [str(value) for value in chosen], {name: str(v) for name, v in more[0].items()} if more else {}


def random_space(space: str, num_runs: int, seed: int, config: ConfigDict) -> list[Setting]:
    """`num_runs` draws from `FIELD=DISTRIBUTION;FIELD=DISTRIBUTION...`; whole numbers where `config` has such.

    A draw follows from `seed` and its number alone, so that a longer sweep begins with the runs of a shorter one.

    Raises:
      InputError: a distribution is none of DISTRIBUTIONS.
    """
    parts = [part.partition("=") for part in filter(None, map(str.strip, space.split(";")))]
    fields = {field.strip(): text.strip() for field, _, text in parts}
    if not parts or len(fields) < len(parts):
        raise InputError(f"--random={space!r} names no field, or one twice", "give FIELD=DISTRIBUTION;...")
    settings = []
    for number in range(num_runs):
        rng = np.random.default_rng([seed, number])
        drawn = {field: _drawn(field, text, rng, config) for field, text in fields.items()}
        settings.append(Setting(f"{number}: {describe(drawn)}", f"run_{number:03d}", drawn))
    return settings


def _drawn(field: str, text: str, rng: np.random.Generator, config: ConfigDict) -> str:
    call = re.fullmatch(r"(uniform|log|choice)\((.+)\)", text)
    if call is None:
        raise InputError(f"--random has {field}={text!r}", f"give {DISTRIBUTIONS}")
    name, values = call[1], [value.strip() for value in _COMMA.split(call[2])]
    if name == "choice":
        return values[rng.integers(len(values))]
    try:
        low, high = map(float, values)
    except ValueError as error:
        raise InputError(f"--random has {field}={text!r}", f"give {name} two numbers") from error
    if not (math.isfinite(low) and low < high < math.inf and (name == "uniform" or low > 0)):
        raise InputError(f"--random has {field}={text!r}", f"give {DISTRIBUTIONS}, LOW below HIGH, for log above 0")
    if isinstance(_value(config, field), int):
        # Each number from LOW to HIGH, these included, has its share of the line.
        low, high = low - 0.5, high + 0.5
    position = rng.uniform()
    value = low + (high - low) * position if name == "uniform" else low * (high / low) ** position
    return str(round(value)) if isinstance(_value(config, field), int) else f"{value:.6g}"


def _value(config: ConfigDict, field: str) -> object:
    """The field's value; None where there is none, which is told when it is set."""
    return functools.reduce(lambda node, name: node.get(name) if isinstance(node, ConfigDict) else None,
                            field.split("."), config)  # fmt: skip


def describe(fields: Mapping[str, str]) -> str:
    """`learning_rate=0.01, name=adam`: fields by the last part of their names where that tells them apart."""
    short = [field.rpartition(".")[2] for field in fields]
    names = [name if short.count(name) == 1 else field for name, field in zip(short, fields, strict=True)]
    return ", ".join(f"{name}={value}" for name, value in zip(names, fields.values(), strict=True))


def _folder_name(label: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", label)


def plan(config: ConfigDict, settings: Iterable[Setting], seeds: Sequence[int], workdir: Path) -> list[Run]:
    """Every run of a sweep, checked as far as that is possible before training; no `seeds` keeps that of `config`."""
    runs = []
    chosen: list[int | None] = [*seeds] or [None]
    for setting in settings:
        folder = workdir / setting.folder
        for seed in chosen:
            # Not resolved yet: a field may be a reference to the one that varies.
            own = copy.deepcopy(config)
            for path, text in setting.fields.items():
                cli.set_field(own, path, text)
            if seed is not None:
                own.seed = seed
            own = own.copy_and_resolve_references()
            runs.append(Run(setting, own, folder if seed is None else folder / f"seed_{seed}"))
    folders = [run.workdir for run in runs]
    if len(set(folders)) < len(folders):
        raise InputError("two variations have the same name", "give each value and seed once")
    for run in runs:
        experiment.check(run.config)
        check_workdir(run.workdir, run.config)
    return runs
