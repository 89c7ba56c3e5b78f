"""Tables of config fields: their values from the configs as they load, their meaning from the comments beside them."""

import functools
import importlib
import io
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from ml_collections import ConfigDict

from configs import common

Field = tuple[Any, str]
"""Value and meaning."""


def common_table(_: str) -> str:
    """Every field that all tasks share."""
    return _table(_fields(common.base))


def task_table(task: str) -> str:
    """What the config of a task changes and adds, and what may follow its colon."""
    module = importlib.import_module(f"configs.{task}")
    arguments: dict[str, str] = {}

    def noting(config: ConfigDict, arg_string: str, shorthands: dict[str, str]) -> bool:
        arguments.update(shorthands)
        return parse_args(config, arg_string, shorthands)

    parse_args = common.parse_args
    with mock.patch.object(common, "parse_args", noting):
        fields = _fields(module.get_config)
    shared = _fields(common.base)
    given = [f"`{key}=` (`{field}`)" for key, field in arguments.items()]
    changed = [f"`{name}={_shown(fields[name][0])}`" for name in shared if fields[name][0] != shared[name][0]]
    return "\n\n".join(
        [
            f"After the colon: a dataset, `smoke`, {', '.join(given)}.",
            f"Differs from the above: {', '.join(changed)}.",
            _table({name: field for name, field in fields.items() if name not in shared}),
        ]
    )


def dataset_table(_: str) -> str:
    """Names of datasets and their variants."""
    rows = ["| dataset | variants, the default first |", "|---|---|"]
    rows += [
        f"| `{name}` | {', '.join(f'`{one}`' for one in variants)} |" for name, variants in common.DATASETS.items()
    ]
    return "\n".join(rows)


def _fields(make: Callable[[], ConfigDict]) -> dict[str, Field]:
    """Dotted name -> value of each field of the config that `make` makes, and the comment where it was set."""
    notes: dict[tuple[int, str], str] = {}
    assign = ConfigDict.__setattr__

    def noting(config: ConfigDict, name: str, value: Any) -> None:
        frame = sys._getframe(1)
        if comment := _comments(frame.f_code.co_filename).get(frame.f_lineno):
            notes.setdefault((id(config), name), comment)
        assign(config, name, value)

    with mock.patch.object(ConfigDict, "__setattr__", noting):
        config = make()

    def walk(group: ConfigDict, prefix: str) -> Iterator[tuple[str, Field]]:
        for name, value in group.items():
            if isinstance(value, ConfigDict):
                yield from walk(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", (value, notes.get((id(group), name), ""))

    return dict(walk(config, ""))


@functools.cache
def _comments(path: str) -> dict[int, str]:
    """Line -> comment at its end."""
    tokens = tokenize.generate_tokens(io.StringIO(Path(path).read_text()).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _table(fields: dict[str, Field]) -> str:
    rows = ["| field | default | meaning |", "|---|---|---|"]
    rows += [
        f"| `{name}` | `{_shown(value)}` | {meaning.replace('|', '&#124;')} |"
        for name, (value, meaning) in fields.items()
    ]
    return "\n".join(rows)


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, float) else f"{value:g}"
    return text if len(text) < 60 else f"{text[:56]} ..."
