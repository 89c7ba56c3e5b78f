"""Reads ECGs on paper, pictures (PNG, JPEG, TIFF...) and pages of PDF documents, into WFDB records.

  ecgjax digitize scan.pdf --output=records
  ecgjax digitize folder --output=records --overlay

Each page becomes NAME.hea and NAME.dat, in mV, with samples that are not drawn or not legible marked as invalid;
NAME_confidence.hea and .dat, how sure each sample is from 0 to 1; and NAME.json: arrangement, scale, where each lead
stands, warnings.
Exit status: 0; 1 where some of several files cannot be read; 2 for bad input.
"""

import argparse
import concurrent.futures
import dataclasses
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgjax.command import options, table
from ecgjax.command.telling import FAILED
from ecgjax.errors import InputError

if TYPE_CHECKING:
    from ecgjax.images.digitize import Options  # at run time it brings OpenCV

Job = tuple[Path, str]
"""A file and the name of its record."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ecgjax digitize`."""
    parser.add_argument(
        "inputs", nargs="+", metavar="FILE", help="a picture, a PDF, or a folder of them (and all below)"
    )
    options.add_output(parser, "folder for the records", is_needed=True)
    parser.add_argument("--fs_hz", type=options.positive, metavar="HZ", help="rate of the records, 500 by default")
    parser.add_argument("--speed", type=options.positive, metavar="MM_PER_S", help="paper speed; found by default")
    parser.add_argument("--gain", type=options.positive, metavar="MM_PER_MV", help="gain; found by default")
    parser.add_argument("--overlay", action="store_true", help="also write NAME_overlay.png, to check by eye")
    options.add_talk(parser)


def run(args: argparse.Namespace) -> int:
    """Digitises; returns the exit status."""
    from ecgjax.images.digitize import FIND_ALL  # noqa: PLC0415 - OpenCV, which --help should not wait for
    from ecgjax.images.picture_files import find_pictures  # noqa: PLC0415

    stated = {"fs_hz": args.fs_hz, "paper_speed_mm_s": args.speed, "gain_mm_mv": args.gain}
    how = dataclasses.replace(FIND_ALL, **{name: value for name, value in stated.items() if value is not None})
    jobs: list[Job] = []
    for text in args.inputs:
        source = Path(text)
        options.check_outside(args.output, [text])
        jobs += named(find_pictures(source), source.parent if source.is_file() else source)
    check_names(jobs)
    options.output_folder(args.output)
    is_single = len(args.inputs) == 1 and Path(args.inputs[0]).is_file()
    num_bad = 0
    done = digitize_all(jobs, args.output, how, with_overlay=args.overlay, processes=os.cpu_count() or 1)
    shown = table.table_for([name for _, name in jobs], [FAILED])
    for (path, name), lines, is_read in table.with_progress(done, len(jobs), args.quiet, unit="file"):
        if not is_read and is_single:
            raise InputError(*lines[0].rsplit("; ", 1)) if "; " in lines[0] else InputError(lines[0], "give another")
        num_bad += not is_read
        for line in lines:
            if args.json:
                table.say(table.json_line(_as_json(path, args.output, line, is_read)))
            elif not (args.quiet and is_read):
                record, _, text = line.partition(": ") if is_read else (name, "", line)
                table.say(shown.line(record, "" if is_read else FAILED, text, "plain" if is_read else "bad"))
    if num_bad == len(jobs):
        raise InputError(f"none of the {num_bad} files could be read", "give clearer pictures")
    if num_bad and not args.quiet:
        print(f"{num_bad} of {table.counted(len(jobs), 'file')} could not be read", file=sys.stderr)
    return 1 if num_bad else 0


def _as_json(path: Path, output: Path, line: str, is_read: bool) -> dict[str, str]:
    if not is_read:
        return {"path": str(path), "error": line}
    record, _, text = line.partition(": ")
    return {"path": str(path), "record": str(output / record), "sentence": text}


def named(paths: Sequence[Path], root: Path) -> list[Job]:
    """Each with its place below `root` as the name of its record."""
    from ecgjax.recordings.write_wfdb import record_name  # noqa: PLC0415 - NumPy, which --help should not wait for

    return [(path, record_name("_".join(path.relative_to(root).with_suffix("").parts))) for path in paths]


def check_names(jobs: Sequence[Job]) -> None:
    """Raises InputError where two files would become one record."""
    first: dict[str, Path] = {}
    for path, name in jobs:
        if name in first:
            raise InputError(f"two files would become record {name}: {first[name]} and {path}", "rename one of them")
        first[name] = path


def digitize_all(
    jobs: Sequence[Job], output: Path, how: "Options", *, with_overlay: bool, processes: int
) -> Iterator[tuple[Job, list[str], bool]]:
    """Each job with a line on each of its pages, or why it was not read; several in processes of their own."""
    if len(jobs) == 1:
        yield (jobs[0], *_try(*jobs[0], output, how, with_overlay))
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(processes, len(jobs)), context) as pool:
        futures = [pool.submit(_try, *job, output, how, with_overlay) for job in jobs]
        try:
            for job, future in zip(jobs, futures, strict=True):
                try:
                    yield (job, *future.result())
                except concurrent.futures.process.BrokenProcessPool:
                    yield job, ["the process that read it was ended"], False
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _try(path: Path, name: str, output: Path, how: "Options", with_overlay: bool) -> tuple[list[str], bool]:
    """The lines on a file, or why it was not read."""
    import cv2  # noqa: PLC0415 - in a process of its own

    from ecgjax.images.digitised_files import digitize_file  # noqa: PLC0415

    if multiprocessing.parent_process() is not None:
        cv2.setNumThreads(1)
    try:
        return digitize_file(path, name, output, how, with_overlay), True
    except InputError as error:
        return [str(error)], False
    except (MemoryError, cv2.error) as error:
        return [f"{path} cannot be read ({' '.join(str(error).split())[:200]}); give a clearer picture"], False
