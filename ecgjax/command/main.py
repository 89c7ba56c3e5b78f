"""The installed program: ecgjax COMMAND.

Exit status: 0 all right, 1 something is wrong with a record or could not be read, 2 bad input (one line on stderr).
"""

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ecgjax.errors import InputError
from ecgjax.options import missing_option

RIGHT, WRONG, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
"""Exit status; the last two as shells count programs that a signal ended."""

DEBUG = "ECGJAX_DEBUG"
"""Environment variable with which errors are shown as Python has them."""

COMMANDS = {
    "check": ("is it recorded right: electrodes, leads, gain, noise", "ecgjax.command.check"),
    "repair": ("write what was wired wrongly as it should be", "ecgjax.command.repair"),
    "predict": ("what a trained network makes of it", "ecgjax.command.predict"),
    "reconstruct": ("twelve leads from fewer", "ecgjax.command.reconstruct"),
    "digitize": ("pictures and PDF pages to recordings", "ecgjax.command.digitize"),
    "plot": ("draw it on ECG paper", "ecgjax.command.plot"),
    "info": ("what a file holds and what was assumed", "ecgjax.command.info"),
    "serve": ("a local page that checks what is dropped on it", "ecgjax.serve"),
}
"""Command -> what it does, and its module with `add_arguments(parser)` and `run(args) -> exit status`."""


class Parser(argparse.ArgumentParser):
    """One whose complaints take one line."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {' '.join(message.split())}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(BAD_INPUT)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line (without the program's name; that of the process by default) and returns its status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files need not be text in any encoding.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else BAD_INPUT
    except BrokenPipeError:
        # What is still buffered would be complained about at the end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = BROKEN_PIPE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    except Exception as error:
        if DEBUG in os.environ:
            raise
        status = _failed(_in_words(error))
    return status


def _in_words(error: Exception) -> str:
    """What to say of an error."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}; give another path"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; give fewer or shorter recordings"
    if isinstance(error, AttributeError) and "ml_collections" in type(error.obj).__module__:
        return str(missing_option(error.name))
    said = f"{type(error).__name__}: {str(error)[:200]}"
    return f"ecgjax does not know how to go on ({said}); report it with the file, {DEBUG}=1 shows where"


def _run(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        name = argv[0]
        module = importlib.import_module(COMMANDS[name][1])
        parser = Parser(
            prog=f"ecgjax {name}",
            description=module.__doc__,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(parser)
        status: int = module.run(parser.parse_args([_with_underscores(one) for one in argv[1:]]))
        return status
    parser = Parser(
        prog="ecgjax",
        usage="ecgjax COMMAND [options] FILE...",
        description="Electrocardiograms: check, repair, predict.",
        epilog="ecgjax COMMAND --help tells more. Not a medical device.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    group = parser.add_argument_group("commands")
    for name, (what, _) in COMMANDS.items():
        group.add_argument(name, nargs="?", help=what)
    if not argv:
        parser.print_help(sys.stderr)
        return BAD_INPUT
    if argv == ["--version"]:
        from importlib.metadata import version  # noqa: PLC0415 - only this needs it

        print(f"ecgjax {version('ecgjax')}")
        return RIGHT
    if argv[0] in ("-h", "--help"):
        parser.print_help()
        return RIGHT
    return _failed(f"unknown command {argv[0]!r}; use one of {', '.join(COMMANDS)}")


def _with_underscores(argument: str) -> str:
    """`--lead-names=a-b` -> `--lead_names=a-b`: both are understood."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _failed(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return BAD_INPUT
