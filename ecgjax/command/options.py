"""Options that commands share."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ecgjax.errors import InputError
from ecgjax.recordings.contents import Stated

BUNDLED = "bundled"
"""As `ecgjax.bundled` has it, which brings JAX."""


def add_inputs(parser: argparse.ArgumentParser, what: str = "recording") -> None:
    """What is to be read, and what files without statements leave open."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE",
        help=f"a {what}, a folder of them, or a pattern such as 'a/*.hea'",
    )
    group = parser.add_argument_group("of files that do not say so themselves")
    group.add_argument("--fs_hz", type=positive, metavar="HZ", help="the rate")
    group.add_argument("--units", metavar="UNIT", help="of the samples: V, mV, uV or nV")
    group.add_argument("--lead_names", type=names, metavar="I,II,...", help="of the columns, in their order")
    group.add_argument("--member", metavar="NAME", help="the variable or dataset; NAME[3] is one record of an array")


def stated_of(args: argparse.Namespace) -> Stated:
    """What the command line says of the files."""
    return Stated(args.fs_hz, args.units, args.lead_names, args.member)


def add_talk(parser: argparse.ArgumentParser) -> None:
    """How a command talks."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout, and nothing else there")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary, no lines on what is right")


def add_workdir(parser: argparse.ArgumentParser, of_what: str) -> None:
    """The network to be used."""
    parser.add_argument(
        "--workdir", default=BUNDLED, metavar="RUN", help=f"folder of a trained run {of_what}, or '{BUNDLED}' (default)"
    )


def add_judging(parser: argparse.ArgumentParser) -> None:
    """By which network and from which probability the placement of electrodes is judged."""
    add_workdir(parser, "of configs/reversal.py")
    parser.add_argument(
        "--prevalence", type=_share, metavar="P", help="share of records that are expected to be wired wrongly"
    )
    parser.add_argument("--threshold", type=_share, metavar="P", help="probability from which a verdict is given")


def judging_of(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `ecgjax.check` that the command line states; for others its own defaults hold."""
    stated = {name: getattr(args, name) for name in ("workdir", "prevalence", "threshold")}
    return {name: value for name, value in stated.items() if value is not None}


def add_output(parser: argparse.ArgumentParser, what: str, is_needed: bool) -> None:
    """Where to write."""
    parser.add_argument(
        "--output", type=Path, required=is_needed, metavar="PATH", help=f"{what}; nothing is overwritten"
    )


def output_folder(path: Path) -> Path:
    """The folder, made if it is not there.

    Raises:
      InputError: it cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {path} ({error.strerror})", "give another --output") from None
    return path


def _number(text: str, fits: Callable[[float], bool], wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not fits(value):
        raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
    return value


def positive(text: str) -> float:
    """Of an option that is a number above 0."""
    return _number(text, lambda value: 0 < value < float("inf"), "a number above 0")


def _share(text: str) -> float:
    return _number(text, lambda value: 0 <= value <= 1, "a number between 0 and 1")


def names(text: str) -> tuple[str, ...]:
    """Of an option that is a list."""
    return tuple(name.strip() for name in text.split(","))


def check_outside(output: Path, inputs: Sequence[str]) -> None:
    """Raises InputError where `output` lies in a folder of inputs: a second run would take it for input."""
    for text in inputs:
        source = Path(text)
        if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
            raise InputError(f"the output folder {output} lies in {source}", "give an --output outside of it")
