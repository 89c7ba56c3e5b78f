"""Says of each recording whether it was taken rightly: electrodes, leads, gain and noise.

  ecgjax check record.hea
  ecgjax check folder --json > findings.jsonl
  ecgjax check scan.pdf --html=report.html

Exit status: 0 where all records are right; 1 where one is wrong, cannot be told or cannot be read; 2 for bad input.
"""

import argparse
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgjax.command import options, table
from ecgjax.command.inputs import Input, Inputs, find_inputs
from ecgjax.command.processes import num_processes, shared_out
from ecgjax.command.reading import each_done, read_all
from ecgjax.command.rows_file import RowsFile
from ecgjax.command.telling import Telling
from ecgjax.errors import InputError
from ecgjax.recordings.contents import Stated
from ecgjax.recordings.write_wfdb import check_free

if TYPE_CHECKING:
    from ecgjax.api.check import Checked  # at run time it brings JAX

HTML = ".html"
INDEX = "index.html"

MEANT = {"right": "good", "wrong": "bad", "cannot tell": "doubt"}
"""Verdict -> how its line is meant; see table.COLOURS."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ecgjax check`."""
    options.add_inputs(parser)
    options.add_judging(parser)
    options.add_talk(parser)
    options.add_output(parser, "write what is said to this file, too: .csv or .jsonl", is_needed=False)
    parser.add_argument(
        "--html", type=Path, metavar="PATH", help="write a page on the record to this file, or on each to this folder"
    )


def run(args: argparse.Namespace) -> int:
    """Checks; returns the exit status."""
    found = find_inputs(args.inputs)
    telling = Telling(found, args, tuple(MEANT), RowsFile(args.output))
    pages, entries, unread = _pages(args.html, found), [], []
    for one, said in table.with_progress(_said(found, args, pages), len(found.files), args.quiet):
        if isinstance(said, InputError):
            telling.failed(one, said)
            unread.append(str(said))
            continue
        entries.append((one.name, said.verdict, said.sentence, said.probability, f"{one.name}{HTML}"))
        meant = MEANT[said.verdict]
        telling.done(one, said.values, said.sentence, verdict=said.verdict, meant=meant, below=said.below)
    if pages and args.html.suffix.lower() != HTML:
        write_index(entries, args.html / INDEX, unread)
    telling.end()
    return 0 if telling.counts["right"] == len(found.files) else 1


def judged(found: Inputs, args: argparse.Namespace) -> Iterator[tuple[Input, "Checked | InputError"]]:
    """The findings on every input, in order."""
    return _judged(found.files, options.stated_of(args), options.judging_of(args))


def _judged(
    files: Sequence[Input], stated: Stated, judging: dict[str, Any]
) -> Iterator[tuple[Input, "Checked | InputError"]]:
    from ecgjax.api.check import check_all  # noqa: PLC0415 - JAX, which a wrong command line should not wait for

    return each_done(read_all(files, stated), lambda records: check_all(records, **judging))


@dataclasses.dataclass(frozen=True)
class Said:
    """What is told of a record: all that another process has to send, and can be read without JAX."""

    verdict: str
    sentence: str
    probability: float
    values: dict[str, Any]
    below: list[str]


def _said(found: Inputs, args: argparse.Namespace, pages: dict[str, Path]) -> Iterator[tuple[Input, Said | InputError]]:
    """What is told of every input, in order, with its page written."""
    work = functools.partial(
        _told, stated=options.stated_of(args), judging=options.judging_of(args), pages=pages, workdir=args.workdir
    )
    num_workers = num_processes(len(found.files))
    return work(found.files) if num_workers < 2 else shared_out(found.files, work, num_workers)


def _told(
    files: Sequence[Input], stated: Stated, judging: dict[str, Any], pages: dict[str, Path], workdir: str | None
) -> Iterator[tuple[Input, Said | InputError]]:
    for one, checked in _judged(files, stated, judging):
        try:
            if isinstance(checked, InputError):
                raise checked
            if one.name in pages:
                write_page(checked, pages[one.name], workdir)
        except InputError as error:
            yield one, error
            continue
        yield (
            one,
            Said(checked.verdict, checked.sentence, checked.probability, as_json(checked), details(checked)),
        )


def _pages(path: Path | None, found: Inputs) -> dict[str, Path]:
    """Name of a record -> where its page goes."""
    if path is None:
        return {}
    if path.suffix.lower() == HTML:
        if not found.is_single:
            raise InputError(f"--html is the file {path} for several records", "give a folder")
        check_free(path)
        return {found.files[0].name: path}
    check_free(path / INDEX)
    return {one.name: path / f"{one.name}{HTML}" for one in found.files}


def write_page(checked: "Checked", path: Path, workdir: str | None) -> None:
    """Writes the page on a record, with what decided for the network of `workdir`, or that which comes with ecgjax.

    Raises:
      InputError: a file of that name is there or the folder cannot be made.
    """
    from ecgjax.viewer.pages import write_check_page  # noqa: PLC0415 - only --html needs it

    options.output_folder(path.parent)
    check_free(path)
    write_check_page(checked, path, **({} if workdir is None else {"workdir": workdir}))


def write_index(entries: list[tuple[str, str, str, float, str]], path: Path, unread: list[str]) -> None:
    """Writes the page with links to those on all records, the fields of `viewer.pages.Entry` each.

    Raises:
      InputError: a file of that name is there.
    """
    from ecgjax.viewer import pages  # noqa: PLC0415 - see above

    options.output_folder(path.parent)
    check_free(path)
    pages.write_index([pages.Entry(*entry) for entry in entries], path, unread)


def as_json(checked: "Checked") -> dict[str, Any]:
    """All that was found."""
    recording = checked.recording
    return {
        **checked.repair.as_json(),
        "verdict": checked.verdict,
        "sentence": checked.sentence,
        "probability": checked.probability,
        "findings": [
            {
                "kind": finding.kind,
                "leads": list(finding.leads),
                "sentence": finding.sentence,
                "probability": finding.probability,
                "is_fault": finding.is_fault,
            }
            for finding in checked.findings
        ],
        "format": recording.format,
        "fs_hz": recording.fs_hz,
        "duration_s": recording.duration_s,
        "leads": list(recording.lead_names),
        "assumptions": list(recording.assumptions),
    }


def details(checked: "Checked") -> list[str]:
    """Lines below the sentence on a single record: what else was found, and what was assumed."""
    lines = [f"{'- ' if finding.is_fault else '  '}{finding.sentence}" for finding in checked.findings]
    said = [line for line in lines if line[2:] not in checked.sentence]
    return [*said, *(f"  assumed: {note}" for note in checked.recording.assumptions)]
