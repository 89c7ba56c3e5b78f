"""Rebuilds the leads that a recording lacks, and writes all twelve as a WFDB record.

  ecgjax reconstruct holter.hea --output=twelve
  ecgjax reconstruct record.hea --workdir=runs/reconstruction --given=I,II,V2 --output=twelve --csv

Leads that follow from those that are there come from algebra; the others are a network's estimate and no recording.
Comments in the header say which is which. python scripts/reconstruct.py adds to a WFDB record without touching it, and
draws hearts.
Exit status: 0; 1 where some of several files cannot be completed; 2 for bad input.
"""

import argparse
from pathlib import Path

from ecgjax.command import options, table
from ecgjax.command.inputs import find_inputs
from ecgjax.command.reading import read_all
from ecgjax.command.telling import Telling
from ecgjax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ecgjax reconstruct`."""
    options.add_inputs(parser)
    options.add_workdir(parser, "of configs/reconstruction.py")
    parser.add_argument(
        "--given", type=options.names, metavar="I,II,V2", help="leads to use; all that are there by default"
    )
    options.add_output(parser, "folder for the records", is_needed=True)
    parser.add_argument("--csv", action="store_true", help="also write NAME.csv: time_s and a column a lead, in mV")
    options.add_talk(parser)


def run(args: argparse.Namespace) -> int:
    """Rebuilds; returns the exit status."""
    found = find_inputs(args.inputs)
    options.check_outside(args.output, args.inputs)
    from ecgjax.api.reconstruct import reconstruct  # noqa: PLC0415 - JAX, see command/check.py
    from ecgjax.recordings.write_wfdb import check_free, record_name, write_csv, write_wfdb  # noqa: PLC0415

    telling = Telling(found, args, ())
    reads = read_all(found.files, options.stated_of(args))
    for read in table.with_progress(reads, len(found.files), args.quiet):
        one = read.input
        name, folder = record_name(Path(one.name).name), args.output / Path(one.name).parent
        try:
            if isinstance(read.recording, InputError):
                raise read.recording
            whole = reconstruct(read.recording, workdir=args.workdir, given=args.given)
            options.output_folder(folder)
            if args.csv:
                check_free(folder / f"{name}.csv")
            written = write_wfdb(whole, folder, name, [f"ecgjax: {note}" for note in whole.assumptions])
            if args.csv:
                written.append(write_csv(whole, folder / f"{name}.csv"))
        except InputError as error:
            telling.failed(one, error)
            continue
        notes = whole.assumptions[len(read.recording.assumptions) :]
        values = {"notes": list(notes), "written": [str(path) for path in written]}
        telling.done(one, values, f"{folder / name}.hea: {'; '.join(notes)}")
    return telling.end()
