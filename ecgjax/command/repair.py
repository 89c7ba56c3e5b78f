"""Writes recordings whose cables were exchanged as they should be.

  ecgjax repair record.hea --output=repaired
  ecgjax repair folder --output=repaired --json > repairs.jsonl
  ecgjax repair folder --dry_run

Records that are repaired are written to the output folder, all others are only named. A WFDB record keeps its format:
leads that were only exchanged or turned, other channels, comments and annotations are the same to the last bit. Any
other becomes a WFDB record. A comment in the header says what was done.
Exit status: 0; 1 where some of several files cannot be read or written; 2 for bad input.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgjax.command import options, table
from ecgjax.command.check import as_json, judged
from ecgjax.command.inputs import Input, find_inputs
from ecgjax.command.telling import Telling
from ecgjax.errors import InputError
from ecgjax.recordings.contents import Stated
from ecgjax.recordings.write_wfdb import record_name, write_wfdb

if TYPE_CHECKING:
    from ecgjax.api.check import Checked  # at run time it brings JAX

VERDICTS = {"correct": "good", "repaired": "bad", "repaired in part": "bad", "cannot tell": "doubt"}
"""As `ecgjax.placements.repair` has them, and how their lines are meant."""

SAME_MV = 1e-4
"""By which the leads as they should be may differ from what becomes of those in the files that are rewritten."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ecgjax repair`."""
    options.add_inputs(parser)
    options.add_judging(parser)
    options.add_talk(parser)
    options.add_output(parser, "folder for the records", is_needed=False)
    parser.add_argument("--dry_run", action="store_true", help="say what would be done and write nothing")


def run(args: argparse.Namespace) -> int:
    """Repairs; returns the exit status."""
    found = find_inputs(args.inputs)
    if args.output is None and not args.dry_run:
        raise InputError("there is no --output", "give a folder for the repaired records, or --dry_run")
    output = None if args.dry_run else args.output
    stated = options.stated_of(args)
    if output is not None:
        options.check_outside(output, args.inputs)
    telling = Telling(found, args, tuple(VERDICTS))
    for one, checked in table.with_progress(judged(found, args), len(found.files), args.quiet):
        written: list[Path] = []
        try:
            if isinstance(checked, InputError):
                raise checked
            if output is not None and checked.repair.undoing is not None:
                written = write_mended(one, checked, options.output_folder(output), stated)
        except InputError as error:
            telling.failed(one, error)
            continue
        verdict, sentence = checked.repair.verdict, checked.repair.sentence
        values = {**as_json(checked), "verdict": verdict, "sentence": sentence, "written": list(map(str, written))}
        telling.done(one, values, sentence, verdict=verdict, meant=VERDICTS[verdict])
    return telling.end()


def write_mended(one: Input, checked: "Checked", output: Path, stated: Stated) -> list[Path]:
    """Writes the record as it should be below `output`, and returns its files.

    Raises:
      InputError: a file of that name is there.
    """
    from ecgjax.placements.mended import mended  # noqa: PLC0415 - JAX, see command/check.py

    folder = output / Path(one.name).parent
    comment = f"ecgjax repair: {checked.repair.sentence}"
    if checked.recording.format == "WFDB" and stated == Stated(None, None, None, None):
        files = _rewritten(one, checked, folder, comment)
        if files:
            return files
    recording = mended(checked.recording, checked.repair)
    notes = [f"ecgjax: {note}" for note in (f"from {recording.format} {one.path.name}", *checked.recording.assumptions)]
    return write_wfdb(recording, folder, record_name(Path(one.name).name), [*notes, comment])


def _rewritten(one: Input, checked: "Checked", folder: Path, comment: str) -> list[Path]:
    """The files of the WFDB record rewritten with nothing but the leads changed; [] where that cannot be."""
    from data_prep.shards import BadRecordError  # noqa: PLC0415 - wfdb, which other formats do not need
    from data_prep.wfdb_rewrite import new_leads, read_stored, write_rewritten  # noqa: PLC0415

    undoing = checked.repair.undoing
    assert undoing is not None
    try:
        stored = read_stored(one.path.with_suffix(""))
        wanted_mv = checked.repair.signal
        if stored.signal_mv.shape != wanted_mv.shape:
            return []
        if not np.allclose(undoing.apply(stored.signal_mv), wanted_mv, atol=SAME_MV, equal_nan=True):
            return []
        return write_rewritten(stored, new_leads(stored, undoing), comment, folder)
    except BadRecordError:
        return []
