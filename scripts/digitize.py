"""Reads ECGs on paper into WFDB records.

    python scripts/digitize.py --input=FILE|DIR --output=DIR [--fs_hz=500] [--speed=MM_PER_S] [--gain=MM_PER_MV]
        [--overlay] [--processes=N]

FILE is a picture (PNG, JPEG, TIFF...) or a PDF, DIR a folder of them. Each page becomes NAME.hea and NAME.dat, in mV,
with samples that are not drawn or not legible marked as invalid; NAME_confidence.hea and .dat, the confidence of every
sample from 0 to 1; and NAME.json: arrangement, scale and how it was found, where each lead stands, warnings. --overlay
adds NAME_overlay.png: the straightened page with what was read drawn over it, to check by eye. Paper speed and gain are
found on the page unless they are given. Nothing is overwritten. A picture that cannot be read ends the program with one
line and exit status 2; in a folder it is named and counted, and the others are done.
"""

import dataclasses
import os
from pathlib import Path

import tqdm
from absl import flags

from ecgjax import cli
from ecgjax.command.digitize import check_names, digitize_all, named
from ecgjax.errors import InputError
from ecgjax.images.digitised_files import digitize_file
from ecgjax.images.digitize import FIND_ALL
from ecgjax.images.picture_files import find_pictures
from ecgjax.recordings.write_wfdb import record_name


def main() -> None:
    """Digitises the input of the command line."""
    given = flags.FLAGS
    for flag in ("fs_hz", "speed", "gain"):
        value = given[flag].value
        if value is not None and not value > 0:
            raise InputError(f"--{flag} is {value:g}", "give a positive number")
    options = dataclasses.replace(FIND_ALL, fs_hz=given.fs_hz, paper_speed_mm_s=given.speed, gain_mm_mv=given.gain)
    source, output = Path(given.input), Path(given.output)
    paths = find_pictures(source)
    cli.check_outside(output, source)
    output.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        print("\n".join(digitize_file(source, record_name(source.stem), output, options, given.overlay)))
        return
    jobs = named(paths, source)
    check_names(jobs)
    done = digitize_all(jobs, output, options, with_overlay=given.overlay, processes=given.processes)
    failed = 0
    for (path, _), lines, is_read in tqdm.tqdm(done, total=len(jobs), disable=None):
        tqdm.tqdm.write("\n".join(lines if is_read else [f"{path}: not read, {lines[0]}"]))
        failed += not is_read
    print(f"{len(jobs) - failed} of {len(jobs)} files read to {output}, {failed} not")
    if failed == len(jobs):
        raise InputError(f"none of the files in {source} could be read", "give clearer pictures")


if __name__ == "__main__":
    flags.DEFINE_string("input", None, "a picture, a PDF or a folder of them", required=True)
    flags.DEFINE_string("output", None, "folder for the records", required=True)
    flags.DEFINE_float("fs_hz", FIND_ALL.fs_hz, "rate of the records")
    flags.DEFINE_float("speed", None, "paper speed in mm/s; found on the page by default")
    flags.DEFINE_float("gain", None, "gain in mm/mV; found on the page by default")
    flags.DEFINE_bool("overlay", False, "write pictures to check by eye")
    flags.DEFINE_integer("processes", os.cpu_count(), "processes for a folder", lower_bound=1)
    cli.run(main)
