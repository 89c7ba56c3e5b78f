"""Draws recordings on ECG paper: twelve leads at 25 mm/s and 10 mm/mV, at true size when printed.

  ecgjax plot record.hea --output=record.pdf
  ecgjax plot folder --output=pictures --format=png --check

Exit status: 0; 1 where some of several files cannot be drawn; 2 for bad input.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from ecgjax.command import options, table
from ecgjax.command.check import judged
from ecgjax.command.inputs import Input, Inputs, find_inputs
from ecgjax.command.reading import read_all
from ecgjax.command.telling import Telling
from ecgjax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ecgjax plot`."""
    options.add_inputs(parser)
    options.add_judging(parser)
    options.add_talk(parser)
    options.add_output(parser, "the picture (.png, .pdf or .svg), or a folder for several", is_needed=True)
    parser.add_argument("--format", choices=("png", "pdf", "svg"), default="png", help="of pictures in a folder")
    parser.add_argument("--check", action="store_true", help="note on the picture what ecgjax check finds")


def run(args: argparse.Namespace) -> int:
    """Draws; returns the exit status."""
    from ecgjax.api.plot import ENDINGS, check_kind, plot  # noqa: PLC0415 - NumPy, which --help should not wait for

    found = find_inputs(args.inputs)
    is_file = args.output.suffix.lower() in ENDINGS or (args.output.suffix and found.is_single)
    if is_file:
        check_kind(args.output)
        if len(found.files) > 1:
            raise InputError(f"--output is the file {args.output} for several records", "give a folder")
    else:
        options.check_outside(args.output, args.inputs)
    telling = Telling(found, args, ())
    for one, record in table.with_progress(_records(found, args), len(found.files), args.quiet):
        path = args.output if is_file else args.output / f"{one.name}.{args.format}"
        try:
            if isinstance(record, InputError):
                raise record
            options.output_folder(path.parent)
            plot(record, path)
        except InputError as error:
            telling.failed(one, error)
        else:
            telling.done(one, {"picture": str(path)}, str(path))
    return telling.end()


def _records(found: Inputs, args: argparse.Namespace) -> Iterator[tuple[Input, Any]]:
    """Recordings, with --check as they were judged, or why there is none."""
    if args.check:
        yield from judged(found, args)
        return
    for read in read_all(found.files, options.stated_of(args)):
        yield read.input, read.recording
