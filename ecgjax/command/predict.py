"""What a trained network makes of recordings: labels, age, rhythm, heartbeats, names of leads.

  ecgjax predict record.hea --workdir=runs/diagnosis
  ecgjax predict folder --workdir=runs/age --output=ages.csv
  ecgjax predict holter.dat --workdir=runs/heartbeat --json

Rate, units, order of leads and preprocessing are brought to what the network was trained on.
Exit status: 0; 1 where some of several files cannot be read or lack leads; 2 for bad input.
"""

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from ecgjax.command import options, table
from ecgjax.command.inputs import find_inputs
from ecgjax.command.reading import Read, each_done, read_all
from ecgjax.command.rows_file import RowsFile
from ecgjax.command.telling import Telling
from ecgjax.errors import InputError
from ecgjax.recordings.recording import Recording

if TYPE_CHECKING:
    from ecgjax.api.predict import Prediction  # at run time it brings JAX
    from ecgjax.record_reader import RecordReader

MOST_SHOWN = 12
"""Values that are listed for a single record."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ecgjax predict`."""
    options.add_inputs(parser)
    options.add_workdir(parser, "of any task")
    parser.add_argument("--task", metavar="TASK", help="of the network; says which is meant by 'bundled'")
    options.add_talk(parser)
    options.add_output(parser, "write all values to this file, too: .csv or .jsonl", is_needed=False)


def run(args: argparse.Namespace) -> int:
    """Predicts; returns the exit status."""
    found = find_inputs(args.inputs)
    telling = Telling(found, args, (), RowsFile(args.output))
    from ecgjax.api.predict import AT_ONCE, predict_all, reader_of  # noqa: PLC0415 - JAX, see command/check.py

    reader = reader_of(args.workdir, args.task, 1 if found.is_single else AT_ONCE)
    reads = (_fitting(one, reader) for one in read_all(found.files, options.stated_of(args)))
    done = each_done(reads, lambda records: predict_all(records, reader))
    for one, prediction in table.with_progress(done, len(found.files), args.quiet):
        if isinstance(prediction, InputError):
            telling.failed(one, prediction)
        else:
            telling.done(one, as_json(prediction), prediction.sentence, below=_values(prediction))
    return telling.end()


def as_json(prediction: "Prediction") -> dict[str, Any]:
    """All that was found."""
    values = {
        "task": prediction.task,
        "sentence": prediction.sentence,
        "named": list(prediction.named),
        "values": prediction.values,
    }
    return {**values, "beats_s": list(prediction.beats_s)} if prediction.beats_s else values


def _fitting(read: Read, reader: "RecordReader") -> Read:
    """With an error where leads are missing, so that the others are done."""
    from ecgjax.api.predict import prepared  # noqa: PLC0415 - see above

    if isinstance(read.recording, Recording):
        try:
            prepared(reader, read.recording)
        except InputError as error:
            return dataclasses.replace(read, recording=error)
    return read


def _values(prediction: "Prediction") -> list[str]:
    """Lines of the largest values."""
    if len(prediction.values) < 2 or prediction.task == "lead_id":
        return []
    largest = sorted(prediction.values.items(), key=lambda item: -item[1])[:MOST_SHOWN]
    width = max(len(name) for name, _ in largest)
    return [f"  {name:<{width}}  {value:.3f}" for name, value in largest]
