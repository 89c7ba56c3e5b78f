"""What a file holds, and what had to be assumed about it.

  ecgjax info record.hea
  ecgjax info table.csv --fs_hz=500 --units=uV
  ecgjax info folder --json

Exit status: 0; 1 where some of several files cannot be read; 2 for bad input.
"""

import argparse
from typing import Any

from ecgjax.command import options, table
from ecgjax.command.inputs import find_inputs
from ecgjax.command.reading import read_all
from ecgjax.command.rows_file import RowsFile
from ecgjax.command.telling import Telling
from ecgjax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ecgjax info`."""
    options.add_inputs(parser)
    options.add_talk(parser)
    options.add_output(parser, "write the facts to this file, too: .csv or .jsonl", is_needed=False)


def run(args: argparse.Namespace) -> int:
    """Tells; returns the exit status."""
    from ecgjax.api.info import info  # noqa: PLC0415 - SciPy, which a wrong command line should not wait for

    found = find_inputs(args.inputs)
    telling = Telling(found, args, (), RowsFile(args.output))
    reads = read_all(found.files, options.stated_of(args))
    for read in table.with_progress(reads, len(found.files), args.quiet):
        if isinstance(read.recording, InputError):
            telling.failed(read.input, read.recording)
            continue
        facts = info(read.recording)
        telling.done(read.input, facts, in_short(facts), below=_lines(facts))
    return telling.end()


def in_short(facts: dict[str, Any]) -> str:
    """On one line."""
    rate = facts["heart_rate_per_min"]
    parts = [
        facts["format"],
        f"{facts['duration_s']:.4g} s at {facts['fs_hz']:g} Hz",
        f"leads {_leads(facts['leads'])}",
        f"{rate:.0f} beats/min" if rate else "",
        *facts["problems"],
    ]
    return ", ".join(part for part in parts if part)


def _leads(names: list[str]) -> str:
    from ecgjax.leads import LEADS  # noqa: PLC0415 - NumPy, which --help should not wait for

    return "I to V6" if tuple(names) == LEADS else " ".join(names)


def _lines(facts: dict[str, Any]) -> list[str]:
    """On lines of a name and a value."""
    rate, patient = facts["heart_rate_per_min"], facts["patient"]
    age = f"{patient['age_years']:g} years" if "age_years" in patient else ""
    voltages = [f"{lead} {'-' if mv is None else f'{mv:.2f}'}" for lead, mv in facts["peak_to_peak_mv"].items()]
    lines = {
        "started": facts["started"],
        "patient": ", ".join(filter(None, (age, str(patient.get("sex", ""))))),
        "duration": f"{facts['duration_s']:.6g} s, {facts['num_samples']} samples at {facts['fs_hz']:g} Hz",
        "leads": " ".join(facts["leads"]),
        "missing": " ".join(facts["missing_leads"]),
        "heart rate": f"{rate:.0f} per minute" if rate else "",
        "peak to peak": f"{', '.join(voltages)} mV",
        "assumed": "; ".join(facts["assumptions"]),
        "problems": "; ".join(facts["problems"]),
    }
    wide = table.table_for(lines, [])
    return [f"  {wide.line(name, '', value)}" for name, value in lines.items() if value]
