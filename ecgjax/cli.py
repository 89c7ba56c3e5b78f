"""What commands share: overrides of config fields, and errors on one line."""

import ast
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict

from ecgjax.errors import InputError
from ecgjax.memory import keep_freed_memory
from ecgjax.options import missing_option

BAD_INPUT = 2
"""Exit status for input that the user can put right."""

_BEFORE_FAILURE: list[Callable[[BaseException], None]] = []


def fail(message: str, status: int = BAD_INPUT) -> NoReturn:
    """Ends the program with `message` on one line of stderr."""
    print("error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)


def before_failure(act: Callable[[BaseException], None]) -> None:
    """Has `act` called with what is going to end the program with a status other than 0."""
    _BEFORE_FAILURE.append(act)


@contextlib.contextmanager
def told_failures() -> Iterator[None]:
    """Within it failures are told to what was given to `before_failure`."""
    try:
        yield
    except BaseException as error:
        if not (isinstance(error, SystemExit) and not error.code):
            for act in _BEFORE_FAILURE:
                act(error)
        raise


def check_outside(output: Path, source: Path) -> None:
    """Raises InputError where `output` lies in the folder `source`: a second run would take it for input."""
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"the output folder {output} lies in {source}", "give an --output outside of it")


def run(main: Callable[[], None], explain: Callable[[list[str]], None] | None = None) -> NoReturn:
    """Parses the flags and calls `main`; bad input and wrong flags end the program on one line, with status 2.

    `explain` may raise an InputError that says more about command lines which absl refuses.
    """

    keep_freed_memory()

    def parse(argv: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(argv)
        except Exception as error:  # config_flags lets errors of many kinds through.
            try:
                if explain is not None:
                    explain(argv)
            except InputError as explained:
                fail(str(explained))
            fail(str(error))
        if rest[1:]:
            fail(f"unexpected argument {rest[1]!r}; give options as --NAME=VALUE")
        return rest

    def call(argv: list[str]) -> None:
        del argv
        # Unless asked for, absl's and Orbax's notes would bury what the run has to say.
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            main()
        except InputError as error:
            fail(str(error))
        except AttributeError as error:
            if not isinstance(error.obj, ConfigDict):
                raise
            fail(str(missing_option(error.name)))

    with told_failures():
        app.run(call, flags_parser=parse)


def set_field(config: ConfigDict, path: str, text: str) -> None:
    """Sets the field at the dotted `path` to `text`, read as the type that the field has."""
    parent, node, walked = config, config, "config"
    for name in path.split("."):
        if not isinstance(node, ConfigDict) or name not in node:
            fields = ", ".join(sorted(node)) if isinstance(node, ConfigDict) else "none"
            raise InputError(f"{walked} has no field {name!r}", f"its fields are {fields}")
        parent, node, walked = node, node[name], f"{walked}.{name}"
    parent[name] = _read(text, type(node), walked)


def _read(text: str, kind: type, path: str) -> Any:
    """`text` as a value of the type `kind`."""
    if kind is str:
        return text
    if kind is ConfigDict:
        raise InputError(f"{path} is a group of fields", f"set one of them, {path}.FIELD={text}")
    try:
        value = {"true": True, "false": False}.get(text.lower()) if kind is bool else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise InputError(f"{path} is {text!r}", f"give a value of type {kind.__name__}")
    return value
