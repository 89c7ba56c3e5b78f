"""Reads pages with twelve-lead ECGs the whole way: digitised, cables put right, diagnosed.

    python scripts/read_page.py --picture=FILE|FOLDER --reversal=RUN --diagnosis=RUN [--lead_id=RUN] --output=DIR
        [--prevalence=0.1] [--threshold=0.5] [--speed=MM_PER_S] [--gain=MM_PER_MV]

FILE is a picture (PNG, JPEG, TIFF...) or a PDF, FOLDER holds any number of them. The runs are of configs/reversal.py,
configs/diagnosis.py and configs/lead_id.py, the last to check the names of the leads by their shapes. Says of each page
what is on it, how the cables were exchanged, and the diagnosis before and after that is put right; on a page that is
hard to read the verdict is "cannot tell". Most leads stand on a page for a part of the time only: the record is
completed by algebra and by typical beats, and JSON, header and picture say what is on paper.

Writes, for each page: NAME.hea and NAME.dat, the record as it should be, with samples that cannot be had marked as
invalid; NAME.json, all findings; NAME.png, the page with what was traced beside the record as it should be, pale where
that is not on paper. Nothing is overwritten. Bad input ends it with one line and exit status 2; pages of a folder or of
a document of several pages that cannot be read are named and counted.
"""

import collections
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags

from ecgjax import cli
from ecgjax.api.check import PREVALENCE
from ecgjax.errors import InputError
from ecgjax.images.digitize import FIND_ALL, Options
from ecgjax.images.picture_files import find_pictures, read_pictures
from ecgjax.paper.findings import Readers, load_readers, read_page
from ecgjax.paper.output import check_free, said, write
from ecgjax.placements import repair
from ecgjax.recordings.write_wfdb import record_name


def pages(source: Path) -> Iterator[tuple[str, np.ndarray | InputError]]:
    """Name and picture, uint8 [y, x, rgb], of every page; the error in place of a file that cannot be read."""
    for path in find_pictures(source):
        folders = path.relative_to(source).parts[:-1] if source.is_dir() else ()
        try:
            for page, rgb in read_pictures(path):
                yield record_name("_".join((*folders, page))), rgb
        except InputError as error:
            yield record_name("_".join((*folders, path.stem))), error


def read_all(source: Path, output: Path, readers: Readers, options: Options) -> None:
    """Reads, says and writes every page.

    Raises:
      InputError: none can be read, or a file to be written is there.
    """
    counts: collections.Counter[str] = collections.Counter()
    for name, rgb in pages(source):
        check_free(name, output)
        try:
            if isinstance(rgb, InputError):
                raise rgb
            findings = read_page(rgb, readers, options)
        except InputError as error:
            counts["not read"] += 1
            problem = error
            if source.is_dir() or counts.total() > 1:
                print(f"{name}: not read, {error}", flush=True)
            continue
        write(name, findings, output)
        counts[findings.repair.verdict] += 1
        print(said(name, findings), flush=True)
    if counts["not read"] == counts.total():
        raise problem
    if counts.total() > 1:
        print(f"{counts.total()} pages: {', '.join(f'{number} {verdict}' for verdict, number in counts.most_common())}")


def main() -> None:
    """Reads the pages of the command line."""
    given = flags.FLAGS
    if not 0 <= given.threshold <= 1:
        raise InputError(f"--threshold is {given.threshold}", "give a probability between 0 and 1")
    source, output = Path(given.picture), Path(given.output)
    find_pictures(source)
    cli.check_outside(output, source)
    options = dataclasses.replace(FIND_ALL, paper_speed_mm_s=given.speed, gain_mm_mv=given.gain)
    readers = load_readers(
        Path(given.reversal),
        Path(given.diagnosis),
        given.lead_id and Path(given.lead_id),
        prevalence=given.prevalence,
        threshold=given.threshold,
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
        read_all(source, output, readers, options)
    except OSError as error:
        raise InputError(f"cannot write to {output} ({error.strerror})", "give another --output") from None


if __name__ == "__main__":
    flags.DEFINE_string("picture", None, "a picture, a PDF, or a folder of them", required=True)
    flags.DEFINE_string("reversal", None, "folder of a reversal run, or of lead_id on all leads", required=True)
    flags.DEFINE_string("diagnosis", None, "folder of a diagnosis run", required=True)
    flags.DEFINE_string("lead_id", None, "folder of a lead_id run that checks the names of the leads")
    flags.DEFINE_string("output", None, "folder for records, findings and pictures", required=True)
    flags.DEFINE_float(
        "prevalence", PREVALENCE, "records that are wired wrongly, as is expected before looking at them"
    )
    flags.DEFINE_float("threshold", repair.THRESHOLD, "probability from which a verdict is given, not 'cannot tell'")
    flags.DEFINE_float("speed", None, "paper speed in mm/s; found on the page by default", lower_bound=1.0)
    flags.DEFINE_float("gain", None, "gain in mm/mV; found on the page by default", lower_bound=0.1)
    cli.run(main)
